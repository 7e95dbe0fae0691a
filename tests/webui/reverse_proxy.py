"""A reverse proxy that serves a WebUI below /sd, as nginx with `location /sd/ { proxy_pass http://.../; }`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

PREFIX = b"/sd/"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(1 << 16):
            writer.write(some)
            await writer.drain()
    except OSError:  # one side has gone
        pass
    finally:
        writer.close()


def _rewritten(head: bytes) -> bytes | None:
    """The head of a request for the server behind, which closes behind its answer; websockets stay open."""
    first, *lines = head.split(b"\r\n")
    verb, path, version = first.split(b" ", 2)
    if not path.startswith(PREFIX):
        return None
    is_upgrade = any(line.lower().startswith(b"upgrade:") for line in lines)
    if not is_upgrade:
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        lines.insert(0, b"Connection: close")
    return b"\r\n".join([b" ".join((verb, path[len(PREFIX) - 1 :], version)), *lines])


@contextmanager
def behind_a_proxy(url: str) -> Iterator[str]:
    """The address from outside of the WebUI at `url`."""
    behind = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = _rewritten(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError:  # a connection kept in reserve
            writer.close()
            return
        if head is None:
            writer.write(_NOT_FOUND)
            writer.close()
            return
        from_server, to_server = await asyncio.open_connection(behind.hostname, behind.port)
        to_server.write(head)
        upload = asyncio.create_task(_pipe(reader, to_server))
        with suppress(asyncio.CancelledError):  # a websocket that is open when the proxy stops
            await _pipe(from_server, writer)
        upload.cancel()

    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            ready.set_result((asyncio.get_running_loop(), stop, server.sockets[0].getsockname()[1]))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    loop, stop, port = ready.result()
    try:
        yield f"http://127.0.0.1:{port}/sd"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
