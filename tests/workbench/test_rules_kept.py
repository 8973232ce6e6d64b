"""A rule in an evaluation that was kept comes out as it did on the record, from the values alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest

from engine.evaluation import Evaluator
from engine.explanation.tree import Node
from engine.fhir.decode import Document, read_documents
from engine.fhir.record import Scope, read_records
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.workbench.kept import told

EXAMPLES = sorted((Path(__file__).parents[2] / "fhir_examples" / "patients").glob("*.json"))


def records(evaluator: Evaluator) -> Iterator[Record]:
    for path in EXAMPLES:
        documents = [one for one in read_documents(path.read_bytes(), path.name) if isinstance(one, Document)]
        scope = Scope(as_of=date(2026, 3, 1), at_bundle_time=True)
        yield from read_records(documents, evaluator.ruleset.terminology, scope, [])


def kept(evaluation: Evaluation) -> Evaluation:
    """As it comes back from the store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(evaluation), type=Evaluation)


def bare(node: Node) -> Node:
    """Without why a fact is unknown: that is told of those alone that the evaluation names."""
    return msgspec.structs.replace(node, reason="", shown="", children=tuple(map(bare, node.children)))


def test_every_rule_comes_out_as_on_the_record(evaluator: Evaluator) -> None:
    verdicts = set()
    for record in list(records(evaluator))[::4]:
        evaluation = kept(evaluator.evaluate(record))
        for rule in evaluator.rules:
            then = {one.explanation.order: one.explanation for one in told(evaluator, evaluation, rule)}
            now = {one.order: one for one in evaluator.explain(record, rule, "none")}
            assert then.keys() == now.keys()
            for order, explanation in now.items():
                verdicts.add(explanation.verdict)
                assert then[order].verdict == explanation.verdict, (record.person.reference, rule)
                if "no current order" not in explanation.tree[0].text:
                    assert [bare(n) for n in then[order].tree] == [bare(n) for n in explanation.tree]
    assert {"fires", "does not fire", "undetermined"} <= verdicts


def test_what_was_found_stands_first_with_its_severity(evaluator: Evaluator) -> None:
    [path] = [path for path in EXAMPLES if path.stem == "fluoroquinolone-in-mg"]
    documents = [one for one in read_documents(path.read_bytes(), path.name) if isinstance(one, Document)]
    scope = Scope(as_of=date(2026, 3, 1), at_bundle_time=True)
    [record] = read_records(documents, evaluator.ruleset.terminology, scope, [])
    evaluation = kept(evaluator.evaluate(record))
    finding = next(one for one in evaluation.findings if one.order)
    first, *others = told(evaluator, evaluation, finding.issue)

    assert first.finding == finding
    assert (first.verdict, first.explanation.severity) == ("fires", finding.severity)
    assert first.explanation.order == f"{finding.order} {finding.ingredient}"
    assert len(others) + 1 == len(evaluation.orders)


def test_the_rules_of_another_day_explain_nothing(evaluator: Evaluator) -> None:
    evaluation = evaluator.evaluate(next(records(evaluator)))
    ruleset = msgspec.structs.replace(evaluation.ruleset, hash="0" * 16)
    other = msgspec.structs.replace(evaluation, ruleset=ruleset)
    with pytest.raises(ValueError, match="changed"):
        told(evaluator, other, next(iter(evaluator.rules)))


def test_the_page_that_is_kept_is_json_that_can_be_read(evaluator: Evaluator) -> None:
    """What the store holds of an evaluation loses nothing that the page tells."""
    evaluation = evaluator.evaluate(next(records(evaluator)))
    assert json.loads(msgspec.json.encode(kept(evaluation))) == json.loads(msgspec.json.encode(evaluation))
