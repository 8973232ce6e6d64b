"""A server with Bulk Data exports over the network; each address can be made to misbehave, and who asked is noted."""

from __future__ import annotations

import gzip
import hashlib
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec

Json = dict[str, Any]
Act = Callable[["Handler"], None]
TIME = "2026-04-20T00:00:00Z"


class Asked(msgspec.Struct, frozen=True):
    """One request that the server got."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


class BulkServer:
    """`files` are what it exports; `acts` what an address does instead, once each, in turn."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[Asked] = []
        self.acts: dict[str, list[Act]] = {}
        self.files: dict[str, bytes] = {}  # name -> content; the type stands before the first dot
        self.kinds: dict[str, str] = {}  # name -> element of the manifest, if not `output`
        self.types: list[str] = []  # of the CapabilityStatement; none: it has none
        self.smart: Json | None = None  # the SMART configuration
        self.needs_token = False
        self.tokens: list[str] = []  # that are good
        self.ranges = False
        self.packed = False
        self.counts = True
        self.jobs = 0
        self.version = 0  # of the links to files: older ones are expired
        self.elsewhere = ""  # origin of the files, if it is another one
        self.lock = Lock()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base(self) -> str:
        return f"{self.origin}/fhir"

    def manifest(self) -> Json:
        entries: dict[str, list[Json]] = {"output": [], "error": []}
        for name, content in self.files.items():
            entry: Json = {"type": name.partition(".")[0], "url": self.link(name)}
            if self.counts:
                entry["count"] = content.count(b"\n")
            entries.setdefault(self.kinds.get(name, "output"), []).append(entry)
        return {
            "transactionTime": TIME,
            "request": f"{self.base}/$export",
            "requiresAccessToken": self.needs_token,
            **entries,
        }

    def link(self, name: str) -> str:
        return f"{self.elsewhere or self.origin}/file/{name}?v={self.version}"

    def to(self, method: str, path: str) -> list[Asked]:
        """The requests to an address."""
        with self.lock:
            return [one for one in self.asked if one.method == method and one.path.startswith(path)]

    def on(self, path: str, *acts: Act) -> None:
        self.acts.setdefault(path, []).extend(acts)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    @property
    def bulk(self) -> BulkServer:
        return self.server.bulk

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def send(self, status: int, body: bytes | Json = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _handle(self) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(
            self.command,
            split.path,
            dict(parse_qsl(split.query)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length),
        )
        self.asked = asked
        with self.bulk.lock:
            self.bulk.asked.append(asked)
            acts = self.bulk.acts.get(f"{self.command} {split.path}") or self.bulk.acts.get(split.path)
            act = acts.pop(0) if acts else Handler._usual
        act(self)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - names of the library

    def _usual(self) -> None:
        path, bulk = self.asked.path, self.bulk
        if path == "/fhir/metadata":
            rest = [{"resource": [{"type": kind} for kind in bulk.types]}]
            self.send(200, {"resourceType": "CapabilityStatement", "rest": rest}) if bulk.types else self.send(404)
        elif path == "/fhir/.well-known/smart-configuration":
            self.send(200, bulk.smart) if bulk.smart else self.send(404)
        elif path == "/token":
            self._token()
        elif bulk.tokens and not path.startswith("/file/") and self.asked.token not in bulk.tokens:
            self.send(401)
        elif path.endswith("$export"):
            bulk.jobs += 1
            self.send(202, Content_Location=f"{bulk.origin}/job/{bulk.jobs}")
        elif path.startswith("/job/"):
            self.send(202) if self.command == "DELETE" else self.send(200, bulk.manifest())
        elif path.startswith("/file/"):
            self._file(path.removeprefix("/file/"))
        else:
            self.send(404)

    def _token(self) -> None:
        token = f"token-{len(self.bulk.to('POST', '/token'))}"
        self.bulk.tokens.append(token)
        scope = parse_qs(self.asked.body.decode())["scope"][0]
        self.send(200, {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": scope})

    def _file(self, name: str) -> None:
        bulk = self.bulk
        if self.asked.query.get("v") != str(bulk.version):
            self.send(403)
        elif bulk.needs_token and self.asked.token not in bulk.tokens:
            self.send(401)
        elif name not in bulk.files:
            self.send(404)
        else:
            content, headers = bulk.files[name], {"Content_Type": "application/fhir+ndjson"}
            if bulk.packed and "gzip" in self.headers.get("Accept-Encoding", ""):
                content, headers["Content_Encoding"] = gzip.compress(content, mtime=0), "gzip"
            tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
            if bulk.ranges:
                headers |= {"ETag": tag, "Accept_Ranges": "bytes"}
            wanted = self.headers.get("Range", "")
            if bulk.ranges and wanted and self.headers.get("If-Range") == tag:
                begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if begin >= len(content):
                    self.send(416, Content_Range=f"bytes */{len(content)}")
                    return
                headers["Content_Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                self.send(206, content[begin:], **headers)
            else:
                self.send(200, content, **headers)


def answers(status: int, body: bytes | Json = b"", **headers: str) -> Act:
    """An answer that is always the same."""
    return lambda handler: handler.send(status, body, **headers)


def cut(share: float) -> Act:
    """The usual answer, broken off after a share of its bytes."""

    def act(handler: Handler) -> None:
        whole = handler.wfile

        class Short:
            def __init__(self) -> None:
                self.body = False

            def write(self, data: bytes) -> None:
                whole.write(data[: int(len(data) * share)] if self.body else data)
                self.body = True

            def flush(self) -> None:
                whole.flush()

        handler.wfile = Short()  # type: ignore[assignment]
        handler._usual()
        handler.wfile = whole
        handler.close_connection = True

    return act


def drip(handler: Handler) -> None:
    """One byte after another."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(100):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.05)


def late(seconds: float) -> Act:
    """The usual answer, later."""

    def act(handler: Handler) -> None:
        time.sleep(seconds)
        try:
            handler._usual()
        except OSError:
            handler.close_connection = True

    return act


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[BulkServer]:
    """A server that runs."""
    bulk = BulkServer()
    http = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    http.bulk = bulk  # type: ignore[attr-defined]
    bulk.port = http.server_address[1]
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield bulk
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
