"""Alert memory: what a user has acknowledged is not shown again for its time, and new evidence brings it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fhir.resources.R4B.detectedissue import DetectedIssue
from fhir_server import ALS, MG
from requests_kit import Day, bundle, condition, order, patient, request
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.model.finding import Finding
from engine.service.answer import EXTENSION
from engine.service.app import create_app
from engine.service.memory import DAY, HOUR, Situation, mitigations, silent
from engine.settings import Settings
from engine.store import Acknowledged, Database, Store

Json = dict[str, Any]
VIEW, SIGN = "endplate-patient-view", "endplate-order-sign"
NOW = 1_772_000_000
GP, SPECIALIST = "Practitioner/gp", "Practitioner/neurologist"


# -- the rule


def found(**fields: Any) -> Finding:
    usual: Json = {
        "issue": "x", "severity": "moderate", "display": "warning", "group": "diagnostic", "rule": "x", "version": "1",
        "hash": "h", "summary": "s", "case": 0, "identifier": "i", "evidence_hash": "e",
    }  # fmt: skip
    return Finding(**usual | fields)


def word(**fields: Any) -> Acknowledged:
    usual: Json = {
        "finding": "i", "evidence": "e", "issue": "x", "severity": "moderate", "user": GP, "encounter": "1",
        "outcome": "overridden", "stamped": "", "system": "", "code": "", "comment": "", "at": NOW,
    }  # fmt: skip
    return Acknowledged(**usual | fields)


def quiet(finding: Finding, after: int, acknowledged: Acknowledged | None = None, **fields: Any) -> bool:
    usual: Json = {"user": GP, "encounter": "1", "drafts": (), "specialists": (SPECIALIST,), "now": NOW + after}
    return silent(finding, [acknowledged or word(severity=finding.severity)], Situation(**usual | fields))


@pytest.mark.parametrize(
    ("finding", "seconds"),
    [
        (found(), 365 * DAY),
        (found(severity="low", display="information"), 365 * DAY),
        (found(group="care"), 30 * DAY),
        (found(group="care", severity="high"), 30 * DAY),
        (found(group="drug-safety", severity="high", order="MedicationRequest/m"), 30 * DAY),
        (found(display="interruptive", severity="high"), 4 * HOUR),
        (found(group="crisis", severity="high"), 4 * HOUR),
        (found(group="drug-safety", severity="high", display="interruptive", order="MedicationRequest/m"), 4 * HOUR),
    ],
)
def test_each_kind_of_card_is_quiet_for_its_time(finding: Finding, seconds: int) -> None:
    assert quiet(finding, 0)
    assert quiet(finding, seconds - 1)
    assert not quiet(finding, seconds)


def test_a_diagnostic_card_of_high_severity_is_quiet_on_the_word_of_a_specialist_alone() -> None:
    finding = found(severity="high")

    assert not quiet(finding, 1)
    assert quiet(finding, 90 * DAY - 1, word(severity="high", user=SPECIALIST))
    assert not quiet(finding, 90 * DAY, word(severity="high", user=SPECIALIST))


@pytest.mark.parametrize("other", [{"user": SPECIALIST}, {"encounter": "2"}])
def test_a_critical_card_is_quiet_for_that_user_and_encounter_alone(other: Json) -> None:
    finding = found(display="interruptive", severity="high")

    assert not quiet(finding, 1, **other)


@pytest.mark.parametrize("lacking", ["user", "encounter"])
def test_a_critical_card_is_never_quiet_where_user_or_encounter_is_not_known(lacking: str) -> None:
    finding = found(display="interruptive", severity="high")

    assert not quiet(finding, 1, word(severity="high", **{lacking: ""}), **{lacking: ""})


@pytest.mark.parametrize(
    "finding",
    [
        found(group="drug-safety", severity="high", order="MedicationRequest/m"),
        found(group="drug-safety", severity="moderate", display="interruptive", order="MedicationRequest/m"),
        found(group="drug-safety", severity="low", order="MedicationRequest/new-1"),
    ],
)
def test_a_new_order_of_a_contraindicated_drug_is_never_quiet(finding: Finding) -> None:
    assert not quiet(finding, 0, drafts=frozenset({finding.order}))


def test_new_evidence_or_a_higher_severity_brings_a_card_back() -> None:
    assert not quiet(found(evidence_hash="new"), 1)
    assert not quiet(found(severity="moderate"), 1, word(severity="low"))
    assert quiet(found(severity="low"), 1, word(severity="moderate"))
    assert not quiet(found(identifier="another"), 1)


def test_what_was_done_is_a_mitigation() -> None:
    planned = word(code="planned", comment="seen <b>today</b>\n", stamped="2026-03-01T10:00:00+01:00")
    accepted = word(outcome="accepted", user="somebody", stamped="yesterday", at=0)

    first, second = mitigations([planned, accepted], "urn:endplate")

    assert first["action"]["coding"][0] == {
        "system": "urn:endplate:card-outcome", "code": "accepted", "display": "Card accepted"
    }  # fmt: skip
    assert first["date"] == "1970-01-01T00:00:00Z"
    assert "author" not in first
    assert second["action"]["coding"][0]["code"] == "planned"
    assert second["action"]["text"].endswith("seen <b>today</b>")
    assert second["date"] == "2026-03-01T10:00:00+01:00"
    assert second["author"] == {"reference": GP}


# -- in the service


class Clock:
    """The time that the service believes to be."""

    def __init__(self) -> None:
        self.value = datetime(2026, 3, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.value

    def after(self, **passed: float) -> None:
        self.value += timedelta(**passed)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembering(evaluator: Evaluator, day: Day, clock: Clock) -> TestClient:
    settings = Settings(specialists=(SPECIALIST,), check_output=True)
    return TestClient(create_app(evaluator, settings, dev=True, today=day, now=clock, store=Store()))


def seen(client: TestClient, service: str, body: Json) -> list[Json]:
    response = client.post(f"/cds-services/{service}", json=body)
    assert response.status_code == 200, response.text
    return list(response.json()["cards"])


def viewed(client: TestClient, *held: Json, instance: str = "1", user: str = GP, encounter: str = "e") -> list[Json]:
    """The cards at opening a chart with two drugs on it."""
    by_key = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))}
    by_key["medications"] = bundle(order("q", "quinine", status="active", authoredOn="2026-02-01"), *held)
    body = request(VIEW, prefetch=by_key, context={"userId": user, "encounterId": encounter})
    return seen(client, VIEW, body | {"hookInstance": f"d1577c69-dfbe-44ad-ba6d-3e05e953b2e{instance}"})


def answer(client: TestClient, card: Json, outcome: str = "overridden", service: str = VIEW, **more: Any) -> None:
    spoken = {"card": card["uuid"], "outcome": outcome, "outcomeTimestamp": "2026-03-01T10:05:31Z", **more}
    assert client.post(f"/cds-services/{service}/feedback", json={"feedback": [spoken]}).status_code == 200


PLANNED = {"overrideReason": {"reason": {"code": "planned", "system": "urn:endplate:override-reason"}}}


def test_a_card_that_was_overridden_is_not_shown_again_until_its_time_is_over(
    remembering: TestClient, clock: Clock
) -> None:
    warning = next(card for card in viewed(remembering) if card["indicator"] == "warning")
    answer(remembering, warning, **PLANNED)

    later = viewed(remembering, instance="2")
    assert warning["summary"] not in [card["summary"] for card in later]
    clock.after(days=29)
    assert warning["summary"] not in [
        card["summary"] for card in viewed(remembering, instance="3", user="Practitioner/2")
    ]
    clock.after(days=1)
    assert warning["summary"] in [card["summary"] for card in viewed(remembering, instance="4")]


@pytest.mark.parametrize("outcome", ["overridden", "accepted"])
def test_the_response_says_how_many_were_kept_back(outcome: str, remembering: TestClient) -> None:
    cards = viewed(remembering)
    for card in cards:
        answer(remembering, card, outcome)
    by_key = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))}
    by_key["medications"] = bundle(order("q", "quinine", status="active", authoredOn="2026-02-01"))
    body = request(VIEW, prefetch=by_key, context={"userId": GP, "encounterId": "e"})

    about = remembering.post(f"/cds-services/{VIEW}", json=body).json()["extension"][EXTENSION]

    assert about["silenced"] >= 1
    assert 'endplate_silenced_total{rule="' in remembering.get("/metrics").text


def test_changed_evidence_brings_a_card_back(remembering: TestClient) -> None:
    warning = next(card for card in viewed(remembering) if card["indicator"] == "warning")
    answer(remembering, warning)
    again = order("q2", "quinine", status="active", authoredOn="2026-02-20")

    assert "q2" in str(viewed(remembering, again, instance="2"))


def test_the_draft_of_a_contraindicated_drug_is_shown_each_time(remembering: TestClient) -> None:
    held = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))}
    context = {"draftOrders": bundle(order("a")), "userId": GP, "encounterId": "e"}
    body = request(SIGN, prefetch=held, context=context)
    first = seen(remembering, SIGN, body)
    for card in first:
        answer(remembering, card, service=SIGN, **PLANNED)

    assert [card["summary"] for card in seen(remembering, SIGN, body)] == [card["summary"] for card in first]


def test_what_was_done_stands_in_the_detected_issue_that_is_offered_next(remembering: TestClient) -> None:
    held = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))}
    body = request(SIGN, prefetch=held, context={"draftOrders": bundle(order("a")), "userId": GP, "encounterId": "e"})
    card = seen(remembering, SIGN, body)[0]
    assert not any("mitigation" in issue for issue in issues_in(card))
    answer(remembering, card, service=SIGN, overrideReason=PLANNED["overrideReason"] | {"userComment": "one dose"})

    [issue] = issues_in(seen(remembering, SIGN, body)[0])

    DetectedIssue.model_validate(issue)
    [done] = issue["mitigation"]
    assert done["action"]["text"] == "Will be done or is already planned: one dose"
    assert done["author"] == {"reference": GP}
    assert done["date"] == "2026-03-01T10:05:31Z"


def issues_in(card: Json) -> list[Json]:
    actions = [action for suggestion in card["suggestions"] for action in suggestion["actions"]]
    return [a["resource"] for a in actions if a.get("resource", {}).get("resourceType") == "DetectedIssue"]


def test_the_same_feedback_twice_counts_once(remembering: TestClient) -> None:
    held = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))}
    body = request(SIGN, prefetch=held, context={"draftOrders": bundle(order("a")), "userId": GP, "encounterId": "e"})
    card = seen(remembering, SIGN, body)[0]
    for _ in range(3):
        answer(remembering, card, service=SIGN, **PLANNED)

    [issue] = issues_in(seen(remembering, SIGN, body)[0])
    assert len(issue["mitigation"]) == 1


def test_where_nobody_has_said_anything_the_store_is_not_read(
    remembering: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "read", None)  # whoever reads fails

    assert viewed(remembering)


def test_a_store_that_fails_costs_the_memory_and_not_the_cards(evaluator: Evaluator, day: Day) -> None:
    store = Store()
    client = TestClient(create_app(evaluator, Settings(), dev=True, today=day, store=store))
    store.close()

    response = client.post(
        f"/cds-services/{SIGN}",
        json=request(
            SIGN,
            prefetch={"patient": patient(), "conditions": bundle(condition(MG, "mg"))},
            context={"draftOrders": bundle(order("a"))},
        ),
    )

    assert response.status_code == 200
    assert response.json()["cards"]
    assert "what was shown could not be remembered" in response.json()["extension"][EXTENSION]["notes"]
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    feedback = {"feedback": [{"card": "x", "outcome": "accepted"}]}
    assert client.post(f"/cds-services/{SIGN}/feedback", json=feedback).status_code == 503
    assert 'endplate_failures_total{part="store"}' in client.get("/metrics").text
