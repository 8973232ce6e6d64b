"""What deciding all rules of one patient costs, on the ruleset that comes with Endplate.

    python benchmarks/bench_inference.py [--evaluations 200000]

The patients are made up: each base fact is known with a chance of 10 to 50 %, with any value of its closed set. Times
are medians of single evaluations; memory is that of this process before and after many durable ones.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from engine.inference.backends import available, make_backend
from engine.inference.port import Backend, Part, compare
from engine.rules.load import load_ruleset
from engine.rules.program import Program

PATIENTS = 1_000
LIMITS = {("plain", "patient"): 0.15, ("durable", "patient"): 3.0}         # milliseconds


def patients(program: Program, chance: random.Random) -> list[dict[str, str]]:
    found = []
    for _ in range(PATIENTS):
        density = chance.uniform(0.1, 0.5)
        known = (fact for fact in program.base if chance.random() < density)
        values = {fact: chance.choice([v for v in program.base[fact] if v != "unknown"]) for fact in known}
        found.append(values)
    return found


def medians(backend: Backend, records: Sequence[dict[str, str]], part: Part) -> float:
    """Milliseconds."""
    spent = []
    for values in records:
        began = time.perf_counter()
        backend.infer(values, part)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1000


def resident() -> float:
    """Megabytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--evaluations", type=int, default=20_000, help="of the durable backend, for its memory")
    evaluations = arguments.parse_args().evaluations

    program = load_ruleset().program
    records = patients(program, random.Random(1))
    plain = make_backend("plain", program)
    orders = [{**values, **plain.infer(values).conclusions.values} for values in records]
    print(f"{len(program.patient)} patient rules, {len(program.order)} order rules, {len(program.base)} base facts")

    backends = {"plain": plain}
    if "durable" in available():
        backends["durable"] = make_backend("durable", program)
        backends["guarded"] = make_backend("durable", program, guarded=True)
    for name, backend in backends.items():
        patient, order = medians(backend, records, "patient"), medians(backend, orders, "order")
        limit = LIMITS.get((name, "patient"))
        against = f", {patient / limit:.2f} of the limit of {limit:g} ms" if limit else ""
        print(f"{name:8} patient {patient:.3f} ms{against}; order {order:.3f} ms")

    if "durable" not in backends:
        return
    durable = backends["durable"]
    differing = sum(
        len(compare(plain.infer(values).conclusions, durable.infer(values).conclusions)) for values in records
    )
    before = resident()
    for index in range(evaluations):
        durable.infer(records[index % PATIENTS])
    print(f"disagreements in {PATIENTS} patients: {differing}")
    print(f"memory over {evaluations} durable evaluations: {before:.1f} -> {resident():.1f} MB")
    for backend in backends.values():
        backend.close()


if __name__ == "__main__":
    main()
