"""A defect of our own costs the entry, fact or rule that it happens in: the rest is answered, and it is told."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine import reasoning as reasoning_of
from engine.evaluation import Evaluator
from engine.fhir import record as recording
from engine.fhir.decode import read_documents
from engine.fhir.record import Scope, read_records
from engine.model.finding import Evaluation
from engine.rules.load import load_ruleset
from engine.service.app import create_app
from engine.settings import Settings

EXAMPLES = Path(__file__).resolve().parent.parent / "fhir_examples"
NAME = "a name that is in the data"


def broken(*_: Any, **__: Any) -> Any:
    raise KeyError(NAME)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(load_ruleset())


def evaluated(evaluator: Evaluator, name: str, *, complete: bool | None = None) -> Evaluation:
    documents = read_documents(EXAMPLES / f"patients/{name}.json")
    scope = Scope(as_of=date(2026, 3, 1), at_bundle_time=True, complete=complete)
    (found,) = read_records(documents, evaluator.ruleset.terminology, scope, [])
    return evaluator.evaluate(found)


def told(evaluation: Evaluation) -> list[str]:
    return [f"{one.where}: {one.message}" for one in evaluation.problems if one.code == "defect"]


def issues(evaluation: Evaluation) -> set[str]:
    return {finding.issue for finding in evaluation.findings}


def test_an_entry_that_cannot_be_read_costs_itself(evaluator: Evaluator, contained: pytest.MonkeyPatch) -> None:
    assert "dmq-with-quinine" in issues(evaluated(evaluator, "quinine-in-overlap"))
    contained.setitem(recording._READERS, "Observation", broken)
    found = evaluated(evaluator, "quinine-in-overlap")
    assert "dmq-with-quinine" in issues(found)  # it rests on orders alone
    assert "overlap-als-mg-probable" not in issues(found)
    places = told(found)
    assert places and all("Observation/" in place and "KeyError at test_defects.py:" in place for place in places)
    assert NAME not in str(places)


def test_a_fact_that_cannot_be_computed_is_unknown(evaluator: Evaluator, contained: pytest.MonkeyPatch) -> None:
    whole = evaluated(evaluator, "quinine-in-overlap")
    (overlap,) = (one for one in whole.findings if one.issue == "overlap-als-mg-probable")
    name = overlap.because[0].fact
    (kind,) = {type(one) for one in evaluator.ruleset.facts.definitions if name in one.values()}
    real = kind.compute
    contained.setattr(kind, "compute", lambda self, view: broken() if name in self.values() else real(self, view))
    found = evaluated(evaluator, "quinine-in-overlap")
    assert whole.facts[name].value != "unknown"
    assert name not in found.facts or found.facts[name].value == "unknown"
    assert "dmq-with-quinine" in issues(found)
    assert not any(because.fact == name for finding in found.findings for because in finding.because)
    (place,) = told(found)
    assert place.startswith(f"fact `{name}`: could not be worked out (KeyError at")


def test_a_rule_that_fails_costs_its_finding(evaluator: Evaluator, contained: pytest.MonkeyPatch) -> None:
    whole = evaluated(evaluator, "quinine-in-overlap")
    real = reasoning_of.finding
    broken_for = "dmq-with-quinine"
    contained.setattr(reasoning_of, "finding", lambda i, source: broken() if i.name == broken_for else real(i, source))
    found = evaluated(evaluator, "quinine-in-overlap")
    assert issues(found) == issues(whole) - {broken_for}
    assert {place.partition(":")[0] for place in told(found)} == {f"rule `{broken_for}`"}


def test_what_could_not_be_read_is_never_called_absent(evaluator: Evaluator, contained: pytest.MonkeyPatch) -> None:
    """Rules of a closed world say that something is not in the record: not if something in it was not read."""
    whole = evaluated(evaluator, "typical-als", complete=True)
    assert any(finding.group == "closed-world" for finding in whole.findings)
    contained.setitem(recording._READERS, "Procedure", broken)
    contained.setitem(recording._READERS, "Observation", broken)
    found = evaluated(evaluator, "typical-als", complete=True)
    assert told(found) and not any(finding.group == "closed-world" for finding in found.findings)


def test_a_call_is_answered_and_the_defect_is_in_response_log_and_metric(
    evaluator: Evaluator, contained: pytest.MonkeyPatch
) -> None:
    contained.setitem(recording._READERS, "Observation", broken)
    body = json.loads((EXAMPLES / "hooks/order-sign.json").read_bytes())
    client = TestClient(create_app(evaluator, Settings(), dev=True), raise_server_exceptions=False)
    with capture_logs() as logs:
        answer = client.post("/cds-services/endplate-order-sign", json=body).json()
    assert answer["cards"]
    assert answer["extension"]["org.endplate.evaluation"]["problems"]["defect"] >= 1
    (line,) = [one for one in logs if one["event"] == "a part could not be worked out"]
    assert line["log_level"] == "error" and "KeyError at test_defects.py" in str(line) and NAME not in str(logs)
    assert 'endplate_failures_total{part="evaluation"} 1.0' in client.get("/metrics").text
