"""A hub on this machine that is still sending PickScore when the test is long over, and has nothing else."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIZE = 3_900_000_000
_CHUNK = bytes(2**16)


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

    def _head(self) -> bool:
        is_there = "pickscore" in self.path.lower()
        self.send_response(200 if is_there else 404)
        self.send_header("Content-Length", str(SIZE if is_there else 0))
        self.send_header("ETag", f'"{"a" * 64}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        if not is_there:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        return is_there

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        if not self._head():
            return
        try:
            for _ in range(SIZE // len(_CHUNK)):
                self.wfile.write(_CHUNK)
                time.sleep(0.02)
        except OSError:  # whoever asked has gone
            self.close_connection = True
