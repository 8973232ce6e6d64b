"""Memory: the peak of each process of a screening as the input grows, up to gigabytes that are made, read and dropped.

Half of the input are Bundles, half a bulk export by type; one patient in 50 is relevant: what is kept grows as well.
Sizes: a sixteenth, a quarter, and all. Each worker must stay under 300 MB, and the largest input take no more than the
smaller ones. The temporary folder (TMPDIR) must have twice the size free.
Run: python benchmarks/bench_memory.py [size, default 512MB; 5GB for the full proof] [workers, default 2]
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec
from bench_screen import DAY, ENDPLATE
from population import Json, population

ONE_IN = 50
SHARES = (1 / 16, 1 / 4, 1)
MOST_MB = 300
UNITS = {"MB": 10**6, "GB": 10**9}
EVERY_S = 0.2


def make(folder: Path, size: int) -> int:
    """Writes about `size` bytes, a patient at a time; the number of patients."""
    written = count = 0
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}

        def write(name: str, resource: Json) -> int:
            if name not in files:
                files[name] = stack.enter_context((folder / f"{name}.ndjson").open("wb"))
            return files[name].write(msgspec.json.encode(resource) + b"\n")

        for count, bundle in enumerate(endless()):
            if written >= size:
                break
            if count % 2:
                written += write("bundles", bundle)
            else:
                written += sum(write(r["resourceType"], r) for r in (entry["resource"] for entry in bundle["entry"]))
    return count


def endless() -> Iterator[Json]:
    """Patients, as many as are asked for."""
    return population(sys.maxsize, ONE_IN)


def peaks(source: Path, out: Path, workers: int) -> tuple[list[float], float]:
    """(peak resident memory in MB of each process, the first being the parent, seconds) of a screening."""
    words = [*ENDPLATE, "screen", str(source), "--out", str(out), "--as-of", DAY, "--backend", "plain", "--workers",
             str(workers)]  # fmt: skip
    begun = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found: dict[int, float] = {process.pid: 0.0}
    while process.poll() is None:
        for pid in (process.pid, *children(process.pid)):
            found[pid] = max(found.get(pid, 0.0), peak_mb(pid))
        time.sleep(EVERY_S)
    if process.returncode:
        sys.exit(f"screening failed: {process.returncode}")
    return list(found.values()), time.monotonic() - begun


def children(pid: int) -> list[int]:
    """The processes that a process started, on Linux."""
    try:
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
                for child in (task / "children").read_text().split()]  # fmt: skip
    except OSError:
        return []


def peak_mb(pid: int) -> float:
    """The most that a process had so far, as the kernel counted it; 0 = it is gone."""
    try:
        said = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(said[1]) / 1024 if said else 0.0


def main() -> None:
    asked = re.fullmatch(r"(\d+)(MB|GB)", sys.argv[1] if len(sys.argv) > 1 else "512MB")
    if asked is None:
        sys.exit("the size is a number and MB or GB: 5GB")
    size, workers = int(asked[1]) * UNITS[asked[2]], int(sys.argv[2]) if len(sys.argv) > 2 else 2
    worst = 0.0
    for share in SHARES:
        with tempfile.TemporaryDirectory() as name:
            if shutil.disk_usage(name).free < 2 * size * share:
                sys.exit(f"`{name}` has too little room: set TMPDIR")
            folder = Path(name)
            (folder / "in").mkdir()
            patients = make(folder / "in", int(size * share))
            found, seconds = peaks(folder / "in", folder / "out", workers)
        worst = max(worst, *found)
        shown = ", ".join(f"{one:.0f}" for one in found)
        print(f"{size * share / 1e6:.0f} MB, {patients} patients: peak of each process {shown} MB; {seconds:.0f} s")
    print(f"largest peak {worst:.0f} MB; bound {MOST_MB} MB: {'kept' if worst < MOST_MB else 'EXCEEDED'}")
    sys.exit(worst >= MOST_MB)


if __name__ == "__main__":
    main()
