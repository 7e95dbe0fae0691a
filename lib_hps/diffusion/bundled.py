"""Where the models that come with the project lie."""

from __future__ import annotations

from pathlib import Path

from lib_hps.errors import WeightsError

_FOLDER = Path(__file__).parents[1] / "bundled"
SCORER, HOLDOUT = "tiny-hps", "tiny-holdout"
EXAMPLE = "red heart, noto style"  # what a page asks the tiny model for until the user writes something


def tiny_checkpoint() -> Path | None:
    """The bundled picture model, None where the installation lacks it."""
    path = _FOLDER / "tiny-sd" / "tiny-sd.safetensors"
    return path if path.is_file() else None


def require_tiny_checkpoint() -> Path:
    """The bundled picture model.

    Raises:
        WeightsError: the installation lacks it.
    """
    path = tiny_checkpoint()
    if path is None:
        raise WeightsError(
            f"The bundled model is not in {_FOLDER}. Install sd-webui-hps again, or use: hps serve --checkpoint FILE."
        )
    return path
