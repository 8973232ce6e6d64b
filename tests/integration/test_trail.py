"""The audit trail of what sources tell and of what is decided on it: nothing is durable without its line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from decide_kit import example
from fhir.resources.R4B.auditevent import AuditEvent
from served_kit import comes
from starlette.testclient import TestClient
from test_messages import bundle, newer
from test_receiver import held, result

from engine.evaluation import Evaluator
from engine.integration.event import Message
from engine.outputs.detected_issue import stable_uuid
from engine.service.app import create_app
from engine.service.audit import Audit
from engine.service.working import attach
from engine.settings import read_settings
from engine.store import Store

Json = dict[str, Any]
AGREED = "a long random text"
SENDER = {"X-Endplate-Secret": AGREED}
DAY = date(2026, 4, 20)


class Site:
    """A service with its trail."""

    def __init__(self, client: TestClient, app: Any, folder: Path) -> None:
        self.client, self.app, self.folder = client, app, folder

    @property
    def database(self) -> Any:
        return self.app.state.service.store.database

    def tell(self, method: str, path: str, body: Json | None = None) -> int:
        return self.client.request(method, f"/fhir-hook{path}", json=body, headers=SENDER).status_code

    def lines(self, kind: str = "") -> list[Json]:
        """Events of the trail as it is on the disk, by what they say of themselves."""
        text = "".join(path.read_text("utf-8") for path in sorted(self.folder.glob("*.ndjson")))
        events = [json.loads(line) for line in text.splitlines()]
        return [one for one in events if one["subtype"][0]["code"].startswith(kind)]


@pytest.fixture
def site(place: Path | str, evaluator: Evaluator, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """`site(works=...)`: with threads that decide, or without."""
    opened: list[tuple[TestClient, Any]] = []

    def start(*, works: bool = False) -> Site:
        settings = read_settings(sources=[{"name": "ehr", "secret": AGREED, "fhir_url": "http://127.0.0.1:9/fhir"}])
        folder = tmp_path / "audit"
        app = create_app(
            evaluator, settings, dev=True, store=Store(place), audit=Audit(folder), today=lambda: DAY
        )  # fmt: skip
        if works:
            attach(app)
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        opened.append((client, app))
        return Site(client, app, folder)

    yield start
    for client, app in opened:
        client.__exit__(None, None, None)
        app.state.service.close()


def about(event: Json) -> list[str]:
    return [one["what"].get("reference", "") for one in event.get("entity", ()) if one["type"]["code"] == "1"]


def test_what_is_told_stands_in_the_trail_when_it_is_answered(site: Callable[..., Site]) -> None:
    here = site()
    assert here.tell("PUT", "/Observation/o", result("o", "p")) == 200
    (event,) = here.lines()
    AuditEvent.model_validate(event)
    assert event["subtype"][0]["code"] == "received/resource"
    assert (event["action"], event["outcome"]) == ("C", "0")
    (agent,) = event["agent"]
    assert agent["who"] == {"display": "ehr"}
    assert agent["network"]["address"] == "testclient"
    assert about(event) == ["Patient/p"]


def test_a_message_names_everybody_of_whom_it_says_something(site: Callable[..., Site]) -> None:
    here = site()
    entries = [{"resource": result(f"o{number}", f"p{number % 2}")} for number in range(4)]
    assert here.tell("POST", "", bundle("transaction", *entries)) == 200
    (event,) = here.lines()
    assert event["subtype"][0]["code"] == "received/transaction"
    assert sorted(about(event)) == ["Patient/p0", "Patient/p1"]


def test_a_deletion_names_the_patient_of_whom_it_was(site: Callable[..., Site]) -> None:
    here = site()
    assert here.tell("PUT", "/Observation/o", result("o", "p")) == 200
    assert here.tell("DELETE", "/Observation/o") == 200
    event = here.lines()[-1]
    assert (event["action"], about(event)) == ("D", ["Patient/p"])


def test_who_is_named_by_an_identifier_is_known_once_the_patient_is(site: Callable[..., Site]) -> None:
    here = site()
    named = result("o") | {"subject": {"identifier": {"system": "urn:mrn", "value": "7"}}}
    assert here.tell("PUT", "/Observation/o", named) == 200
    (entity,) = here.lines()[-1]["entity"]
    assert entity["what"]["identifier"] == {"system": "urn:mrn", "value": "7"}
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:mrn", "value": "7"}]}
    assert here.tell("PUT", "/Patient/p", patient) == 200
    assert here.tell("PUT", "/Observation/o2", named | {"id": "o2"}) == 200
    assert about(here.lines()[-1]) == ["Patient/p"]


def test_a_heartbeat_tells_of_nobody_and_is_no_line(site: Callable[..., Site]) -> None:
    here = site()
    assert here.tell("POST", "", bundle("history", {"resource": newer("heartbeat")})) == 200
    assert here.lines() == []


def test_what_was_fetched_says_so(site: Callable[..., Site]) -> None:
    here = site()
    receiving = here.app.state.receiving
    (source,) = receiving.sources.all()
    receiving.remember(source, Message(kind="transaction", events=()))
    assert [one["subtype"][0]["code"] for one in here.lines()] == ["fetched/transaction"]
    assert here.lines()[0]["agent"][0]["who"] == {"display": "ehr"}


def test_each_decision_names_its_evaluation_and_the_rules_that_answered(
    site: Callable[..., Site], evaluator: Evaluator
) -> None:
    here = site(works=True)
    entries = [{"resource": one} for one in example("achr-false-positive")]
    assert here.tell("POST", "", bundle("collection", *entries)) == 200
    assert comes(lambda: here.lines("decided"), 30)
    (event,) = here.lines("decided")
    AuditEvent.model_validate(event)
    assert event["agent"][0]["who"] == {"display": "Endplate"}
    assert about(event) == ["Patient/achr-false-positive"]
    made = stable_uuid(f"Patient/achr-false-positive {DAY} {evaluator.ruleset.hash}")
    (evaluation,) = [one for one in event["entity"] if "identifier" in one["what"]]
    assert evaluation["what"]["identifier"]["value"] == made
    details = [one["valueString"] for one in evaluation["detail"]]
    assert evaluator.ruleset.hash in details[0]
    assert any(one.partition("|")[0] in evaluator.rules for one in details[1:])


def test_what_cannot_be_audited_is_not_taken_and_can_be_told_again(site: Callable[..., Site]) -> None:
    here = site()
    assert here.tell("PUT", "/Observation/a", result("a")) == 200
    for path in here.folder.iterdir():
        path.unlink()
    here.folder.rmdir()
    assert here.tell("PUT", "/Observation/o", result("o")) == 503
    assert held(here.database, ("Observation", "o")) == []
    assert here.client.get("/readyz").status_code == 503
    here.folder.mkdir()
    assert here.tell("PUT", "/Observation/o", result("o")) == 200
    assert len(here.lines()) == 1
    assert here.client.get("/readyz").status_code == 200
