"""From the chart of a real FHIR server that asks for a token, by a real sign-in, to the page of the patient."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from peers.hapi import Hapi, renamed
from peers.token_endpoint import Person, TokenEndpoint
from playwright.sync_api import Browser, Page
from smart_kit import COOKIE, Desk, Visitor
from starlette.requests import Request
from workbench_kit import DESKTOP, PHONE, Seen, seen

from engine.evaluation import Evaluator
from engine.service.workbench.session import Session, session_of

Json = dict[str, Any]
Open = Callable[..., Desk]
EXAMPLE = Path(__file__).resolve().parents[2] / "fhir_examples" / "patients" / "achr-unconfirmed-in-als.json"


@pytest.fixture(scope="module")
def patient(hapi: Hapi) -> str:
    """The id of a patient in the FHIR server."""
    prefix = f"{uuid4().hex[:8]}-"
    bundle = renamed(json.loads(EXAMPLE.read_text("utf-8")), prefix)
    hapi.put_bundle(bundle)
    [found] = [one["resource"]["id"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Patient"]
    return str(found)


@pytest.fixture
def at(evaluator: Evaluator, hapi: Hapi, token_endpoint: TokenEndpoint, tmp_path: Path) -> Iterator[Open]:
    """Opens a workbench for the FHIR server; options are those of the app, and under `server` of the settings."""
    with ExitStack() as stack:

        def desk(*, server: Json | None = None, **app: Any) -> Desk:
            one = Desk(evaluator, tmp_path)
            known = token_endpoint.register_app(one.back, hapi.guarded, **app)
            given = {"name": "ehr", "fhir_url": hapi.guarded, "client_id": known.client_id}
            more: Json = {"fhir_servers": [hapi.guarded], "fetch_seconds": 30}
            return stack.enter_context(one.serving(given | (server or {}), **more))

        yield desk


def case_of(visitor: Visitor) -> httpx2.Response:
    """The page to which a sign-in leads."""
    first = visitor.get("/workbench/launched")
    assert first.status_code == 303, first.text
    return visitor.get(first.headers["location"])


def test_the_patient_of_the_chart_is_read_and_shown(
    at: Open, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    visitor = Visitor(at())
    assert visitor.sign_in(hapi.guarded, token_endpoint.launch(patient=patient)).status_code == 303
    page = case_of(visitor)
    assert page.status_code == 200
    assert patient in page.text
    assert "Observation/" in page.text, "it is read what the findings are made of"


def test_the_link_of_a_card_opens_the_questions_of_its_patient(
    at: Open, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    desk = at()
    token = token_endpoint.register("system/*.rs").token()
    call = {
        "hook": "patient-view", "hookInstance": str(uuid4()), "fhirServer": hapi.guarded,
        "fhirAuthorization": {"access_token": token, "token_type": "Bearer"},
        "context": {"userId": "Practitioner/anna", "patientId": patient},
    }  # fmt: skip
    cards = desk.call("endplate-patient-view", call)["cards"]
    links = [(card, link) for card in cards for link in card["links"] if link["type"] == "smart"]
    assert links
    card, link = links[0]
    visitor = Visitor(desk)
    context = {"patient": patient, "appContext": link["appContext"]}

    query = httpx2.QueryParams(iss=hapi.guarded, launch=token_endpoint.launch(**context))
    left = visitor.browser.get(f"{link['url']}?{query}").headers["location"]
    assert visitor.browser.get(visitor.person.answer(visitor.browser, left)).status_code == 303

    session = _session(visitor)
    assert session.issue == card["source"]["topic"]["code"]
    assert session.evaluation in card["links"][0]["url"]
    place = visitor.get("/workbench/launched").headers["location"]
    assert place.endswith("#questions")
    assert 'id="questions"' in visitor.get(place).text


def test_the_patient_that_was_chosen_is_read_and_shown(at: Open, patient: str) -> None:
    visitor = Visitor(at(), Person(patient=patient))
    visitor.sign_in(server="ehr")
    assert patient in case_of(visitor).text


def test_the_page_of_a_case_is_for_who_opened_it(
    at: Open, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    desk = at()
    anna, bob, nobody = Visitor(desk), Visitor(desk, Person("Practitioner/bob")), Visitor(desk)
    for one in (anna, bob):
        one.sign_in(hapi.guarded, token_endpoint.launch(patient=patient))
    place = anna.get("/workbench/launched").headers["location"]
    assert anna.get(place).status_code == 200
    assert bob.get(place).status_code == 404
    assert nobody.get(place).headers["location"] == "/smart"


def test_only_the_patient_of_the_launch_can_be_read(
    at: Open, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    other = f"{uuid4().hex[:8]}-p"
    hapi.put([{"resourceType": "Patient", "id": other, "gender": "female"}])
    visitor = Visitor(at())
    visitor.sign_in(hapi.guarded, token_endpoint.launch(patient=patient))
    sent = {"server": hapi.guarded, "patient": other}
    response = visitor.browser.post(f"{visitor.desk.url}/workbench/servers", data=sent)
    assert response.status_code == 502
    assert "403" in response.text
    assert "female" not in response.text


def test_a_token_that_the_server_does_not_take_any_more_is_told(
    at: Open, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    visitor = Visitor(at(seconds=4))
    visitor.sign_in(hapi.guarded, token_endpoint.launch(patient=patient))
    visitor.browser.cookies.set(COOKIE, visitor.secret, "127.0.0.1")  # a browser whose clock is as slow as
    visitor.desk.clock.ahead = timedelta(hours=-1)  # ours, so that only the server knows
    until = 30
    while (response := visitor.get("/workbench/launched")).status_code != 502 and until:
        until -= 1
        assert response.headers["location"].startswith("/workbench/cases/")
        httpx2.get(f"{hapi.slow}/metadata", timeout=60)  # a second passes
    assert response.status_code == 502
    assert "401" in response.text
    assert "Traceback" not in response.text
    visitor.desk.clock.ahead = timedelta(seconds=5)  # our four seconds begin when the token comes, however late it is
    assert not visitor.signed_in


def test_what_the_server_lets_us_write_is_what_was_granted(
    at: Open, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    for saves in (False, True):
        visitor = Visitor(at(server={"write_back": saves}))
        visitor.sign_in(hapi.guarded, token_endpoint.launch(patient=patient))
        session = _session(visitor)
        assert session.writes is saves
        observation = {
            "resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": f"Patient/{patient}"},
        }  # fmt: skip
        response = httpx2.post(
            f"{hapi.guarded}/Observation", json=observation, timeout=60,
            headers={"Authorization": f"Bearer {session.token.value}"},
        )  # fmt: skip
        assert response.status_code == (201 if saves else 403)


def _session(visitor: Visitor) -> Session:
    """What the service knows of a visitor."""
    headers = [(b"cookie", f"endplate={visitor.secret}".encode())]
    found = session_of(Request({"type": "http", "headers": headers, "app": visitor.desk.app, "state": {}}))
    assert found is not None
    return found


# -- in a real browser


def _answers(page: Page, patient: str = "") -> None:
    """At the EHR: signs in, chooses the patient, allows it."""
    page.get_by_label("User").fill("Practitioner/anna")
    page.get_by_role("button", name="Sign in").click()
    if patient:
        page.get_by_label("Patient").fill(patient)
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/workbench/cases/*")


def _whole(shown: Seen, issuer: str) -> None:
    """Nothing is wrong with the page, and nothing but the sign-in left our origin."""
    assert shown.violations() == []
    assert shown.fits()
    assert [fault for fault in shown.faults if not fault.startswith(f"elsewhere: {issuer}")] == []


def test_a_clinician_opens_the_workbench_from_the_chart(
    at: Open, browser: Browser, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    desk = at()
    for size in (DESKTOP, PHONE):
        with seen(browser, desk.url, size) as shown:
            launch = token_endpoint.launch(patient=patient)
            page = shown.open(f"/smart/launch?{httpx2.QueryParams(iss=hapi.guarded, launch=launch)}")
            _answers(page)
            assert patient in page.content()
            _whole(shown, token_endpoint.issuer)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_clinician_signs_in_here_by_keyboard_and_out_again(
    at: Open, browser: Browser, token_endpoint: TokenEndpoint, patient: str, size: dict[str, int]
) -> None:
    desk = at()
    with seen(browser, desk.url, size) as shown:
        page = shown.open("/workbench")
        assert page.url == f"{desk.url}/smart", "who is not signed in is led to the page for it"
        _whole(shown, token_endpoint.issuer)
        page.get_by_role("link", name="Sign in at ehr").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"{token_endpoint.issuer}/**")
        _answers(page, patient)
        assert patient in page.content()
        page = shown.open("/smart")
        assert page.get_by_text("Practitioner/anna").is_visible()
        _whole(shown, token_endpoint.issuer)
        page.get_by_role("button", name="Sign out").focus()
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.get_by_text("You are signed in").count() == 0
        assert shown.open("/workbench").url == f"{desk.url}/smart"


def test_a_way_back_that_is_used_again_is_told_on_a_page(
    at: Open, browser: Browser, hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    desk = at()
    with seen(browser, desk.url, PHONE) as shown:
        backs: list[str] = []
        shown.page.on("request", lambda one: backs.append(one.url) if "/smart/callback" in one.url else None)
        query = httpx2.QueryParams(iss=hapi.guarded, launch=token_endpoint.launch(patient=patient))
        _answers(shown.open(f"/smart/launch?{query}"))
        page = shown.page
        page.goto(backs[0])
        assert re.search("finished already", page.get_by_role("alert").inner_text())
        assert shown.violations() == []
        assert shown.fits()
