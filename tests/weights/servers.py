"""A file server on this machine, with good or bad manners."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = b"\x80" + bytes(range(256)) * 1200  # about 300 kB that look like a pickle
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next of the server's manners, or well when there is none left."""

    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.close_connection = True
        self.server.asked.append((self.path, dict(self.headers)))
        manner = self.server.manners.popleft() if self.server.manners else well
        manner(self)

    def head(self, status: int, **headers: object) -> None:
        """The status line and headers; an underscore stands for a dash."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()

    def write(self, body: bytes) -> None:
        """Send, unless the other side has gone."""
        try:
            self.wfile.write(body)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, format: str, *args: object) -> None:
        """Be silent."""


Manner = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """Serves one content at every address."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.manners: deque[Manner] = deque()
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        """The address of a file."""
        return f"http://127.0.0.1:{self.server_port}/weights.pt"

    @property
    def ranges(self) -> list[str | None]:
        """The range that each request asked for."""
        return [headers.get("Range") for _, headers in self.asked]


@contextmanager
def serving() -> Iterator[Server]:
    """A server for as long as it is needed."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rest(handler: Handler) -> tuple[int, bytes, dict[str, object]]:
    """What a good server would answer: status, body and headers."""
    server, asked = handler.server, handler.headers.get("Range")
    content, total = server.content, len(server.content)
    if asked is None or handler.headers.get("If-Range") not in (None, server.etag):
        return 200, content, {"Content_Length": total, "ETag": server.etag}
    first = int(asked.removeprefix("bytes=").removesuffix("-"))
    if first >= total:
        return 416, b"", {"Content_Length": 0, "Content_Range": f"bytes */{total}"}
    span = f"bytes {first}-{total - 1}/{total}"
    return 206, content[first:], {"Content_Length": total - first, "Content_Range": span, "ETag": server.etag}


def well(handler: Handler) -> None:
    """Serve ranges as the standard asks."""
    status, body, headers = rest(handler)
    handler.head(status, **headers)
    handler.write(body)


def breaks_off(after: int) -> Manner:
    """Close the line after some bytes."""

    def manner(handler: Handler) -> None:
        status, body, headers = rest(handler)
        handler.head(status, **headers)
        handler.write(body[:after])

    return manner


def stalls(after: int, time_s: float) -> Manner:
    """Send some bytes, then nothing for a while."""

    def manner(handler: Handler) -> None:
        breaks_off(after)(handler)
        time.sleep(time_s)

    return manner


def ignores_range(handler: Handler) -> None:
    """Send the whole file whatever was asked for."""
    handler.head(200, Content_Length=len(handler.server.content), ETag=handler.server.etag)
    handler.write(handler.server.content)


def sends_other_range(handler: Handler) -> None:
    """Send the end of the file, and say so, whatever was asked for."""
    content = handler.server.content
    first, total = len(content) - 10, len(content)
    handler.head(206, Content_Length=10, Content_Range=f"bytes {first}-{total - 1}/{total}", ETag=handler.server.etag)
    handler.write(content[first:])


def claims(length: int) -> Manner:
    """State another length than the file has, and send the file."""

    def manner(handler: Handler) -> None:
        handler.head(200, Content_Length=length, ETag=handler.server.etag)
        handler.write(handler.server.content)

    return manner


def without_length(extra: bytes = b"", cut: int | None = None) -> Manner:
    """State no length, and send the file, more, or less."""

    def manner(handler: Handler) -> None:
        handler.head(200, ETag=handler.server.etag)
        handler.write((handler.server.content + extra)[:cut])

    return manner


def in_chunks(cut: int | None = None) -> Manner:
    """Send the file in chunks, and with `cut` close the line in the middle of one."""

    def manner(handler: Handler) -> None:
        handler.head(200, Transfer_Encoding="chunked", ETag=handler.server.etag)
        content = handler.server.content
        for first in range(0, len(content), 50_000):
            part = content[first : first + 50_000]
            handler.write(b"%x\r\n" % len(part) + part + b"\r\n" if cut is None else b"%x\r\n" % len(part) + part[:cut])
            if cut is not None:
                return
        handler.write(b"0\r\n\r\n")

    return manner


def without_mark(manner: Manner) -> Manner:
    """Leave the ETag out."""

    def unmarked(handler: Handler) -> None:
        send = handler.head

        def head(status: int, **headers: object) -> None:
            send(status, **{name: value for name, value in headers.items() if name != "ETag"})

        handler.head = head  # type: ignore[method-assign]
        manner(handler)

    return unmarked


def response(status: int, body: bytes = b"", kind: str = "text/plain", **headers: object) -> Manner:
    """Give one response."""

    def manner(handler: Handler) -> None:
        handler.head(status, Content_Type=kind, Content_Length=len(body), **headers)
        handler.write(body)

    return manner
