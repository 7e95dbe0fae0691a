"""The trainer's environment: an overlay beside packages that stay as they are, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from lib_hps.cli import main
from lib_hps.errors import InputError
from lib_hps.training.environment import SetupError, freeze, look, set_up_overlay, webui_python


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """An environment with pip alone."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)
    return folder


@pytest.fixture
def wheel(tmp_path) -> Path:
    """A package as pip takes it, made here: nothing comes from the network."""
    import zipfile

    path = tmp_path / "overlaid-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("overlaid.py", "__version__ = '1.0'\n")
        archive.writestr("overlaid-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: overlaid\nVersion: 1.0\n")
        archive.writestr(
            "overlaid-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("overlaid-1.0.dist-info/RECORD", "")
    return path


def test_what_is_missing_is_said(bare, capsys):
    found = look(bare / "venv" / "bin" / "python")
    assert not found.is_ready
    assert "ModuleNotFoundError" in found.errors["diffusers"]
    assert main(["doctor", "--trainer", "--python", str(bare / "venv" / "bin" / "python")]) == 1
    assert "Not ready" in capsys.readouterr().out


def test_an_overlay_leaves_the_environment_as_it_was(bare, wheel, tmp_path):
    python = bare / "venv" / "bin" / "python"
    before = freeze(python)
    found = set_up_overlay(python, tmp_path / "overlay", [str(wheel)])
    assert freeze(python) == before
    assert (tmp_path / "overlay" / "overlaid.py").is_file()
    command, variables = found.command(["--version"])
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hps ")
    seen = subprocess.run([str(python), "-c", "import overlaid"], env=variables, check=False)
    unseen = subprocess.run([str(python), "-c", "import overlaid"], capture_output=True, check=False, env={})
    assert (seen.returncode, unseen.returncode) == (0, 1)


def test_what_pip_refuses_is_said(bare, tmp_path):
    with pytest.raises(SetupError, match="pip install"):
        set_up_overlay(bare / "venv" / "bin" / "python", tmp_path / "o", [str(tmp_path / "none-1.0-py3-none-any.whl")])


def test_a_webui_s_python_is_found(bare, tmp_path):
    assert webui_python(bare) == bare / "venv" / "bin" / "python"
    with pytest.raises(InputError, match="--python"):
        webui_python(tmp_path)
    with pytest.raises(InputError, match="does not run"):
        look(tmp_path / "python")


def test_this_python_can_train(capsys):
    for name in ("torch", "diffusers", "peft", "accelerate", "transformers"):
        pytest.importorskip(name)
    assert main(["doctor", "--trainer"]) == 0
    assert "Ready: " in capsys.readouterr().out
