"""Evaluation of one patient: CPU time after parsing, facts and reasons included, against its limits; memory.

Patients: the test vectors (all relevant), primary and messy. Limits: 0.6 ms plain, 3 ms durable (median).
Run: python benchmarks/bench_evaluate.py [evaluations for the memory run, default 20000]
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import msgspec
import test_vectors as vectors

from engine.evaluation import Evaluator
from engine.fhir.decode import Document
from engine.fhir.record import Scope, read_records
from engine.inference.backends import available, make_backend
from engine.model.record import Record

LIMITS_MS = {"plain": 0.6, "durable": 3.0}


def median_ms(work: Callable[[Record], object], records: list[Record], rounds: int = 3) -> float:
    """Median over patients of the best of `rounds`, in ms of CPU."""
    return statistics.median(min(cpu_ms(work, record) for _ in range(rounds)) for record in records)


def cpu_ms(work: Callable[[Record], object], record: Record) -> float:
    start = time.process_time_ns()
    work(record)
    return (time.process_time_ns() - start) / 1e6


def rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    records = [record for encoding in ("primary", "messy") for _, record in vectors.patients(encoding)]
    ruleset = vectors.evaluator().ruleset
    print(f"{len(records)} patients, {len(ruleset.program.patient) + len(ruleset.program.order)} rules")
    texts = [msgspec.json.encode(vectors.bundles("messy")[case]) for case in vectors.expected()]
    scope = Scope(as_of=records[0].as_of)
    start = time.process_time()
    for text in texts:
        msgspec.json.decode(text)
    parse = (time.process_time() - start) / len(texts) * 1e3
    start = time.process_time()
    for text in texts:
        list(read_records([Document(msgspec.json.decode(text), "b")], ruleset.terminology, scope, []))
    read = (time.process_time() - start) / len(texts) * 1e3
    times = read / parse
    print(f"reading a messy bundle into records: {read:.3f} ms, {times:.1f} times its JSON parse ({parse:.3f} ms)")
    print(f"facts alone: {median_ms(ruleset.facts.compute, records):.3f} ms")
    for name in available():
        if name == "both":
            continue
        evaluator = Evaluator(ruleset, make_backend(name, ruleset.program))
        for mode in ("none", "listed") if name == "plain" else ("none",):
            cost = median_ms(lambda r, e=evaluator, m=mode: e.evaluate(r, m), records)
            limit = LIMITS_MS[name]
            print(f"{name}, missing {mode}: {cost:.3f} ms a patient = {cost / limit:.2f} of the limit of {limit} ms")
        many = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
        for record in records:
            evaluator.evaluate(record, "none")
        before = rss_mb()
        for index in range(many):
            evaluator.evaluate(records[index % len(records)], "none")
        print(f"{name}: resident memory {before:.1f} MB, after {many} evaluations {rss_mb():.1f} MB")


if __name__ == "__main__":
    main()
