"""Where weight files are looked for, and whether what lies there is whole. No torch here.

Order: the path given by the caller, `$HPS_DIR`, the folder that the host passes (the WebUI's models/HPS), the cache
folder of this project, the hub's own cache; what is nowhere is downloaded into the first of the folders.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib_hps.errors import WeightsError

from .registry import BUNDLED, REGISTRY, Entry, Scale

Progress = Callable[[int, int | None], None]
"""Called with (bytes so far, bytes in all or None)."""

PARTIAL_SUFFIXES = (".part", ".partial", ".incomplete", ".crdownload", ".download", ".tmp")


def cache_folder() -> Path:
    """The folder for weights where no other is given, as the platform has it; it need not exist."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "hps"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "hps" / "cache"
    return Path.home() / ".cache" / "hps"


def search_folders(weights_dir: str | os.PathLike[str] | None = None) -> list[Path]:
    """The folders in which weights are looked for, in order, without repetition."""
    given = [os.environ.get("HPS_DIR") or None, weights_dir, cache_folder()]
    folders = [Path(folder).expanduser() for folder in given if folder is not None]
    return list(dict.fromkeys(folders))


def find_weights(entry: Entry, weights_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The entry's file in the folders or in the hub's cache; None where it is in neither. Downloads nothing."""
    if entry.is_bundled:
        path = BUNDLED / entry.name / entry.file_name
        return path if path.is_file() else None
    for folder in search_folders(weights_dir):
        if (folder / entry.file_name).is_file():
            return folder / entry.file_name
    return _in_hub_cache(entry)


def _in_hub_cache(entry: Entry) -> Path | None:
    """What another program has already downloaded through huggingface_hub."""
    if entry.hub_repo is None or entry.hub_file is None:
        return None
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(entry.hub_repo, entry.hub_file)
    return Path(found) if isinstance(found, str) else None


def obtain_weights(
    entry: Entry,
    weights: str | os.PathLike[str] | None = None,
    *,
    weights_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """The entry's file: the one given, the one found, or a fresh download; checked to be whole.

    Args:
        weights: a file, or a folder that holds it; nothing else is looked at then.

    Raises:
        WeightsError: not there and not downloadable, or incomplete; says what to put where.
        DownloadError: the download failed.
    """
    if weights is not None:
        path = Path(weights).expanduser()
        path = path / entry.file_name if path.is_dir() else path
        if not path.is_file():
            partial = _partial_beside(path)
            hint = f" There is only {partial.name}, a download that never finished." if partial else ""
            raise WeightsError(f"There is no weight file {path}.{hint} {_where_from(entry)}")
        return check_complete(path, entry)
    found = find_weights(entry, weights_dir)
    if found is not None:
        return check_complete(found, entry)
    folder = search_folders(weights_dir)[0]
    if entry.hub_repo is None or entry.hub_file is None:
        raise WeightsError(
            f"{entry.name} needs {entry.file_name}, which is not in {folder}. {_where_from(entry, folder)}"
        )
    from .download import download

    return check_complete(download(entry, folder, progress=progress), entry)


def _where_from(entry: Entry, folder: Path | None = None) -> str:
    if entry.is_bundled:
        return "It comes with this project: install it again, or fetch the files that git left out."
    target = f"put it as {entry.file_name} into {folder}" if folder else f"name it {entry.file_name}"
    return f"Get it from {entry.source} and {target}."


def _partial_beside(path: Path) -> Path | None:
    names = [path.with_name(path.name + suffix) for suffix in PARTIAL_SUFFIXES]
    return next((name for name in names if name.exists()), None)


def check_complete(path: Path, entry: Entry | None = None) -> Path:
    """Refuse a file that is shorter than it says itself, or than the registry knows it to be; reads headers only.

    Raises:
        WeightsError: empty, half downloaded, or of another size than the registry's.
    """
    size = path.stat().st_size
    advice = f"Delete {path} and download it again."
    if size == 0:
        raise WeightsError(f"{path.name} is empty (zero bytes). {advice}")
    if entry is not None and entry.size_bytes is not None and size != entry.size_bytes:
        raise WeightsError(
            f"{path.name} has {size:,} bytes instead of {entry.size_bytes:,}: half downloaded or another file. {advice}"
        )
    if path.suffix == ".safetensors":
        from .checkpoints import read_header

        read_header(path)
        return path
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == b"PK\x03\x04" and not zipfile.is_zipfile(path):
        # torch.save writes a zip, whose table of contents stands at the end
        raise WeightsError(f"{path.name} is half downloaded ({size:,} bytes, its end is missing). {advice}")
    return path


@dataclass(frozen=True)
class ScorerInfo:
    """What a list of scorers shows of one: whether its weights are here, how large they are, under which licence."""

    name: str
    is_available: bool
    path: Path | None
    size_bytes: int | None
    licence: str
    architecture: str
    scale: Scale
    source: str
    is_downloadable: bool


def list_scorers(weights_dir: str | os.PathLike[str] | None = None) -> list[ScorerInfo]:
    """Every scorer known by name, and whether it can score right now. Imports no torch and downloads nothing."""
    return [_info(entry, weights_dir) for entry in REGISTRY.values()] + list(_trained(weights_dir).values())


def find_trained(name: str, weights_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The file in the weights folders of the classifier that somebody trained under that name."""
    found = _trained(weights_dir).get(name)
    return found.path if found else None


def _trained(weights_dir: str | os.PathLike[str] | None) -> dict[str, ScorerInfo]:
    """Classifiers that somebody trained, by file stem: whatever says in its metadata how it scores."""
    from .classifier_file import SCORER_KEY
    from .clip.header import safetensors_header

    found: dict[str, ScorerInfo] = {}
    for path in (file for folder in search_folders(weights_dir) for file in sorted(folder.glob("*.safetensors"))):
        try:
            header = safetensors_header(path)
            card = dict(json.loads(header.metadata[SCORER_KEY]))
        except (WeightsError, KeyError, TypeError, ValueError):
            continue  # other weights, or damaged ones: loading them by their path says what is wrong
        if path.stem in REGISTRY or path.stem in found:
            continue
        found[path.stem] = ScorerInfo(
            name=path.stem,
            is_available=True,
            path=path,
            size_bytes=header.size_bytes,
            licence=str(card.get("licence", "yours")),
            architecture=str(card.get("base", "trained classifier")),
            scale=card.get("scale", "cosine"),
            source="trained here",
            is_downloadable=False,
        )
    return found


def _info(entry: Entry, weights_dir: str | os.PathLike[str] | None) -> ScorerInfo:
    path = find_weights(entry, weights_dir) if entry.family != "imagereward" else None
    is_available = path is not None
    if entry.family == "imagereward":
        from .imagereward import is_installed

        is_available = is_installed()
    if entry.tower is not None:
        is_available = is_available and find_weights(REGISTRY[entry.tower], weights_dir) is not None
    return ScorerInfo(
        name=entry.name,
        is_available=is_available,
        path=path,
        size_bytes=path.stat().st_size if path else entry.size_bytes,
        licence=entry.licence,
        architecture=entry.architecture,
        scale=entry.scale,
        source=entry.source,
        is_downloadable=entry.hub_repo is not None,
    )
