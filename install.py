"""Installs what the WebUI lacks, and nothing that it has: on A1111 and its forks that is nothing at all.

Scoring needs torch, numpy, Pillow, safetensors and tqdm, all of them part of every WebUI; the CLIP towers are our own
code, so open_clip and transformers are not needed. The WebUI runs this file at start, unless `--skip-install` is given.
"""

from __future__ import annotations

import importlib.util

NEEDED = ("numpy", "PIL", "safetensors", "tqdm")
PACKAGES = {"PIL": "pillow"}


def missing() -> list[str]:
    """Packages that cannot be imported here; torch is the WebUI's own business and never looked at."""
    return [PACKAGES.get(name, name) for name in NEEDED if importlib.util.find_spec(name) is None]


def main() -> None:
    """Install what is missing, without touching what is there."""
    packages = missing()
    if packages:
        import launch

        for package in packages:
            launch.run_pip(f"install --no-deps {package}", f"{package} for HPS")


main()
