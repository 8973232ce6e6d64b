"""Screening: CPU time and memory as ratios to what the same bytes cost named rivals in the same run.

Populations (benchmarks/population.py): general, one patient in 1,000 relevant, as Bundles and as a bulk export by type,
the latter also with nobody relevant; and all relevant: the 255 test patients twelve times, in one encoding and in
three. One worker unless said; results, tables and report are written. Rivals: `orjson.loads` and msgspec on each line;
for a bulk export a bare typed scan, which decodes each line into its type, id, codes and subject, and does nothing
else.
Run: python benchmarks/bench_screen.py [patients of the general population, default 4000]
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import orjson
from population import population, vectors

DAY = "2026-04-20"
ENDPLATE = (sys.executable, "-c", "from engine.cli import main; main()")
ROUNDS = 2                                 # of each screening; the better one counts
BACKENDS = ("plain", "durable")
NOBODY = 10**9                             # one patient in so many is relevant
RELEVANT = 12                              # times the 255 test patients, all encodings together
GROWTH = (1, 10, 100, 400)                 # times 100 patients: that memory levels off shows after 2,000


class Reference(msgspec.Struct):
    reference: str = ""


class Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class Concept(msgspec.Struct):
    coding: list[Coding] = []


class Line(msgspec.Struct):
    """What a bare typed scan reads of a resource."""

    resourceType: str = ""  # noqa: N815 - as FHIR spells it
    id: str = ""
    code: Concept | None = None
    medicationCodeableConcept: Concept | None = None  # noqa: N815
    subject: Reference | None = None
    patient: Reference | None = None


class Screening(msgspec.Struct):
    """What a screening cost, without the start."""

    cpu_s: float
    wall_s: float
    memory_mb: float                       # peak of the largest process
    patients: int


def decode_s(files: Sequence[Path], decode: Callable[[bytes], object]) -> float:
    """CPU seconds of decoding every line: the better of two."""

    def once() -> float:
        start = time.process_time()
        for file in files:
            with file.open("rb") as stream:
                for line in stream:
                    decode(line)
        return time.process_time() - start

    return min(once() for _ in range(ROUNDS))


class Bench:
    """Screenings in a folder of their own. The start is measured once, with one patient, and taken off."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        one = write(folder / "one.ndjson", population(1))
        self.start = {backend: self._best(one, backend, 1, Screening(0, 0, 0, 0)) for backend in BACKENDS}

    def screen(self, source: Path, backend: str = "plain", workers: int = 1, rounds: int = ROUNDS) -> Screening:
        """The best of some screenings."""
        return self._best(source, backend, workers, self.start[backend], rounds)

    def _best(self, source: Path, backend: str, workers: int, start: Screening, rounds: int = ROUNDS) -> Screening:
        return min((self._once(source, backend, workers, start) for _ in range(rounds)), key=lambda one: one.cpu_s)

    def _once(self, source: Path, backend: str, workers: int, start: Screening) -> Screening:
        out = self.folder / "out"
        words = [*ENDPLATE, "screen", str(source), "--out", str(out), "--as-of", DAY, "--backend", backend,
                 "--workers", str(workers)]  # fmt: skip
        begun = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        if status:
            sys.exit(f"screening failed: {status}")
        said: Any = json.loads((out / "summary.json").read_bytes())
        cpu = usage.ru_utime + usage.ru_stime - start.cpu_s
        return Screening(cpu, wall - start.wall_s, usage.ru_maxrss / 1024, said["patients"]["evaluated"])


def write(path: Path, bundles: Iterable[object]) -> Path:
    """Bundles as NDJSON."""
    with path.open("wb") as stream:
        for bundle in bundles:
            stream.write(msgspec.json.encode(bundle) + b"\n")
    return path


def write_bulk(folder: Path, bundles: Path) -> list[Path]:
    """The resources of Bundles, one file for each type."""
    folder.mkdir()
    files = {}
    with bundles.open("rb") as stream:
        for line in stream:
            for entry in msgspec.json.decode(line)["entry"]:
                kind = entry["resource"]["resourceType"]
                if kind not in files:
                    files[kind] = (folder / f"{kind}.ndjson").open("wb")
                files[kind].write(msgspec.json.encode(entry["resource"]) + b"\n")
    for file in files.values():
        file.close()
    return sorted(folder.iterdir())


def general(bench: Bench, size: int) -> None:
    """The general population, as Bundles and by type."""
    bundles = write(bench.folder / "general.ndjson", population(size))
    done = bench.screen(bundles)
    rival, peer = decode_s([bundles], orjson.loads), decode_s([bundles], msgspec.json.Decoder().decode)
    kilobytes = bundles.stat().st_size / size / 1024
    print(f"general population, Bundles of {kilobytes:.0f} KiB: {done.patients / done.cpu_s:.0f} patients per CPU s; "
          f"CPU {done.cpu_s / rival:.2f} times orjson.loads ({rival:.2f} s), {done.cpu_s / peer:.2f} times msgspec; "
          f"peak {done.memory_mb:.0f} MB")  # fmt: skip
    bulk(bench, bundles, "")
    bulk(bench, write(bench.folder / "general.ndjson", population(size, NOBODY)), ", nobody relevant")


def bulk(bench: Bench, bundles: Path, told: str) -> None:
    """The same as a bulk export by type."""
    files = write_bulk(bench.folder / "bulk", bundles)
    lines = sum(sum(1 for _ in file.open("rb")) for file in files)
    done = bench.screen(bench.folder / "bulk")
    scan, rival = decode_s(files, msgspec.json.Decoder(Line).decode), decode_s(files, orjson.loads)
    print(f"general population, bulk by type{told}: {lines / done.cpu_s:.0f} lines per CPU s, "
          f"{scan / done.cpu_s:.2f} times the speed of a bare typed scan ({scan:.2f} s); "
          f"CPU {done.cpu_s / rival:.2f} times orjson.loads; {done.patients / done.cpu_s:.0f} patients per CPU s; "
          f"peak {done.memory_mb:.0f} MB")  # fmt: skip
    shutil.rmtree(bench.folder / "bulk")


def relevant(bench: Bench) -> None:
    """Every patient relevant."""
    for encodings in (("primary",), ("primary", "alt", "messy")):
        source = write(bench.folder / "relevant.ndjson", vectors(RELEVANT // len(encodings), encodings))
        rival = decode_s([source], orjson.loads)
        for backend in ("plain", "durable"):
            done = bench.screen(source, backend)
            print(f"all relevant ({', '.join(encodings)}), {backend}: {done.patients / done.cpu_s:.0f} patients per "
                  f"CPU s; CPU {done.cpu_s / rival:.0f} times orjson.loads; peak {done.memory_mb:.0f} MB")  # fmt: skip


def growth(bench: Bench) -> None:
    """One worker as the input grows; one worker and two on the largest."""
    costs = []
    for times in GROWTH:
        source = write(bench.folder / f"{times}.ndjson", islice(vectors(times, ("primary",)), 100 * times))
        done = bench.screen(source, rounds=1)
        costs.append(f"{times}x: {done.cpu_s / done.patients * 1e3:.2f} ms, peak {done.memory_mb:.0f} MB")
    print(f"CPU for each patient as the input grows: {'; '.join(costs)}")
    two = bench.screen(source, workers=2, rounds=1)
    print(f"two workers: {done.wall_s / two.wall_s:.2f} times one (wall; load {os.getloadavg()[0]:.1f} of the machine)")


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        starts = ", ".join(f"{backend} {start.cpu_s:.2f} s" for backend, start in bench.start.items())
        print(f"start and one patient, taken off below: {starts} of CPU")
        general(bench, size)
        relevant(bench)
        growth(bench)
    print(f"this process: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
