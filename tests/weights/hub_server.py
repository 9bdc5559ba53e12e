"""A stand-in for the hub, over HTTP on this machine: what downloads, pushes and refusals look like to its clients."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

# What the client library asks of its own accord, at most once a day, to name the program that runs it.
AGENTS = "/api/agent-harnesses"


@dataclass
class Repository:
    """Files by revision, and who may read them."""

    revisions: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    token: str | None = None
    gated: bool = False


class Hub:
    """The server; ``requests`` lists what was asked, ``repositories`` can be changed at any time."""

    WRITE_TOKEN = "hf_write"

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.uploads: dict[str, bytes] = {}
        self.fail_with: int | None = None
        self.break_uploads = False
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, name: str, files: dict[str, bytes], revision: str = "main", **access: Any) -> None:
        repository = self.repositories.setdefault(name, Repository(**access))
        repository.revisions[revision] = files

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def commit_of(files: dict[str, bytes]) -> str:
    """A commit's hash: that of its content."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    # --- downloads -----------------------------------------------------------------------------------------------

    def do_HEAD(self) -> None:
        self._resolve()

    def do_GET(self) -> None:
        self._resolve()

    def _resolve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == AGENTS:
            self.send_error(404)
            return
        self.hub.requests.append((self.command, path))
        if path.startswith("/api/models/"):
            self._list(path.removeprefix("/api/models/"))
            return
        name, _, rest = path.strip("/").partition("/resolve/")
        revision, _, filename = rest.partition("/")
        repository = self.hub.repositories.get(name)
        if self.hub.fail_with is not None:
            self._fail(self.hub.fail_with, "Unavailable")
        elif repository is None or (repository.token and self._token() != repository.token):
            self._fail(401, "RepoNotFound")
        elif repository.gated:
            self._fail(403, "GatedRepo")
        elif (files := self._revision(repository, revision)) is None:
            self._fail(404, "RevisionNotFound")
        elif filename not in files:
            self._fail(404, "EntryNotFound", {"X-Repo-Commit": commit_of(files)})
        else:
            content = files[filename]
            etag = hashlib.sha1(content).hexdigest()
            self._answer(200, content, {"X-Repo-Commit": commit_of(files), "ETag": f'"{etag}"'})

    def _list(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        if self.hub.fail_with is not None:
            self._fail(self.hub.fail_with, "Unavailable")
            return
        files = self.hub.repositories[name].revisions[revision or "main"]
        siblings = [{"rfilename": filename} for filename in files]
        self._json({"id": name, "sha": commit_of(files), "siblings": siblings})

    @staticmethod
    def _revision(repository: Repository, revision: str) -> dict[str, bytes] | None:
        by_commit = {commit_of(files): files for files in repository.revisions.values()}
        return repository.revisions.get(revision, by_commit.get(revision))

    # --- uploads ---------------------------------------------------------------------------------------------------

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(("POST", path))
        body = self._body()
        if self._token() != Hub.WRITE_TOKEN:
            self._fail(401, "Unauthorized")
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith("/info/lfs/objects/batch"):
            self._lfs_batch(json.loads(body))
        else:
            # /api/models/{owner}/{name}/{action}/{revision}
            parts = path.removeprefix("/api/models/").split("/")
            repository = self.hub.repositories["/".join(parts[:2])]
            getattr(self, f"_{parts[2]}")(repository, "/".join(parts[3:]), body)

    def _name_of(self, repository: Repository) -> str:
        return next(name for name, known in self.hub.repositories.items() if known is repository)

    def do_PUT(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(("PUT", path))
        content = self._body()
        oid = hashlib.sha256(content).hexdigest()
        if self.hub.break_uploads or path != f"/upload/{oid}":
            self._fail(400, "BadRequest")
            return
        self.hub.uploads[oid] = content
        self._answer(200, b"")

    def _create(self, wanted: dict[str, Any]) -> None:
        owner = wanted.get("organization") or "somebody"
        name = f"{owner}/{wanted['name']}"
        known = name in self.hub.repositories
        if not known:
            self.hub.add(name, {})
        self._json({"url": f"{self.hub.url}/{name}", "name": name}, 409 if known else 200)

    def _branch(self, repository: Repository, revision: str, _: bytes) -> None:
        known = revision in repository.revisions
        repository.revisions.setdefault(revision, dict(repository.revisions["main"]))
        self._json({}, 409 if known else 200)

    def _preupload(self, repository: Repository, revision: str, body: bytes) -> None:
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": modes})

    def _lfs_batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.hub.url}/upload/{item['oid']}"}}}
            for item in wanted["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, repository: Repository, revision: str, body: bytes) -> None:
        files = dict(repository.revisions[revision])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
        repository.revisions[revision] = files
        commit = commit_of(files)
        url = f"{self.hub.url}/{self._name_of(repository)}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url})

    # --- plumbing --------------------------------------------------------------------------------------------------

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, content: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, b"", {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
