"""Ten times as many rules: what they cost a patient without an anchor fact, and one whom the rules concern.

The larger ruleset is generated: every rule of the bundled one nine times more under other names, with outcomes of its
own, over the same facts. Both are measured in one run, in turns. Limits: nothing (a fifth, for noise) for a patient
without an anchor, in proportion (ten times) for the others.
Run: python benchmarks/bench_rules.py [times as many rules, default 10]
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import population
import test_vectors as vectors

from engine.document import load_document
from engine.evaluation import Evaluator
from engine.fhir.decode import Document
from engine.fhir.record import Scope, read_records
from engine.inference.backends import available, make_backend
from engine.model.record import Record
from engine.rules.files import bundled
from engine.rules.load import load_ruleset
from engine.rules.ruleset import Ruleset

NAMES = ("id", "issue", "conclude")
CONDITIONS = ("when", "unless", "list", "any", "all", "of")


def grown(times: int, folder: Path) -> Ruleset:
    """The bundled ruleset with every rule so many times, written into `folder`."""
    shutil.copytree(bundled(), folder)
    rules = {path: load_document(path).data for path in sorted((folder / "rules").rglob("*.yaml"))}
    names = {str(rule[key]) for rule in rules.values() for key in NAMES[1:] if key in rule}
    for path, rule in rules.items():
        for copy in range(2, times + 1):
            renamed = {name: f"{name}-{copy}" for name in names}
            text = json.dumps(_renamed(rule, renamed), default=str)
            path.with_stem(f"{path.stem}-{copy}").write_text(text, encoding="utf-8")
    return load_ruleset(folder)


def _renamed(rule: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The rule under its other name, reading the other rules under theirs."""

    def walk(part: Any, *, condition: bool) -> Any:
        if isinstance(part, dict):
            return {
                names.get(key, key) if condition else key: walk(value, condition=key in CONDITIONS)
                for key, value in part.items()
            }
        if isinstance(part, list):
            return [walk(one, condition=condition) for one in part]
        return re.sub(r"[\w.-]+(?=[^{}]*\})", lambda m: names.get(m[0], m[0]), part) if isinstance(part, str) else part

    copy = {key: walk(value, condition=key in CONDITIONS) for key, value in rule.items()}
    if "conclude" in rule and "cases" in rule:
        copy["cases"] = [{value: walk(when, condition=True) for value, when in case.items()} for case in rule["cases"]]
    return {**copy, **{key: names.get(rule[key], rule[key]) for key in NAMES if key in rule}}


def cost_ms(evaluators: Sequence[Evaluator], records: Sequence[Record], missing: Any, rounds: int = 4) -> list[float]:
    """For each evaluator the median over the records of the best of `rounds`, in ms of CPU."""
    best = [[float("inf")] * len(records) for _ in evaluators]
    turns = list(enumerate(evaluators))
    for _ in range(rounds):
        turns.reverse()  # the one that comes first finds the record cold
        for index, record in enumerate(records):
            for number, evaluator in turns:
                start = time.process_time_ns()
                evaluator.evaluate(record, missing)
                best[number][index] = min(best[number][index], (time.process_time_ns() - start) / 1e6)
    return [statistics.median(costs) for costs in best]


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    small = vectors.evaluator().ruleset
    with tempfile.TemporaryDirectory() as folder:
        large = grown(times, Path(folder) / "rules")
    concerned = [record for _, record in vectors.patients("primary")]
    scope = Scope(as_of=concerned[0].as_of)
    bundles = (Document(population.ordinary(number), "b") for number in range(400))
    others = [record for bundle in bundles for record in read_records([bundle], small.terminology, scope, [])]
    counts = [len(one.program.patient) + len(one.program.order) for one in (small, large)]
    print(f"rules: {counts[0]} and {counts[1]}")
    for name in (name for name in available() if name != "both"):
        evaluators = [Evaluator(one, make_backend(name, one.program)) for one in (small, large)]
        without = [record for record in others if not evaluators[0].evaluate(record, "none").relevant]
        groups = [("without an anchor", without, 1.2), ("concerned", concerned, float(times))]
        for what, records, limit in groups if name == "plain" else groups[1:]:
            for missing in ("none", "listed") if name == "plain" else ("none",):
                before, after = cost_ms(evaluators, records, missing)
                ratio = after / before
                print(
                    f"{name}, missing {missing}, {len(records)} patients {what}: {before:.4f} ms, {after:.4f} ms, "
                    f"ratio {ratio:.2f} (limit {limit:g}){'' if ratio <= limit else ': TOO MUCH'}"
                )


if __name__ == "__main__":
    main()
