"""A server on the loopback address that serves files well or badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behavior:
    """What a server does with a file.

    Attributes:
        content: what it serves.
        breaks: bytes after which answers break off, one for each; later answers are whole.
        length: added to the length that it states.
        ranges: whether it answers for parts of the file.
        tag: the version that it states; empty for none.
        status: of every answer, if not 200 or 206.
        silent: seconds that it waits before the content.
        requests: the ranges that it was asked for, empty for the whole file.
    """

    content: bytes
    breaks: list[int] = field(default_factory=list)
    length: int = 0
    ranges: bool = True
    tag: str = '"one"'
    status: int = 0
    silent: float = 0.0
    requests: list[str] = field(default_factory=list)


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yield the address of a server whose requests a handler answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving(behavior: Behavior) -> Iterator[str]:
    """Yield the address of the file while it is served."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            behavior.requests.append(asked)
            content, start = behavior.content, 0
            if asked and behavior.ranges and self.headers.get("If-Range") == behavior.tag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content) and start:
                self.send_error(416)
                return
            self.send_response(behavior.status or (206 if start else 200))
            rest = content[start:]
            self.send_header("Content-Length", str(len(rest) + behavior.length))
            if start:
                whole = len(content) + behavior.length
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            if behavior.tag:
                self.send_header("ETag", behavior.tag)
            self.end_headers()
            stop.wait(behavior.silent)
            self.wfile.write(rest[: behavior.breaks.pop(0)] if behavior.breaks else rest)

        def log_message(self, *_: object) -> None:
            pass

    with running(Handler) as address:
        try:
            yield f"{address}/weights-0123abcd_20260101.pth"
        finally:
            stop.set()
