"""Patients as the page of a case looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from engine.evaluation import Evaluator, Explaining
from engine.explanation.tree import Node
from engine.fhir.decode import Document, read_documents
from engine.fhir.record import Scope, read_records
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.workbench.case import Case, choices, record_of

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 3, 1)


@dataclass(frozen=True)
class Looked:
    """One record under the rules."""

    evaluator: Evaluator
    record: Record

    @cached_property
    def reasoning(self) -> Explaining:
        return self.evaluator.reasoning(self.record)

    @cached_property
    def evaluation(self) -> Evaluation:
        return self.reasoning.evaluation("proved")


def example(evaluator: Evaluator, name: str) -> Looked:
    """One of the examples that come with the product."""
    content = (ROOT / f"fhir_examples/patients/{name}.json").read_bytes()
    terminology = evaluator.ruleset.terminology
    [one], _ = choices(content, name, terminology, None, TODAY)
    case = Case(title=name, origin="example", content=content, patient=one.patient, as_of=one.as_of)
    return Looked(evaluator, record_of(case, terminology))


def examples(evaluator: Evaluator) -> Iterator[tuple[str, Looked]]:
    """All of them."""
    for path in sorted((ROOT / "fhir_examples/patients").glob("*.json")):
        yield path.stem, example(evaluator, path.stem)


def vectors(evaluator: Evaluator) -> Iterator[tuple[str, Looked]]:
    """The test patients, each on the day of its Bundle."""
    scope = Scope(as_of=TODAY, at_bundle_time=True)
    for document in read_documents(ROOT / "tests/vectors/primary.ndjson.gz"):
        assert isinstance(document, Document)
        for record in read_records([document], evaluator.ruleset.terminology, scope, []):
            yield record.person.reference, Looked(evaluator, record)


def nodes(tree: tuple[Node, ...]) -> Iterator[Node]:
    """Every node of a tree."""
    for node in tree:
        yield node
        yield from nodes(node.children)
