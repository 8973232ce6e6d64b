"""A subscriber's endpoint: it takes notifications, and misbehaves as a test says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import msgspec

Json = dict[str, Any]
Act = Callable[["Handler"], None]


class Told(msgspec.Struct, frozen=True):
    """One notification as it came in."""

    path: str
    headers: dict[str, str]
    bundle: Json

    @property
    def status(self) -> Json:
        """The first entry, Parameters by name."""
        first: Json = self.bundle["entry"][0]["resource"]
        if first["resourceType"] != "Parameters":
            return first
        named: Json = {}
        for one in first["parameter"]:
            value = next((one[key] for key in one if key.startswith("value")), one.get("part"))
            named[one["name"]] = value
        return named

    @property
    def kind(self) -> str:
        return str(self.status["type"])

    @property
    def number(self) -> int:
        """Of its event, 0 = it has none."""
        event = self.status.get("notification-event") or self.status.get("notificationEvent", [{}])[0]
        if isinstance(event, list):
            event = {one["name"]: next(one[key] for key in one if key.startswith("value")) for one in event}
        return int(event.get("event-number") or event.get("eventNumber") or 0)

    @property
    def resources(self) -> list[Json]:
        return [entry["resource"] for entry in self.bundle["entry"][1:] if "resource" in entry]


class Subscriber:
    """`acts` are what it does instead of taking a notification, once each, in turn; `always` does so for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.told: list[Told] = []  # what it took
        self.seen: list[Told] = []  # what came in
        self.acts: list[Act] = []
        self.always: Act | None = None
        self.lock = Lock()

    def kinds(self) -> list[str]:
        return [one.kind for one in self.told]

    def numbers(self) -> list[int]:
        return [one.number for one in self.told if one.number]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    subscriber: Subscriber

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = Told(self.path, headers, json.loads(body))
        with self.subscriber.lock:
            self.subscriber.seen.append(told)
            act = self.subscriber.acts.pop(0) if self.subscriber.acts else self.subscriber.always
            if act is None:
                self.subscriber.told.append(told)
        (act or answers(200))(self)


def answers(status: int, content: bytes = b"{}", **headers: str) -> Act:
    """Answers with a status."""

    def act(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return act


def late(seconds: float) -> Act:
    """Answers when nobody waits any more."""

    def act(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return act


def nonsense(handler: Handler) -> None:
    """Answers with what is no HTTP."""
    handler.wfile.write(b"hello\r\n\r\n")
    handler.close_connection = True


def endless(handler: Handler) -> None:
    """Takes it, with an answer that is much longer than anybody needs."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 30))
    handler.end_headers()
    try:
        for _ in range(64):
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass
    handler.close_connection = True


@contextmanager
def subscribed() -> Iterator[Subscriber]:
    """Listens on a free port of this machine."""
    subscriber = Subscriber()
    handler = type("Bound", (Handler,), {"subscriber": subscriber})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    subscriber.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield subscriber
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
