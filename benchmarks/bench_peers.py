"""Screening beside peers: the same Bundles, one worker each, CPU time and patients per CPU second in the same run.

Endplate evaluates all its rules and writes findings with reasons, what is missing, tables and the report. Each peer
answers one rule (ALS, and antibodies against acetylcholine receptors above 0.4 nmol/L) with yes or no and writes
nothing. A peer's start, and a first round that compiles it, are taken off. All have to find the same patients by that
rule, the slow ones among the first patients; what cannot run on this machine is named with its reason. Packages of
PyPI, npm and Maven are built into a cache outside the checkout (tests/peers).
Run: python benchmarks/bench_peers.py [patients, default 1000] [one in how many is of the examples, default 20]
"""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import orjson
import psutil
from bench_screen import Bench, write
from population import population
from rival import JIT

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "tests/peers"
sys.path.insert(0, str(PEERS.parent))
from peers.build import PYTHON, MissingError, built, found, maven, pip  # noqa: E402 - the project's tests
from peers.hapi import RIVAL, Hapi, own_hapi  # noqa: E402
from peers.server import ServerError  # noqa: E402

Json = dict[str, Any]
ALS, ANTIBODIES = ("http://snomed.info/sct", "86044005"), ("http://loinc.org", "11034-6")
RULE = PEERS / "cqlsdk/rule.cql"           # the same in CQL
MOST_MODELLED = 200                        # patients whose validation is timed: it is slow, and the same for each
MOST_REASONED = 200                        # and about whom HAPI's clinical reasoning is asked
ROUNDS = 6                                 # of these questions; the best one counts: Java compiles for long
SECONDS = 900


class Peer(msgspec.Struct):
    """What a peer spent. `positive`: patients whom it found by the rule; -1 = it only reads."""

    cpu_s: float
    patients: int
    positive: int = -1
    memory_mb: float = 0.0


def has(resource: Json, code: tuple[str, str]) -> bool:
    codings = resource.get("code", {}).get("coding", ())
    return any((coding.get("system"), coding.get("code")) == code for coding in codings)


def by_hand(bundle: Json) -> bool:
    """The rule over plain dictionaries, without a guard: no status, no unit, no date, no subject."""
    als = high = False
    for entry in bundle["entry"]:
        one = entry["resource"]
        if one["resourceType"] == "Condition":
            als = als or has(one, ALS)
        elif one["resourceType"] == "Observation" and has(one, ANTIBODIES):
            high = high or one.get("valueQuantity", {}).get("value", 0) > 0.4
    return als and high


def in_python(file: Path, decode: Callable[[bytes], Any], rule: Callable[[Any], bool] | None, most: int = 0) -> Peer:
    """Each line decoded, and asked."""
    lines = file.read_bytes().splitlines()[: most or None]
    decode(lines[0])
    start = time.process_time()
    answers = [rule(decoded) if rule else decoded is None for decoded in map(decode, lines)]
    spent = time.process_time() - start
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Peer(spent, len(lines), sum(answers) if rule else -1, held)


def models(file: Path) -> Peer:
    """Validation by the classes of fhir.resources."""
    from fhir.resources.R4B.bundle import Bundle  # noqa: PLC0415 - slow

    return in_python(file, Bundle.model_validate_json, None, MOST_MODELLED)


def outside(file: Path, words: tuple[str, ...], folder: Path) -> Peer:
    """A peer in a process of its own."""
    done = subprocess.run([*words, str(file)], cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        raise MissingError(f"it failed: {done.stderr.strip().splitlines()[:1]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Peer)


def in_node(engine: str, file: Path) -> Peer:
    """A peer of npm."""
    found("node", "npm")
    return outside(file, ("node", "screen.mjs", engine), built("cql", ("npm", "ci", "--no-audit", "--no-fund")))


def in_java(file: Path) -> Peer:
    """HAPI's parser."""
    found("java")
    folder = built("hapi", *maven("hapi"))
    classes = (folder / "cp.txt").read_text("utf-8").strip()
    return outside(file, ("java", "-Xmx1g", "-cp", classes, str(HERE / "HapiParse.java")), folder)


def in_sdk(file: Path) -> Peer:
    """ms-cql-sdk, in an environment of its own."""
    return outside(file, (PYTHON, "screen.py"), built("cqlsdk", *pip()))


def reasoning(file: Path) -> Peer:
    """HAPI's clinical reasoning: its server gets each Bundle with the question.

    All that the server spends counts: HTTP too, and its work in the background.
    """
    questions = [question(json.loads(line)) for line in file.read_bytes().splitlines()[:MOST_REASONED]]
    folder = file.parent
    try:
        with own_hapi(folder / "hapi", folder, RIVAL, JIT) as (hapi, server):
            hapi.put([library()])
            return asked(hapi, psutil.Process(server.pid), questions)
    except ServerError as error:
        raise MissingError(f"its server does not run: {str(error).splitlines()[-1]}") from None


def library() -> Json:
    """The rule, as HAPI keeps it."""
    content = {"contentType": "text/cql", "data": base64.b64encode(RULE.read_bytes()).decode()}
    return {
        "resourceType": "Library", "id": "Rule", "url": "http://localhost/Library/Rule", "name": "Rule",
        "version": "1.0.0", "status": "active", "type": {"coding": [{"code": "logic-library"}]}, "content": [content],
    }  # fmt: skip


def question(bundle: Json) -> Json:
    """The rule about the patient of a Bundle, by that Bundle alone."""
    patient = next(one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Patient")
    return {"resourceType": "Parameters", "parameter": [
        {"name": "subject", "valueString": f"Patient/{patient['id']}"}, {"name": "expression", "valueString": "Found"},
        {"name": "useServerData", "valueBoolean": False}, {"name": "data", "resource": bundle},
    ]}  # fmt: skip


def asked(hapi: Hapi, process: psutil.Process, questions: Sequence[Json]) -> Peer:
    """The best of some rounds of questions."""
    yes = [{"name": "Found", "valueBoolean": True}]

    def once() -> Peer:
        before = process.cpu_times()
        positive = sum(hapi.post("Library/Rule/$evaluate", one)["parameter"] == yes for one in questions)
        after = process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        return Peer(spent, len(questions), positive, process.memory_info().rss / 2**20)

    return min((once() for _ in range(ROUNDS)), key=lambda one: one.cpu_s)


def peers(file: Path) -> Iterator[tuple[str, Callable[[], Peer]]]:
    """Every peer by name."""
    packages = json.loads((PEERS / "cql/package.json").read_bytes())["dependencies"]
    yield f"orjson.loads {version('orjson')}, nothing else", partial(in_python, file, orjson.loads, None)
    yield f"the rule by hand on orjson {version('orjson')}", partial(in_python, file, orjson.loads, by_hand)
    yield "the rule by hand on json of Python", partial(in_python, file, json.loads, by_hand)
    yield f"fhir.resources {version('fhir.resources')}, validation alone", partial(models, file)
    for engine in ("cql-execution", "fqm-execution"):
        yield f"{engine} {packages[engine]}, the rule in ELM", partial(in_node, engine, file)
    sdk = pinned("cqlsdk/requirements.txt", "ms-cql-sdk==")
    yield f"ms-cql-sdk {sdk}, the rule in CQL", partial(in_sdk, file)
    yield "HAPI's parser, the rule by hand", partial(in_java, file)
    server = pinned("hapi/pom.xml", "<reasoning.version>")
    yield f"HAPI's clinical reasoning {server}, the rule in CQL, over HTTP", partial(reasoning, file)


def pinned(path: str, before: str) -> str:
    """The version that stands in a peer's file behind some words."""
    return re.findall(rf"{re.escape(before)}([\w.]+)", (PEERS / path).read_text("utf-8"))[0]


def show(peer: Peer, own: float, title: str) -> None:
    """A line of the table. `own`: what a patient costs Endplate."""
    each = peer.cpu_s / peer.patients
    told = str(peer.positive) if peer.positive >= 0 else ""
    figures = f"{1 / each:14.0f} {each * 1e3:10.3f} {each / own:14.2f} {peer.memory_mb:5.0f} {told:>6}"
    print(f"{figures}  {title}", flush=True)


def main() -> None:
    numbers = [int(one) for one in sys.argv[1:]]
    size, one_in = (numbers + [1000, 20][len(numbers) :])[:2]
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        file = write(bench.folder / "patients.ndjson", population(size, one_in))
        done = bench.screen(file)
        kilobytes = file.stat().st_size / size / 1024
        print(f"{size} Bundles of {kilobytes:.0f} KiB, one in {one_in} relevant; {platform.machine()}, "
              f"{os.cpu_count()} cores, Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}")  # fmt: skip
        print(f"{'patients/CPU s':>14} {'ms/patient':>10} {'times Endplate':>14} {'MB':>5} {'found':>6}")
        own = done.cpu_s / done.patients
        show(Peer(done.cpu_s, done.patients, -1, done.memory_mb), own, "Endplate, all rules, all outputs")
        right = [by_hand(orjson.loads(line)) for line in file.read_bytes().splitlines()]
        for title, run in peers(file):
            try:
                peer = run()
            except MissingError as error:
                print(f"{'-':>14} {'-':>10} {'-':>14} {'-':>5} {'-':>6}  {title}: left out, {error}")
                continue
            show(peer, own, title)
            if peer.positive not in {-1, expected := sum(right[: peer.patients])}:
                sys.exit(f"{title} found {peer.positive} of {peer.patients} patients, the rule by hand {expected}")


if __name__ == "__main__":
    main()
