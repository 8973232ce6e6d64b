"""Apache Camel as a hospital's integration engine: HL7 v2 over MLLP in, FHIR out; notifications relayed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers.build import built, found, java, maven
from peers.server import Server, free_port


def built_camel() -> Path:
    """The project. Raises MissingError."""
    found("java")
    return built("camel", *maven("camel"))


class Camel:
    """A running engine."""

    def __init__(self, notify: str, mllp: int, server: Server) -> None:
        self.notify = notify  # post here, and it is relayed to the sink
        self.mllp = mllp
        self.server = server

    def send(self, *segments: str, seconds: float = 60) -> str:
        """Send an HL7 v2 message; the acknowledgement, whose MSA-1 is AA if it was taken."""
        with socket.create_connection(("127.0.0.1", self.mllp), timeout=seconds) as connection:
            connection.sendall(b"\x0b" + "\r".join(segments).encode() + b"\r\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                part = connection.recv(4096)
                if not part:
                    break
                answer += part
        return answer.strip(b"\x0b\x1c\r").decode()


@contextmanager
def own_camel(
    folder: Path, *, fhir: str = "", sink: str, query: str = "", hook: str = "", secret: str = ""
) -> Iterator[Camel]:
    """An engine that writes results to the FHIR server at `fhir` and posts to `sink` what it is notified of.

    With `query` (`Observation?code=...`) it also polls that each second and posts the Bundle to `sink`. With `hook` it
    posts results there instead, with the header `secret` (`Name: value`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    mllp = free_port()
    values = {
        "fhir": fhir, "sink": sink, "query": query, "hook": hook, "secret": secret, "mllp": mllp, "http": free_port(),
        "ready": folder / "ready",
    }  # fmt: skip
    options = [f"-Dpeer.{name}={value}" for name, value in values.items() if value]
    server = Server(java(built_camel(), "CamelPeer", "-Xmx512m", *options), folder)
    try:
        yield Camel(server.start(), mllp, server)
    finally:
        server.stop()
