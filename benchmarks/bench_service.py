"""The service over the network, against a bare FastAPI endpoint that only parses and dumps the same JSON, and against
HAPI's own CDS Hooks with one rule in CQL.

As in use: tokens (ES384), store, audit trail, pages, what is missing proved, full prefetch, every call about another
patient. A patient whom the rules concern, and one without an anchor; the plain backend, and durable-rules held against
it. Median and requests/s at one connection, p99 at four, processor of the server and its children for each request.
The client shares the machine; requests are made beforehand.
Run: python benchmarks/bench_service.py [requests of each measurement, default 400] [without-hapi]
     python benchmarks/bench_service.py soak [requests, default 200000] [plain or both]: is memory flat?
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import msgspec
import psutil
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from load import Measured, post, send

ROOT = Path(__file__).resolve().parent.parent
HOOKS = ROOT / "fhir_examples/hooks"
PATIENTS = {"relevant": "patient-view.json", "without an anchor": "patient-view-ordinary-patient.json"}
LIMITS_MS = {("relevant", "both"): 6.0, ("without an anchor", "plain"): 2.5, ("without an anchor", "both"): 2.5}
BYTES = 26 * 1024
ADDRESS, ISSUER, PATH = "https://cds.example.org", "https://ehr.example.org", "/cds-services/endplate-patient-view"
KEY = ECKey.generate_key("P-384", {"kid": "k"})
ECHO = """
import json, sys
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response
app = FastAPI()
@app.get("/healthz")
async def health():
    return {}
@app.post("/{rest:path}")
async def echo(request: Request):
    return Response(json.dumps(json.loads(await request.body())), media_type="application/json")
"""
_numbers = count(10_000_000)


class Server(msgspec.Struct, frozen=True):
    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Of the process and those that it started."""
        times = [one.cpu_times() for one in (self.process, *self.process.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))

    def resident(self) -> float:
        """MB, of the process and those that it started."""
        family = (self.process, *self.process.children(recursive=True))
        return float(sum(one.memory_info().rss for one in family) / 2**20)


class Body(msgspec.Struct, frozen=True):
    """A call of the example patient, of `BYTES` or a little less: the oldest results are left out."""

    content: bytes
    patient: bytes

    @staticmethod
    def read(file: str) -> Body:
        call: dict[str, Any] = msgspec.json.decode((HOOKS / file).read_bytes())
        entries = call["prefetch"]["observations"]["entry"]
        while len(msgspec.json.encode(call)) > BYTES and entries:
            del entries[0]
        return Body(msgspec.json.encode(call), call["context"]["patientId"].encode())

    def of_another(self) -> bytes:
        """The same call about another patient."""
        return self.content.replace(self.patient, f"{next(_numbers):0{len(self.patient)}d}".encode())


def token() -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": f"{ADDRESS}{PATH}", "iat": now, "exp": now + 120, "jti": f"{now}-{next(_numbers)}"}
    return jwt.encode({"alg": "ES384", "kid": "k", "typ": "JWT"}, claims, KEY, ["ES384"])


def calls(body: Body) -> Iterator[bytes]:
    while True:
        yield post(PATH, body.of_another(), token())


def measured(server: Server, requests: Iterator[bytes], number: int, connections: int = 1) -> Measured:
    """Every answer must be 200. Requests are made before the first is sent."""
    made = list(islice(requests, number))
    used = server.cpu_seconds()
    each, whole, _ = send(server.port, iter(made), connections)
    return Measured(tuple(each), whole, server.cpu_seconds() - used)


@contextmanager
def running(command: list[str], port: int, **settings: str) -> Iterator[Server]:
    process = subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError("it did not start") from None
                time.sleep(0.1)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def service(folder: str, backend: str, workers: int = 1) -> Iterator[Server]:
    port = free_port()
    clients = [{"iss": ISSUER, "jwks": KeySet([KEY]).as_dict(private=False)}]
    settings = {
        "TRUSTED_CLIENTS": json.dumps(clients),
        "PUBLIC_URL": ADDRESS,
        "PAGES_URL": ADDRESS,
        "BACKEND": backend,
        "DATA": f"{folder}/{backend}-{workers}",
        "WORKERS": str(workers),
        "REQUESTS_PER_SECOND": "0",
    }
    code = f"from engine.service.serve import serve; serve(port={port})"
    named = {f"ENDPLATE_{name}": value for name, value in settings.items()}
    with running([sys.executable, "-c", code], port, **named) as server:
        yield server


@contextmanager
def echo(folder: str, workers: int = 1) -> Iterator[Server]:
    port = free_port()
    (Path(folder) / "echo_app.py").write_text(ECHO)
    options = ["--port", str(port), "--log-level", "critical", "--no-access-log", "--workers", str(workers)]
    with running([sys.executable, "-m", "uvicorn", "echo_app:app", "--app-dir", folder, *options], port) as server:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def row(name: str, server: Server, requests: Iterator[bytes], number: int, limit: float | None = None) -> None:
    measured(server, requests, min(number, 100))
    one, four = measured(server, requests, number), measured(server, requests, number, 4)
    against = f"   {one.median / limit:.2f} of the limit of {limit} ms" if limit else ""
    first = f"{one.median:7.2f} {one.p99:7.1f} {one.rate:8.0f} {one.cpu:9.2f}"
    print(f"  {name:18} {first} {four.median:9.2f} {four.p99:7.1f} {four.rate:7.0f}{against}", flush=True)


def checked(server: Server, name: str, body: Body) -> None:
    """The relevant patient gets a card, and the other one none."""
    cards = json.loads(send(server.port, islice(calls(body), 1))[2])["cards"]
    if bool(cards) != (name == "relevant"):
        raise RuntimeError(f"{name}: {len(cards)} cards")


def compare(number: int, *, with_hapi: bool) -> None:
    bodies = {name: Body.read(file) for name, file in PATIENTS.items()}
    print(f"{number} requests of each kind; milliseconds, requests/s; bare: an endpoint that parses and dumps the body")
    print(f"  {'one connection:':18} {'median':>7} {'p99':>7} {'rate':>8} {'processor':>9} {'4: median':>9} "
          f"{'p99':>7} {'rate':>7}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        with echo(folder) as bare, service(folder, "plain") as plain, service(folder, "both") as both:
            for name, body in bodies.items():
                print(f"{name}, {len(body.content)} bytes")
                checked(plain, name, body)
                row("bare", bare, calls(body), number)
                row("plain", plain, calls(body), number, LIMITS_MS.get((name, "plain")))
                row("durable, plain", both, calls(body), number, LIMITS_MS.get((name, "both")))
        with echo(folder, 2) as bare, service(folder, "plain", 2) as ours:
            for name, body in bodies.items():
                for server in (bare, ours):
                    measured(server, calls(body), 80, 4)
                two, rival = measured(ours, calls(body), number, 4), measured(bare, calls(body), number, 4)
                print(f"{name}, two processes: {two.rate:.0f}/s = {two.rate / rival.rate:.2f} of bare")
        if with_hapi:
            against_hapi(Path(folder), min(number, 400))


def against_hapi(folder: Path, number: int) -> None:
    """HAPI compiles what it has run often: the second row is the one that counts."""
    import rival  # noqa: PLC0415 - needs Java, Maven, and the project's tests

    body = msgspec.json.encode(rival.body())
    try:
        with rival.hapi(folder) as (port, process, path):
            request = post(path, body)
            print(f"HAPI, one CQL rule, {len(body)} bytes, its data in its own store; twice, for its compiler")
            for _ in range(2):
                row("HAPI", Server(port, process), iter(lambda: request, b""), number)
    except rival.MissingError as missing:
        print(f"HAPI is left out: {missing}")


def soak(number: int, backend: str) -> None:
    """Memory after each tenth; every third patient is relevant. The first tenth warms up."""
    bodies = [calls(Body.read(file)) for file in PATIENTS.values()]

    def mixed() -> Iterator[bytes]:
        for one in count():
            yield next(bodies[one % 3 != 0])

    requests = mixed()
    with tempfile.TemporaryDirectory() as folder, service(folder, backend) as server:
        for part in range(1, 11):
            send(server.port, islice(requests, number // 10), 4)
            print(f"{part * number // 10:7} requests: resident memory {server.resident():.1f} MB", flush=True)


def main() -> None:
    given = sys.argv[1:]
    if given[:1] == ["soak"]:
        soak(int(given[1]) if given[1:] else 200_000, given[2] if given[2:] else "plain")
        return
    numbers = [int(one) for one in given if one.isdecimal()]
    compare(numbers[0] if numbers else 400, with_hapi="without-hapi" not in given)


if __name__ == "__main__":
    main()
