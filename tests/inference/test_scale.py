"""What evaluations cost in rules that are tested, not in time: nothing without an anchor, in proportion otherwise."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

import engine.inference.plain as module
from engine.document import load_document
from engine.evaluation import Evaluator
from engine.fhir.decode import Document
from engine.fhir.record import Scope, read_records
from engine.model.record import Record
from engine.rules.load import load_ruleset
from engine.vignettes import evaluate, strongest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from bench_rules import grown  # noqa: E402
from population import ordinary  # noqa: E402

TIMES = 3
VIGNETTES = ROOT / "rulesets/neuromuscular/vignettes/als-mg-overlap.yaml"


@pytest.fixture(scope="module")
def small() -> Evaluator:
    return Evaluator(load_ruleset())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    return Evaluator(grown(TIMES, tmp_path_factory.mktemp("grown") / "rules"))


def ordinary_records(evaluator: Evaluator) -> Iterator[Record]:
    scope = Scope(as_of=date(2026, 6, 1))
    for number in range(60):
        yield from read_records([Document(ordinary(number), "b")], evaluator.ruleset.terminology, scope, [])


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each rule is decided meanwhile."""
    decided: Counter[str] = Counter()
    decide = module._Decider.decide

    def counting(decider: module._Decider, *arguments: object) -> object:
        decided[decider.name] += 1
        return decide(decider, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module._Decider, "decide", counting)
        yield decided


def test_a_patient_without_an_anchor_costs_no_rule_however_many_there_are(
    small: Evaluator, large: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for evaluator in (small, large):
        spared = 0
        for record in ordinary_records(evaluator):
            with counted(monkeypatch) as decided:
                relevant = evaluator.evaluate(record).relevant
            assert relevant or not decided
            spared += not relevant
        assert spared > 50


def test_a_patient_whom_rules_concern_costs_them_in_proportion(
    small: Evaluator, large: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for case in load_document(VIGNETTES).data[::10]:
        costs = []
        for evaluator in (small, large):
            with counted(monkeypatch) as decided:
                evaluate(evaluator, case)
            costs.append(decided.total())
        assert 0 < costs[1] <= TIMES * costs[0], case["id"]


def test_every_copy_of_a_rule_finds_what_the_rule_finds(small: Evaluator, large: Evaluator) -> None:
    assert len(large.rules) == TIMES * len(small.rules)
    for case in load_document(VIGNETTES).data[::10]:
        found = strongest(evaluate(small, case).findings)
        copies = strongest(evaluate(large, case).findings)
        assert copies.keys() == {f"{name}{end}" for name in found for end in ("", "-2", "-3")}
        for name, finding in copies.items():
            original = found[name.removesuffix("-2").removesuffix("-3")]
            assert (finding.severity, finding.display, finding.summary) == (
                original.severity, original.display, original.summary
            )  # fmt: skip
