"""Our FHIR endpoint: what it says of itself, the rules, findings by all parameters, pages, versions, refusals."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from decide_kit import Hospital, example
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.outputs.validation import check_output
from engine.service.app import create_app
from engine.service.fhir_api_search import asked, fits_date, searchset, span
from engine.service.outcome import RefusalError
from engine.settings import Settings
from engine.store import Store

Json = dict[str, Any]
DAY = date(2026, 4, 20)
NOW = datetime(2026, 4, 20, 12, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
ACHR = "achr-false-positive-achr-binding-1"


def serving(evaluator: Evaluator, store: Store, **fields: Any) -> TestClient:
    app = create_app(
        evaluator, Settings(requests_per_second=0, **fields), dev=True, store=store, today=lambda: DAY, now=lambda: NOW
    )
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """The findings of three patients; of one of them a lab was corrected."""
    store = Store()
    yield store
    store.close()


@pytest.fixture(scope="module")
def hospital(store: Store, evaluator: Evaluator) -> Hospital:
    hospital = Hospital(store.database, evaluator, day=DAY, sinks=())
    hospital.now = MS
    record = example("achr-false-positive")
    lab = next(one for one in record if one["id"] == ACHR)
    for prefix in ("", "b-", "c-"):
        hospital.send(*example("achr-false-positive", prefix=prefix))
    hospital.decide()
    changed = {**lab, "status": "corrected", "valueQuantity": {**lab["valueQuantity"], "value": 0.01}}
    hospital.now += 60_000
    hospital.send({key: one for key, one in changed.items() if key != "interpretation"})
    hospital.decide()
    return hospital


@pytest.fixture(scope="module")
def client(evaluator: Evaluator, store: Store, hospital: Hospital) -> Iterator[TestClient]:
    with serving(evaluator, store, subscribers=["https://engine.example.org"]) as client:
        yield client


def search(client: TestClient, query: str = "", **headers: str) -> Json:
    response = client.get(f"/fhir/DetectedIssue{query}", headers=headers)
    assert response.status_code == 200, response.text
    bundle: Json = response.json()
    check_output(bundle, "R5" if "5.0" in headers.get("accept", "") else "R4")
    return bundle


def matches(bundle: Json) -> list[Json]:
    return [one["resource"] for one in bundle.get("entry", []) if one["search"]["mode"] == "match"]


def patients(bundle: Json) -> set[str]:
    return {one["patient"]["reference"] for one in matches(bundle)}


# -- what it says of itself, and the rules


@pytest.mark.parametrize(
    ("accept", "version", "mime"),
    [
        ("", "4.0.1", "application/fhir+json"),
        ("application/fhir+json", "4.0.1", "application/fhir+json"),
        ("text/html, */*;q=0.8", "4.0.1", "application/fhir+json"),
        ("application/fhir+json; fhirVersion=4.3", "4.3.0", "application/fhir+json; fhirVersion=4.3"),
        ("application/fhir+json; fhirVersion=5.0", "5.0.0", "application/fhir+json; fhirVersion=5.0"),
    ],
)
def test_the_statement_is_valid_in_each_version(client: TestClient, accept: str, version: str, mime: str) -> None:
    response = client.get("/fhir/metadata", headers={"accept": accept})
    statement = response.json()

    check_output(statement, "R5" if version.startswith("5") else "R4")
    assert (statement["fhirVersion"], response.headers["content-type"]) == (version, mime)
    types = {one["type"] for one in statement["rest"][0]["resource"]}
    topic = "Basic" if version == "4.0.1" else "SubscriptionTopic"
    assert types == {"PlanDefinition", "Library", "DetectedIssue", "Subscription", topic}


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/turtle", "application/fhir+json; fhirVersion=3.0"])
def test_what_is_not_spoken_is_406(client: TestClient, accept: str) -> None:
    response = client.get("/fhir/metadata", headers={"accept": accept})
    assert response.status_code == 406
    check_output(response.json())


def test_all_that_the_statement_offers_is_there(client: TestClient) -> None:
    for resource in client.get("/fhir/metadata").json()["rest"][0]["resource"]:
        for param in resource["searchParam"]:
            value = "2026" if param["type"] == "date" else "x"
            query = f"/fhir/{resource['type']}?{param['name']}={value}"
            assert client.get(query, headers={"prefer": "handling=strict"}).status_code == 200, query


def test_a_real_server_finds_no_fault_with_what_is_served(client: TestClient, hapi: Any) -> None:
    for path in ("metadata", "PlanDefinition?_count=3", "Library?_count=3", "DetectedIssue", "DetectedIssue?x=1"):
        assert hapi.validate(client.get(f"/fhir/{path}").json()) == [], path
    topic = client.get("/fhir/Basic/detected-issue").json()
    assert topic.pop("extension") and topic.pop("modifierExtension")  # of R5, which the server has no definitions of
    assert hapi.validate(topic) == []


def test_a_real_server_finds_no_fault_with_what_is_served_in_r5(client: TestClient, hapi_r5: Any) -> None:
    accept = {"accept": "application/fhir+json; fhirVersion=5.0"}
    for path in ("metadata", "PlanDefinition?_count=3", "Library?_count=3", "DetectedIssue",
                 "SubscriptionTopic/detected-issue"):  # fmt: skip
        assert hapi_r5.validate(client.get(f"/fhir/{path}", headers=accept).json()) == [], path


@pytest.mark.parametrize("fhir", ["4.0", "5.0"])
@pytest.mark.parametrize("kind", ["PlanDefinition", "Library"])
def test_every_rule_is_there_and_valid(client: TestClient, evaluator: Evaluator, kind: str, fhir: str) -> None:
    info = evaluator.ruleset.info
    accept = {"accept": f"application/fhir+json; fhirVersion={fhir}"}
    bundle = client.get(f"/fhir/{kind}?_count=500", headers=accept).json()

    for one in matches(bundle):
        check_output(one, "R5" if fhir == "5.0" else "R4")
    names = {one["id"] for one in matches(bundle)}
    issues = {name for name, one in info.items() if one.kind == "issue"}
    assert names == (issues if kind == "PlanDefinition" else {*info, "neuromuscular"})


def test_a_plan_says_what_its_rule_says_and_leads_to_its_library(client: TestClient, evaluator: Evaluator) -> None:
    name = "achr-suspected-false-positive"
    info = evaluator.ruleset.info[name]
    plan = client.get(f"/fhir/PlanDefinition/{name}").json()

    issue = matches(search(client, f"?code={name}"))[0]
    assert issue["reference"] == plan["url"]
    assert plan["version"] == info.version
    assert [one["citation"] for one in plan["relatedArtifact"]] == [one.citation for one in info.sources]
    expression = plan["action"][0]["action"][0]["condition"][0]["expression"]
    assert all(fact in str(plan["action"]) for fact in info.reads)
    assert expression["_language"]["extension"][0]["valueCode"] == "unsupported"
    url, _, version = plan["library"][0].partition("|")
    (library,) = matches(client.get("/fhir/Library", params={"url": url, "version": version}).json())
    text = base64.b64decode(library["content"][0]["data"]).decode()
    assert info.purpose in text and info.hash in text


def test_the_language_of_conditions_has_a_name_in_r5_alone(client: TestClient) -> None:
    accept = {"accept": "application/fhir+json; fhirVersion=5.0"}
    plan = client.get("/fhir/PlanDefinition/mg-likely-not-recorded", headers=accept).json()
    assert "'language': 'text/x.endplate-rule'" in str(plan["action"])


def test_the_module_of_a_guidance_response_is_the_address_of_a_plan(client: TestClient) -> None:
    issue = matches(search(client))[0]
    guidance = next(one for one in issue["contained"] if one["resourceType"] == "GuidanceResponse")
    url, _, version = guidance["moduleCanonical"].partition("|")

    assert len(matches(client.get("/fhir/PlanDefinition", params={"url": url, "version": version}).json())) == 1


def test_without_anybody_who_sends_or_subscribes_only_the_rules_are_there(evaluator: Evaluator) -> None:
    with serving(evaluator, Store()) as client:
        statuses = {path: client.get(f"/fhir/{path}").status_code for path in (
            "metadata", "PlanDefinition", "Library/mg-likely", "DetectedIssue", "Subscription", "SubscriptionTopic",
        )}  # fmt: skip
    assert list(statuses.values()) == [200, 200, 200, 404, 404, 404]


def test_the_topic_is_there_in_each_version(client: TestClient) -> None:
    for kind, fhir, version in (("SubscriptionTopic", "4.3", "R4"), ("SubscriptionTopic", "5.0", "R5"),
                                ("Basic", "4.0", "R4")):  # fmt: skip
        response = client.get(f"/fhir/{kind}", headers={"accept": f"application/fhir+json; fhirVersion={fhir}"})
        (topic,) = matches(response.json())
        check_output(topic, version)  # type: ignore[arg-type]
        assert topic["resourceType"] == kind
    assert client.get("/fhir/Basic?code=SubscriptionTopic").json()["total"] == 1


# -- findings


def test_a_finding_is_read_with_its_version(client: TestClient, hospital: Hospital) -> None:
    change = next(one for one in hospital.latest() if one.patient == "Patient/achr-false-positive")

    response = client.get(f"/fhir/DetectedIssue/{change.identifier}")
    issue = response.json()
    check_output(issue)
    assert response.headers["etag"] == 'W/"2"'
    assert response.headers["cache-control"] == "no-store"
    assert (issue["id"], issue["status"], issue["meta"]["versionId"]) == (change.identifier, "entered-in-error", "2")
    first = client.get(f"/fhir/DetectedIssue/{change.identifier}/_history/1").json()
    assert (first["status"], first["meta"]["versionId"]) == ("preliminary", "1")
    history = client.get(f"/fhir/DetectedIssue/{change.identifier}/_history").json()
    check_output(history)
    assert [one["resource"] for one in history["entry"]] == [issue, first]


def test_a_finding_is_read_in_r5(client: TestClient, hospital: Hospital) -> None:
    change = hospital.latest()[0]
    accept = {"accept": "application/fhir+json; fhirVersion=5.0"}
    issue = client.get(f"/fhir/DetectedIssue/{change.identifier}", headers=accept).json()

    check_output(issue, "R5")
    assert issue["subject"]["reference"] == change.patient


@pytest.mark.parametrize(
    "path",
    ["nobody", "nobody/_history", "nobody/_history/1", "{id}/_history/3", "{id}/_history/x", "{id}/_history/-1"],
)
def test_what_is_not_there_is_404_with_an_outcome(client: TestClient, hospital: Hospital, path: str) -> None:
    response = client.get(f"/fhir/DetectedIssue/{path.format(id=hospital.latest()[0].identifier)}")

    assert response.status_code == 404
    check_output(response.json())


A, B, C = "Patient/achr-false-positive", "Patient/b-achr-false-positive", "Patient/c-achr-false-positive"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {A, B, C}),
        ("?patient=Patient/achr-false-positive", {A}),
        ("?patient=achr-false-positive", {A}),
        ("?patient:Patient=achr-false-positive", {A}),
        ("?patient=https://ehr.example.org/fhir/Patient/achr-false-positive", {A}),
        ("?patient=b-achr-false-positive,c-achr-false-positive", {B, C}),
        ("?patient=b-achr-false-positive&patient=c-achr-false-positive", set()),
        ("?subject=b-achr-false-positive", {B}),
        ("?patient=nobody", set()),
        ("?code=achr-suspected-false-positive", {A, B, C}),
        ("?code=urn:endplate:nm-issue|achr-suspected-false-positive", {A, B, C}),
        ("?code=http://terminology.hl7.org/CodeSystem/v3-ActCode|LAB", {A, B, C}),
        ("?code=http://x.org|achr-suspected-false-positive", set()),
        ("?code=mg-likely,achr-suspected-false-positive", {A, B, C}),
        ("?code=mg-likely", set()),
        ("?status=preliminary", {B, C}),
        ("?status=entered-in-error,cancelled", {A}),
        ("?severity=moderate", {A, B, C}),
        ("?severity=high", set()),
        ("?identified=2026-04-20", {A, B, C}),
        ("?identified=2026-04", {A, B, C}),
        ("?identified=gt2026-04-20", set()),
        ("?identified=ge2026-04-20&identified=lt2027", {A, B, C}),
        ("?_lastUpdated=ge2026-04-20T12:00:30Z", {A}),
        ("?_lastUpdated=lt2026-04-20T12:00:30Z", {B, C}),
        ("?_lastUpdated=2026-04-20", {A, B, C}),
        ("?implicated=Observation/b-achr-false-positive-achr-binding-1", {B}),
        ("?implicated=Observation/nothing", set()),
    ],
)
def test_findings_are_found_by_what_fhir_defines(client: TestClient, query: str, found: set[str]) -> None:
    assert patients(search(client, query, prefer="handling=strict")) == found


def test_findings_are_found_by_their_names(client: TestClient, hospital: Hospital) -> None:
    one, two = (change.identifier for change in hospital.latest()[:2])

    assert {i["id"] for i in matches(search(client, f"?_id={one},{two}"))} == {one, two}
    assert [i["id"] for i in matches(search(client, f"?identifier=urn:endplate:detected-issue|{one}"))] == [one]
    assert matches(search(client, f"?identifier=urn:other|{one}")) == []


def test_a_search_by_form_is_the_same(client: TestClient) -> None:
    response = client.post("/fhir/DetectedIssue/_search", data={"patient": "achr-false-positive", "_count": "1"})
    assert patients(response.json()) == {A}
    assert client.post("/fhir/DetectedIssue/_search", json={}).status_code == 415


def test_pages_lead_through_all_findings_once(client: TestClient) -> None:
    seen: list[str] = []
    query = "?_count=1&status=preliminary,entered-in-error"
    for _ in range(10):
        bundle = search(client, query)
        seen += [one["id"] for one in matches(bundle)]
        links = {one["relation"]: one["url"] for one in bundle["link"]}
        if "next" not in links:
            break
        query = f"?{urlsplit(links['next']).query}"

    assert len(seen) == len(set(seen)) == 3
    assert dict(parse_qsl(urlsplit(links["self"]).query))["status"] == "preliminary,entered-in-error"


def test_how_many_there_are_can_be_asked_for_alone(client: TestClient) -> None:
    for query in ("?_summary=count&status=preliminary", "?_count=0&status=preliminary"):
        bundle = search(client, query)
        assert (bundle["total"], "entry" in bundle) == (2, False)


def test_a_parameter_that_is_not_offered_is_named_or_refused(client: TestClient) -> None:
    bundle = search(client, "?colour=red&patient=achr-false-positive")
    (told,) = [one["resource"] for one in bundle["entry"] if one["search"]["mode"] == "outcome"]

    assert patients(bundle) == {A}
    assert told["issue"][0]["severity"] == "warning"
    assert "colour" not in bundle["link"][0]["url"]
    strict = client.get("/fhir/DetectedIssue?colour=red", headers={"prefer": "handling=strict"})
    assert strict.status_code == 400
    assert "patient" in strict.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("query", ["patient:missing=true", "code:not=x", "identified=soon", "identified=2026-13-01",
                                   "_lastUpdated=ge20", "_count=many", "patient=", "status=" + "a," * 101])  # fmt: skip
def test_what_cannot_be_understood_is_400(client: TestClient, query: str) -> None:
    response = client.get(f"/fhir/DetectedIssue?{query}")
    assert response.status_code == 400
    check_output(response.json())


DATES = r"(ge|lt|)[0-9]{4}(-[0-9]{2}){0,2}(T[0-9:.]{5,12}Z?)?"


@settings(max_examples=150, deadline=None)
@given(value=st.text(max_size=24) | st.from_regex(DATES, fullmatch=True))
def test_a_date_is_a_span_of_time_or_refused(value: str) -> None:
    try:
        prefix, first, end = span(value)
    except RefusalError as refused:
        assert refused.status == 400
        return
    assert first < end
    assert fits_date([value], first, end) == (prefix in ("eq", "ge", "le"))


@settings(max_examples=80, deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from(["patient", "_count", "x", "_summary", "code:x"]), st.text(max_size=6)),
                      max_size=5), strict=st.booleans())  # fmt: skip
def test_whatever_is_asked_is_a_search_or_refused(pairs: list[tuple[str, str]], strict: bool) -> None:
    try:
        found = asked(pairs, ("patient", "code"), strict=strict)
    except RefusalError as refused:
        assert refused.status == 400
        return
    assert 0 <= found.count <= 500
    assert not (strict and found.ignored)
    assert all(param.name == "patient" and all(param.values) for param in found.params)


@given(st.lists(st.text("ab,|$\\ ", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_the_link_of_a_page_asks_for_the_same_values(values: list[str]) -> None:
    escaped = ",".join(value.replace("\\", "\\\\").replace(",", "\\,") for value in values)
    search = asked([("status", escaped)], ["status"], strict=True)
    assert search.params[0].values == tuple(values)
    self_link = searchset([], search, address="https://cds.example.org/fhir", kind="DetectedIssue")["link"][0]["url"]
    again = asked(parse_qsl(urlsplit(self_link).query), ["status"], strict=True)
    assert again.params == search.params


@pytest.mark.parametrize(
    ("written", "values"),
    [(r"a\,b,c", ("a,b", "c")), (r"a\\,b", ("a\\", "b")), (r"a\|b\$c", ("a|b$c",)), ("a\\", ("a\\",)),
     (r"a\b", (r"a\b",))],
)  # fmt: skip
def test_a_backslash_escapes_a_comma_and_itself(written: str, values: tuple[str, ...]) -> None:
    assert asked([("status", written)], ["status"], strict=True).params[0].values == values
