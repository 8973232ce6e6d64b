"""A small FHIR server that takes DetectedIssues by conditional update, and misbehaves as a test says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

Json = dict[str, Any]
Act = Callable[["Handler"], None]
USUAL = ("read", "create", "update", "search-type")


class Asked(msgspec.Struct, frozen=True):
    """One request that wrote something, or was to."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Json


class SinkServer:
    """`acts` are what it does instead of taking what is sent, once each, in turn; `always` does so for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.acts: list[Act] = []
        self.always: Act | None = None
        self.on_metadata: Act | None = None
        self.fhir = "4.0.1"
        self.types: dict[str, Json] = {"DetectedIssue": {"conditionalUpdate": True}}
        self.kept: dict[str, list[Json]] = {}  # identifier -> versions
        self.statements = 0
        self.lock = Lock()

    def statement(self) -> Json:
        resources = [
            {"type": kind, "interaction": [{"code": code} for code in USUAL], **more}
            for kind, more in self.types.items()
        ]
        return {
            "resourceType": "CapabilityStatement", "fhirVersion": self.fhir,
            "rest": [{"mode": "server", "resource": resources}],
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    sink: SinkServer

    def log_message(self, *_: object) -> None:
        return

    def answer(self, status: int, content: object = None, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/fhir+json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path.endswith("/metadata"):
            self.sink.statements += 1
            if self.sink.on_metadata is not None:
                self.sink.on_metadata(self)
            else:
                self.answer(200, self.sink.statement())
            return
        self.answer(200, {"resourceType": "Bundle", "type": "searchset", "entry": self._found()})

    def _found(self) -> list[Json]:
        value = unquote(urlsplit(self.path).query).partition("|")[2].partition("&")[0]
        held = self.sink.kept.get(value)
        return [{"resource": {**held[-1], "id": f"id-{value[:8]}"}}] if held else []

    def do_PUT(self) -> None:
        self._write()

    def do_POST(self) -> None:
        self._write()

    def _write(self) -> None:
        sink, parts = self.sink, urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with sink.lock:
            sink.asked.append(Asked(self.command, parts.path, unquote(parts.query), headers, body))
            act = sink.acts.pop(0) if sink.acts else sink.always
        if act is not None:
            act(self)
            return
        self.take(body)

    def take(self, body: Json) -> None:
        with self.sink.lock:
            versions = self.sink.kept.setdefault(body["identifier"][0]["value"], [])
            versions.append(body)
        self.answer(201 if len(versions) == 1 else 200, {"resourceType": "OperationOutcome"})


def refusing(status: int, content: object = None, **headers: str) -> Act:
    """Answers with a status."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(status, content, names)


def slow(seconds: float) -> Act:
    """Answers late, after the other side may have gone."""

    def act(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return act


def raw(data: bytes, *, taking: bool = False) -> Act:
    """Sends these bytes and hangs up; `taking`: keeps what was sent all the same."""

    def act(handler: Handler) -> None:
        if taking:
            handler.sink.kept.setdefault("taken", []).append({})
        handler.wfile.write(data)
        handler.wfile.flush()
        handler.close_connection = True

    return act


@contextmanager
def sinking() -> Iterator[SinkServer]:
    """A server that runs until the block ends."""
    sink = SinkServer()
    handler = type("OfThisSink", (Handler,), {"sink": sink})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    sink.url = f"http://127.0.0.1:{server.server_address[1]}/fhir"
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
