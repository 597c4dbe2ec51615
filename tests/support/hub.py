"""A hub of models on this machine, which answers as Hugging Face's does, as far as it is asked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by name, each with its files; what it was asked for; how it misbehaves."""

    repositories: dict[str, dict[str, bytes]]
    licence: str | None = "cc-by-nc-4.0"
    gated: set[str] = field(default_factory=set)
    breaks_after: int | None = None
    """Bytes of a large file after which the connection ends, and then it is down."""
    damages: bool = False
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    down: bool = False
    endpoint: str = ""

    def about(self, name: str) -> dict[str, object]:
        """What the hub says of a repository."""
        siblings: list[dict[str, object]] = []
        for file, content in self.repositories[name].items():
            row: dict[str, object] = {"rfilename": file, "size": len(content), "blobId": "0"}
            if is_large(file):
                sha256 = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 1}
            siblings.append(row)
        card = {"license": self.licence} if self.licence else None
        return {"id": name, "sha": REVISION, "siblings": siblings, "cardData": card}


def is_large(file: str) -> bool:
    """Whether the hub keeps a file by its hash."""
    return file.endswith((".safetensors", ".bin"))


@contextmanager
def serve(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """A hub at an address of the loopback."""
    hub = Hub(repositories)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            hub.asked.append(path)
            if hub.down:
                self.answer(503)
            elif (about := re.fullmatch(r"/api/models/(.+)", path)) is not None:
                self.describe(about[1])
            elif (file := re.fullmatch(rf"/(.+)/resolve/{REVISION}/(.+)", path)) is not None:
                self.give(file[1], file[2])
            else:
                self.answer(404)

        def describe(self, name: str) -> None:
            if name in hub.gated:
                self.answer(403, X_Error_Code="GatedRepo")
            elif name in hub.repositories:
                self.answer(200, json.dumps(hub.about(name)).encode())
            else:
                self.answer(401, X_Error_Code="RepoNotFound")

        def give(self, name: str, file: str) -> None:
            content = hub.repositories[name][file]
            if hub.damages and is_large(file):
                content = content[:-1] + bytes([content[-1] ^ 1])
            begin = 0
            if asked := self.headers.get("Range"):
                hub.ranges.append(asked)
                begin = int(asked.removeprefix("bytes=").rstrip("-"))
            rest = content[begin:]
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(rest)))
            if begin:
                whole = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", whole)
            self.end_headers()
            if hub.breaks_after is not None and is_large(file):
                hub.down = True
                rest = rest[: hub.breaks_after]
                self.close_connection = True
            self.wfile.write(rest)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
