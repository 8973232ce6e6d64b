"""Signing in at a real authorization server: who gets in, who does not, and what is told to those who do not."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peers.server import free_port
from peers.token_endpoint import Person, TokenEndpoint
from smart_kit import COOKIE, Desk, OddEhr, Visitor, asked, gives, late, odd_ehr
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.service.workbench.session import LONGEST_S, Session, is_operator
from engine.settings import Settings

Json = dict[str, Any]
Open = Callable[..., Desk]
LOST = "did not begin in this browser"


@pytest.fixture
def ehr(token_endpoint: TokenEndpoint) -> Iterator[OddEhr]:
    with odd_ehr(token_endpoint) as server:
        yield server


@pytest.fixture
def at(evaluator: Evaluator, token_endpoint: TokenEndpoint, ehr: OddEhr, tmp_path: Path) -> Iterator[Open]:
    """Opens a workbench for the EHR; options are those of the app (`renewable`, `seconds`) and, under `server` and
    `settings`, of the workbench."""
    opened = []

    def desk(*, server: Json | None = None, settings: Json | None = None, **app: Any) -> Desk:
        one = Desk(evaluator, tmp_path)
        known = token_endpoint.register_app(one.back, ehr.base, **app)
        given = {"name": "ehr", "fhir_url": ehr.base, "client_id": known.client_id}
        if known.key is not None:
            (tmp_path / "key.json").write_text(json.dumps(known.key.as_dict(private=True)))
            given["key_file"] = tmp_path / "key.json"
        context = one.serving(given | (server or {}), **(settings or {}))
        context.__enter__()
        opened.append(context)
        return one

    yield desk
    for context in opened:
        context.__exit__(None, None, None)


def text(response: httpx2.Response) -> str:
    return re.sub(r"\s+", " ", response.text)


def refused(visitor: Visitor, response: httpx2.Response, status: int, *said: str) -> None:
    """A page says what happened and what to do; nobody is signed in, and nothing of us shows."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("text/html")
    for words in said:
        assert words in text(response)
    assert "Traceback" not in response.text
    assert visitor.secret == ""
    assert not visitor.signed_in


# -- who gets in


@pytest.mark.parametrize("public", [True, False], ids=["public", "confidential"])
def test_a_chart_opens_the_workbench_for_its_patient_and_user(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint, public: bool
) -> None:
    visitor = Visitor(at(public=public), Person("Practitioner/anna"))
    assert not visitor.signed_in

    response = visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1", encounter="e1"))

    assert (response.status_code, response.headers["location"]) == (303, "/workbench/launched")
    assert visitor.signed_in
    page = text(visitor.get("/smart"))
    assert "Practitioner/anna" in page
    assert "Patient/p1" in page
    assert not any(cookie.name.startswith("endplate-launch") for cookie in visitor.browser.cookies.jar)


def test_a_user_may_begin_here_and_choose_the_patient_there(at: Open) -> None:
    desk = at()
    visitor = Visitor(desk, Person(patient="chosen"))
    assert 'href="/smart/start?server=ehr"' in visitor.get("/smart").text
    assert visitor.sign_in(server="ehr").status_code == 303
    assert "Patient/chosen" in text(visitor.get("/smart"))


def test_a_user_may_choose_no_patient(at: Open) -> None:
    visitor = Visitor(at(), Person(patient=""))
    visitor.sign_in(server="ehr")
    assert "without a patient" in text(visitor.get("/smart"))
    assert visitor.get("/workbench/launched").headers["location"] == "/workbench"


def test_no_more_is_asked_for_than_the_rules_need(at: Open, ehr: OddEhr) -> None:
    scopes = asked(Visitor(at()).leave(server="ehr"))["scope"].split()
    assert scopes[:3] == ["launch/patient", "openid", "fhirUser"]
    assert {"patient/Patient.rs", "patient/Observation.rs", "patient/Condition.rs"} <= set(scopes)
    assert all(scope.endswith(".rs") for scope in scopes[3:])
    assert not any("*" in scope or "offline" in scope for scope in scopes)
    saving = asked(Visitor(at(server={"write_back": True})).leave(ehr.base, "x"))["scope"].split()
    assert [one for one in saving if one.endswith(".c")] == [
        "patient/Observation.c", "patient/Provenance.c", "patient/QuestionnaireResponse.c",
    ]  # fmt: skip
    assert saving[0] == "launch"
    assert asked(Visitor(at(server={"scope": "launch patient/*.rs"})).leave(ehr.base, "x"))["scope"] == (
        "launch patient/*.rs"
    )


def test_the_ehr_is_named_as_it_names_itself(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    launch = token_endpoint.launch(patient="p1")
    query = asked(visitor.leave(f"{ehr.base}/", launch))
    assert query["aud"] == f"{ehr.base}/"
    assert query["launch"] == launch
    assert query["redirect_uri"] == visitor.desk.back
    assert query["code_challenge_method"] == "S256"


def test_two_windows_sign_in_at_the_same_time(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    first = visitor.leave(ehr.base, token_endpoint.launch(patient="p1"))
    second = visitor.leave(ehr.base, token_endpoint.launch(patient="p2"))
    for address in (first, second):
        assert visitor.browser.get(visitor.person.answer(visitor.browser, address)).status_code == 303
    assert "Patient/p2" in text(visitor.get("/smart"))


def test_the_card_that_was_followed_is_known(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    launch = token_endpoint.launch(patient="p1", appContext='{"evaluation": "abc", "issue": "some-rule"}')
    with capture_logs() as logs:
        visitor.sign_in(ehr.base, launch)
    assert [one["card"] for one in logs if one["event"] == "signed in"] == [True]


@pytest.mark.parametrize("context", ["", "no JSON", "[1]", '{"evaluation": 7}', '{"issue": "' + "x" * 300 + '"}'])
def test_a_context_that_is_not_ours_is_none(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint, context: str
) -> None:
    visitor = Visitor(at())
    with capture_logs() as logs:
        assert visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1", appContext=context)).status_code == 303
    assert [one["card"] for one in logs if one["event"] == "signed in"] == [False]


# -- who does not


def test_another_ehr_is_refused_and_never_asked(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    with odd_ehr(token_endpoint) as other:
        near = (f"{ehr.base}/../fhir2", f"{ehr.url}@{other.url[7:]}/fhir", f"{ehr.base}?x", f"{ehr.base}/x")
        for iss in (other.base, *near, "", "::", "x" * 9000):
            response = visitor.browser.get(f"{visitor.desk.url}/smart/launch", params={"iss": iss, "launch": "x"})
            refused(visitor, response, 403, "none of those", "ENDPLATE_SMART_SERVERS")
        assert other.paths == []
    assert ehr.paths == []
    refused(visitor, visitor.get("/smart/start?server=nobody"), 404, "no such EHR")


@pytest.mark.parametrize("launch", ["", " ", "a b", "é", "x" * 3000, "a\nb"])
def test_a_launch_that_says_nothing_is_refused(at: Open, ehr: OddEhr, launch: str) -> None:
    visitor = Visitor(at())
    query = {"iss": ehr.base, "launch": launch}
    refused(visitor, visitor.browser.get(f"{visitor.desk.url}/smart/launch", params=query), 400, "what is to be opened")


def test_a_launch_that_the_ehr_does_not_know_is_told(at: Open, ehr: OddEhr) -> None:
    visitor = Visitor(at())
    response = visitor.sign_in(ehr.base, "made-up")
    refused(visitor, response, 502, "`invalid_request`")


def test_a_user_who_says_no_is_not_signed_in(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at(), Person(allows=False))
    response = visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    refused(visitor, response, 403, "refused, by you or by the EHR", "open the workbench from the patient&#39;s chart")


def test_what_another_site_puts_into_an_error_is_not_shown(at: Open, ehr: OddEhr) -> None:
    visitor = Visitor(at())
    state = asked(visitor.leave(ehr.base, "x"))["state"]
    query = {"state": state, "error": "<script>alert(1)</script>", "error_description": "<img src=x>"}
    response = visitor.browser.get(visitor.desk.back, params=query)
    refused(visitor, response, 502, "lets nobody sign in")
    assert "alert(1)" not in response.text
    assert "<img" not in response.text


def test_a_return_counts_once_and_for_the_browser_that_left(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    desk = at()
    visitor, stranger = Visitor(desk), Visitor(desk)
    back = visitor.person.answer(visitor.browser, visitor.leave(ehr.base, token_endpoint.launch(patient="p1")))

    refused(stranger, stranger.browser.get(back), 400, LOST)
    kept = {cookie.name: cookie.value or "" for cookie in visitor.browser.cookies.jar}
    assert visitor.browser.get(back).status_code == 303
    again = Visitor(desk)
    again.browser.cookies.update({name: value for name, value in kept.items() if name.startswith("endplate-launch")})
    refused(again, again.browser.get(back), 400, LOST, "finished already")


def test_a_stranger_cannot_sign_a_browser_in_as_themselves(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    desk = at()
    stranger, victim = Visitor(desk, Person("Practitioner/mallory")), Visitor(desk)
    back = stranger.person.answer(stranger.browser, stranger.leave(ehr.base, token_endpoint.launch(patient="p1")))
    victim.leave(ehr.base, token_endpoint.launch(patient="p2"))
    refused(victim, victim.browser.get(back), 400, LOST)


@pytest.mark.parametrize("state", ["", "x", "A" * 32, "../" * 9, "x" * 5000, "%00", "<script>"])
def test_a_wrong_state_is_refused(at: Open, ehr: OddEhr, state: str) -> None:
    visitor = Visitor(at())
    visitor.leave(ehr.base, "x")
    response = visitor.browser.get(visitor.desk.back, params={"state": state, "code": "c"})
    refused(visitor, response, 400, LOST)
    assert "<script>" not in response.text


def test_a_return_after_ten_minutes_is_too_late(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    back = visitor.person.answer(visitor.browser, visitor.leave(ehr.base, token_endpoint.launch(patient="p1")))
    visitor.desk.clock.ahead = timedelta(minutes=10)
    refused(visitor, visitor.browser.get(back), 400, "longer than 10 minutes")


def test_an_answer_of_another_authorization_server_is_refused(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    visitor = Visitor(at())
    back = visitor.person.answer(visitor.browser, visitor.leave(ehr.base, token_endpoint.launch(patient="p1")))
    response = visitor.browser.get(str(httpx2.URL(back).copy_set_param("iss", "https://evil.example.org")))
    refused(visitor, response, 400, "another server answered")


@pytest.mark.parametrize("code", ["", "x" * 5000])
def test_a_return_without_a_code_is_refused(at: Open, ehr: OddEhr, code: str) -> None:
    visitor = Visitor(at())
    state = asked(visitor.leave(ehr.base, "x"))["state"]
    refused(visitor, visitor.browser.get(visitor.desk.back, params={"state": state, "code": code}), 400, "no code")


def test_a_code_that_was_used_is_refused(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    back = visitor.person.answer(visitor.browser, visitor.leave(ehr.base, token_endpoint.launch(patient="p1")))
    other = asked(visitor.leave(ehr.base, token_endpoint.launch(patient="p2")))["state"]
    assert visitor.browser.get(back).status_code == 303
    again = Visitor(visitor.desk)
    kept = {one.name: one.value or "" for one in visitor.browser.cookies.jar if one.name != COOKIE}
    again.browser.cookies.update(kept)
    query = {"state": other, "code": asked(back)["code"]}
    refused(again, again.browser.get(visitor.desk.back, params=query), 400, "used or too old")


def test_a_code_of_another_sign_in_is_refused(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    """PKCE: whoever slips in a code does not know what it was asked for with."""
    visitor, stranger = (Visitor(desk) for desk in [at()] * 2)
    back = stranger.person.answer(stranger.browser, stranger.leave(ehr.base, token_endpoint.launch(patient="p1")))
    state = asked(visitor.leave(ehr.base, token_endpoint.launch(patient="p2")))["state"]
    query = {"state": state, "code": asked(back)["code"]}
    refused(visitor, visitor.browser.get(visitor.desk.back, params=query), 400, "used or too old")


def test_a_frame_or_a_picture_does_not_begin_a_sign_in(at: Open, ehr: OddEhr) -> None:
    visitor = Visitor(at())
    for what in ("iframe", "image", "script", "empty"):
        response = visitor.browser.get(
            f"{visitor.desk.url}/smart/launch", params={"iss": ehr.base, "launch": "x"},
            headers={"Sec-Fetch-Dest": what},
        )  # fmt: skip
        refused(visitor, response, 400, "window of its own")
    assert ehr.paths == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(st.sampled_from(["state", "code", "error", "iss", "launch", "server"]), st.text(max_size=60)),
    cookie=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='";,\\'), max_size=80),
    path=st.sampled_from(["callback", "launch", "start"]),
)
def test_whatever_comes_nobody_gets_in(
    evaluator: Evaluator, query: dict[str, str], cookie: str, path: str, nowhere: TestClient
) -> None:
    response = nowhere.get(f"/smart/{path}", params=query, headers={"Cookie": f"{COOKIE}={cookie}"})
    assert response.status_code in (400, 403, 404)
    assert "set-cookie" not in response.headers


@pytest.fixture(scope="module")
def nowhere(evaluator: Evaluator) -> Iterator[TestClient]:
    """A workbench for an EHR that nobody can reach."""
    server = {"name": "ehr", "fhir_url": "https://ehr.example.org/fhir", "client_id": "c"}
    closed = Settings(pages_url="https://cds.example.org", smart_servers=[server])
    app = create_app(evaluator, closed, dev=True)
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as client:
        yield client


# -- when the EHR goes wrong


def test_an_ehr_that_does_not_answer_is_told(at: Open, ehr: OddEhr) -> None:
    desk = at(server={"fhir_url": f"http://127.0.0.1:{free_port()}/fhir"})
    visitor = Visitor(desk)
    refused(visitor, visitor.get("/smart/start?server=ehr"), 502, "does not answer", "try again")


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"authorization_endpoint": None}, 502, "does not say where persons sign in"),
        ({"token_endpoint": None}, 502, "does not say where its tokens come from"),
        ({"code_challenge_methods_supported": ["plain"]}, 502, "PKCE"),
        ({"authorization_endpoint": "http://ehr.example.org/auth"}, 503, "not set up for this EHR"),
        ({"authorization_endpoint": "javascript:alert(1)"}, 502, "none that can be called"),
        ({"authorization_endpoint": "https://ehr.example.org/" + "x" * 4000}, 502, "too long"),
    ],
    ids=["no authorization", "no token", "no PKCE", "open line", "no address", "long"],
)
def test_an_ehr_at_which_nobody_can_sign_in_is_told(
    at: Open, ehr: OddEhr, said: Json, status: int, words: str
) -> None:
    visitor = Visitor(at())
    ehr.said |= said
    refused(visitor, visitor.get("/smart/start?server=ehr"), status, words)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (gives(200, b"no JSON"), (502, "gives no token")),
        (gives(500, {"error": "server_error", "error_description": "patient p1"}), (502, "`server_error`")),
        (gives(400, {"error": "invalid_grant"}), (400, "used or too old")),
        (gives(401, {"error": "invalid_client"}), (502, "`invalid_client`")),
        (gives(200, {"access_token": "t", "token_type": "bearer", "scope": "openid"}), (502, "cannot be believed")),
        (gives(200, {"access_token": "t", "scope": "launch", "patient": "../2"}), (502, "`patient` of the launch")),
        (gives(503), (502, "answers 503")),
        (late(7), (502, "does not answer")),
    ],
    ids=["no JSON", "error", "code", "client", "nobody", "patient", "busy", "slow"],
)
def test_a_token_endpoint_that_goes_wrong_lets_nobody_in(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint, act: Any, told: tuple[int, str]
) -> None:
    ehr.said["token_endpoint"] = f"{ehr.url}/token"
    ehr.acts["/token"] = act
    visitor = Visitor(at())
    started = time.monotonic()
    response = visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    refused(visitor, response, *told)
    assert time.monotonic() - started < 20
    assert "patient p1" not in response.text
    [failed] = visitor.desk.audited()
    assert failed["outcome"] == "4"


def test_a_token_endpoint_that_is_down_lets_nobody_in(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    ehr.said["token_endpoint"] = f"http://127.0.0.1:{free_port()}/token"
    visitor = Visitor(at())
    refused(visitor, visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1")), 502, "does not answer")


def test_somebody_for_whom_another_signs_is_nobody(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    ehr.said |= {"issuer": "https://evil.example.org"}
    visitor = Visitor(at(server={"issuer": "http://127.0.0.1:9"}))
    response = visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    refused(visitor, response, 400, "another server answered")
    ehr.said |= {"issuer": token_endpoint.issuer}
    refused(visitor, visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1")), 502, "does not answer")


def test_a_key_that_is_not_there_is_told_to_the_log_alone(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint, tmp_path: Path
) -> None:
    visitor = Visitor(at(public=False, server={"key_file": tmp_path / "secret-place"}))
    with capture_logs() as logs:
        response = visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    refused(visitor, response, 503, "not set up for this EHR")
    assert "secret-place" not in response.text
    assert any("secret-place" in one.get("reason", "") for one in logs)


# -- how long


def test_a_sign_in_ends_with_its_token(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at(seconds=300))
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    visitor.desk.clock.ahead = timedelta(seconds=290)
    assert visitor.signed_in
    visitor.desk.clock.ahead = timedelta(seconds=301)
    assert not visitor.signed_in
    sent = visitor.browser.post(f"{visitor.desk.url}/workbench/files", files={"file": ("f.json", b"{}")})
    assert sent.status_code == 401
    assert "open the workbench from the patient" in text(sent)


def test_a_sign_in_lasts_eight_hours_at_most(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at(seconds=100_000))
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    visitor.desk.clock.ahead = timedelta(seconds=LONGEST_S - 60)
    assert visitor.signed_in
    visitor.desk.clock.ahead = timedelta(seconds=LONGEST_S + 1)
    assert not visitor.signed_in


def test_a_token_is_renewed_where_the_ehr_lets_us_and_once_for_all_who_ask(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    ehr.said["token_endpoint"] = f"{ehr.url}/token"
    ehr.acts["/token"] = _relayed(ehr, token_endpoint)
    visitor = Visitor(at(seconds=300, renewable=True))
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    for hours in (1, 3, 5, 7.9):
        visitor.desk.clock.ahead = timedelta(hours=hours)
        cookies = {COOKIE: visitor.secret}
        with ThreadPoolExecutor(4) as several:
            work = [several.submit(httpx2.get, f"{visitor.desk.url}/smart", cookies=cookies) for _ in range(8)]
        assert all("Practitioner/anna" in one.result().text for one in work)
    grants = [form["grant_type"] for form in ehr.forms if "grant_type" in form]
    assert grants == ["authorization_code"] + ["refresh_token"] * 4
    visitor.desk.clock.ahead = timedelta(hours=8, seconds=2)
    assert not visitor.signed_in


def test_a_token_that_is_not_renewed_holds_to_its_end(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    ehr.said["token_endpoint"] = f"{ehr.url}/token"
    ehr.acts["/token"] = _relayed(ehr, token_endpoint)
    visitor = Visitor(at(seconds=300, renewable=True))
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    ehr.acts["/token"] = gives(500)
    visitor.desk.clock.ahead = timedelta(seconds=280)
    assert visitor.signed_in
    visitor.desk.clock.ahead = timedelta(seconds=301)
    assert not visitor.signed_in, "it is over while there is no next one"
    ehr.acts["/token"] = _relayed(ehr, token_endpoint)
    visitor.desk.clock.ahead = timedelta(seconds=340)
    assert visitor.signed_in, "and goes on when there is"
    ehr.acts["/token"] = gives(400, {"error": "invalid_grant"})
    visitor.desk.clock.ahead = timedelta(hours=1)
    assert not visitor.signed_in
    ehr.acts["/token"] = _relayed(ehr, token_endpoint)
    visitor.desk.clock.ahead = timedelta(hours=1, minutes=5)
    assert not visitor.signed_in, "what was refused is not asked for again"


def _relayed(ehr: OddEhr, endpoint: TokenEndpoint) -> Any:
    """The real answer of the token endpoint."""

    def act(handler: Any) -> None:
        answer = httpx2.post(endpoint.address, data=ehr.forms[-1], timeout=30)
        gives(answer.status_code, answer.content)(handler)

    return act


def test_who_signs_out_is_out_everywhere(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    copied = Visitor(visitor.desk)
    copied.browser.cookies.set(COOKIE, visitor.secret)
    assert copied.signed_in
    evil = visitor.browser.post(f"{visitor.desk.url}/smart/end", headers={"Origin": "https://evil.example.org"})
    assert evil.status_code == 403
    assert visitor.signed_in

    response = visitor.browser.post(f"{visitor.desk.url}/smart/end", headers={"Origin": visitor.desk.url})

    assert response.headers["location"] == "/smart"
    assert visitor.secret == ""
    assert not visitor.signed_in
    assert not copied.signed_in


def test_who_signs_out_while_the_token_is_renewed_stays_out(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    ehr.said["token_endpoint"] = f"{ehr.url}/token"
    ehr.acts["/token"] = relay = _relayed(ehr, token_endpoint)
    visitor = Visitor(at(seconds=300, renewable=True))
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    cookies = {COOKIE: visitor.secret}

    def leaves(handler: Any) -> None:
        form = ehr.forms[-1]
        httpx2.post(f"{visitor.desk.url}/smart/end", cookies=cookies, timeout=30)
        ehr.forms.append(form)
        relay(handler)

    ehr.acts["/token"] = leaves
    visitor.desk.clock.ahead = timedelta(seconds=280)
    assert not visitor.signed_in
    assert not visitor.signed_in


def test_the_next_sign_in_ends_the_one_before(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    before = Visitor(visitor.desk)
    before.browser.cookies.set(COOKIE, visitor.secret)
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p2"))
    assert visitor.secret != before.secret
    assert not before.signed_in


def test_an_ehr_that_is_taken_out_of_the_settings_has_no_users_any_more(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    visitor = Visitor(at())
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    service = visitor.desk.app.state.service
    service.settings = service.settings.model_copy(update={"smart_servers": ()})
    assert not visitor.signed_in


# -- what is kept, told and noted


def test_neither_the_database_nor_the_log_nor_the_page_gives_a_token_away(
    at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint
) -> None:
    tokens: list[str] = []

    def act(handler: Any) -> None:
        answer = httpx2.post(token_endpoint.address, data=ehr.forms[-1], timeout=30)
        tokens.extend([answer.json()["access_token"], answer.json()["refresh_token"], answer.json()["id_token"]])
        gives(answer.status_code, answer.content)(handler)

    ehr.said["token_endpoint"], ehr.acts["/token"] = f"{ehr.url}/token", act
    visitor = Visitor(at(renewable=True))
    with capture_logs() as logs:
        visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1", encounter="e1"))
        page = visitor.get("/smart").text
        address = visitor.leave(ehr.base, token_endpoint.launch(patient="p1"))
    visitor.desk.app.state.service.flush()
    files = b"".join(path.read_bytes() for path in visitor.desk.folder.rglob("*") if path.is_file())
    assert len(tokens) == 3
    for secret in (*tokens, visitor.secret, *(token.split(".")[-1] for token in tokens)):
        assert secret.encode() not in files
        assert secret not in page
        assert secret not in json.dumps(logs, default=str)
        assert secret not in address
    assert b"Practitioner/anna" not in b"".join(p.read_bytes() for p in visitor.desk.folder.glob("store.sqlite*"))
    assert "p1" not in json.dumps(logs, default=str)


def test_what_a_cookie_holds_cannot_be_read_or_changed(at: Open, ehr: OddEhr) -> None:
    visitor = Visitor(at())
    state = asked(visitor.leave(ehr.base, "x"))["state"]
    [cookie] = [one for one in visitor.browser.cookies.jar if one.name.startswith("endplate-launch")]
    assert cookie.value is not None
    assert state not in cookie.value
    for place in (5, len(cookie.value) // 2, len(cookie.value) - 3):
        other = "A" if cookie.value[place] != "A" else "B"
        changed = cookie.value[:place] + other + cookie.value[place + 1 :]
        again = Visitor(visitor.desk)
        again.browser.cookies.set(cookie.name, changed)
        refused(again, again.browser.get(visitor.desk.back, params={"state": state, "code": "c"}), 400, LOST)


def test_cookies_are_for_this_host_and_no_script(at: Open, ehr: OddEhr, nowhere: TestClient) -> None:
    visitor = Visitor(at())
    address = visitor.leave(ehr.base, "x")
    assert asked(address)["redirect_uri"].startswith("http://127.0.0.1")
    for header in visitor.browser.get(f"{visitor.desk.url}/smart/start?server=ehr").headers.get_list("set-cookie"):
        assert "HttpOnly" in header
        assert "SameSite=lax" in header
        assert "Path=/" in header
        assert "Domain" not in header
        assert "Secure" not in header


def test_behind_tls_cookies_are_bound_to_the_host(evaluator: Evaluator, ehr: OddEhr) -> None:
    server = {"name": "ehr", "fhir_url": ehr.base, "client_id": "c"}
    closed = Settings(pages_url="https://cds.example.org", smart_servers=[server])
    with TestClient(create_app(evaluator, closed, dev=True), base_url="http://127.0.0.1") as client:
        response = client.get("/smart/start?server=ehr", follow_redirects=False)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-endplate-launch-")
    assert "Secure" in cookie
    assert asked(response.headers["location"])["redirect_uri"] == "https://cds.example.org/smart/callback"


def test_sign_ins_that_are_never_finished_do_not_pile_up(at: Open, ehr: OddEhr) -> None:
    visitor = Visitor(at())
    for _ in range(12):
        visitor.leave(ehr.base, "x")
    assert len([one for one in visitor.browser.cookies.jar if one.name.startswith("endplate-launch")]) <= 6


def test_who_signs_in_and_out_stands_in_the_trail(at: Open, ehr: OddEhr, token_endpoint: TokenEndpoint) -> None:
    visitor = Visitor(at())
    visitor.sign_in(ehr.base, token_endpoint.launch(patient="p1"))
    visitor.browser.post(f"{visitor.desk.url}/smart/end")
    came, went = visitor.desk.audited()
    for event, what in ((came, "smart-sign-in"), (went, "smart-sign-out")):
        assert event["subtype"][0]["code"] == what
        assert event["outcome"] == "0"
        assert event["agent"][0]["who"] == {"reference": "Practitioner/anna"}
        assert event["entity"][0]["what"] == {"reference": "Patient/p1"}


def test_too_many_requests_of_one_address_are_refused(at: Open, ehr: OddEhr) -> None:
    desk = at(settings={"requests_per_second": 1})
    answers = [httpx2.get(f"{desk.url}/smart", timeout=30).status_code for _ in range(6)]
    assert 429 in answers


# -- who may see how the service works


def test_an_operator_is_who_the_settings_name(evaluator: Evaluator) -> None:
    ehr = {"name": "ehr", "fhir_url": "https://ehr.example.org/fhir", "client_id": "c"}
    other = {"name": "other", "fhir_url": "https://other.example.org/fhir", "client_id": "c"}

    def may(operators: list[str], user: str, *servers: Json) -> bool:
        named = Settings(
            operators=operators, smart_servers=list(servers or (ehr,)), public_url="https://cds.example.org",
            trusted_clients=[{"iss": "https://x", "jwks": {"keys": []}}],
        )  # fmt: skip
        service = create_app(evaluator, named, dev=True).state.service
        service.authenticator = object()
        return is_operator(service, Session(server="ehr", base="https://ehr.example.org/fhir", user=user))

    assert may(["Practitioner/anna"], "Practitioner/anna")
    assert may(["https://ehr.example.org/fhir/Practitioner/anna"], "Practitioner/anna", ehr, other)
    assert not may(["https://other.example.org/fhir/Practitioner/anna"], "Practitioner/anna", ehr, other)
    assert not may(["Practitioner/anna"], "https://evil.example.org/fhir/Practitioner/anna")
    assert not may(["Practitioner/anna"], "Practitioner/bob")
    assert not may([], "Practitioner/anna")
    assert not may(["Practitioner/anna"], "")
    with pytest.raises(ValueError, match="may be anybody"):
        may(["Practitioner/anna"], "Practitioner/anna", ehr, other)


def test_settings_that_would_not_be_safe_are_refused(evaluator: Evaluator) -> None:
    server = {"name": "ehr", "fhir_url": "https://ehr.example.org/fhir", "client_id": "c"}
    with pytest.raises(SettingsError, match="ENDPLATE_PAGES_URL"):
        create_app(evaluator, Settings(smart_servers=[server]), dev=True)
    with pytest.raises(SettingsError, match="not `https`"):
        create_app(evaluator, Settings(smart_servers=[server], pages_url="http://cds.example.org"), dev=True)
    for wrong in (
        [server, server],
        [server, server | {"name": "again"}],
        [server | {"fhir_url": "https://ehr.example.org/fhir?x=1"}],
        [server | {"fhir_url": "https://me@ehr.example.org/fhir"}],
        [server | {"client_id": ""}],
        [server | {"secret": "x"}],
    ):
        with pytest.raises(ValueError, match=r"smart_servers"):
            Settings(smart_servers=wrong)


def test_without_an_ehr_the_page_says_so(client: TestClient) -> None:
    page = client.get("/smart")
    assert page.status_code == 200
    assert "ENDPLATE_SMART_SERVERS" in page.text
