"""Fetching weights from huggingface.co: `huggingface_hub`'s addresses, mirrors, tokens, sessions and offline switch.

The bytes are written here and not by its `hf_hub_download`, which from 1.x on forgets what an interrupted process had
fetched. They go into a hidden folder beside the destination and are moved there when whole and verified, so a weight
file that has its final name is never half of one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lib_hps.errors import DownloadError, StorageError

from .http_resume import fetch_resuming

if TYPE_CHECKING:
    from .registry import Entry
    from .weights import Progress

log = logging.getLogger(__name__)

_RESERVE_BYTES = 64 * 2**20
_ON = {"1", "ON", "YES", "TRUE"}


def is_offline() -> bool:
    """True where the user forbade downloads, by the variables that the hub's own library reads."""
    return any(os.environ.get(name, "").upper() in _ON for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def download(entry: Entry, folder: Path, *, progress: Progress | None = None) -> Path:
    """Fetch the entry's file into `folder`, resuming what an earlier try left.

    Args:
        progress: called with (bytes so far, bytes in all); without it a progress bar is shown.

    Raises:
        DownloadError: offline, not reachable, not found, or other bytes than the hub or the registry promises.
        StorageError: not enough space, or the folder cannot be written.
    """
    by_hand = f"Or get {entry.hub_file} from {entry.source} and put it as {entry.file_name} into {folder}."
    if is_offline():
        raise DownloadError(f"{entry.name} is not on this machine and HF_HUB_OFFLINE forbids downloads. {by_hand[3:]}")
    if entry.hub_repo is None or entry.hub_file is None:
        raise DownloadError(f"{entry.name} is published nowhere that it could be downloaded from. {by_hand[3:]}")
    try:
        import huggingface_hub  # noqa: F401
        from filelock import FileLock
    except ImportError as error:
        raise DownloadError(f"Downloading {entry.name} needs `pip install huggingface_hub`. {by_hand}") from error
    staging = folder / ".downloads"
    try:
        staging.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Cannot write to {folder}: {error.strerror}. Choose another folder (HPS_DIR).") from error
    target = folder / entry.file_name
    try:
        with FileLock(staging / f"{entry.file_name}.lock"):  # several processes, one download
            if not target.is_file():
                _fetch(entry, staging, target, progress)
    except StorageError:
        raise
    except _network_errors() as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DownloadError(
            f"{entry.name} could not be downloaded: {reason} Try again; it goes on. {by_hand}"
        ) from error
    shutil.rmtree(staging, ignore_errors=True)
    return target


def _fetch(entry: Entry, staging: Path, target: Path, progress: Progress | None) -> None:
    """Fetch, verify and move into place; what an interruption leaves is `<name>.<etag>.part`."""
    from huggingface_hub import constants, get_hf_file_metadata

    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    url = f"{endpoint}/{entry.hub_repo}/resolve/main/{quote(str(entry.hub_file))}"
    metadata = get_hf_file_metadata(url)
    part = staging / f"{entry.file_name}.{re.sub(r'[^0-9A-Za-z]', '', metadata.etag or 'file')[:16]}.part"
    have = part.stat().st_size if part.exists() else 0
    _check_space(entry, staging, metadata.size, have)
    log.info("Downloading %s (%s) to %s", entry.name, _human(metadata.size), target)
    with _Reporter(entry.file_name, metadata.size, progress) as report:
        fetch_resuming(url, part, metadata.size, report)
    _verify(part, entry, metadata.size, metadata.etag)
    os.replace(part, target)


def _network_errors() -> tuple[type[Exception], ...]:
    """What the hub's library lets through: requests' errors are OSErrors, httpx's are not."""
    errors: list[type[Exception]] = [OSError, ValueError, RuntimeError]
    for module in ("httpx", "httpx2"):
        try:
            errors.append(__import__(module).HTTPError)
        except ImportError:
            continue
    return tuple(errors)


class _Reporter:
    """Tells `progress`, or draws a bar, as bytes come in."""

    def __init__(self, name: str, total: int | None, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._bar = None
        if progress is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1000, desc=name)

    def __call__(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done, self._total)
        elif self._bar is not None:
            self._bar.update(done - self._bar.n)

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _check_space(entry: Entry, folder: Path, size: int | None, have: int) -> None:
    if size is None:
        return
    free = shutil.disk_usage(folder).free
    if free < size - have + _RESERVE_BYTES:
        raise StorageError(
            f"{entry.name} needs {_human(size)}, but {folder.parent} has only {_human(free)} free. "
            "Free some space or choose another folder with HPS_DIR."
        )


def _verify(path: Path, entry: Entry, size: int | None, etag: str | None) -> None:
    """Compare with the registry's checksum, else with the hub's: the etag of a large file is its SHA-256."""
    actual_size = path.stat().st_size
    if size is not None and actual_size != size:
        path.unlink()
        raise DownloadError(f"{entry.name}: got {actual_size:,} of {size:,} bytes. The file was removed; try again.")
    expected = entry.sha256 or (etag if etag and re.fullmatch(r"[0-9a-f]{64}", etag) else None)
    if expected is None:
        return
    actual = sha256_of(path)
    if actual != expected:
        path.unlink()
        raise DownloadError(
            f"{entry.name}: the downloaded file has SHA-256 {actual[:12]}…, expected {expected[:12]}…. "
            "It was damaged on the way or replaced at the source; the file was removed."
        )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _human(size: int | None) -> str:
    return "unknown size" if size is None else f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
