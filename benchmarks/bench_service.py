"""The service over the network, against a bare FastAPI endpoint that only parses and dumps the same JSON.

As in use: tokens (ES384), store, audit trail, pages, plain backend unless told otherwise, full prefetch. A patient whom
the rules concern, and one without an anchor. Median and p99 at one connection, p99 at four, requests/s of one process
and of two, memory before and after. The client shares the machine; tokens are signed beforehand.
Run: python benchmarks/bench_service.py [requests of each measurement, default 400] [backend: plain or both]
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec
import psutil
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

ROOT = Path(__file__).resolve().parent.parent
HOOKS = ROOT / "fhir_examples/hooks"
PATIENTS = {"relevant": "patient-view.json", "without an anchor": "patient-view-ordinary-patient.json"}
ADDRESS, ISSUER, PATH = "https://cds.example.org", "https://ehr.example.org", "/cds-services/endplate-patient-view"
LIMITS_MS = {"relevant": 6.0, "without an anchor": 2.5}
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
_numbers = count()


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


class Server(msgspec.Struct, frozen=True):
    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Of the process and those that it started."""
        times = [one.cpu_times() for one in (self.process, *self.process.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))

    def resident(self) -> float:
        return float(self.process.memory_info().rss / 2**20)


def token() -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": f"{ADDRESS}{PATH}", "iat": now, "exp": now + 3000, "jti": f"{now}-{next(_numbers)}"}
    return jwt.encode({"alg": "ES384", "kid": "k", "typ": "JWT"}, claims, KEY, ["ES384"])


def measured(server: Server, body: bytes, requests: int, connections: int) -> Measured:
    """Every answer must be 200."""
    tokens = [[token() for _ in range(requests // connections)] for _ in range(connections)]
    each: list[float] = []

    def call(mine: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for one in mine:
            start = time.perf_counter()
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {one}"}
            connection.request("POST", PATH, body, headers)
            response = connection.getresponse()
            response.read()
            each.append(time.perf_counter() - start)
            if response.status != 200:
                raise RuntimeError(f"answered {response.status}")

    threads = [threading.Thread(target=call, args=(mine,)) for mine in tokens]
    start, used = time.perf_counter(), server.cpu_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Measured(tuple(each), time.perf_counter() - start, server.cpu_seconds() - used)


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
def service(folder: str, backend: str, workers: int) -> Iterator[Server]:
    port = free_port()
    clients = [{"iss": ISSUER, "jwks": KeySet([KEY]).as_dict(private=False)}]
    settings = {
        "TRUSTED_CLIENTS": json.dumps(clients),
        "PUBLIC_URL": ADDRESS,
        "PAGES_URL": ADDRESS,
        "BACKEND": backend,
        "DATA": folder,
        "WORKERS": str(workers),
        "REQUESTS_PER_SECOND": "0",
    }
    code = f"from engine.service.serve import serve; serve(port={port})"
    named = {f"ENDPLATE_{name}": value for name, value in settings.items()}
    with running([sys.executable, "-c", code], port, **named) as server:
        yield server


@contextmanager
def echo(folder: str, workers: int) -> Iterator[Server]:
    port = free_port()
    (Path(folder) / "echo_app.py").write_text(ECHO)
    options = ["--port", str(port), "--log-level", "critical", "--no-access-log", "--workers", str(workers)]
    with running([sys.executable, "-m", "uvicorn", "echo_app:app", "--app-dir", folder, *options], port) as server:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    backend = sys.argv[2] if len(sys.argv) > 2 else "plain"
    bodies = {name: msgspec.json.format((HOOKS / file).read_bytes(), indent=-1) for name, file in PATIENTS.items()}
    print(f"{requests} requests of each kind, backend {backend}; bare: an endpoint that parses and dumps the body")
    with tempfile.TemporaryDirectory() as folder:
        with echo(folder, 1) as bare, service(folder, backend, 1) as ours:
            for name, body in bodies.items():
                for server in (bare, ours):
                    measured(server, body, 40, 1)
                one, rival = measured(ours, body, requests, 1), measured(bare, body, requests, 1)
                limit = LIMITS_MS[name]
                print(f"{name}, {len(body)} bytes, one connection: {one.rate:.0f}/s")
                print(f"  median {one.median:.2f} ms = {one.median / rival.median:.1f} times bare ({rival.median:.2f})")
                print(f"    {one.median / limit:.2f} of the limit of {limit} ms")
                print(f"  p99 {one.p99:.1f} ms = {one.p99 / rival.p99:.1f} times bare")
                print(f"  processor {one.cpu:.2f} ms = {one.cpu / rival.cpu:.1f} times bare ({rival.cpu:.2f} ms)")
                four, rival = measured(ours, body, requests, 4), measured(bare, body, requests, 4)
                print(f"  four connections: p99 {four.p99:.1f} ms = {four.p99 / rival.p99:.1f} times bare")
            before = ours.resident()
            measured(ours, bodies["without an anchor"], requests * 5, 4)
            print(f"resident memory {before:.1f} MB, after {requests * 5} more requests {ours.resident():.1f} MB")
        with echo(folder, 2) as bare, service(folder, backend, 2) as ours:
            for name, body in bodies.items():
                measured(ours, body, 80, 4)
                two, rival = measured(ours, body, requests, 4), measured(bare, body, requests, 4)
                print(f"{name}, two processes: {two.rate:.0f}/s = {two.rate / rival.rate:.2f} of bare")


if __name__ == "__main__":
    main()
