"""Which data belong to which patient: references of every form, several patients, none, duplicates, deletions."""

from __future__ import annotations

from typing import Any

import pytest
from fhir_reading import NOW, bundle, coded, codes, condition, observation, patient, read_all, read_one, terminology

from engine.fhir import Scope, read_documents, read_records
from engine.fhir.references import target_of
from engine.model.problem import Problem

BASE = "https://ehr.example.org/fhir"
MRN = {"system": "urn:test:mrn", "value": "17"}


def entry(resource: dict[str, Any], url: str) -> dict[str, Any]:
    return {"fullUrl": url, "resource": resource}


def seen(*documents: object, **scope: Any) -> dict[str, list[str]]:
    """Patient -> references of the results found for them."""
    records, _ = read_all(*documents, **scope)
    return {r.person.reference: [x.reference for found in r.results.values() for x in found] for r in records}


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p",
        "Patient/p/_history/3",
        f"{BASE}/Patient/p",
        f"{BASE}/Patient/p/_history/1",
        "http://ehr.example.org/fhir/Patient/p",
        " Patient/p ",
        "Patient?identifier=urn:test:mrn|17",
        "Patient?identifier=urn%3Atest%3Amrn%7C17&active=true",
    ],
)
def test_every_form_of_reference_finds_the_patient(reference: str) -> None:
    who = entry(patient(identifier=[MRN]), f"{BASE}/Patient/p")
    result = entry(observation(subject={"reference": reference}), f"{BASE}/Observation/o")
    assert seen(bundle(who, result)) == {"Patient/p": ["Observation/o"]}


def test_a_urn_finds_the_patient_whatever_its_case_and_without_ids() -> None:
    who = entry({"resourceType": "Patient"}, "urn:uuid:AAAA-1")
    result = entry(observation(subject={"reference": "urn:uuid:aaaa-1"}) | {"id": None}, "urn:uuid:bbbb-2")
    assert seen(bundle(who, result, kind="message")) == {"urn:uuid:AAAA-1": ["urn:uuid:bbbb-2"]}


def test_a_logical_reference_matches_the_identifier_of_one_patient_only() -> None:
    logical = observation(subject={"type": "Patient", "identifier": MRN})
    assert seen(bundle(patient(identifier=MRN), logical)) == {"Patient/p": ["Observation/o"]}
    twins = bundle(patient("a", identifier=MRN), patient("b", identifier=MRN), logical)
    assert seen(twins) == {"Patient/a": [], "Patient/b": []}
    half = observation(subject={"identifier": {"value": "17"}})
    assert seen(bundle(patient(identifier={"value": "17"}), half)) == {"Patient/p": []}


def test_the_full_url_names_a_resource_before_its_id() -> None:
    named = entry(patient("p2"), f"{BASE}/Patient/p12")
    other = entry(patient("p12", gender="male"), f"{BASE}/Patient/x")
    result = entry(observation(subject={"reference": "Patient/p12"}), f"{BASE}/Observation/o")
    assert seen(bundle(named, other, result)) == {"Patient/p2": ["Observation/o"], "Patient/p12": []}


def test_an_absolute_reference_to_another_server_is_another_patient() -> None:
    who = entry(patient(), f"{BASE}/Patient/p")
    records, problems = read_all(
        bundle(who, observation(subject={"reference": "https://elsewhere.org/fhir/Patient/p"}))
    )
    assert records[0].results == {} and codes(problems) == ["unknown-patient"]


def test_without_full_urls_an_absolute_reference_counts_by_its_end() -> None:
    assert seen(bundle(patient(), observation(subject={"reference": f"{BASE}/Patient/p"}))) == {
        "Patient/p": ["Observation/o"]
    }


def test_two_patients_with_one_id_are_told_apart_by_server_or_not_at_all() -> None:
    two = [entry(patient(), "https://a.org/Patient/p"), entry(patient(gender="male"), "https://b.org/Patient/p")]
    at_b = entry(observation(), "https://b.org/Observation/o")
    records, _ = read_all(bundle(*two, at_b))
    assert [bool(r.results) for r in records] == [False, True]
    records, problems = read_all(bundle(*two, observation()))
    assert not any(r.results for r in records) and codes(problems) == ["ambiguous-patient"]


def test_another_patients_data_never_count() -> None:
    mine, theirs = observation(), observation(identity="x", subject={"reference": "Patient/q"})
    assert seen(bundle(theirs, patient("q"), patient(), mine)) == {
        "Patient/q": ["Observation/x"],
        "Patient/p": ["Observation/o"],
    }
    records, problems = read_all(bundle(patient(), mine, theirs))
    assert [r.reference for r in records[0].results["antibody"]] == ["Observation/o"]
    assert codes(problems) == ["unknown-patient"] and "Observation/x" in problems[0].where


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        (None, "no-patient"),
        ({}, "no-patient"),
        ({"display": "Somebody"}, "no-patient"),
        ("", "no-patient"),
        ({"reference": "Group/g"}, "no-patient"),
        ({"reference": "Patient/q"}, "unknown-patient"),
        ({"reference": "#p"}, "unknown-patient"),
        ({"reference": 17}, "unknown-patient"),
        ({"extension": [{"url": "masked"}]}, "no-patient"),
        ({"reference": "Patient?name=x"}, "unknown-patient"),
    ],
)
def test_what_belongs_to_nobody_is_set_aside_and_counted(subject: object, code: str) -> None:
    records, problems = read_all(bundle(patient(), observation(subject=subject)))
    assert [r.results for r in records] == [{}] and codes(problems) == [code]


def test_a_subject_that_is_not_a_patient_is_nobodys() -> None:
    device = entry({"resourceType": "Encounter", "id": "d", "status": "in-progress"}, "urn:uuid:1")
    records, problems = read_all(bundle(patient(), device, observation(subject={"reference": "urn:uuid:1"})))
    assert records[0].results == {} and codes(problems) == ["no-patient"]


def test_a_contained_patient_is_the_one_with_the_same_identifier_or_a_patient_of_its_own() -> None:
    inside = observation(
        contained=[{"resourceType": "Patient", "id": "c", "identifier": [MRN], "gender": "female"}],
        subject={"reference": "#c"},
    )
    assert seen(bundle(patient(identifier=MRN), inside)) == {"Patient/p": ["Observation/o"]}
    records, _ = read_all(bundle(patient(), inside))
    assert [(r.person.reference, r.person.sex, bool(r.results)) for r in records] == [
        ("Patient/p", "", False),
        ("Observation/o#c", "female", True),
    ]


def test_without_a_patient_the_shared_reference_makes_the_record() -> None:
    absolute = entry(condition(subject={"reference": f"{BASE}/Patient/p"}), f"{BASE}/Condition/c")
    relative = entry(observation(), f"{BASE}/Observation/o")
    plain = observation(identity="o2")
    records, problems = read_all(bundle(absolute, relative, plain))
    assert problems == [] and len(records) == 1
    assert (
        records[0].person.reference == "Patient/p" and records[0].person.sex == "" and records[0].person.birth is None
    )
    assert len(records[0].results["antibody"]) == 2 and "palsy" in records[0].diagnoses


def test_without_a_patient_different_references_are_different_records() -> None:
    logical = observation(identity="l", subject={"identifier": MRN})
    other = observation(identity="q", subject={"reference": "Patient/q"})
    assert seen(bundle(observation(), other, logical)) == {
        "Patient/p": ["Observation/o"],
        "Patient/q": ["Observation/q"],
        "Patient?identifier=urn:test:mrn|17": ["Observation/l"],
    }


def test_each_bundle_is_a_group_and_single_resources_are_one() -> None:
    first = bundle(patient(), observation())
    second = bundle(patient(), observation(identity="o2"))
    records, _ = read_all(observation(identity="s"), first, patient("q"), second, patient())
    assert [(r.person.reference, [x.reference for x in r.results.get("antibody", ())]) for r in records] == [
        ("Patient/p", ["Observation/o"]),
        ("Patient/p", ["Observation/o2"]),
        ("Patient/q", []),
        ("Patient/p", ["Observation/s"]),
    ]


def test_together_the_pages_of_one_search_are_one_group() -> None:
    assert seen(bundle(patient()), bundle(observation()), together=True) == {"Patient/p": ["Observation/o"]}


@pytest.mark.parametrize("kind", ["transaction", "batch", "searchset", "history", "document", "message", "oops", None])
def test_every_type_of_bundle_is_read(kind: Any) -> None:
    assert seen(bundle(patient(), observation(), kind=kind)) == {"Patient/p": ["Observation/o"]}


def test_bundles_within_bundles_and_parameters_are_one_group() -> None:
    inner = {"resource": bundle(observation())}
    parameters = {
        "resource": {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "a", "part": [{"name": "b", "resource": condition()}]},
                {"name": "c", "valueString": "x"},
            ],
        }
    }
    records, problems = read_all(bundle(patient(), inner, parameters, kind="subscription-notification"))
    assert problems == [] and set(records[0].results) == {"antibody"} and set(records[0].diagnoses) == {"palsy"}


def test_nesting_without_end_is_cut() -> None:
    held = bundle(observation())
    for _ in range(30):
        held = bundle({"resource": held})
    records, problems = read_all(bundle(patient(), {"resource": held}))
    assert records[0].results == {} and codes(problems) == ["too-deep"]


@pytest.mark.parametrize(
    ("versions", "value"),
    [
        ([{"lastUpdated": "2025-01-01T00:00:00Z"}, {"lastUpdated": "2024-01-01T00:00:00Z"}], "yes"),
        ([{"lastUpdated": "2024-12-31T23:30:00-05:00"}, {"lastUpdated": "2025-01-01T00:00:00Z"}], "yes"),
        ([{"versionId": "10"}, {"versionId": "9"}], "yes"),
        ([{"versionId": "9"}, {"versionId": "10"}], "no"),
    ],
)
def test_of_two_versions_the_newer_counts(versions: list[dict[str, str]], value: str) -> None:
    pair = [
        observation(meta=meta, valueCodeableConcept=coded(said, "urn:test:answer"))
        for meta, said in zip(versions, ("yes", "no"), strict=True)
    ]
    record = read_one(*pair)
    assert [r.answer for r in record.results["antibody"]] == [{"yes": "present", "no": "absent"}[value]]


def test_the_newer_version_counts_even_if_its_code_means_nothing() -> None:
    old = observation(meta={"versionId": "1"})
    new = observation("unknown-code", meta={"versionId": "2"})
    assert read_one(old, new).results == {}
    assert read_one(new, old).results == {}
    records, _ = read_all(patient(), old, new)
    assert records[0].results == {}


def test_a_copy_is_no_second_result() -> None:
    with_url = entry(observation(), f"{BASE}/Observation/o")
    records, problems = read_all(bundle(patient(), observation(), with_url, entry(observation(), "urn:uuid:7")))
    assert problems == [] and len(records[0].results["antibody"]) == 1


def test_two_different_versions_without_a_version_are_reported_and_the_last_counts() -> None:
    pair = (observation(valueBoolean=True), observation(valueBoolean=False))
    records, problems = read_all(bundle(patient(), *pair))
    assert [r.answer for r in records[0].results["antibody"]] == ["absent"] and codes(problems) == ["duplicate"]
    records, problems = read_all(bundle(patient(), *pair, kind="history"))
    assert [r.answer for r in records[0].results["antibody"]] == ["present"] and problems == []


def test_a_deleted_resource_does_not_count() -> None:
    deletion = {
        "request": {"method": "DELETE", "url": "Observation/o"},
        "response": {"lastModified": "2025-02-01T00:00:00Z"},
    }
    records, _ = read_all(bundle(patient(), deletion, observation(), kind="history"))
    assert records[0].results == {}
    later = observation(meta={"lastUpdated": "2025-03-01T00:00:00Z"})
    assert read_one(deletion, later).results != {}


def test_an_object_where_the_entries_belong_is_a_list_of_one_and_rubbish_costs_itself() -> None:
    one = {"resourceType": "Bundle", "entry": {"resource": observation()}}
    assert seen(one) == {"Patient/p": ["Observation/o"]}
    odd = {"resourceType": "Bundle", "entry": [None, 7, "x", [], {}, {"resource": 3}, {"resource": patient()}]}
    records, problems = read_all(odd)
    assert len(records) == 1 and set(codes(problems)) == {"not-an-object"}


def test_a_line_that_is_no_resource_is_skipped_and_named() -> None:
    records, problems = read_all({"level": "info"}, {"resourceType": []}, 7, None, patient(), [observation()])
    assert len(records) == 1 and len(records[0].results["antibody"]) == 1
    assert codes(problems) == ["no-resource-type"] * 2 + ["not-an-object"] * 2
    assert problems[0].where == "input: 1"


def test_results_contained_in_a_report_belong_to_its_patient() -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "code": coded("anything"),
        "subject": {"reference": "Patient/p"},
        "result": [{"reference": "#in"}],
        "contained": [observation(identity="in", subject=None, valueBoolean=True)],
    }
    (result,) = read_one(report).results["antibody"]
    assert (result.reference, result.answer) == ("DiagnosticReport/r", "present")


def test_an_id_may_be_long_and_odd() -> None:
    name = "x_" * 300
    record = read_one(observation(identity=name, status="whatever"))
    assert len(record.problems[0].where) < 400
    assert read_one(observation(identity=name)).results["antibody"][0].reference == f"Observation/{name}"


def test_patients_come_in_the_order_of_the_data_and_without_any_data_too() -> None:
    records, _ = read_all(bundle(patient("b"), patient("a")))
    assert [r.person.reference for r in records] == ["Patient/b", "Patient/a"]
    assert records[0].as_of == NOW and records[0].results == {}


def test_references_are_taken_apart() -> None:
    assert target_of("Patient/1/_history/2").key == "Patient/1"
    assert target_of("https://x.org/a/Patient/1").url == "x.org/a/Patient/1"
    assert target_of("#a").contained == "a"
    assert target_of("urn:UUID:A").url == "urn:uuid:a"
    assert target_of("Patient?identifier=a|b").identifier == ("a", "b")
    for nothing in ("", "   ", "Patient?name=x", "#", "?"):
        assert not target_of(nothing).key and not target_of(nothing).contained


def test_a_dangling_reference_is_helped_by_its_identifier() -> None:
    named = observation(subject={"reference": "Patient/elsewhere", "identifier": MRN})
    assert seen(bundle(patient(identifier=MRN), named)) == {"Patient/p": ["Observation/o"]}


def test_a_search_for_something_else_than_a_patient_is_nobodys() -> None:
    records, problems = read_all(
        bundle(patient(identifier=MRN), observation(subject={"reference": "Group?identifier=urn:test:mrn|17"}))
    )
    assert records[0].results == {} and codes(problems) == ["no-patient"]


def test_the_older_copy_is_still_found_under_its_own_full_url() -> None:
    new = entry(patient(meta={"versionId": "2"}, gender="male"), f"{BASE}/Patient/p")
    old = patient(meta={"versionId": "1"})
    result = observation(subject={"reference": f"{BASE}/Patient/p"})
    assert seen(bundle(new, old, result)) == seen(bundle(old, new, result)) == {"Patient/p": ["Observation/o"]}
    records, _ = read_all(bundle(old, new, result))
    assert records[0].person.sex == "male"


def test_deletions_of_nothing_and_deletions_twice_are_nothing() -> None:
    deletion = {"request": {"method": "delete", "url": "Observation/o"}}
    nothing = {"request": {"method": "DELETE", "url": "x"}}
    by_url = {"fullUrl": f"{BASE}/Condition/c", "request": {"method": "DELETE"}}
    records, problems = read_all(bundle(patient(), observation(), condition(), deletion, deletion, nothing, by_url))
    assert (records[0].results, records[0].diagnoses, problems) == ({}, {}, [])


def test_an_unreadable_line_is_handed_on_with_the_problems() -> None:
    problems: list[Problem] = []
    documents = read_documents(b'{"resourceType":"Patient","id":"p"}\n{oops\n', "x.ndjson")
    records = list(read_records(documents, terminology(), Scope(as_of=NOW), problems))
    assert len(records) == 1 and [(p.code, p.where) for p in problems] == [("not-json", "x.ndjson: line 2")]


def test_a_relative_reference_belongs_to_the_server_of_its_entry() -> None:
    who = entry(patient(), "https://b.org/Patient/p")
    records, problems = read_all(bundle(who, entry(observation(), "https://a.org/Observation/o")))
    assert records[0].results == {} and codes(problems) == ["unknown-patient"]
    assert seen(bundle(who, entry(observation(), "urn:uuid:1"))) == {"Patient/p": ["Observation/o"]}


def test_an_id_that_two_full_urls_share_names_nobody() -> None:
    twins = [entry(patient(gender=sex), f"{BASE}/Patient/{sex}") for sex in ("male", "female")]
    records, problems = read_all(bundle(*twins, observation()))
    assert not any(r.results for r in records) and codes(problems) == ["ambiguous-patient"]


def test_a_group_is_no_patient_whatever_identifier_it_has() -> None:
    group = {"reference": "Group/g", "identifier": MRN}
    records, _ = read_all(bundle(patient(identifier=MRN), observation(subject=group)))
    assert records[0].results == {}
