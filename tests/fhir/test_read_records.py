"""Whole records: completeness, evaluation date, medications over files, prefetches; and hostile input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fhir_reading import NOW, bundle, coded, codes, condition, observation, patient, read_all, read_one, terminology
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.fhir import CODES, Scope, as_documents, read_documents, read_prefetch, read_records
from engine.fhir.problems import problem
from engine.model.problem import Problem
from engine.model.record import Record

TAG = {"meta": {"tag": [{"system": "urn:endplate:scope", "code": "complete-record"}]}}
SCOPE = Scope(as_of=NOW)


def order(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": "m",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": coded("brace", "urn:test:drug"),
        "subject": {"reference": "Patient/p"},
    } | more


# ------------------------------------------------------------ scope


@pytest.mark.parametrize(
    ("said", "caller", "complete"), [({}, None, False), (TAG, None, True), (TAG, False, False), ({}, True, True)]
)
def test_a_record_is_complete_if_the_sender_or_the_caller_says_so(
    said: dict[str, Any], caller: bool | None, complete: bool
) -> None:
    ((record,), _) = read_all(bundle(patient(), **said), complete=caller)
    assert record.complete is complete


@pytest.mark.parametrize(
    ("timestamp", "day"),
    [
        ("2024-01-05T23:00:00-11:00", date(2024, 1, 5)),
        ("2024-01-05", date(2024, 1, 5)),
        (None, NOW),
        ("soon", NOW),
        (7, NOW),
    ],
)
def test_a_bundle_can_be_evaluated_at_its_own_time(timestamp: object, day: date) -> None:
    ((record,), _) = read_all(bundle(patient(), timestamp=timestamp), at_bundle_time=True)
    assert record.as_of == day
    ((record,), _) = read_all(bundle(patient(), timestamp=timestamp))
    assert record.as_of == NOW


def test_the_asked_concepts_are_handed_on() -> None:
    assert read_one(asked=frozenset({"antibody"})).asked == {"antibody"} and read_one().asked is None


# ------------------------------------------------------------ medications


def test_an_order_finds_its_medication_in_another_file() -> None:
    referring = order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/x"})
    product = {"resourceType": "Medication", "id": "x", "code": coded("brace", "urn:test:drug")}
    ((record,), problems) = read_all(referring, patient(), product)
    assert [m.ingredient for m in record.medications] == ["braceptin"] and problems == [] and record.problems == ()


def test_a_medication_that_is_not_there_costs_that_order_and_is_reported() -> None:
    found = read_one(
        order(medicationCodeableConcept=None, medicationReference={"reference": "Medication/x"}), order(id="n")
    )
    assert [m.reference for m in found.medications] == ["MedicationRequest/n"]
    assert codes(found.problems) == ["dangling-reference"]


def test_the_reason_of_an_order_may_stand_in_a_condition_that_means_nothing_else() -> None:
    reasons = [condition("REASON", "why"), order(reasonReference=[{"reference": "Condition/why"}])]
    ((record,), _) = read_all(patient(), *reasons)
    assert record.medications[0].reason == "scan-ahead" and record.diagnoses == {}


def test_an_order_without_an_id_is_known_by_its_full_url() -> None:
    ((record,), _) = read_all(bundle(patient(), {"fullUrl": "urn:uuid:1", "resource": order(id=None)}))
    assert record.medications[0].reference == "urn:uuid:1"


# ------------------------------------------------------------ prefetch


def prefetched(prefetch: Mapping[str, object], **more: Any) -> Record:
    return read_prefetch(prefetch, "p", terminology(), SCOPE, **more)


def test_all_values_of_a_prefetch_are_one_record_of_the_patient_of_the_call() -> None:
    record = prefetched(
        {
            "patient": patient(gender="male"),
            "results": bundle(
                observation(), observation(identity="x", subject={"reference": "Patient/q"}), kind="searchset"
            ),
            "problems": bundle(condition()),
            "orders": None,
        },
        drafts=[bundle(order(status="draft"))],
    )
    assert record.person.reference == "Patient/p" and record.person.sex == "male" and not record.complete
    assert [r.reference for r in record.results["antibody"]] == ["Observation/o"]
    assert set(record.diagnoses) == {"palsy"} and record.medications[0].status == "draft"


def test_one_resource_under_two_keys_is_one_result() -> None:
    entry = {"fullUrl": "https://ehr.example.org/Observation/o", "resource": observation()}
    record = prefetched({"patient": patient(), "a": bundle(entry), "b": bundle(entry), "c": observation()})
    assert len(record.results["antibody"]) == 1 and record.problems == ()


def test_absent_null_empty_and_failed_are_told_apart() -> None:
    asked = {key: {key} for key in ("absent", "null", "empty", "failed", "pages", "mixed", "warned")}
    failure = {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}
    warning = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}
    record = prefetched(
        {
            "patient": patient(),
            "null": None,
            "empty": bundle(kind="searchset"),
            "failed": failure,
            "pages": bundle(link=[{"relation": "next", "url": "x"}]),
            "mixed": bundle(failure),
            "warned": bundle(warning),
        },
        asked=asked,
    )
    assert record.asked == {"null", "empty", "warned"}
    assert codes(record.problems) == ["failed-query", "failed-query", "further-pages"]
    assert {p.where for p in record.problems} == {"prefetch `failed`", "prefetch `pages`", "prefetch `mixed`"}


def test_without_the_patient_the_record_says_so_and_others_do_not_take_their_place() -> None:
    record = prefetched({"results": bundle(observation()), "patient": patient("q", gender="male")})
    assert record.person.reference == "Patient/p" and record.person.sex == "" and "antibody" in record.results
    assert codes(record.problems) == ["patient-missing"]


@pytest.mark.parametrize("value", [7, "x", [], {}, {"resourceType": 3}, {"html": "<html>"}])
def test_rubbish_under_a_key_is_a_problem_of_that_key(value: object) -> None:
    record = prefetched({"patient": patient(), "odd": value, "results": observation()}, asked={"odd": {"odd"}})
    assert "antibody" in record.results and len(record.problems) == 1 and record.asked == frozenset()


def test_the_encounter_of_the_call_is_the_present_one() -> None:
    there = observation(encounter={"reference": "Encounter/e"})
    record = read_prefetch(
        {"patient": patient(), "r": there}, "Patient/p", terminology(), Scope(as_of=NOW, current_encounter="e")
    )
    assert record.results["antibody"][0].current_encounter


# ------------------------------------------------------------ hostile input


_KEYS = [
    "resourceType",
    "id",
    "meta",
    "entry",
    "resource",
    "fullUrl",
    "type",
    "code",
    "coding",
    "system",
    "subject",
    "patient",
    "reference",
    "identifier",
    "value",
    "status",
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "component",
    "interpretation",
    "referenceRange",
    "bodySite",
    "performer",
    "method",
    "effectiveDateTime",
    "effectivePeriod",
    "start",
    "end",
    "verificationStatus",
    "clinicalStatus",
    "category",
    "recordedDate",
    "onsetPeriod",
    "conclusionCode",
    "contained",
    "medicationReference",
    "medicationCodeableConcept",
    "dosageInstruction",
    "link",
    "parameter",
    "part",
    "request",
    "method",
    "lastUpdated",
    "versionId",
    "focus",
    "encounter",
    "unit",
    "comparator",
    "low",
    "high",
    "text",
    "display",
    "extension",
    "deceasedBoolean",
    "birthDate",
    "gender",
    "active",
    "tag",
    "timestamp",
    "modifierExtension",
    "dataAbsentReason",
    "reasonReference",
    "timing",
    "repeat",
    "ingredient",
    "url",
    "concept",
]
_WORDS = [
    "Patient",
    "Observation",
    "Condition",
    "Bundle",
    "Parameters",
    "Procedure",
    "DiagnosticReport",
    "AllergyIntolerance",
    "MedicationRequest",
    "MedicationStatement",
    "Immunization",
    "Medication",
    "Organization",
    "Encounter",
    "final",
    "completed",
    "ab",
    "weak",
    "panel",
    "P10.1",
    "urn:test:lab",
    "urn:test:dx",
    "Patient/p",
    "#p",
    "urn:uuid:1",
    "https://x.org/Patient/p",
    "2025-05-01",
    "2025",
    "9999-12-31T99:99",
    "history",
    "DELETE",
    "next",
    "Patient?identifier=a|b",
    "<5 mmol/L",
    "\ud83d",
    "p",
]
_LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.sampled_from(_WORDS)
    | st.text(max_size=12)
)
_SOUP = st.recursive(
    _LEAF,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=40,
)
_RESOURCES = [
    patient(identifier=[{"system": "a", "value": "b"}], gender="male", birthDate="1990"),
    observation(
        "weak",
        valueQuantity={"value": 5, "unit": "mmol/L"},
        interpretation=[coded("H")],
        referenceRange=[{"high": {"value": 4}}],
        bodySite=coded("arm"),
        component=[{"code": coded("c-hz"), "valueQuantity": {"value": 3}}],
        method=coded("ripa"),
        performer=[{"reference": "Organization/l"}],
        encounter={"reference": "Encounter/e"},
    ),
    condition(
        verificationStatus=coded("confirmed"), category=[coded("encounter-diagnosis")], onsetPeriod={"start": "2024"}
    ),
    order(
        dosageInstruction=[{"timing": {"repeat": {"boundsPeriod": {"start": "2025"}}}}],
        contained=[{"resourceType": "Medication"}],
    ),
    {"resourceType": "Organization", "id": "l", "identifier": [{"system": "a", "value": "b"}]},
    {"resourceType": "Encounter", "id": "e", "status": "in-progress", "subject": {"reference": "Patient/p"}},
]


def read_quietly(*documents: object) -> None:
    """Reads, and checks that every problem is one of the closed list."""
    records, problems = read_all(*documents, at_bundle_time=True)
    for one in [*problems, *(found for record in records for found in record.problems)]:
        assert isinstance(one, Problem) and one.code in CODES
    for record in records:
        assert isinstance(record.person.reference, str) and hash(tuple(record.results)) is not None


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_SOUP, max_size=3))
def test_json_soup_never_raises(soup: list[object]) -> None:
    read_quietly(
        *soup,
        {"resourceType": "Bundle", "entry": soup},
        {"resourceType": "Bundle", "entry": [{"resource": s} for s in soup]},
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_element_of_any_resource_may_be_anything(data: st.DataObject) -> None:
    """A good resource in which one element, at any depth, is replaced by soup."""
    resources = json.loads(json.dumps(_RESOURCES))
    held: Any = data.draw(st.sampled_from(resources))
    for _ in range(data.draw(st.integers(0, 4))):
        keys = list(held) if isinstance(held, dict) else range(len(held))
        inner = [key for key in keys if isinstance(held[key], (dict, list)) and held[key]]
        if not inner:
            break
        held = held[data.draw(st.sampled_from(inner))]
    key = data.draw(st.sampled_from(list(held) if isinstance(held, dict) else list(range(len(held)))))
    held[key] = data.draw(_SOUP)
    read_quietly(bundle(*resources))
    read_quietly(*resources)
    read_prefetch({"a": bundle(*resources), "b": data.draw(_SOUP)}, "p", terminology(), SCOPE)


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_entries_does_not_matter(order_of: list[int]) -> None:
    plain = read_one(*_RESOURCES[1:])
    ((record,), _) = read_all(bundle(*[_RESOURCES[n] for n in order_of]))
    assert (record.person, record.results, record.diagnoses, record.medications) == (
        read_all(bundle(*_RESOURCES))[0][0].person,
        plain.results,
        plain.diagnoses,
        plain.medications,
    )


def test_deep_extensions_and_wide_lists_are_read_quickly() -> None:
    deep: Any = {"url": "x"}
    for _ in range(400):
        deep = {"url": "x", "extension": [deep]}
    wide = {"coding": [{"system": "urn:x", "code": str(n)} for n in range(20_000)]}
    read_quietly(
        bundle(
            patient(extension=[deep]), observation(code=wide, extension=[deep]), observation(identity="2", code=deep)
        )
    )


def test_no_problem_code_is_made_up() -> None:
    with pytest.raises(ValueError, match="no problem code"):
        problem("surprise", "here", "what")


# ------------------------------------------------------------ others' data, where it is at hand


def _others() -> list[Path]:
    found = [Path(__file__).parents[2] / "data", *Path(__file__).resolve().parents[3].glob("shared/data")]
    return sorted(p for folder in found for p in folder.glob("real/*/**/*") if p.suffix in (".json", ".ndjson", ".gz"))


@pytest.mark.skipif(not _others(), reason="the collection of others' data is not here")
def test_others_data_are_read_without_an_error() -> None:
    problems: list[Problem] = []
    documents = (document for path in _others() for document in read_documents(path, path.name))
    records = list(read_records(documents, terminology(), Scope(as_of=date(2250, 1, 1)), problems))
    assert len(records) > 500
    assert {one.code for one in problems} <= set(CODES)
    assert sum(one.code == "not-json" for one in problems) < 20


def test_documents_of_decoded_resources_are_numbered() -> None:
    assert [d.where for d in as_documents([patient(), observation()], "call")] == ["call: 1", "call: 2"]
