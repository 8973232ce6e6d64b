"""What the prefetch lacks is fetched from servers that are trusted, and the token goes nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fhir_server import MG, PAGES, FhirServer, running
from pydantic import AnyHttpUrl
from requests_kit import Day, bundle, condition, order, patient, request
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine.evaluation import Evaluator
from engine.service.answer import EXTENSION
from engine.service.app import create_app
from engine.service.servers import allowed, beside
from engine.settings import Settings

Json = dict[str, Any]
SIGN = "/cds-services/endplate-order-sign"
TOKEN = "s3cret-token-of-the-user"  # noqa: S105
MANNERS = [
    "good", "slow", "drip", "paged", "endless", "pointing", "climbing", "redirecting", "denied", "html", "text",
    "large", "packed", "outcome", "lying", "biscuit", "nobody",
]  # fmt: skip


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[FhirServer]:
    with running(FhirServer()) as server:
        yield server


@pytest.fixture(scope="module")
def server(elsewhere: FhirServer) -> Iterator[FhirServer]:
    with running(FhirServer(elsewhere)) as server:
        yield server


@pytest.fixture(scope="module")
def fetching(evaluator: Evaluator, server: FhirServer, day: Day) -> Iterator[TestClient]:
    listed = [server.base(manner) for manner in MANNERS]
    settings = Settings(fhir_servers=listed, fetch_seconds=1.0, fetch_pages=5, fetch_bytes=1_000_000)
    with TestClient(create_app(evaluator, settings, dev=True, today=day), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(autouse=True)
def _forgotten(server: FhirServer, elsewhere: FhirServer) -> None:
    server.asked.clear()
    elsewhere.asked.clear()


def access(server: FhirServer, manner: str, **fields: Any) -> Json:
    authorization = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "s", "subject": "x"}
    return {"fhirServer": server.base(manner), "fhirAuthorization": authorization, **fields}


def signing(prefetch: Json | None, **fields: Any) -> Json:
    context = {"draftOrders": bundle(order("a"))} | fields.pop("context", {})
    return request("endplate-order-sign", prefetch=prefetch, context=context, **fields)


def answered(client: TestClient, body: Json) -> tuple[bool, Json]:
    """Whether there is a card (the diagnosis was had), and what the response says of itself."""
    response = client.post(SIGN, json=body)
    assert response.status_code == 200, response.text
    assert TOKEN not in response.text
    about = response.json()["extension"][EXTENSION]
    about["problems"].pop("drug-by-name", None)  # the order names its drug in words
    return bool(response.json()["cards"]), {key: value for key, value in about.items() if value}


def paths(server: FhirServer) -> list[str]:
    return [one.path.partition("/fhir")[2] for one in server.asked]


def test_every_key_that_is_absent_is_fetched_with_the_token(fetching: TestClient, server: FhirServer) -> None:
    found, about = answered(fetching, signing(None, **access(server, "good")))

    assert found
    assert "notSupplied" not in about
    assert "notFetched" not in about
    keys = fetching.get("/cds-services").json()["services"][0]["prefetch"]
    assert len(server.asked) == len(keys)
    assert {one.authorization for one in server.asked} == {f"Bearer {TOKEN}"}
    [conditions] = [one for one in server.asked if one.path.endswith("/Condition")]
    assert conditions.query == "patient=p&_count=100"


def test_the_queries_run_at_the_same_time_and_a_slow_one_costs_only_itself(
    fetching: TestClient, server: FhirServer
) -> None:
    started = time.monotonic()
    found, about = answered(fetching, signing(None, **access(server, "slow")))

    assert time.monotonic() - started < 2.5
    assert found
    assert about["notFetched"] == {"observations": "the server took too long"}
    assert about["problems"] == {"failed-query": 1}


def test_an_answer_that_drips_is_given_up(fetching: TestClient, server: FhirServer) -> None:
    started = time.monotonic()
    found, about = answered(fetching, signing(None, **access(server, "drip")))

    assert time.monotonic() - started < 2.5
    assert not found
    assert about["notFetched"] == {"conditions": "the server took too long"}


def test_what_was_answered_is_not_asked_again(fetching: TestClient, server: FhirServer) -> None:
    failed = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    held = {"patient": patient(), "conditions": None, "observations": bundle(), "procedures": failed}

    found, about = answered(fetching, signing(held, **access(server, "good")))

    assert not found
    assert not {"/Condition", "/Observation", "/Procedure", "/Patient/p"} & set(paths(server))
    assert "/DiagnosticReport" in paths(server)
    assert about["problems"] == {"failed-query": 1}


def test_all_pages_are_read(fetching: TestClient, server: FhirServer) -> None:
    found, about = answered(fetching, signing(None, **access(server, "paged")))

    assert found  # the last page alone has the diagnosis
    assert "problems" not in about
    assert len([one for one in server.asked if "page=" in one.query]) == PAGES - 1
    assert {one.authorization for one in server.asked} == {f"Bearer {TOKEN}"}


def test_further_pages_of_a_supplied_bundle_are_fetched(fetching: TestClient, server: FhirServer) -> None:
    first = bundle(condition("38341003", "c1"))
    first["link"] = [{"relation": "next", "url": f"{server.base('paged')}/Condition?page={PAGES}"}]

    found, about = answered(fetching, signing({"patient": patient(), "conditions": first}, **access(server, "paged")))

    assert found
    assert "problems" not in about
    assert [one.query for one in server.asked if one.path.endswith("/Condition")] == [f"page={PAGES}"]


def test_pages_without_end_are_given_up_and_the_query_counts_as_incomplete(
    fetching: TestClient, server: FhirServer
) -> None:
    found, about = answered(fetching, signing(None, **access(server, "endless")))

    assert found
    assert about["notFetched"] == {"conditions": "it has too many pages"}
    assert about["problems"]["further-pages"] == 1
    assert paths(server).count("/Condition") == 5


@pytest.mark.parametrize("manner", ["pointing", "climbing"])
def test_a_next_page_on_another_server_is_not_followed(
    manner: str, fetching: TestClient, server: FhirServer, elsewhere: FhirServer
) -> None:
    found, about = answered(fetching, signing(None, **access(server, manner)))

    assert found
    assert about["notFetched"] == {"conditions": "its next page is on another server"}
    assert about["problems"] == {"further-pages": 1}
    assert elsewhere.asked == []
    assert not [one for one in server.asked if "admin" in one.path]


def test_a_redirect_is_not_followed(fetching: TestClient, server: FhirServer, elsewhere: FhirServer) -> None:
    found, about = answered(fetching, signing({"patient": patient()}, **access(server, "redirecting")))

    assert not found
    assert set(about["notFetched"].values()) == {"the server sent a redirect, which is not followed"}
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("denied", "the server answered 401"),
        ("html", "the answer is no JSON"),
        ("text", "the answer is no FHIR resource"),
        ("packed", "the answer is compressed"),
    ],
)
def test_what_cannot_be_read_is_a_failed_query_and_the_rest_is_answered(
    manner: str, reason: str, fetching: TestClient, server: FhirServer
) -> None:
    held = {"patient": patient(), "conditions": bundle(condition(MG, "c"))}

    found, about = answered(fetching, signing(held, **access(server, manner)))

    assert found
    assert set(about["notFetched"].values()) == {reason}
    assert about["problems"] == {"failed-query": len(about["notFetched"])}
    assert "notSupplied" not in about


def test_what_is_too_large_is_given_up(fetching: TestClient, server: FhirServer) -> None:
    _, about = answered(fetching, signing(None, **access(server, "large")))

    assert "conditions" in about["notFetched"]
    assert set(about["notFetched"].values()) == {"there is too much to fetch"}


def test_an_error_of_the_server_is_an_answer(fetching: TestClient, server: FhirServer) -> None:
    _, about = answered(fetching, signing({"patient": patient()}, **access(server, "outcome")))

    assert "notFetched" not in about
    assert about["problems"]["failed-query"] > 5


def test_data_of_another_patient_are_not_used(fetching: TestClient, server: FhirServer) -> None:
    found, _ = answered(fetching, signing({"patient": patient()}, **access(server, "lying")))

    assert not found


@pytest.mark.parametrize(
    ("manner", "reason"),
    [("lying", "does not hold the patient"), ("nobody", "the EHR found no such patient")],
)
def test_a_patient_that_cannot_be_had_is_412(
    manner: str, reason: str, fetching: TestClient, server: FhirServer
) -> None:
    response = fetching.post(SIGN, json=signing(None, **access(server, manner)))

    assert response.status_code == 412
    said = response.json()["issue"][0]["diagnostics"]
    assert "prefetch `patient` (Patient/{{context.patientId}})" in said
    assert reason in said


@pytest.mark.parametrize("identity", ["..", ".", "../admin", "p?x=1", "p/../q", "ä", "x" * 65])
def test_an_id_that_would_lead_elsewhere_is_not_asked_for(
    identity: str, fetching: TestClient, server: FhirServer
) -> None:
    response = fetching.post(SIGN, json=signing(None, **access(server, "good"), context={"patientId": identity}))

    assert response.status_code == 412
    assert "none that can be asked for" in response.json()["issue"][0]["diagnostics"]
    assert server.asked == []


def test_a_server_that_is_not_listed_is_not_called(
    fetching: TestClient, server: FhirServer, elsewhere: FhirServer
) -> None:
    response = fetching.post(SIGN, json=signing(None, **access(elsewhere, "good")))
    assert response.status_code == 412
    assert "its `fhirServer` is not trusted here" in response.json()["issue"][0]["diagnostics"]

    held = {"patient": patient(), "conditions": bundle(condition(MG, "c"))}
    found, about = answered(fetching, signing(held, **access(elsewhere, "good")))
    assert found
    assert "observations" in about["notSupplied"]
    assert about["notFetched"]["observations"] == "its `fhirServer` is not trusted here"

    near = server.base("good").replace("127.0.0.1", "localhost")
    fetching.post(SIGN, json=signing(None, **access(server, "good") | {"fhirServer": near}))
    assert server.asked == []
    assert elsewhere.asked == []


def test_without_a_token_an_open_server_is_asked_without_one(fetching: TestClient, server: FhirServer) -> None:
    found, _ = answered(fetching, signing(None, fhirServer=server.base("good")))

    assert found
    assert {one.authorization for one in server.asked} == {""}


@pytest.mark.parametrize("token", ["a b", "a\r\nX-Evil: 1", "ä", "", 3, None, "x" * 20_000])
def test_a_token_that_could_not_stand_in_a_header_is_not_sent(
    token: object, fetching: TestClient, server: FhirServer
) -> None:
    body = signing(None, **access(server, "good"))
    body["fhirAuthorization"]["access_token"] = token

    answered(fetching, body)

    assert {one.authorization for one in server.asked} == {""}


def test_cookies_of_one_call_do_not_reach_the_next(fetching: TestClient, server: FhirServer) -> None:
    for _ in range(2):
        answered(fetching, signing(None, **access(server, "biscuit")))

    assert {one.cookie for one in server.asked} == {""}


def test_the_token_stands_in_no_log(fetching: TestClient, server: FhirServer, elsewhere: FhirServer) -> None:
    with capture_logs() as logs:
        for manner in ("good", "denied", "redirecting", "html", "large"):
            fetching.post(SIGN, json=signing(None, **access(server, manner)))
        fetching.post(SIGN, json=signing(None, **access(elsewhere, "good")))

    assert len(logs) > 10
    assert TOKEN not in json.dumps(logs)
    assert "Patient/p" not in json.dumps(logs)


def test_fetches_are_counted(fetching: TestClient, server: FhirServer) -> None:
    answered(fetching, signing({"patient": patient()}, **access(server, "denied")))
    figures = fetching.get("/metrics").text

    assert 'endplate_fetched_total{key="conditions",outcome="failed"}' in figures
    assert 'endplate_prefetch_missing_total{key="conditions"}' in figures


# -- addresses

LISTED = ["https://ehr.example.org/fhir/"]


@pytest.mark.parametrize(
    "given", ["https://ehr.example.org/fhir", "https://EHR.example.org:443/fhir/", "HTTPS://ehr.example.org/fhir"]
)
def test_an_address_is_compared_by_its_meaning(given: str) -> None:
    assert str(allowed(given, LISTED)) == "https://ehr.example.org/fhir"


@pytest.mark.parametrize(
    "given",
    [
        "http://ehr.example.org/fhir", "https://ehr.example.org:444/fhir", "https://ehr.example.org/fhir2",
        "https://ehr.example.org/", "https://ehr.example.org@evil.example/fhir", "https://a:b@ehr.example.org/fhir",
        "https://ehr.example.org.evil.example/fhir", "https://ehr.example.org\\@evil.example/fhir",
        "https://ehr.example.org./fhir", "https://ehr.example.org/fhir?x=1", "https://ehr.example.org/fhir#x",
        "https://ehr.example.org/fhir/../admin", "https://ehr.example.org/fhir/Patient", "//ehr.example.org/fhir",
        "file:///etc/passwd", "ehr.example.org/fhir", "", "https://", "https://[::1/fhir", "https://ehr.example.org/\x00",
        "https://ehr.example.org/fhir\r\nHost: evil", "x" * 10_000,
    ],
)  # fmt: skip
def test_an_address_that_is_only_alike_is_none(given: str) -> None:
    assert allowed(given, LISTED) is None


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("?_getpages=1", "https://ehr.example.org/fhir/?_getpages=1"),
        ("https://ehr.example.org/fhir?_getpages=1", "https://ehr.example.org/fhir?_getpages=1"),
        ("Observation?page=2", "https://ehr.example.org/fhir/Observation?page=2"),
        ("/fhir/Observation?page=2", "https://ehr.example.org/fhir/Observation?page=2"),
    ],
)
def test_a_next_page_may_be_absolute_or_relative(link: str, address: str) -> None:
    base = allowed(LISTED[0], LISTED)
    assert base is not None
    assert str(beside(base, link)) == address


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/fhir", "//evil.example/fhir", "http://ehr.example.org/fhir", "../admin", "/admin",
        "/fhir2", "%2e%2e/admin", "a/%2e%2e/%2e%2e/admin", "%252e%252e/admin", "https://u:p@ehr.example.org/fhir/x", "https://ehr.example.org:444/fhir/x",
        "\\\\evil.example", "file:///etc/passwd", "https://[", "x" * 10_000,
    ],
)  # fmt: skip
def test_a_next_page_elsewhere_is_none(link: str) -> None:
    base = allowed(LISTED[0], LISTED)
    assert base is not None
    assert beside(base, link) is None


# ---------------------------------------------------------------- the workbench reads in the same way


@pytest.mark.parametrize(
    ("manner", "opens", "said"),
    [("without", True, "was answered with an error"), ("broken", False, "the server answered 500"),
     ("denied", False, "the server answered 401"), ("nobody", False, "knows no such patient")],
)  # fmt: skip
def test_a_chart_opens_without_what_its_server_never_gives(
    evaluator: Evaluator, server: FhirServer, manner: str, opens: bool, said: str
) -> None:
    """A type that the server does not have is told on the page; what another try may bring is waited for."""
    app = create_app(evaluator, Settings(fhir_servers=(AnyHttpUrl(server.base(manner)),)), dev=True)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        answer = client.post("/workbench/servers", data={"server": server.base(manner), "patient": "p"})
    assert (answer.status_code == 200) is opens, answer.text
    assert said in answer.text
