"""ALS, a positive AChR antibody, fatigability unknown: the answers of the form decide, at every entrance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from forms_kit import (
    EXAMINATION,
    NEUROPHYSIOLOGY,
    NOW,
    RECORDED,
    WAITING,
    Json,
    answered,
    encode,
    findings_of,
    issues_of,
    patient,
    read,
    ready,
    through_json,
    with_extracted,
    with_resources,
)
from typer.testing import CliRunner

from engine.batch.relevance import Relevance
from engine.cli.app import app as commands
from engine.fhir.lookup import lookup_for
from engine.fhir.matters import matters, owner_of
from engine.fhir.prefetch import read_prefetch
from engine.fhir.record import Scope
from engine.integration.event import Message, Source
from engine.integration.intake import prepare, take
from engine.integration.parts import put
from engine.service.app import create_app
from engine.settings import Settings
from engine.store import Database, resources, schema

OPEN = "achr-positive-unconfirmed-in-als"
FALSE_POSITIVE, OVERLAP = "achr-suspected-false-positive", "overlap-als-mg-probable"
NO = answered(EXAMINATION, {"c": "fatigability", "v": "absent"}, {"c": "ocular-weakness", "v": "absent"})
YES = answered(
    EXAMINATION, {"c": "fatigability", "v": "present"}, {"c": "ocular-weakness", "v": "present", "fluctuating": True},
    {"c": "ache-response", "v": "positive"},
)  # fmt: skip
TESTED = answered(NEUROPHYSIOLOGY, {"c": "rns", "v": 18, "u": "%", "muscle": "nasalis", "hz": 3, "denervated": False})
NOBODY = answered(
    EXAMINATION, {"c": "fatigability", "v": "not-examined"}, {"c": "ocular-weakness", "v": "not-examined"}
)
WAYS = [((NO,), FALSE_POSITIVE), ((YES,), OVERLAP), ((YES, TESTED), OVERLAP), ((NOBODY,), OPEN)]
BUNDLE = patient(*WAITING)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    settings = Settings(max_body_bytes=2_000_000, check_output=True)
    clock = datetime.fromisoformat(RECORDED).astimezone(UTC)
    app = create_app(ready(), settings, dev=True, today=lambda: NOW, now=lambda: clock)
    with TestClient(app) as client:
        yield client


def run(*arguments: object) -> tuple[str, str, int]:
    done = CliRunner().invoke(commands, [str(one) for one in arguments])
    return done.stdout, done.stderr, done.exit_code


def test_before_anybody_answers_it_is_open() -> None:
    assert issues_of(BUNDLE) == {OPEN}


@pytest.mark.parametrize(("responses", "issue"), WAYS)
def test_the_answers_decide(responses: tuple[Json, ...], issue: str) -> None:
    assert issues_of(with_resources(BUNDLE, responses)) == {issue}
    assert findings_of(with_resources(BUNDLE, responses)) == findings_of(with_extracted(BUNDLE, *responses))


def test_the_reason_names_the_response() -> None:
    [finding] = ready().evaluate(read(with_resources(BUNDLE, [NO]))[0]).findings
    resting = {one.reference for because in finding.because for one in because.evidence}
    assert f"QuestionnaireResponse/{NO['id']}" in resting


@pytest.mark.parametrize(("responses", "issue"), WAYS)
def test_evaluate_and_screen_read_the_answers(responses: tuple[Json, ...], issue: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(encode(with_resources(BUNDLE, responses)))
    said, _, code = run("evaluate", bundle, "--as-of", NOW, "--format", "json", "--backend", "plain")
    assert code == 0
    assert [one["issue"] for one in json.loads(said)["findings"]] == [issue]

    lines = tmp_path / "export.ndjson"
    entries = [entry["resource"] for entry in with_resources(BUNDLE, responses)["entry"]]
    lines.write_bytes(b"\n".join(map(encode, entries)))
    for number, source in enumerate((bundle, lines)):
        out = tmp_path / f"out-{number}"
        _, _, code = run("screen", source, "--as-of", NOW, "--out", out, "--backend", "plain", "--workers", 1)
        assert code == 0
        assert issue in (out / "findings.csv").read_text("utf-8")


@pytest.mark.parametrize(("responses", "issue"), WAYS)
def test_a_prefetch_may_hold_the_answers(responses: tuple[Json, ...], issue: str) -> None:
    held = {"all": {"resourceType": "Bundle", "entry": BUNDLE["entry"]},
            "answers": {"resourceType": "Bundle", "entry": [{"resource": one} for one in responses]}}  # fmt: skip
    record = read_prefetch(through_json(held), "Patient/p", ready().ruleset.terminology, Scope(as_of=NOW))
    assert [one.issue for one in ready().evaluate(record).findings] == [issue]


@pytest.mark.parametrize(("responses", "issue"), [WAYS[0], WAYS[1]])
def test_a_hook_says_the_same_of_the_answers_and_of_what_was_saved(
    client: TestClient, responses: tuple[Json, ...], issue: str
) -> None:
    said = []
    for bundle in (with_resources(BUNDLE, responses), with_extracted(BUNDLE, *responses)):
        held = [entry["resource"] for entry in bundle["entry"]]
        person = next(one for one in held if one["resourceType"] == "Patient")
        others = [{"resource": one} for one in held if one["resourceType"] != "Patient"]
        found = {"resourceType": "Bundle", "type": "searchset", "entry": others}
        call = {
            "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"userId": "Practitioner/n", "patientId": "p"},
            "prefetch": {"patient": person, "observations": found},
        }  # fmt: skip
        answer = client.post("/cds-services/endplate-patient-view", content=encode(call),
                             headers={"content-type": "application/json"})  # fmt: skip
        assert answer.status_code == 200
        said.append([(card["summary"], card["indicator"]) for card in answer.json()["cards"]])
    assert said[0] == said[1]
    assert said[0]


def test_the_receiver_keeps_answers_and_marks_their_patient() -> None:
    lookup = lookup_for(ready().ruleset.terminology)
    foreign = {**NO, "questionnaire": "https://example.org/Questionnaire/phq-9|1"}
    assert matters(NO, lookup)
    assert not matters(foreign, lookup)
    assert owner_of(NO).patient == "Patient/p"

    database = Database()
    schema.upgrade(database)
    everything = [entry["resource"] for entry in with_resources(BUNDLE, [NO])["entry"]]
    events = tuple(put(through_json(one), one["id"]) for one in everything)
    letter = prepare(Source(name="ehr"), Message(kind="resource", events=events), lookup)
    with database.write() as connection:
        taken = take(connection, [letter], 1)
        held = [document.content for document in resources.documents(connection, "Patient/p")]
    database.close()
    assert taken.marked == 1
    kept = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in held]}
    assert issues_of(kept) == {FALSE_POSITIVE}


def test_a_patient_with_answers_alone_has_to_be_read_and_one_with_those_of_others_not() -> None:
    relevance = Relevance(ready().ruleset, lookup_for(ready().ruleset.terminology))
    person = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"resource": {"resourceType": "Patient", "id": "p"}}]}  # fmt: skip
    foreign = {**NO, "questionnaire": "https://example.org/Questionnaire/phq-9|1"}
    odd = {**NO, "questionnaire": {"reference": "Questionnaire/1"}}
    assert relevance.bundle(encode(person)) == "Patient/p"
    assert relevance.bundle(encode(with_resources(person, [foreign, odd]))) == "Patient/p"
    assert relevance.bundle(encode(with_resources(person, [NO]))) == ""


# ---------------------------------------------------------------- extraction by command and by operation


def test_extract_writes_what_evaluate_reads(tmp_path: Path) -> None:
    file = tmp_path / "answers.ndjson"
    file.write_bytes(encode(YES) + b"\n" + encode(TESTED))
    said, notes, code = run("extract", file, "--recorded", RECORDED)
    assert (code, notes) == (0, "")
    made = [entry for line in said.splitlines() for entry in json.loads(line)["entry"]]
    assert issues_of({**BUNDLE, "entry": [*BUNDLE["entry"], *made]}) == {OVERLAP}
    assert run("extract", file, "--recorded", RECORDED)[0] == said
    bundled = tmp_path / "bundle.json"
    bundled.write_bytes(encode(with_resources(BUNDLE, [YES, TESTED])))
    assert run("extract", bundled, "--recorded", RECORDED)[0] == said


@pytest.mark.parametrize(("content", "says"), [
    (BUNDLE, "there is no QuestionnaireResponse"),
    ({**NO, "status": "in-progress"}, "nothing could be extracted"),
    ({**NO, "questionnaire": NO["questionnaire"].partition("|")[0] + "|old"}, "nothing could be extracted"),
])  # fmt: skip
def test_extract_says_why_there_is_nothing(content: Json, says: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_bytes(encode(content))
    done = CliRunner().invoke(commands, ["extract", str(file)])
    assert done.exit_code != 0
    assert says in str(done.exception) + done.output


def operation(client: TestClient, content: Any) -> Any:
    body = content if isinstance(content, bytes) else encode(content)
    return client.post("/fhir/QuestionnaireResponse/$extract", content=body,
                       headers={"content-type": "application/fhir+json"})  # fmt: skip


def test_the_operation_answers_with_the_transaction(client: TestClient) -> None:
    answer = operation(client, YES)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+json")
    bundle = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
    assert issues_of({**BUNDLE, "entry": [*BUNDLE["entry"], *bundle["entry"]]}) == {OVERLAP}
    inside = {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "resource": YES}]}
    assert operation(client, inside).json() == bundle


def test_the_operation_says_what_it_could_not_use(client: TestClient) -> None:
    odd = {**YES, "item": [*YES["item"], {"linkId": "gait", "answer": [{"valueBoolean": True}]}]}
    found = {one["name"]: one["resource"] for one in operation(client, odd).json()["parameter"]}
    assert found["return"] == operation(client, YES).json()
    assert "a question that its form does not have" in found["issues"]["issue"][0]["diagnostics"]


@pytest.mark.parametrize(("content", "status"), [
    (b"", 400), (b"[]", 400), (b"{", 400), ({"resourceType": "Patient"}, 400), ({"resourceType": "Parameters"}, 400),
    ({**NO, "status": "entered-in-error"}, 422), ({**NO, "item": []}, 422), ({**NO, "subject": None}, 422),
    ({**NO, "questionnaire": "https://example.org/q"}, 422),
])  # fmt: skip
def test_the_operation_refuses_with_a_reason(client: TestClient, content: Any, status: int) -> None:
    answer = operation(client, content)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.json()["issue"][0]["diagnostics"]
