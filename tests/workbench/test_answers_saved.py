"""Answers saved where the patient was read: in a real FHIR server, once, all or nothing, and seen by the hook."""

from __future__ import annotations

import html
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from answers_kit import EXAMINATION, EXAMPLES, FALSE_POSITIVE, NEUROPHYSIOLOGY, OVERLAP, WAITING
from fastapi import FastAPI
from peers.hapi import Hapi, renamed
from peers.listening import listening
from peers.token_endpoint import Person, TokenEndpoint
from playwright.sync_api import Browser, expect
from smart_kit import Desk, Visitor
from starlette.testclient import TestClient
from workbench_kit import DESKTOP, PHONE, seen

from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.settings import Settings

Json = dict[str, Any]
NOW = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
TODAY = date(2026, 5, 1)
NO = {"fatigability": "absent", "ocular-weakness": "absent"}
YES = {
    "fatigability": "present", "ocular-weakness": "present", "ocular-weakness.fluctuating": "present",
    "ache-response": "positive",
}  # fmt: skip


class Line:
    """A line to the FHIR server on which answers come late, get lost, or do not come at all."""

    def __init__(self, base: str) -> None:
        self.to = base
        self.late = 0.0
        self.loses = False  # what is written arrives, and its answer does not come back
        self.metadata: tuple[int, bytes] | None = None  # what is answered in place of it
        self.posts = 0
        self.cut: Callable[[], None] = lambda: None  # nobody listens any more


@pytest.fixture
def line(hapi: Hapi) -> Iterator[tuple[str, Line]]:
    """The address of the line, and the line."""
    held = Line(hapi.base)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            time.sleep(held.late)
            kinds = {name: self.headers[name] for name in ("Content-Type", "Accept", "Prefer") if name in self.headers}
            path = self.path.removeprefix("/fhir")
            if path == "/metadata" and held.metadata is not None:
                answer = httpx2.Response(held.metadata[0], content=held.metadata[1])
            else:
                answer = httpx2.request(
                    self.command, held.to + path, content=body, headers=kinds, timeout=60, trust_env=False
                )
            held.posts += self.command == "POST"
            if held.loses and self.command == "POST":
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815 - a name of the library

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

        def cut() -> None:
            server.shutdown()
            server.server_close()

        held.cut = cut
        yield f"http://127.0.0.1:{server.server_port}/fhir", held
        server.shutdown()


@contextmanager
def serving(evaluator: Evaluator, *servers: str, **more: Any) -> Iterator[TestClient]:
    with TestClient(app_for(evaluator, *servers, **more), base_url="http://127.0.0.1") as client:
        yield client


def app_for(evaluator: Evaluator, *servers: str, **more: Any) -> FastAPI:
    given: Any = {"max_body_bytes": 2_000_000, "fhir_servers": servers, **more}
    settings = Settings(**given)
    return create_app(evaluator, settings, dev=True, today=lambda: TODAY, now=lambda: NOW)


@pytest.fixture
def client(evaluator: Evaluator, hapi: Hapi) -> Iterator[TestClient]:
    with serving(evaluator, hapi.base, fetch_seconds=30) as client:
        yield client


@pytest.fixture
def patient(hapi: Hapi) -> str:
    return put_patient(hapi)


def put_patient(hapi: Hapi, types: Collection[str] = ()) -> str:
    """The id of a patient of their own, who waits for an examination; `types`: of these resources alone."""
    bundle = renamed(json.loads((EXAMPLES / f"{WAITING}.json").read_bytes()), f"{uuid4().hex[:8]}-")
    if types:
        bundle["entry"] = [one for one in bundle["entry"] if one["resource"]["resourceType"] in types]
    hapi.put_bundle(bundle)
    [found] = [one["resource"]["id"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Patient"]
    return str(found)


def opened(client: TestClient, server: str, patient: str) -> str:
    answer = client.post("/workbench/servers", data={"server": server, "patient": patient}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def tries(client: TestClient, case: str, answers: dict[str, str], form: str = EXAMINATION) -> None:
    data: Any = {"asks": [f"{form}:*"], **{f"{form}:{link}": word for link, word in answers.items()}}
    assert client.post(f"{case}/answers", data=data, follow_redirects=False).status_code == 303


def save(client: TestClient, case: str) -> httpx2.Response:
    return client.post(f"{case}/save", data={}, follow_redirects=False)


def stored(hapi: Hapi, patient: str) -> dict[str, list[Json]]:
    """What was written for a patient, by type: answers, Observations that were made of them, their Provenance."""
    found: dict[str, list[Json]] = {}
    for query in (
        f"QuestionnaireResponse?subject=Patient/{patient}",
        f"Observation?subject=Patient/{patient}&category=exam,procedure&_count=100",
        f"Provenance?target:QuestionnaireResponse.subject=Patient/{patient}",
    ):
        held = [one["resource"] for one in hapi.get(query).get("entry", ())] if "Provenance" not in query else []
        found[query.partition("?")[0]] = [one for one in held if one["resourceType"] == query.partition("?")[0]]
    made = [one for one in found["Observation"] if "derivedFrom" in one]
    targets = {f"Observation/{one['id']}" for one in made}
    found["Observation"] = made
    if targets:
        query = f"Provenance?target={','.join(sorted(targets))}&_count=100"
        found["Provenance"] = [one["resource"] for one in hapi.get(query).get("entry", ())]
    return found


def counted(hapi: Hapi, patient: str) -> tuple[int, int, int]:
    found = stored(hapi, patient)
    return len(found["QuestionnaireResponse"]), len(found["Observation"]), len(found["Provenance"])


def cards(client: TestClient, hapi: Hapi, patient: str) -> list[str]:
    """The rules of the cards of the hook that finds nothing prefetched."""
    call = {
        "hook": "patient-view", "hookInstance": str(uuid4()), "fhirServer": hapi.base,
        "context": {"userId": "Practitioner/n", "patientId": patient}, "prefetch": {},
    }  # fmt: skip
    answer = client.post("/cds-services/endplate-patient-view", json=call)
    assert answer.status_code == 200, answer.text
    return [card["summary"] for card in answer.json()["cards"]]


@pytest.mark.parametrize(("answers", "issue"), [(NO, FALSE_POSITIVE), (YES, OVERLAP)])
def test_saved_answers_are_in_the_record_and_the_hook_says_the_same(
    client: TestClient, hapi: Hapi, patient: str, answers: dict[str, str], issue: str
) -> None:
    before = cards(client, hapi, patient)
    case = opened(client, hapi.base, patient)
    tries(client, case, answers)
    hypothetical = client.get(case).text
    assert "Save on" in hypothetical
    assert cards(client, hapi, patient) == before, "nothing is written before it is saved"
    answer = save(client, case)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{case}#saved"), answer.text
    page = client.get(case).text
    assert "Your answers are saved on" in page and 'id="changes"' not in page and "<title>Hypothetical" not in page
    assert f"/rules/{issue}" in page
    after = cards(client, hapi, patient)
    assert after != before
    shown = html.unescape(page)
    assert after and all(line in shown for line in after), "the hook shows what the page shows"

    held = stored(hapi, patient)
    [response] = held["QuestionnaireResponse"]
    assert response["status"] == "completed" and response["authored"].startswith("2026-05-01")
    values = len({link.partition(".")[0] for link in answers})
    assert (len(held["Observation"]), len(held["Provenance"])) == (values, 1)
    sources = {one["derivedFrom"][0]["reference"] for one in held["Observation"]}
    assert sources == {f"QuestionnaireResponse/{response['id']}"}


def test_both_forms_are_saved_in_one_transaction(client: TestClient, hapi: Hapi, patient: str) -> None:
    case = opened(client, hapi.base, patient)
    tries(client, case, NO)
    tries(client, case, {"edx-study": "normal"}, NEUROPHYSIOLOGY)
    assert save(client, case).status_code == 303
    assert counted(hapi, patient) == (2, 3, 2)


def test_a_server_of_r5_is_written_to_in_its_form(evaluator: Evaluator, hapi_r5: Hapi) -> None:
    patient = put_patient(hapi_r5, ("Patient", "Condition", "Observation"))  # that are the same in R4 and R5
    with serving(evaluator, hapi_r5.base, fetch_seconds=30) as client:
        case = opened(client, hapi_r5.base, patient)
        tries(client, case, NO)
        tries(client, case, {"edx-study": "normal"}, NEUROPHYSIOLOGY)
        for _ in range(2):
            answer = save(client, case)
            assert answer.status_code == 303, answer.text
        assert counted(hapi_r5, patient) == (2, 3, 2)
        assert f"/rules/{FALSE_POSITIVE}" in client.get(case).text
    for response in stored(hapi_r5, patient)["QuestionnaireResponse"]:
        assert len(response["identifier"]) == 1, "R5 has a list of them"


@pytest.mark.parametrize("instead", [(404, b"{}"), (200, b"<html>"), (200, b"[]")])
def test_a_server_that_does_not_say_its_version_is_taken_to_have_r4(
    evaluator: Evaluator, hapi: Hapi, patient: str, line: tuple[str, Line], instead: tuple[int, bytes]
) -> None:
    address, held = line
    held.metadata = instead
    with serving(evaluator, address, fetch_seconds=30) as client:
        case = opened(client, address, patient)
        tries(client, case, NO)
        assert save(client, case).status_code == 303
    assert counted(hapi, patient) == (1, 2, 1)


def test_saved_again_it_is_one(client: TestClient, hapi: Hapi, patient: str) -> None:
    """From another window that had been open, by two at the same moment, and once more when all is done."""
    cases = [opened(client, hapi.base, patient) for _ in range(3)]
    for case in cases:
        tries(client, case, NO)
    with ThreadPoolExecutor(2) as both:
        statuses = [one.status_code for one in both.map(lambda case: save(client, case), cases[:2])]
    assert statuses == [303, 303]
    assert counted(hapi, patient) == (1, 2, 1)
    assert save(client, cases[2]).status_code == 303
    assert save(client, cases[2]).status_code == 303
    assert counted(hapi, patient) == (1, 2, 1)
    assert "Your answers are saved" in client.get(cases[2]).text


def test_other_answers_to_the_same_form_are_told_and_nothing_is_saved(
    client: TestClient, hapi: Hapi, patient: str
) -> None:
    mine, theirs = opened(client, hapi.base, patient), opened(client, hapi.base, patient)
    tries(client, theirs, YES)
    tries(client, mine, NO)
    assert save(client, theirs).status_code == 303
    before = counted(hapi, patient)
    answer = save(client, mine)
    assert answer.status_code == 409
    assert "nothing was saved, because the record on the FHIR server is another one by now" in answer.text
    assert 'value="absent" checked' in answer.text and "conflicting" in answer.text.lower()
    assert counted(hapi, patient) == before
    assert "<title>Hypothetical" in client.get(mine).text, "the answers are kept"


def test_two_who_save_other_answers_at_the_same_moment_are_told(client: TestClient, hapi: Hapi, patient: str) -> None:
    mine, theirs = opened(client, hapi.base, patient), opened(client, hapi.base, patient)
    tries(client, mine, NO)
    tries(client, theirs, YES)
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda case: save(client, case), (mine, theirs)))
    told = [one for one in found if "at the same time" in one.text or one.status_code == 409]
    assert told, [one.status_code for one in found]
    responses, observations, provenances = counted(hapi, patient)
    assert responses == provenances and observations in (2, 3, 5), "each is there whole or not at all"


def test_a_record_that_changed_meanwhile_is_shown_before_anything_is_saved(
    client: TestClient, hapi: Hapi, patient: str
) -> None:
    case = opened(client, hapi.base, patient)
    tries(client, case, NO)
    hapi.post("MedicationRequest", {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order",
        "medicationCodeableConcept": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm",
                                                  "code": "35623"}]},
        "subject": {"reference": f"Patient/{patient}"}, "authoredOn": "2026-04-25",
    })  # fmt: skip
    answer = save(client, case)
    if answer.status_code == 303:
        pytest.fail("the new order was not seen")
    assert answer.status_code == 409 and counted(hapi, patient) == (0, 0, 0)
    assert save(client, case).status_code == 303, "it was looked at, and saved again"
    assert counted(hapi, patient) == (1, 2, 1)


# -- servers that are down, slow, or say no


def test_an_answer_that_is_lost_on_the_way_is_told_and_another_try_writes_nothing_twice(
    evaluator: Evaluator, hapi: Hapi, patient: str, line: tuple[str, Line]
) -> None:
    base, held = line
    with serving(evaluator, base, fetch_seconds=20) as client:
        case = opened(client, base, patient)
        tries(client, case, NO)
        held.loses = True
        answer = save(client, case)
        assert answer.status_code == 502 and "it is not known whether the answers were saved" in answer.text
        assert 'value="absent" checked' in answer.text, "nothing that was answered is lost"
        assert counted(hapi, patient) == (1, 2, 1), "it had arrived"
        held.loses = False
        assert save(client, case).status_code == 303
        assert (held.posts, counted(hapi, patient)) == (1, (1, 2, 1))


def test_a_server_that_is_slow_is_waited_for_and_no_longer_than_it_is_set(
    evaluator: Evaluator, hapi: Hapi, patient: str, line: tuple[str, Line]
) -> None:
    base, held = line
    with serving(evaluator, base, fetch_seconds=3) as client:
        case = opened(client, base, patient)
        tries(client, case, NO)
        held.late = 5
        answer = save(client, case)
        assert answer.status_code == 502 and "the server took too long" in answer.text
        assert counted(hapi, patient) == (0, 0, 0)
        held.late = 0.2
        assert save(client, case).status_code == 303
        assert counted(hapi, patient) == (1, 2, 1)


def test_a_server_that_is_gone_is_told_and_the_answers_are_kept(
    evaluator: Evaluator, hapi: Hapi, patient: str, line: tuple[str, Line]
) -> None:
    base, held = line
    with serving(evaluator, base, fetch_seconds=10) as client:
        case = opened(client, base, patient)
        tries(client, case, NO)
        held.to = "http://127.0.0.1:9/fhir"  # nobody listens
        answer = save(client, case)
        assert answer.status_code == 502 and "Traceback" not in answer.text
        assert 'role="alert"' in answer.text and 'value="absent" checked' in answer.text
        assert client.get(f"{case}/answers.json").json()["type"] == "transaction"
        held.to = hapi.base
        assert save(client, case).status_code == 303
        assert counted(hapi, patient) == (1, 2, 1)


def test_a_server_that_refuses_the_connection_is_told_and_the_answers_are_kept(
    evaluator: Evaluator, patient: str, line: tuple[str, Line]
) -> None:
    base, held = line
    with serving(evaluator, base, fetch_seconds=10) as client:
        case = opened(client, base, patient)
        tries(client, case, NO)
        held.cut()
        answer = save(client, case)
        assert answer.status_code == 502 and "the server did not answer (ConnectError)" in answer.text
        assert "<title>Hypothetical" in answer.text and 'value="absent" checked' in answer.text
        assert client.get(f"{case}/answers.json").status_code == 200
        gone = client.post("/workbench/servers", data={"server": base, "patient": patient})
        assert gone.status_code == 502 and "the patient could not be read whole" in gone.text


# -- signed in


@pytest.fixture
def at(evaluator: Evaluator, token_endpoint: TokenEndpoint, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Opens a workbench for users of a FHIR server."""
    with ExitStack() as stack:

        def desk(base: str, **server: Any) -> Desk:
            one = Desk(evaluator, tmp_path)
            known = token_endpoint.register_app(one.back, base)
            given = {"name": "ehr", "fhir_url": base, "client_id": known.client_id, **server}
            return stack.enter_context(one.serving(given, fetch_seconds=30))

        yield desk


def _tried_at(visitor: Visitor, launched: str) -> tuple[str, httpx2.Response]:
    case = visitor.get(launched).headers["location"]
    url = f"{visitor.desk.url}{case}"
    data: Any = {"asks": f"{EXAMINATION}:*", **{f"{EXAMINATION}:{link}": word for link, word in NO.items()}}
    assert visitor.browser.post(f"{url}/answers", data=data).status_code == 303
    return case, visitor.browser.post(f"{url}/save", data={})


@pytest.mark.parametrize("slow", [False, True], ids=["guarded", "slow"])
def test_who_is_signed_in_is_the_author(
    at: Callable[..., Desk], hapi: Hapi, token_endpoint: TokenEndpoint, patient: str, slow: bool
) -> None:
    hapi.put([{"resourceType": "Practitioner", "id": "anna"}])
    base = hapi.slow if slow else hapi.guarded
    visitor = Visitor(at(base, write_back=True), Person("Practitioner/anna"))
    visitor.sign_in(base, token_endpoint.launch(patient=patient))
    case, answer = _tried_at(visitor, "/workbench/launched")
    assert (answer.status_code, answer.headers.get("location")) == (303, f"{case}#saved"), answer.text
    held = stored(hapi, patient)
    assert counted(hapi, patient) == (1, 2, 1)
    authors = {one["author"]["reference"] for one in held["QuestionnaireResponse"]}
    authors |= {one["performer"][0]["reference"] for one in held["Observation"]}
    assert authors == {"Practitioner/anna"}
    agents = [who["who"].get("reference", "") for who in held["Provenance"][0]["agent"]]
    assert "Practitioner/anna" in agents


def test_who_may_not_write_is_offered_the_download_alone(
    at: Callable[..., Desk], hapi: Hapi, token_endpoint: TokenEndpoint, patient: str
) -> None:
    visitor = Visitor(at(hapi.guarded))
    visitor.sign_in(hapi.guarded, token_endpoint.launch(patient=patient))
    case, answer = _tried_at(visitor, "/workbench/launched")
    assert answer.status_code == 403 and "download the answers instead" in answer.text
    page = visitor.get(case).text
    assert f"{case}/save" not in page and "You may not write to" in page
    assert visitor.get(f"{case}/answers.json").status_code == 200
    assert counted(hapi, patient) == (0, 0, 0)


# -- in a browser


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_saving_in_a_browser_ends_what_was_hypothetical(
    evaluator: Evaluator, browser: Browser, hapi: Hapi, patient: str, size: dict[str, int]
) -> None:
    with listening(app_for(evaluator, hapi.base, fetch_seconds=30)) as base, seen(browser, base, size) as shown:
        page = shown.open("/workbench")
        page.get_by_label("Id of the patient").fill(patient)
        page.keyboard.press("Enter")
        page.wait_for_url("**/workbench/cases/*")
        for link in NO:
            page.locator(f"#answers [name='{EXAMINATION}:{link}'][value='absent']").check()
        page.get_by_role("button", name="Save on").click()  # while the last answer may still be under way
        expect(page.get_by_text("Your answers are saved on")).to_be_visible(timeout=20_000)
        expect(page.locator("#changes")).to_have_count(0)
        expect(page.locator(f"article.finding a[href='/rules/{FALSE_POSITIVE}']")).to_have_count(1)
        assert shown.violations() == [] and shown.fits() and shown.faults == []
        assert counted(hapi, patient) == (1, 2, 1)
