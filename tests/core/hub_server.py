"""A hub of one file on this machine: HEAD and ranged GET of `/{repo}/resolve/{revision}/{file}`, as huggingface.co."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HubServer(ThreadingHTTPServer):
    """Serves `content` as weights/model.pt of any repository.

    `breaks`: how many of the first GETs end after half of what they promised; `lies`: the etag names other content.
    """

    daemon_threads = True

    def __init__(
        self, content: bytes, *, breaks: int = 0, lies: bool = False, is_there: bool = True, resumes: bool = True
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.breaks, self.is_there, self.resumes = content, breaks, is_there, resumes
        self.etag = hashlib.sha256(b"other" if lies else content).hexdigest()
        self.ranges: list[int] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def _head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{self.server.etag}"')
        self.send_header("X-Repo-Commit", "0" * 40)

    def do_HEAD(self) -> None:
        if not self.server.is_there:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        else:
            self._head(200, len(self.server.content))
        self.end_headers()

    def do_GET(self) -> None:
        if not re.search(r"/resolve/[^/]+/", self.path):
            self._head(404, 0)
            self.end_headers()
            return
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) if self.server.resumes else None
        start = int(found.group(1)) if found else 0
        self.server.ranges.append(start)
        rest, total = self.server.content[start:], len(self.server.content)
        self._head(206 if found else 200, len(rest))
        if found:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        if self.server.breaks > 0:
            self.server.breaks -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.wfile.write(rest)
