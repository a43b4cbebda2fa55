"""A small Hugging Face hub on this machine: enough of its interface to keep a repository."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "1" * 40
TOKEN = "token-of-a-test"


class Hub(ThreadingHTTPServer):
    """Keeps repositories in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.gated: set[str] = set()

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Make a repository, or commit to one."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        if path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, "", "Invalid username or password.")
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path)
        if found is None or found[1] not in self.server.repos:
            return self.refuse(404, "RepoNotFound", "Repository not found")
        if found[2] == "preupload":
            asked = json.loads(body)["files"]
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
            return self.reply({"files": files, "commitOid": COMMIT})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                value = line["value"]
                self.server.repos[found[1]][value["path"]] = base64.b64decode(value["content"])
        return self.reply({"success": True, "commitOid": COMMIT, "commitUrl": f"{self.server.url}/{found[1]}/commit/1"})

    def create(self, asked: dict[str, Any]) -> None:
        """Make a repository, unless it is there."""
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        url = {"url": f"{self.server.url}/{name}"}
        if name in self.server.repos:
            return self.reply(url, status=409)
        self.server.repos[name] = {}
        self.server.private[name] = bool(asked.get("private") or asked.get("visibility") == "private")
        return self.reply(url)

    def do_GET(self) -> None:
        """Describe a repository, or send one of its files."""
        path = unquote(urlsplit(self.path).path)
        listing = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path)
        sending = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = listing or sending
        if found is None or found[1] not in self.server.repos:
            return self.refuse(404, "RepoNotFound", "Repository not found")
        if found[1] in self.server.gated:
            return self.refuse(403, "GatedRepo", "Access to this repository is restricted")
        files = self.server.repos[found[1]]
        if listing:
            return self.describe(found[1], listing[2] or "", listing[3] or "main", files)
        return self.send_file(files, sending[3] if sending else "")

    def do_HEAD(self) -> None:
        """The same without a body."""
        self.do_GET()

    def describe(self, name: str, what: str, revision: str, files: dict[str, bytes]) -> None:
        """What the repository holds."""
        if revision not in ("main", COMMIT):
            return self.refuse(404, "RevisionNotFound", "Revision not found")
        if what == "tree":
            entries = [
                {"type": "file", "oid": oid(content), "size": len(content), "path": path}
                for path, content in files.items()
            ]
            return self.reply(entries)
        siblings = [{"rfilename": path} for path in files]
        return self.reply({"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": []})

    def send_file(self, files: dict[str, bytes], path: str) -> None:
        """The bytes of a file."""
        if path not in files:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        return self.answer(200, files[path], {"ETag": f'"{oid(files[path])}"', "X-Repo-Commit": COMMIT})

    def reply(self, data: Any, status: int = 200) -> None:
        """JSON."""
        self.answer(status, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str, message: str) -> None:
        """An error as the hub words it."""
        self.answer(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Status, headers and, unless only these were asked for, the body."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be silent."""


def oid(content: bytes) -> str:
    """What Git calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub for as long as it is needed."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
