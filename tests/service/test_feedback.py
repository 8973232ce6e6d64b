"""Feedback in all the forms that clients send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from requests_kit import HOOKS
from starlette.testclient import TestClient

from engine.service.feedback import MOST, Feedback

PATH = "/cds-services/endplate-patient-view/feedback"
SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "cds-hooks-2.0.1-feedback.schema.json"
OVERRIDDEN = {
    "card": "f6b95768-b1c8-40dc-8385-bf3504b82ffb",
    "outcome": "overridden",
    "overrideReason": {
        "reason": {"code": "planned", "system": "urn:endplate:override-reason"},
        "userComment": "already ordered",
    },
    "outcomeTimestamp": "2026-03-01T10:05:31Z",
}
ACCEPTED = {
    "card": "00f8cc2f-1e4f-4d6c-ad5c-0b2c8f0a2a01",
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": "e56e1945-20b3-4393-8503-a1a20fd73152"}],
    "outcomeTimestamp": "2026-03-01T10:05:33Z",
}


def read(client: TestClient, kept: list[Feedback], body: Any) -> list[Feedback]:
    kept.clear()
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    assert response.content == b""
    return list(kept)


def test_feedback_on_several_cards_is_kept(client: TestClient, kept: list[Feedback]) -> None:
    body = {"feedback": [OVERRIDDEN, ACCEPTED]}
    jsonschema_rs.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(body)

    assert read(client, kept, body) == [
        Feedback(
            card="f6b95768-b1c8-40dc-8385-bf3504b82ffb",
            outcome="overridden",
            timestamp="2026-03-01T10:05:31Z",
            reason=("urn:endplate:override-reason", "planned"),
            comment="already ordered",
        ),
        Feedback(
            card="00f8cc2f-1e4f-4d6c-ad5c-0b2c8f0a2a01",
            outcome="accepted",
            timestamp="2026-03-01T10:05:33Z",
            suggestions=("e56e1945-20b3-4393-8503-a1a20fd73152",),
        ),
    ]


@pytest.mark.parametrize("body", [ACCEPTED, {"feedback": ACCEPTED}])
def test_a_single_object_is_one_entry(client: TestClient, kept: list[Feedback], body: object) -> None:
    assert [one.outcome for one in read(client, kept, body)] == ["accepted"]


def test_older_forms_of_reasons_and_suggestions_are_read(client: TestClient, kept: list[Feedback]) -> None:
    old = {
        "card": "a",
        "outcome": "overridden",
        "overrideReason": {"code": "planned", "system": "s"},
        "acceptedSuggestions": ["one", {"id": "two"}, 3, None],
    }

    [feedback] = read(client, kept, {"feedback": [old]})

    assert feedback.reason == ("s", "planned")
    assert feedback.suggestions == ("one", "two")


@pytest.mark.parametrize("service", HOOKS)
def test_every_service_takes_feedback(client: TestClient, kept: list[Feedback], service: str) -> None:
    kept.clear()

    assert client.post(f"/cds-services/{service}/feedback", json={"feedback": [OVERRIDDEN]}).status_code == 200
    assert [one.card for one in kept] == [OVERRIDDEN["card"]]


def test_a_card_that_nobody_knows_is_no_error(client: TestClient, kept: list[Feedback]) -> None:
    assert read(client, kept, {"feedback": [{"card": "unknown", "outcome": "accepted"}]})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "`feedback` is missing"),
        ({"feedback": []}, "`feedback` is missing"),
        ({"feedback": "x"}, "`feedback` is missing"),
        ({"feedback": [3]}, "`feedback[0]` is no object"),
        ({"feedback": [ACCEPTED, {"outcome": "accepted"}]}, "`feedback[1]`: `card` is missing"),
        ({"feedback": [{"card": "a", "outcome": "ignored"}]}, "`outcome` is one of accepted, overridden"),
    ],
)
def test_feedback_without_card_or_outcome_is_refused_as_a_whole(
    client: TestClient, kept: list[Feedback], body: object, reason: str
) -> None:
    kept.clear()
    response = client.post(PATH, json=body)

    assert response.status_code == 400
    assert reason in response.json()["issue"][0]["diagnostics"]
    assert kept == []


def test_very_much_feedback_is_refused(client: TestClient) -> None:
    assert client.post(PATH, json={"feedback": [ACCEPTED] * (MOST + 1)}).status_code == 413
