"""An object store on this machine that speaks S3, with good or bad manners, and counts what it is asked.

What it holds is in memory, or in moto's server behind it, which is another's reading of the protocol.
"""

import contextlib
import email.utils
import hashlib
import http.client
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

import pytest

STALL_S = 1.0  # longer than the patience of the tests
TIME = 1_700_000_000


class Asked(NamedTuple):
    """A request: its method, the key or "?prefix" of a listing, its range, and how many bytes were answered."""

    method: str
    key: str
    range: str | None
    num_bytes: int


class Handler(BaseHTTPRequestHandler):
    """Answers each request for an object with the next of the server's manners, or well when there is none left."""

    server: "ObjectServer"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the other side

    def answer(self) -> None:
        """Answer a request of any method."""
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix("/scans").removeprefix("/")
        listing = self.command == "GET" and not key
        key = "?" + parse_qs(parts.query).get("prefix", [""])[0] if listing else key
        status, headers, body = self.server.done(self.command, key, self.path, dict(self.headers), sent)
        manner = self.server.manners.popleft() if self.server.manners and not listing else "well"
        self.server.asked.append(Asked(self.command, key, self.headers.get("Range"), len(body)))
        if manner == "stall":
            time.sleep(STALL_S)
            self.close_connection = True
            return
        if manner in ("503", "404", "403"):
            status, headers, body = int(manner), {}, b"<Error><Code>No</Code></Error>"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = len(body) // 2 if manner == "cut" else len(body)
        with contextlib.suppress(OSError):  # the other side may have gone
            self.wfile.write(body[:cut])
        self.close_connection = manner == "cut"

    def do_GET(self) -> None:
        """Read or list."""
        self.answer()

    def do_HEAD(self) -> None:
        """Describe."""
        self.answer()

    def do_PUT(self) -> None:
        """Write."""
        self.answer()

    def do_POST(self) -> None:
        """Delete."""
        self.answer()

    def log_message(self, format: str, *args: object) -> None:
        """Be silent."""


Answer = tuple[int, dict[str, str], bytes]


class ObjectServer(ThreadingHTTPServer):
    """The store. `manners` are those of the next answers; `asked` is what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.manners: deque[str] = deque()
        self.asked: list[Asked] = []
        self.behind: tuple[str, int] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, ending: str, method: str = "GET") -> int:
        """How often objects were asked for whose keys end so."""
        return sum(one.method == method and one.key.endswith(ending) for one in self.asked)

    def done(self, method: str, key: str, path: str, headers: dict[str, str], sent: bytes) -> Answer:
        """Do what is asked; return status, headers and body."""
        if self.behind:
            return self._forwarded(method, key, path, headers, sent)
        if key.startswith("?"):
            return 200, {"Content-Type": "application/xml"}, self._listed(parse_qs(urlsplit(path).query))
        if method == "PUT":
            self.objects[key] = sent
        elif method == "POST":
            return 200, {"Content-Type": "application/xml"}, self._deleted(sent)
        if key not in self.objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        told = {"ETag": self._mark(key), "Last-Modified": email.utils.formatdate(TIME, usegmt=True)}
        return 200, told, self.objects[key] if method == "GET" else b""

    def _deleted(self, sent: bytes) -> bytes:
        """Delete the objects that a request names."""
        keys = re.findall("<Key>(.*?)</Key>", sent.decode())
        for key in keys:
            self.objects.pop(unescape(key), None)
        told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return f'<?xml version="1.0"?><DeleteResult>{told}</DeleteResult>'.encode()

    def _mark(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"'

    def _listed(self, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        below = {key: key.removeprefix(prefix) for key in sorted(self.objects) if key.startswith(prefix)}
        folders = {rest.split("/")[0] for rest in below.values() if delimiter and "/" in rest}
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(TIME))
        lines = [
            f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified><ETag>{self._mark(key)}</ETag>"
            f"<Size>{len(self.objects[key])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, rest in below.items()
            if not (delimiter and "/" in rest)
        ]
        lines += [f"<CommonPrefixes><Prefix>{escape(prefix + each)}/</Prefix></CommonPrefixes>" for each in folders]
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>scans</Name>'
            f"<IsTruncated>false</IsTruncated>{''.join(lines)}</ListBucketResult>"
        ).encode()

    def _forwarded(self, method: str, key: str, path: str, headers: dict[str, str], sent: bytes) -> Answer:
        assert self.behind
        line = http.client.HTTPConnection(*self.behind, timeout=10)
        line.request(method, path, sent, {name: text for name, text in headers.items() if name.lower() != "host"})
        answer = line.getresponse()
        body = answer.read()
        line.close()
        kept = {name: value for name, value in answer.getheaders() if name in ("ETag", "Last-Modified", "Content-Type")}
        if method == "PUT" and answer.status == 200:
            self.objects[key] = sent  # to look at; what is answered comes from behind
        elif method == "POST":
            self._deleted(sent)
        return answer.status, kept, body


@contextmanager
def object_server(kind: str = "memory") -> Iterator[ObjectServer]:
    """Serve a bucket `scans`, from memory or from moto's server."""
    with ObjectServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        moto = _start_moto(server) if kind == "moto" else None
        try:
            yield server
        finally:
            server.shutdown()
            if moto is not None:
                moto.stop()


def _start_moto(server: ObjectServer) -> object:
    if find_spec("moto") is None or find_spec("flask_cors") is None:
        pytest.skip("moto's server is not installed: pip install 'moto[server]'")
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    server.behind = moto.get_host_and_port()
    assert server.done("PUT", "", "/scans", {"Content-Length": "0"}, b"")[0] == 200
    return moto
