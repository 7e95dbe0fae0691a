"""One file over HTTP, in as many tries as it takes, each asking only for what is still missing."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_TRIES = 5
_CHUNK_BYTES = 2**16
_TIMEOUT_S = 30


class ConnectionBroken(OSError):
    """The server stopped before the end of the file."""


def fetch_resuming(url: str, part: Path, size: int | None, report: Callable[[int], None]) -> None:
    """Complete `part`, which may hold the beginning already, from `url`.

    Args:
        size: of the whole file, where known.
        report: called with the bytes that `part` has.

    Raises:
        ConnectionBroken: nothing came any more in five tries in a row; `part` keeps what did.
        Exception: what the hub's session raises for a refusal (requests' or httpx's own).
    """
    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        report(have)
        if size is not None and have == size:
            return
        if size is not None and have > size:
            part.unlink()
            continue
        problem = _append(url, part, have, report)
        now = part.stat().st_size if part.exists() else 0
        if problem is None and (size is None or now >= size):
            return
        failures = failures + 1 if now <= have else 0
        if failures >= _TRIES:
            raise ConnectionBroken(f"the connection broke after {now:,} bytes ({problem or 'it ended early'}).")
        log.info("The download was interrupted at %d bytes (%s); going on.", now, problem or "it ended early")
        time.sleep(min(8.0, 0.2 * 2**failures))


def _append(url: str, part: Path, have: int, report: Callable[[int], None]) -> Exception | None:
    """One try: append the rest to `part`; returns what broke the connection, or None where it ended in order."""
    with _response(url, have) as (response, broken):
        if response.status_code == 416:  # nothing behind what we have: the file was replaced by a shorter one
            part.unlink(missing_ok=True)
            return None
        response.raise_for_status()
        resumes = response.status_code == 206
        done = have if resumes else 0
        with part.open("ab" if resumes else "wb") as stream:
            chunks = response.iter_bytes(_CHUNK_BYTES) if hasattr(response, "iter_bytes") else None
            try:
                for chunk in chunks or response.iter_content(_CHUNK_BYTES):
                    stream.write(chunk)
                    done += len(chunk)
                    report(done)
            except broken as error:
                return error
    return None


@contextlib.contextmanager
def _response(url: str, start: int) -> Iterator[tuple[Any, tuple[type[Exception], ...]]]:
    """An open answer from the hub's own session (requests before 1.0, httpx since) and what its breaking raises."""
    from huggingface_hub.utils import build_hf_headers, get_session

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    session: Any = get_session()
    if callable(getattr(session, "stream", None)):
        library = __import__(type(session).__module__.partition(".")[0])
        with session.stream("GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S) as response:
            yield response, (library.TransportError,)
        return
    import requests

    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
        yield response, (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
