"""Sends requests over a number of connections from one thread, each as soon as the last is answered.

The client takes little of the processor and waits for no interpreter lock: what is measured is the server.
"""

from __future__ import annotations

import selectors
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

WAIT_SECONDS = 60


class Measured(msgspec.Struct, frozen=True):
    """Seconds of each request, of all of them together, and of the server's processor."""

    each: tuple[float, ...]
    whole: float
    processor: float

    @property
    def median(self) -> float:
        return statistics.median(self.each) * 1e3

    @property
    def p99(self) -> float:
        return sorted(self.each)[int(len(self.each) * 0.99)] * 1e3

    @property
    def rate(self) -> float:
        return len(self.each) / self.whole

    @property
    def cpu(self) -> float:
        return self.processor / len(self.each) * 1e3


def post(path: str, body: bytes, token: str = "") -> bytes:
    """A request as it goes over the wire."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def send(port: int, requests: Iterator[bytes], connections: int = 1) -> tuple[list[float], float, bytes]:
    """Seconds of each request and of all, and the last answer. Raises RuntimeError if one is not answered with 200."""
    each: list[float] = []
    last = b""
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        open_ones = sum(_Connection(port, requests, selector, each).next() for _ in range(connections))
        while open_ones:
            ready = selector.select(WAIT_SECONDS)
            if not ready:
                raise RuntimeError("no answer")
            for key, _ in ready:
                connection: _Connection = key.data
                if connection.advance():
                    last = connection.answer
                    open_ones -= not connection.next()
    return each, time.perf_counter() - began, last


class _Connection:
    def __init__(
        self, port: int, requests: Iterator[bytes], selector: selectors.BaseSelector, each: list[float]
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.requests, self.selector, self.each = requests, selector, each
        self.left = memoryview(b"")
        self.answer = b""
        self.began = 0.0
        selector.register(self.socket, selectors.EVENT_READ, self)

    def next(self) -> bool:
        """Begins the next request; False and closed if there is none."""
        request = next(self.requests, None)
        if request is None:
            self.selector.unregister(self.socket)
            self.socket.close()
            return False
        self.left, self.answer, self.began = memoryview(request), b"", time.perf_counter()
        self.advance()
        return True

    def advance(self) -> bool:
        """Sends or receives what can be; whether the answer is whole."""
        if self.left:
            with suppress(BlockingIOError):
                self.left = self.left[self.socket.send(self.left) :]
            events = selectors.EVENT_READ | selectors.EVENT_WRITE if self.left else selectors.EVENT_READ
            self.selector.modify(self.socket, events, self)
            return False
        try:
            part = self.socket.recv(1 << 18)
        except BlockingIOError:
            return False
        if not part:
            raise RuntimeError("the connection was closed")
        self.answer += part
        head, blank, body = self.answer.partition(b"\r\n\r\n")
        if not blank or not _whole(head.lower(), body):
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {head[9:12].decode()}: {body[:300]!r}")
        self.each.append(time.perf_counter() - self.began)
        self.answer = body
        return True


def _whole(head: bytes, body: bytes) -> bool:
    _, named, rest = head.partition(b"content-length:")
    return len(body) >= int(rest.split(b"\r", 1)[0]) if named else body.endswith(b"0\r\n\r\n")
