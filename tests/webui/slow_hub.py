"""A hub on this machine: three scorers' weights, one of which never ends, one comes in pieces, one comes damaged."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENDLESS = "pickscore"
WHOLE, WHOLE_FILE = "clip:ViT-B-32/openai", "ViT-B-32-openai.safetensors"
DAMAGED = "clip:ViT-B-16/openai"
_SIZE = 3_900_000_000
_CHUNK = bytes(2**16)
_PIECE = 2**20
_LOCK = threading.Lock()  # requests come in threads, and torch draws from one generator


def whole_weights() -> bytes:
    """A ViT-B-32 of the published shape in the published file's layout, with random weights in half precision."""
    with _LOCK:
        return _weights()[0]


@cache
def _weights() -> tuple[bytes, str]:
    """They, and their SHA-256: a hub that makes a client wait for it is given up."""
    from safetensors.torch import save

    from lib_hps.scoring.clip.architectures import named_config
    from lib_hps.scoring.clip.model import build

    state = build(named_config("ViT-B-32-quickgelu"), seed=0).state_dict()
    weights = bytes(save({name: tensor.half().contiguous() for name, tensor in state.items()}))
    return weights, hashlib.sha256(weights).hexdigest()


def _checksum() -> str:
    with _LOCK:
        return _weights()[1]


class SlowHub(ThreadingHTTPServer):
    """Speaks as much of huggingface.co's HTTP as a download needs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _head(self) -> int | None:
        """Answer with the headers; returns the byte to begin with, or None where there is no such file."""
        path = self.path.lower()
        sizes = {ENDLESS: lambda: _SIZE, "patch32": lambda: len(whole_weights()), "patch16": lambda: _PIECE}
        size = next((size() for words, size in sizes.items() if words in path), None)
        if size is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return None
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.send_header("ETag", f'"{_checksum() if "patch32" in path else "a" * 64}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        return start

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        start = self._head()
        if start is None:
            return
        try:
            if "patch32" in self.path:
                self._send_pieces(start)
            elif "patch16" in self.path:
                self.wfile.write(bytes(_PIECE))
            else:
                for _ in range(_SIZE // len(_CHUNK)):
                    self.wfile.write(_CHUNK)
                    time.sleep(0.02)
        except OSError:  # whoever asked has gone
            self.close_connection = True

    def _send_pieces(self, start: int) -> None:
        """From `start`; the first time the connection breaks in the middle of the file."""
        whole = whole_weights()
        end = len(whole) if start else len(whole) // 2
        for at in range(start, end, _PIECE):
            self.wfile.write(whole[at : min(end, at + _PIECE)])
            time.sleep(0.025)  # slow enough to look on
        if not start:
            self.close_connection = True
