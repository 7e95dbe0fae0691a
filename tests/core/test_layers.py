"""Dependencies point inward; what the WebUI loads at start is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lib_hps"
# every part of lib_hps and what it may import from lib_hps, besides itself and the leaves
LEAVES = {"errors", "files", "infotext", "infotext_readers", "infotext_comfy", "sheet", "__init__"}
CORE = {"diffusion", "session", "preferences", "training", "ranking", "rerank", "scoring", "noise"}
ALLOWED: dict[str, set[str]] = {
    **{leaf: set() for leaf in LEAVES},
    "scoring": set(),
    "noise": set(),
    "rerank": set(),
    "diffusion": {"noise", "scoring"},
    "ranking": {"noise"},
    "session": {"ranking", "scoring", "noise"},
    "preferences": {"session", "ranking", "scoring", "noise"},
    "training": {"diffusion", "preferences", "ranking", "rerank", "scoring", "noise"},
    "board": {"session", "preferences", "ranking", "scoring", "noise"},
    "hosts": {*CORE, "board"},
    "cli": {*CORE, "board", "hosts"},
}
HEAVY = {"torch", "open_clip", "diffusers", "transformers", "gradio", "accelerate", "torchvision", "huggingface_hub"}


def part_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_modules(file: Path) -> set[str]:
    """Absolute names of everything a file imports, at module level or inside functions."""
    names = set()
    package = list(file.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{stem}.{alias.name}" for alias in node.names} | {stem}
    return names


def wrong_directions(file: Path) -> list[str]:
    part = part_of(file)
    may = ALLOWED[part] | LEAVES | {part}
    found = []
    for name in imported_modules(file):
        pieces = name.split(".")
        if pieces[0] == "lib_hps" and len(pieces) > 1 and pieces[1] not in may and (PACKAGE / pieces[1]).exists():
            found.append(name)
        if (
            pieces[0] == "lib_hps"
            and len(pieces) > 1
            and pieces[1] not in may
            and (PACKAGE / f"{pieces[1]}.py").exists()
        ):
            found.append(name)
        if pieces[0] == "modules" and not file.is_relative_to(PACKAGE / "hosts" / "webui"):
            found.append(name)
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_inward(file: Path) -> None:
    assert part_of(file) in ALLOWED, f"{file} belongs to no known part: add it to ALLOWED on purpose"
    assert wrong_directions(file) == []


def test_a_wrong_direction_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lib_hps"
    for part in ("scoring", "board"):
        (package / part).mkdir(parents=True)
        (package / part / "__init__.py").touch()
    wrong = package / "scoring" / "bad.py"
    wrong.write_text("def f():\n    from ..board import x\n    import modules.shared\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert {"lib_hps.board", "modules.shared"} <= set(wrong_directions(wrong))


@pytest.mark.parametrize("module", ["lib_hps", "lib_hps.scoring", "lib_hps.infotext", "lib_hps.rerank", "lib_hps.cli"])
def test_importing_the_core_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert not HEAVY & set(done.stdout.split())
