"""Receiving, deciding and delivering as in use: `endplate serve`, every message on the disk before it is acknowledged.

Acknowledged messages/s and the median acknowledgement over 16 connections, each message a result of another patient,
beside what the same disk does in the same minute: a small write and fsync after another, which is what a receiver would
do that commits each message by itself. On SQLite, and on PostgreSQL if it is installed. Then from the moment when a lab
is sent to the moment when its DetectedIssue is at the sink, at 100 messages/s, of which every tenth changes a finding.
Client, sink, service and database share the machine.
Run: python benchmarks/bench_integration.py [messages, default 4000] [seconds of the second part, default 10]
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from bench_service import ISSUER, KEY, Server, free_port, running
from joserfc.jwk import KeySet
from load import Measured, post, send

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "integration")]
from peers.build import MissingError  # noqa: E402 - the project's tests
from peers.postgres import own_postgres  # noqa: E402
from sink_server import sinking  # noqa: E402

Json = dict[str, Any]
PATH, SECRET = "/fhir-hook", "a secret of the source"
CONNECTIONS, PER_SECOND, ONE_IN = 16, 100, 10
AIMS = {"SQLite": 500, "PostgreSQL": 400}
RECORD = ROOT / "fhir_examples/patients/achr-false-positive.json"
LAB, PERSON = "achr-false-positive-achr-binding-1", "achr-false-positive"
_numbers = count(1)


def message(resource: Json) -> bytes:
    """A request as it goes over the wire."""
    request = post(PATH, json.dumps(resource).encode())
    return request.replace(b"\r\n", f"\r\nX-Endplate-Secret: {SECRET}\r\n".encode(), 1)


def result(value: float, patient: str = "", number: int = 0) -> Json:
    """A lab that a rule reads, of another patient each time."""
    number = number or next(_numbers)
    return {
        "resourceType": "Observation", "id": f"lab-{number}", "status": "final",
        "meta": {"versionId": "1", "lastUpdated": "2026-04-10T11:30:00Z"},
        "subject": {"reference": f"Patient/{patient or f'p{number}'}"}, "effectiveDateTime": "2026-04-10",
        "code": {"coding": [{"system": "http://loinc.org", "code": "11034-6"}]},
        "valueQuantity": {"value": value, "unit": "nmol/L", "code": "nmol/L", "system": "http://unitsofmeasure.org"},
        "referenceRange": [{"high": {"value": 0.4, "unit": "nmol/L"}}],
    }  # fmt: skip


def fsyncs(folder: Path, seconds: float = 2.0) -> float:
    """Appends of 4 KB that the disk has confirmed one after another, a second."""
    done, began = 0, time.perf_counter()
    with (folder / "fsync").open("wb", buffering=0) as file:
        while time.perf_counter() - began < seconds:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            done += 1
    return done / (time.perf_counter() - began)


@contextmanager
def service(folder: Path, database: str, sink: str = "") -> Iterator[Server]:
    port = free_port()
    settings = {
        "TRUSTED_CLIENTS": json.dumps([{"iss": ISSUER, "jwks": KeySet([KEY]).as_dict(private=False)}]),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SOURCES": json.dumps([{"name": "ehr", "secret": SECRET}]),
        "SINKS": json.dumps([{"name": "ehr", "url": sink}] if sink else []),
        "DATA": str(folder),
        "REQUESTS_PER_SECOND": "0",
        "DATABASE": database,
    }
    code = f"from engine.service.serve import serve; serve(port={port})"
    named = {f"ENDPLATE_{name}": value for name, value in settings.items() if value}
    with running([sys.executable, "-c", code], port, **named) as server:
        yield server


def acknowledged(name: str, folder: Path, database: str, number: int) -> None:
    with service(folder, database) as server:
        send(server.port, iter([message(result(0.2)) for _ in range(200)]), CONNECTIONS)
        disk = [fsyncs(folder)]
        messages = [message(result(0.2)) for _ in range(number)]
        used = server.cpu_seconds()
        each, whole, _ = send(server.port, iter(messages), CONNECTIONS)
        taken = Measured(tuple(each), whole, server.cpu_seconds() - used)
        disk.append(fsyncs(folder))
    disk_rate, aim = statistics.mean(disk), AIMS[name]
    print(f"  {name:12} {taken.rate:8.0f} {taken.median:9.1f} {taken.p99:7.1f} {taken.cpu:9.2f} {disk_rate:9.0f} "
          f"{taken.rate / disk_rate:6.2f}   {taken.rate / aim:.2f} of the aim of {aim}/s, "
          f"median {taken.median / 20:.2f} of the limit of 20 ms", flush=True)  # fmt: skip


class Timed(list[Any]):
    """What is asked of a sink: of each patient the moment when it came first."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}

    def append(self, asked: Any) -> None:
        self.came.setdefault(asked.body["patient"]["reference"], time.perf_counter())


def person(number: int) -> Json:
    """A patient whose record a lab turns into a finding, as a transaction; the lab is not there yet."""
    text = RECORD.read_text("utf-8").replace(PERSON, f"{PERSON}-{number}")
    found = [entry["resource"] for entry in json.loads(text)["entry"]]
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in found
        if one["resourceType"] in ("Patient", "Condition") or "nmd-observation" in json.dumps(one.get("code", ""))
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def end_to_end(name: str, folder: Path, database: str, seconds: int) -> None:
    people = seconds * PER_SECOND // ONE_IN
    with sinking() as sink:
        sink.asked = asked = Timed()
        came = asked.came
        with service(folder, database, sink.url) as server:
            send(server.port, iter([message(person(number)) for number in range(people)]), 4)
            time.sleep(2)
            if came:
                raise RuntimeError("a finding came before its lab")
            sent: dict[str, float] = {}
            plan = [
                result(0.5, f"{PERSON}-{number // ONE_IN}") if number % ONE_IN == 0 else result(0.2)
                for number in range(seconds * PER_SECOND)
            ]
            made = [(one["subject"]["reference"], message(one)) for one in plan]
            began = time.perf_counter()

            def paced(part: int) -> Iterator[bytes]:
                for number in range(part, len(made), CONNECTIONS):
                    due = began + number / PER_SECOND
                    time.sleep(max(0.0, due - time.perf_counter()))
                    sent[made[number][0]] = time.perf_counter()
                    yield made[number][1]

            threads = [threading.Thread(target=send, args=(server.port, paced(part))) for part in range(CONNECTIONS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rate = len(made) / (time.perf_counter() - began)
            until = time.monotonic() + 30
            while len(came) < people and time.monotonic() < until:
                time.sleep(0.05)
    if len(came) < people:
        raise RuntimeError(f"{people - len(came)} of {people} findings did not come")
    took = sorted((came[patient] - sent[patient]) * 1e3 for patient in came)
    median = statistics.median(took)
    print(f"  {name:12} {rate:8.0f} {len(took):9} {median:9.1f} {took[int(len(took) * 0.95)]:7.1f}   "
          f"median {median / 100:.2f} of the limit of 100 ms", flush=True)  # fmt: skip


def main() -> None:
    numbers = [int(one) for one in sys.argv[1:]]
    number, seconds = (numbers + [4000, 10][len(numbers) :])[:2]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places = {"SQLite": ("", "")}
        with suppress(MissingError):
            postgres = stack.enter_context(own_postgres())
            places["PostgreSQL"] = (postgres.create("taken"), postgres.create("told"))
        print(f"{number} messages over {CONNECTIONS} connections; milliseconds; load {os.getloadavg()[0]:.1f}")
        print(f"  {'':12} {'taken/s':>8} {'median':>9} {'p99':>7} {'processor':>9} {'fsync/s':>9} {'ratio':>6}")
        for name, (database, _) in places.items():
            acknowledged(name, made(folder / f"{name}-1"), database, number)
        print(f"a lab until its DetectedIssue is at the sink, milliseconds; load {os.getloadavg()[0]:.1f}")
        print(f"  {'':12} {'sent/s':>8} {'findings':>9} {'median':>9} {'p95':>7}")
        for name, (_, database) in places.items():
            end_to_end(name, made(folder / f"{name}-2"), database, seconds)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
