"""The transaction that writes answers: named so that the same is written once, and whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from answers_kit import EXAMINATION, NEUROPHYSIOLOGY, WAITING, case_of, entries, ready, record, tried

from engine.outputs.detected_issue import Version
from engine.outputs.validation import check_output
from engine.workbench.case import Case
from engine.workbench.saving import Draft, basis_of, drafts, is_written, outcome_of, transaction

Json = dict[str, Any]
BASE = "urn:endplate"
NO = {"fatigability": "absent", "ocular-weakness": "absent"}


def answered(answers: dict[str, str], form: str = EXAMINATION) -> Case:
    return tried(case_of(WAITING), form, entries(form, answers))


def drafted(case: Case, author: str = "Practitioner/anna", authored: str = "2026-05-01T09:00:00+00:00") -> list[Draft]:
    return drafts(case, BASE, author=author, authored=authored)


def bundle(case: Case, version: Version = "R4", **more: str) -> Json:
    made = transaction(
        drafted(case, **more), ready().ruleset.terminology, recorded="2026-05-01T09:00:00Z", agent="Endplate",
        version=version,
    )  # fmt: skip
    found: Json = msgspec.json.decode(msgspec.json.encode(made, enc_hook=str))
    return found


def test_the_same_answers_have_one_name_and_others_have_another() -> None:
    [one] = drafted(answered(NO))
    assert [one.identity] == [draft.identity for draft in drafted(answered(NO), authored="2026-05-02T10:00:00+00:00")]
    others = [
        drafted(answered({"fatigability": "absent"}))[0],
        drafted(answered({**NO, "date": "2026-01-05"}))[0],
        drafted(answered(NO), author="Practitioner/bob")[0],
        drafted(answered({"edx-study": "normal"}, NEUROPHYSIOLOGY))[0],
    ]
    assert len({one.identity, *(other.identity for other in others)}) == 5


@pytest.mark.parametrize("version", ["R4", "R5"])
def test_the_transaction_is_fhir_of_the_version_of_the_server(version: Version) -> None:
    both = tried(answered(NO), NEUROPHYSIOLOGY, entries(NEUROPHYSIOLOGY, {"edx-study": "normal"}))
    made = bundle(both, version)
    check_output(made, version)
    responses = [one["resource"] for one in made["entry"] if one["resource"]["resourceType"] == "QuestionnaireResponse"]
    assert [isinstance(one["identifier"], list) for one in responses] == [version == "R5"] * 2


def test_every_entry_is_created_only_if_it_is_not_there_and_refers_to_the_others_by_their_entries() -> None:
    made = bundle(answered(NO))
    names = {entry["fullUrl"] for entry in made["entry"]}
    assert len(names) == len(made["entry"]) == 4
    for entry in made["entry"]:
        assert entry["request"]["method"] == "POST" and "|" in entry["request"]["ifNoneExist"]
        assert entry["request"]["url"] == entry["resource"]["resourceType"]
        assert "id" not in entry["resource"]
    response, *observations, provenance = (entry["resource"] for entry in made["entry"])
    own = made["entry"][0]["fullUrl"]
    assert {one["derivedFrom"][0]["reference"] for one in observations} == {own}
    assert provenance["entity"][0]["what"]["reference"] == own
    assert {target["reference"] for target in provenance["target"]} == names - {own, made["entry"][-1]["fullUrl"]}
    assert response["author"] == {"reference": "Practitioner/anna"}
    assert len({entry["request"]["ifNoneExist"] for entry in made["entry"]}) == 4


@pytest.mark.parametrize(("author", "written"), [
    ("", None), ("Practitioner/anna", {"reference": "Practitioner/anna"}),
    ("a user of ehr", {"display": "a user of ehr"}),
    ("https://other.example/fhir/Practitioner/1", {"reference": "https://other.example/fhir/Practitioner/1"}),
])  # fmt: skip
def test_the_author_is_who_is_signed_in(author: str, written: Json | None) -> None:
    assert bundle(answered(NO), author=author)["entry"][0]["resource"].get("author") == written


def test_what_a_server_has_already_is_seen_by_its_observations() -> None:
    case = answered(NO)
    [draft] = drafted(case)
    held = [entry["resource"] for entry in bundle(case)["entry"][1:3]]

    def server(resources: list[Json]) -> Case:
        found = {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}
        content = {"prefetch": {"patient": None, "odd": "text", "observations": found}}
        return msgspec.structs.replace(case, content=msgspec.json.encode(content))

    assert is_written(draft, server(held))
    assert not is_written(draft, server([]))
    assert not is_written(drafted(case, author="Practitioner/bob")[0], server(held))


def test_what_was_written_and_what_was_there_is_read_from_the_answer() -> None:
    answer = {"entry": [
        {"response": {"status": "201 Created", "location": "https://f.example/fhir/Observation/12/_history/1"}},
        {"response": {"status": "200 OK", "location": "QuestionnaireResponse/a-1/_history/3"}},
        {"response": {"status": "201", "location": "javascript:alert(1)"}}, {"response": None}, {}, "odd",
    ]}  # fmt: skip
    found = outcome_of(answer)
    assert (found.written, found.held) == (("Observation/12",), ("QuestionnaireResponse/a-1",))
    assert outcome_of({}) == outcome_of({"entry": "odd"})


def test_a_record_has_one_name_in_any_order_and_another_with_anything_more() -> None:
    one = record(case_of(WAITING))
    turned = msgspec.structs.replace(
        one, results={name: tuple(reversed(found)) for name, found in reversed(list(one.results.items()))}
    )
    assert basis_of(one) == basis_of(turned)
    more = record(answered(NO))
    assert basis_of(more) != basis_of(one)
    added = {r.reference for name in ("fatigability", "ocular-weakness") for r in more.results[name]}
    assert basis_of(more, added) == basis_of(one)
