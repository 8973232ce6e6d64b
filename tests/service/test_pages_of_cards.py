"""Pages that cards link to: the rule, and the explanation of that very evaluation."""

from __future__ import annotations

import html
import json
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir_server import ALS, MG
from requests_kit import Day, bundle, condition, order, patient, request
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine.evaluation import Evaluator
from engine.outputs.cards import EXPLAINED
from engine.service.answer import EXTENSION
from engine.service.app import create_app
from engine.service.audit import Audit
from engine.settings import Settings

Json = dict[str, Any]
PAGES = "https://cds.example.org/pages"
SIGN = "/cds-services/endplate-order-sign"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"


class Clock:
    def __init__(self) -> None:
        self.value = datetime(2026, 3, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.value


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def linked(evaluator: Evaluator, day: Day, clock: Clock) -> Iterator[TestClient]:
    settings = Settings(pages_url=PAGES, pages_hours=2)
    with TestClient(create_app(evaluator, settings, dev=True, today=day, now=clock)) as client:
        yield client


def signed(client: TestClient, **held: Any) -> Json:
    prefetch = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))} | held
    body = request("endplate-order-sign", prefetch=prefetch, context={"draftOrders": bundle(order("a"))})
    content: Json = client.post(SIGN, json=body).json()
    return content


def link(card: Json, label: str = EXPLAINED) -> str:
    """The path of a link of a card, as the service knows it."""
    [url] = [one["url"] for one in card["links"] if one["label"] == label]
    assert url.startswith(f"{PAGES}/")
    return str(url.removeprefix(PAGES))


def test_a_card_links_to_its_evaluation_and_to_its_rules(linked: TestClient, evaluator: Evaluator) -> None:
    content = signed(linked)
    card = content["cards"][0]

    page = linked.get(link(card))

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    text = html.unescape(page.text)
    assert card["summary"] in text
    assert "MedicationRequest/a" in text
    assert "Condition/mg" in text
    assert content["extension"][EXTENSION]["id"] in text
    assert evaluator.ruleset.hash[:12] in text
    rule = card["source"]["topic"]["code"]
    name = link(card).rpartition("/")[2]
    assert f'href="../rules/{rule}?evaluation={name}"' in page.text
    assert card["source"]["url"] == f"{PAGES}/rules/{rule}?evaluation={name}"
    assert link(card, card["source"]["topic"]["display"]) == f"/rules/{rule}?evaluation={name}"
    assert EXPLAINED == "Why: this evaluation in full"


def test_a_page_is_kept_packed_and_one_of_before_is_shown_as_well(linked: TestClient) -> None:
    path = link(signed(linked)["cards"][0])
    shown, name = linked.get(path).text, path.rpartition("/")[2]
    service = linked.app.state.service  # type: ignore[attr-defined]
    service.flush()
    packed = service.store.kept(name, 0)
    before = zlib.decompress(packed)
    assert len(packed) < len(before) / 2

    service.store.keep(name, before, 2**40)

    assert linked.get(path).text == shown


def test_a_rule_is_shown_with_the_very_evaluation_of_the_card(linked: TestClient, evaluator: Evaluator) -> None:
    card = signed(linked)["cards"][0]
    path = card["source"]["url"].removeprefix(PAGES)

    text = html.unescape(linked.get(path).text)

    assert card["summary"] in text
    assert "Why, in this evaluation" in text and "MedicationRequest/a" in text
    assert "Condition/mg" in text  # the tree goes down to the resources
    assert evaluator.ruleset.info[card["source"]["topic"]["code"]].purpose in text
    assert "Why, in this evaluation" not in linked.get(path.partition("?")[0]).text


def test_a_rule_without_a_finding_says_why_there_is_none(linked: TestClient) -> None:
    name = link(signed(linked)["cards"][0]).rpartition("/")[2]

    text = html.unescape(linked.get(f"/rules/mimic-mmn?evaluation={name}").text)

    assert "It cannot be decided" in text or "It does not hold" in text


def test_the_rules_of_today_do_not_explain_what_was_found_by_others(
    linked: TestClient, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = signed(linked)["cards"][0]
    rule = card["source"]["topic"]["code"]
    ruleset = evaluator.ruleset
    fewer = {name: info for name, info in ruleset.info.items() if name != rule}

    def load(info: Any) -> Evaluator:
        return Evaluator(msgspec.structs.replace(ruleset, hash="0" * 16, info=info))

    service = linked.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "_load", lambda: load(ruleset.info))
    assert service.reload()

    text = html.unescape(linked.get(card["source"]["url"].removeprefix(PAGES)).text)
    assert "rules have been changed since" in text and card["summary"] in text
    assert "rules have been changed since" in linked.get(link(card)).text

    monkeypatch.setattr(service, "_load", lambda: load(fewer))
    assert service.reload()
    moved = linked.get(card["source"]["url"].removeprefix(PAGES), follow_redirects=False)
    assert moved.headers["location"] == f"..{link(card)}"


def test_who_looks_at_a_rule_with_an_evaluation_stands_in_the_trail(
    evaluator: Evaluator, day: Day, clock: Clock, tmp_path: Path
) -> None:
    audit = Audit(tmp_path)
    app = create_app(evaluator, Settings(pages_url=PAGES), dev=True, today=day, now=clock, audit=audit)
    client = TestClient(app)
    card = signed(client)["cards"][0]
    path = card["source"]["url"].removeprefix(PAGES)
    client.get(path)
    client.get(path.partition("?")[0])  # without a patient
    audit.close()

    [file] = tmp_path.iterdir()
    _, opened = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    assert opened["action"] == "R"
    assert opened["entity"][0]["what"] == {"reference": "Patient/p"}
    assert [one["valueString"] for one in opened["entity"][1]["detail"]] == [card["source"]["topic"]["code"]]


def test_a_rule_outlives_the_evaluation_that_led_to_it(linked: TestClient, clock: Clock) -> None:
    path = signed(linked)["cards"][0]["source"]["url"].removeprefix(PAGES)
    clock.value += timedelta(hours=2)

    text = html.unescape(linked.get(path).text)

    assert "limited time" in text and "Why, in this evaluation" not in text


def test_every_rule_has_a_page(linked: TestClient, evaluator: Evaluator) -> None:
    for number, (name, info) in enumerate(evaluator.ruleset.info.items()):
        if number % 10 and info.kind == "issue":
            continue
        page = linked.get(f"/rules/{name}")
        assert page.status_code == 200
        assert info.title in html.unescape(page.text)
        assert info.sources[0].ref in page.text
    assert linked.get("/rules/no-such-rule").status_code == 404


def test_pages_run_nothing_and_load_nothing_from_elsewhere(linked: TestClient) -> None:
    card = signed(linked)["cards"][0]
    for path in (link(card), card["source"]["url"].removeprefix(PAGES)):
        page = linked.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "style-src 'self'" in policy
        assert "unsafe" not in policy
        loaded = re.findall(r'<link [^>]*href="([^"]*)"', page.text)
        assert loaded and all(one.startswith("../static/") for one in loaded)
        assert linked.get(urljoin(path, loaded[-1])).headers["content-type"].startswith("text/css")
        assert "<script" not in page.text
        assert "<style" not in page.text
        assert " style=" not in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"


def test_hostile_text_of_a_record_stays_text(linked: TestClient) -> None:
    evil = condition(MG, "mg")
    evil["code"]["text"] = EVIL
    evil["recordedDate"] = EVIL
    observation = {"resourceType": "Observation", "id": EVIL, "subject": {"reference": "Patient/p"}, "status": "final"}
    content = signed(linked, conditions=bundle(evil), observations=bundle(observation, {"resourceType": EVIL}))

    [card, *_] = content["cards"]
    for path in (link(card), card["source"]["url"].removeprefix(PAGES)):
        text = linked.get(path).text
        assert "Condition/mg" in text
        assert "<script" not in text
        assert "<img" not in text


def test_a_page_is_gone_when_its_time_is_over(linked: TestClient, clock: Clock) -> None:
    path = link(signed(linked)["cards"][0])
    clock.value += timedelta(hours=1, minutes=59)
    assert linked.get(path).status_code == 200
    clock.value += timedelta(minutes=1)

    gone = linked.get(path)

    assert gone.status_code == 404
    assert gone.headers["content-type"] == "text/html; charset=utf-8"
    assert "limited time" in gone.text
    told = linked.get(f"{path}/issues")
    assert told.status_code == 404
    assert "limited time" in told.json()["issue"][0]["diagnostics"]


def test_the_address_of_an_evaluation_cannot_be_had_from_its_id_or_the_log(linked: TestClient) -> None:
    with capture_logs() as logs:
        content = signed(linked)
        path = link(content["cards"][0])
        linked.get(path)
    name = path.rpartition("/")[2]

    assert len(name) == 64
    assert name not in json.dumps(logs)
    assert linked.get(f"/evaluations/{content['extension'][EXTENSION]['id']}").status_code == 404
    assert linked.get("/evaluations/" + "a" * 5000).status_code == 404


def test_two_services_name_the_same_evaluation_differently(evaluator: Evaluator, day: Day, linked: TestClient) -> None:
    other = TestClient(create_app(evaluator, Settings(pages_url=PAGES), dev=True, today=day))

    assert link(signed(other)["cards"][0]) != link(signed(linked)["cards"][0])


def test_what_was_kept_back_stands_on_the_page_with_what_was_done(linked: TestClient) -> None:
    held = {"medications": bundle(order("q", "quinine", status="active", authoredOn="2026-02-01"))}
    prefetch = {"patient": patient(), "conditions": bundle(condition(MG, "mg"), condition(ALS, "als"))} | held
    body = request(prefetch=prefetch, context={"encounterId": "e"})
    path = "/cds-services/endplate-patient-view"
    cards = linked.post(path, json=body).json()["cards"]
    [warning, *_] = [card for card in cards if card["indicator"] == "warning"]
    reason = {"reason": {"code": "planned", "system": "urn:endplate:override-reason"}, "userComment": EVIL}
    spoken = {"card": warning["uuid"], "outcome": "overridden", "overrideReason": reason}
    linked.post(f"{path}/feedback", json={"feedback": [spoken]})

    again = linked.post(path, json=body).json()["cards"]

    assert len(again) < len(cards)
    page = linked.get(link(warning)).text
    assert "Not shown as a card" in page
    assert "Will be done or is already planned: &lt;script&gt;" in page
    assert "<script" not in page


def test_the_findings_of_an_evaluation_can_be_had_as_detected_issues(linked: TestClient) -> None:
    card = signed(linked)["cards"][0]
    spoken = {"card": card["uuid"], "outcome": "accepted", "outcomeTimestamp": "2026-03-01T10:05:31Z"}
    linked.post(f"{SIGN}/feedback", json={"feedback": [spoken]})

    response = linked.get(f"{link(card)}/issues")

    assert response.headers["content-type"] == "application/fhir+json"
    Bundle.model_validate(response.json())
    issues = [e["resource"] for e in response.json()["entry"] if e["resource"]["resourceType"] == "DetectedIssue"]
    assert [issue["mitigation"][0]["action"]["text"] for issue in issues if "mitigation" in issue] == ["Card accepted"]


def test_without_an_address_of_pages_cards_have_no_links(client: TestClient) -> None:
    assert "links" not in json.dumps(signed(client))
