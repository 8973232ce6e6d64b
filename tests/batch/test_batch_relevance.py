"""Whom no rule can concern is decided from codes alone: this hides no finding, and ordinary patients are not read."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from batch_kit import DAY, ROOT, Json, bulk, examples, ndjson, ready, screened, write_bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batch.relevance import Relevance
from engine.evaluation import Evaluator
from engine.fhir.decode import Document
from engine.fhir.lookup import lookup_for
from engine.fhir.record import Scope, read_records

sys.path.insert(0, str(ROOT / "benchmarks"))

from population import ordinary

BUNDLES = list(examples())


def relevance(evaluator: Evaluator) -> Relevance:
    return Relevance(evaluator.ruleset, lookup_for(evaluator.ruleset.terminology))


FILTER = relevance(ready())


def findings(bundle: Json) -> int:
    """How many findings a full reading gives, held back ones included."""
    terminology = ready().ruleset.terminology
    records = read_records([Document(bundle, "x")], terminology, Scope(as_of=DAY), [])
    evaluations = [ready().evaluate(record) for record in records]
    return sum(len(one.findings) + len(one.held_back) + one.relevant for one in evaluations)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(BUNDLES), st.data())
def test_a_bundle_that_is_not_read_has_no_finding_whatever_is_left_of_it(bundle: Json, data: st.DataObject) -> None:
    patient = [e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    others = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Patient"]
    kept = data.draw(st.lists(st.sampled_from(others), max_size=6, unique_by=id))
    part = {**bundle, "entry": [*patient, *kept]}

    if FILTER.bundle(msgspec.json.encode(part)):
        assert findings(part) == 0


def test_every_entry_that_alone_makes_a_patient_relevant_is_seen() -> None:
    seen = 0
    for bundle in BUNDLES:
        patient = [e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
        for entry in bundle["entry"]:
            part = {**bundle, "entry": [*patient, entry]}
            if findings(part):
                seen += 1
                assert FILTER.bundle(msgspec.json.encode(part)) == ""
    assert seen > 50


def test_an_ordinary_patient_with_common_values_and_drugs_is_not_read() -> None:
    for number in range(50):
        bundle = ordinary(number)
        assert FILTER.bundle(msgspec.json.encode(bundle)) == f"Patient/ordinary-{number}"
        assert findings(bundle) == 0


def test_what_is_not_plain_is_read() -> None:
    plain = ordinary(1)
    stranger = {"resourceType": "Observation", "subject": {"reference": "Patient/other"}}
    odd: list[Json] = [
        {**plain, "entry": [*plain["entry"], {"resource": plain["entry"][0]["resource"]}]},
        {**plain, "entry": plain["entry"][1:]},
        {**plain, "entry": [*plain["entry"], {"resource": {"resourceType": "Bundle", "entry": []}}]},
        {**plain, "entry": [*plain["entry"], {"resource": stranger}]},
        {**plain, "entry": [*plain["entry"], {"request": {"method": "DELETE", "url": "Condition/1"}}]},
        {**plain, "entry": [*plain["entry"], {"resource": {"id": "x"}}]},
        {**plain, "meta": {"tag": [{"system": "urn:endplate:scope", "code": "complete-record"}]}},
    ]
    assert FILTER.bundle(msgspec.json.encode(plain))
    assert [FILTER.bundle(msgspec.json.encode(bundle)) for bundle in odd] == [""] * len(odd)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    assert FILTER.bundle(b'{"resourceType":"Bundle","entry":[' + data) == ""
    FILTER.order(data)
    FILTER.code("observation", data)
    FILTER.product(data)


def test_a_batch_says_of_the_examples_what_a_full_reading_says(tmp_path: Path) -> None:
    terminology = ready().ruleset.terminology
    bundles = [*BUNDLES, *(ordinary(number) for number in range(5))]
    file = tmp_path / "in.ndjson"
    file.write_bytes(ndjson(bundles))
    records = read_records([Document(bundle, "x") for bundle in bundles], terminology, Scope(as_of=DAY), [])
    wanted = {
        evaluation.patient: sorted((f.issue, f.severity) for f in evaluation.findings)
        for evaluation in map(ready().evaluate, records)
    }

    assert screened(tmp_path / "a", file).findings == wanted


def test_a_bulk_export_says_what_its_resources_say_when_read_together(tmp_path: Path) -> None:
    terminology = ready().ruleset.terminology
    by_type = bulk([*BUNDLES, *(ordinary(number) for number in range(5))])
    folder = write_bulk(tmp_path / "in", by_type, files=2)
    singles = [Document(resource, "x") for held in by_type.values() for resource in held]
    records = read_records(singles, terminology, Scope(as_of=DAY), [])
    wanted = {
        evaluation.patient: sorted((f.issue, f.severity) for f in evaluation.findings)
        for evaluation in map(ready().evaluate, records)
    }

    assert screened(tmp_path / "a", folder, into=3).findings == wanted


def test_a_thorough_batch_finds_the_same_and_lists_the_problems_of_everybody(tmp_path: Path) -> None:
    undated = ordinary(1)
    weight = next(e["resource"] for e in undated["entry"] if e["resource"].get("valueQuantity", {}).get("unit") == "kg")
    weight["effectiveDateTime"] = "2035-01-01"
    file = tmp_path / "in.ndjson"
    file.write_bytes(ndjson([undated, *BUNDLES]))

    quick = screened(tmp_path / "a", file)
    thorough = screened(tmp_path / "b", file, thorough=True)

    assert quick.findings == thorough.findings
    assert "future-date" not in [code for code, _, _ in quick.odd]
    assert "future-date" in [code for code, _, _ in thorough.odd]
