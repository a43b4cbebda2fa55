"""A viewer whose volumes are too large for a page: served to this machine alone, under a secret name."""

import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from modelsgenesis.core.console import printable
from modelsgenesis.figures.viewer import Scene, pack, viewer_html

HOST = "127.0.0.1"
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
Part = tuple[int, int]  # first byte, and the one behind the last


def serve(title: str, lead: str, scenes: Sequence[Scene], footer: str) -> str:
    """Serve a viewer until Ctrl-C, and say then that it ended.

    Args:
        title: of the page.
        lead: a sentence under it.
        scenes: whole, however large.
        footer: its last line.
    """
    packed = pack(scenes, None)
    page = viewer_html(title, lead, packed, footer=footer, served=True).encode()
    files = {"": ("text/html; charset=utf-8", page)}
    files |= {f"{name}.nii.gz": ("application/octet-stream", data) for name, data in packed.volumes.items()}
    server = make_server(files)
    sys.stdout.write(printable(f"view: {address_of(server)}\nview: only this machine sees it; Ctrl-C ends it\n"))
    sys.stdout.flush()
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return "view: ended"


class ViewServer(ThreadingHTTPServer):
    """A server of a few files in memory, on the loopback address and a free port.

    Attributes:
        token: a secret; the path of each file begins with it.
        files: {name: (content type, bytes)}.
    """

    daemon_threads = True

    def __init__(self, files: Mapping[str, tuple[str, bytes]]) -> None:
        super().__init__((HOST, 0), Handler)
        self.token = secrets.token_urlsafe(24)
        self.files = files

    @property
    def hosts(self) -> tuple[str, str]:
        """The names under which a browser of this machine asks; others may be a page of a stranger's."""
        return tuple(f"{name}:{self.server_port}" for name in (HOST, "localhost"))  # type: ignore[return-value]


def make_server(files: Mapping[str, tuple[str, bytes]]) -> ViewServer:
    """Make a server of some files, {name: (content type, bytes)}; the page is called ""."""
    return ViewServer(files)


def address_of(server: ViewServer) -> str:
    """The address of the page."""
    return f"http://{HOST}:{server.server_port}/{server.token}/"


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the files of its server, whole or a range; everything else is not found."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "genesis", ""
    timeout = 60

    def do_GET(self) -> None:
        """Send a file, or the part of it that was asked for."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Send the headers of a file alone."""
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the secret is in every line."""

    def _answer(self, *, body: bool) -> None:
        start, _, name = self.path.removeprefix("/").partition("/")
        known = secrets.compare_digest(start.encode(), self.server.token.encode())
        if not known or name not in self.server.files or self.headers.get("Host") not in self.server.hosts:
            self._head(HTTPStatus.NOT_FOUND, "text/plain", 0)
            return
        kind, data = self.server.files[name]
        part = part_of(self.headers.get("Range"), len(data))
        if part is None:
            self._head(HTTPStatus.OK, kind, len(data))
            sent = data
        elif part[0] >= part[1]:
            whole = f"bytes */{len(data)}"
            self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, kind, 0, whole)
            return
        else:
            sent = data[slice(*part)]
            self._head(HTTPStatus.PARTIAL_CONTENT, kind, len(sent), f"bytes {part[0]}-{part[1] - 1}/{len(data)}")
        if body:
            self.wfile.write(sent)

    def _head(self, status: HTTPStatus, kind: str, length: int, content_range: str = "") -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind, "Content-Length": str(length), "Accept-Ranges": "bytes",
            "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
        }  # fmt: skip
        for header, value in {**headers, **({"Content-Range": content_range} if content_range else {})}.items():
            self.send_header(header, value)
        self.end_headers()


def part_of(asked: str | None, size: int) -> Part | None:
    """The bytes that a Range header asks for; None for all, and an empty part where there are no such bytes.

    Example: >>> part_of("bytes=-3", 10)
    (7, 10)
    """
    found = RANGE.fullmatch(asked or "")
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
