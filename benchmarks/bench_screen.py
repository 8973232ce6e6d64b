"""Screening: CPU time and memory, as ratios to decoding the same bytes with msgspec in one process.

Populations (benchmarks/population.py): general, one patient in 1,000 relevant, as Bundles and as a bulk export by type;
and one in which every patient is relevant. One worker unless said; results, tables and report are written.
Run: python benchmarks/bench_screen.py [patients, default 2000]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from population import population

DAY = "2026-04-20"
ENDPLATE = (sys.executable, "-c", "from engine.cli import main; main()")


def decode_s(files: list[Path]) -> float:
    """CPU seconds of decoding every line."""
    decode = msgspec.json.Decoder().decode
    start = time.process_time()
    for file in files:
        with file.open("rb") as stream:
            for line in stream:
                decode(line)
    return time.process_time() - start


def screen_s(source: Path, out: Path, workers: int = 1) -> tuple[float, float, float]:
    """(CPU s, wall s, peak MB of the largest process) of a screening without the start, which `start_s` measures."""
    words = [*ENDPLATE, "screen", str(source), "--out", str(out), "--as-of", DAY, "--backend", "plain", "--workers",
             str(workers)]  # fmt: skip
    begun = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"screening failed: {status}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss / 1024


def write_bulk(folder: Path, bundles: Path) -> None:
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


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = folder / "one.ndjson"
        one.write_bytes(msgspec.json.encode(next(population(1))) + b"\n")
        screen_s(one, folder / "warm")
        start, _, _ = screen_s(one, folder / "start")
        print(f"start and one patient: {start:.2f} s of CPU, taken off below")
        for title, one_in, count in (("general population", 1_000, size), ("all relevant", 1, size // 2)):
            bundles = folder / f"{one_in}.ndjson"
            with bundles.open("wb") as stream:
                for bundle in population(count, one_in):
                    stream.write(msgspec.json.encode(bundle) + b"\n")
            bulk = folder / f"bulk-{one_in}"
            write_bulk(bulk, bundles)
            for form, source, files in (
                ("Bundles", bundles, [bundles]), ("bulk by type", bulk, sorted(bulk.iterdir()))
            ):  # fmt: skip
                parse = decode_s(files)
                cpu, wall, memory = screen_s(source, folder / "out")
                cpu -= start
                megabytes = sum(file.stat().st_size for file in files) / 2**20
                print(
                    f"{title}, {form}: {count} patients, {megabytes:.0f} MiB; {cpu / parse:.1f} times msgspec "
                    f"({parse:.2f} s); {count / cpu:.0f} patients per CPU s; peak {memory:.0f} MB; {wall:.1f} s wall"
                )
        _, alone, _ = screen_s(folder / "1.ndjson", folder / "out", 1)
        _, both, _ = screen_s(folder / "1.ndjson", folder / "out", 2)
        print(f"two workers: {alone / both:.2f} times one (wall, start included; load {os.getloadavg()[0]:.1f})")
    print(f"this process: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
