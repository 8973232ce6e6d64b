"""What real data demand: seventeen observations of data that others wrote, each held end to end, from the file to the
findings. Every one has a reproduction of its own; where the real files are at hand they are read as well.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from test_vectors import evaluator

from engine.cli.common import day
from engine.fhir import Document, Scope, as_documents, read_documents, read_records
from engine.model.finding import Evaluation
from engine.model.problem import Problem
from engine.model.record import Medication, Quantity, Record
from engine.outputs.report import report
from engine.terminology import Terminology, load_terminology

NOW = date(2025, 6, 1)
VALUESETS = Path(__file__).resolve().parent.parent / "rulesets/neuromuscular/valuesets"
UCUM = "http://unitsofmeasure.org"
HOSPITAL = "http://hospital.example/codes"
DANGER = "mg-drug-avoid"  # what a fluoroquinolone for a patient with myasthenia gravis is
Json = dict[str, Any]


# ---------------------------------------------------------------- small patients of our own


def terminology() -> Terminology:
    return evaluator().ruleset.terminology


def coded(concept: str, kind: str = "condition", **more: Any) -> Json:
    """The concept under the code that the ruleset prefers."""
    coding = terminology().preferred(concept, kind)
    assert coding is not None, concept
    return {"coding": [{"system": coding.system, "code": coding.code}], **more}


def patient(identity: str = "p", **more: Any) -> Json:
    return {"resourceType": "Patient", "id": identity, "gender": "male", "birthDate": "1960-05-05", **more}


def about(resource: str, identity: str, **elements: Any) -> Json:
    """A resource of patient `p`; None takes an element away."""
    whole = {"resourceType": resource, "id": identity, "subject": {"reference": "Patient/p"}, **elements}
    return {name: value for name, value in whole.items() if value is not None}


def condition(concept: str = "mg", **elements: Any) -> Json:
    return about("Condition", concept, **{
        "code": coded(concept),
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "recordedDate": "2024-05-05",
    } | elements)  # fmt: skip


def order(drug: str = "ciprofloxacin", **elements: Any) -> Json:
    named = {} if "medicationReference" in elements else {"medicationCodeableConcept": coded(drug, "medication")}
    usual = {"status": "active", "intent": "order", "authoredOn": "2025-05-20"}
    return about("MedicationRequest", f"order-{drug}", **{**usual, **named, **elements})


def result(concept: str, value: object = None, unit: str = "", **elements: Any) -> Json:
    usual: Json = {"status": "final", "code": coded(concept, "observation"), "effectiveDateTime": "2025-05-20"}
    if value is not None:
        usual["valueQuantity"] = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return about("Observation", concept, **{**usual, **elements})


def bundle(*resources: Json, kind: str = "collection") -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one} for one in resources]}


def read(
    documents: Iterable[Document | Problem], words: Terminology | None = None, **scope: Any
) -> tuple[list[Record], list[Problem]]:
    """The records, and the problems of nobody."""
    nobody: list[Problem] = []
    records = read_records(documents, words or terminology(), Scope(**{"as_of": NOW, **scope}), nobody)
    return list(records), nobody


def record(*resources: Json, words: Terminology | None = None, **scope: Any) -> Record:
    """The one record of patient `p` with these resources."""
    (only,), nobody = read(as_documents([bundle(patient(), *resources)]), words, **scope)
    assert nobody == []
    return only


def evaluated(*resources: Json, **scope: Any) -> Evaluation:
    return evaluator().evaluate(record(*resources, **scope))


def issues(*resources: Json, **scope: Any) -> set[str]:
    return {finding.issue for finding in evaluated(*resources, **scope).findings}


def codes(problems: Iterable[Problem]) -> list[str]:
    return sorted(problem.code for problem in problems)


# ---------------------------------------------------------------- the files of others


@pytest.fixture(scope="session")
def real(shared: Path) -> Path:
    return shared / "data/real"


def files(place: Path) -> list[Path]:
    """The data of a folder, or the file itself."""
    if place.is_file():
        return [place]
    return sorted(p for p in place.rglob("*") if p.is_file() and p.name not in ("LICENSE", "ORIGIN.md"))


def documents(*places: Path) -> Iterator[Document | Problem]:
    return chain.from_iterable(read_documents(file) for place in places for file in files(place))


def person(records: Iterable[Record], identity: str) -> Record:
    (found,) = [one for one in records if one.person.reference == f"Patient/{identity}"]
    return found


@pytest.fixture(scope="session")
def hospital(real: Path) -> list[Record]:
    """Fourteen patients of a hospital export, over all its files, at a date in their own century."""
    records, nobody = read(documents(real / "mimic-iv-demo-ndjson"), as_of=date(2180, 1, 1))
    assert nobody == []
    return records


def resources(place: Path) -> Iterator[Json]:
    """Every resource of a folder, those in Bundles too."""
    for document in documents(place):
        if isinstance(document, Document) and isinstance(document.content, dict):
            yield document.content
            yield from resources_in(document.content)


def resources_in(whole: Json) -> Iterator[Json]:
    entries = whole.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield entry["resource"]


# ---------------------------------------------------------------- 1: a hospital's own code systems


ALS = {"coding": [{"system": HOSPITAL, "code": "G1221", "display": "Amyotrophic lateral sclerosis"}]}


def mapped(folder: Path, uri: str) -> Terminology:
    """The terminology of a site that says which known system one of its own is."""
    (folder / "systems.csv").write_text(f"system,uri\nicd10cm,{uri}\n", encoding="utf-8")
    return load_terminology(VALUESETS, [folder])


def test_01_a_relevant_code_under_an_unknown_system_is_reported_and_read_once_the_site_maps_it(tmp_path: Path) -> None:
    bare = about("Condition", "als", code=ALS)  # no status, no date
    weak = result("fvc-pct", 45, "%")

    unmapped = evaluated(bare, weak)
    assert [f.issue for f in unmapped.findings] == []
    assert [(p.code, p.where.rpartition(": ")[2]) for p in unmapped.problems] == [
        ("unrecognised-code", "Condition/als")
    ]
    assert HOSPITAL in unmapped.problems[0].message

    known = record(bare, weak, words=mapped(tmp_path, HOSPITAL))
    assert codes(known.problems) == []
    assert [(d.certainty, d.recorded) for d in known.diagnoses["als"]] == [("confirmed", None)]
    assert "als-niv-threshold" in {f.issue for f in evaluator().evaluate(known).findings}


def test_01_icd_codes_are_compared_without_their_dots() -> None:
    for code in ("G12.21", "G1221", "g12.21"):
        als = coded("als") | {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]}
        assert "als" in record(condition(code=als)).diagnoses


def test_01_the_real_export_with_als_codes_of_its_own(real: Path, hospital: list[Record], tmp_path: Path) -> None:
    export = real / "mimic-iv-demo-ndjson"
    line = (export / "MimicCondition.ndjson").read_text(encoding="utf-8").splitlines()[20]
    who = json.loads(line)["subject"]["reference"].partition("/")[2]

    told = person(hospital, who)
    assert told.diagnoses == {}
    reported = [p for p in told.problems if p.code == "unrecognised-code"]
    assert any(json.loads(line)["id"] in p.where and "mimic-diagnosis-icd10" in p.message for p in reported)

    words = mapped(tmp_path, "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-diagnosis-icd10")
    records, _ = read(documents(export), words, as_of=date(2180, 1, 1))
    assert [d.certainty for d in person(records, who).diagnoses["als"]][:1] == ["confirmed"]


# ---------------------------------------------------------------- 2: orders and their medications


def found_by_name(medication: Json) -> tuple[Record, list[Medication]]:
    """An order in one document, its Medication in another."""
    singly = [order(medicationReference={"reference": "Medication/m"}), patient(), condition(),
              {"resourceType": "Medication", "id": "m", **medication}]  # fmt: skip
    (only,), nobody = read(as_documents(singly))
    assert nobody == []
    return only, list(only.medications)


@pytest.mark.parametrize(
    "medication",
    [
        {"code": {"text": "Ciprofloxacin 500 mg"}},
        {"code": {"coding": [{"system": HOSPITAL, "code": "17", "display": "Ciprofloxacin HCl"}]}},
        {"code": {"coding": [{"system": HOSPITAL, "code": "Ciprofloxacin HCl"}]}},
        {"code": {"coding": [{"system": HOSPITAL, "code": "17"}]}, "identifier": [{"value": "Ciprofloxacin IV"}]},
        {"ingredient": [{"itemCodeableConcept": {"text": "ciprofloxacin"}}]},
    ],
)
def test_02_an_order_is_joined_with_its_medication_and_a_name_decides_where_no_code_is_known(medication: Json) -> None:
    told, medications = found_by_name(medication)
    assert [(m.ingredient, m.found_by_name) for m in medications] == [("ciprofloxacin", True)]
    assert codes(told.problems) == ["drug-by-name"]
    evaluation = evaluator().evaluate(told)
    assert DANGER in {f.issue for f in evaluation.findings}
    assert codes(evaluation.problems) == ["drug-by-name"], "a site can see what it should map"


def test_02_a_known_code_needs_no_name_and_a_name_never_makes_a_disease() -> None:
    told, medications = found_by_name({"code": coded("ciprofloxacin", "medication", text="aspirin")})
    assert [(m.ingredient, m.found_by_name) for m in medications] == [("ciprofloxacin", False)]
    assert told.problems == ()
    assert record(condition(code={"text": "Myasthenia gravis"})).diagnoses == {}


def test_02_tablets_of_a_product_that_is_only_a_code_have_its_strength() -> None:
    with (VALUESETS / "rxnorm.csv").open(encoding="utf-8", newline="") as text:
        products = [row for row in csv.DictReader(text) if row["ingredient"] == "pyridostigmine"]
    code = next(row["code"] for row in products if row["strength"] == "60 MG")
    drug = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": code}]}
    hourly = {"repeat": {"frequency": 1, "period": 2, "periodUnit": "h"}}

    def told(tablets: int) -> Record:
        dose = {"doseQuantity": {"value": tablets, "unit": "tablet"}}
        dosage = [{"doseAndRate": [dose], "timing": hourly}]
        return record(condition(), order(medicationCodeableConcept=drug, dosageInstruction=dosage))

    assert [(m.single_mg, m.daily_mg) for m in told(2).medications] == [(120, 1440)]
    assert "pyridostigmine-dose-high" in {f.issue for f in evaluator().evaluate(told(2)).findings}


def test_02_the_real_export_is_joined_over_its_files(hospital: list[Record], real: Path) -> None:
    assert len(hospital) == 14
    counted = Counter(p.code for one in hospital for p in one.problems)
    assert counted["dangling-reference"] == 0
    drugs = {(m.ingredient, m.found_by_name) for one in hospital for m in one.medications}
    assert {("metoprolol", True), ("ciprofloxacin", True), ("magnesium", True)} <= drugs
    assert counted["drug-by-name"] == len([r for one in hospital for r in {m.reference for m in one.medications}])
    assert all("mimic" in p.message for one in hospital for p in one.problems if p.code == "drug-by-name")

    alone, _ = read(documents(real / "mimic-iv-demo-ndjson/MimicMedicationRequest.ndjson.gz"))
    assert Counter(p.code for one in alone for p in one.problems)["dangling-reference"] > 1000

    line = gzip.decompress((real / "mimic-iv-demo-ndjson/MimicMedicationRequest.ndjson.gz").read_bytes())
    local = json.loads(line.splitlines()[205])
    mine = [m for one in hospital for m in one.medications if m.reference == f"MedicationRequest/{local['id']}"]
    assert [(m.ingredient, m.status, m.found_by_name) for m in mine] == [("metoprolol", "stopped", True)]


# ---------------------------------------------------------------- 3: the code decides, and absurd numbers are said


def test_03_the_code_decides_and_not_the_title() -> None:
    titled = result("alt", 45, "U/L")
    titled["code"]["text"] = "Forced vital capacity, % of predicted"
    assert set(record(titled).results) == {"alt"}


def test_03_a_fraction_sent_as_percent_is_unknown_and_said() -> None:
    als = condition("als")
    assert issues(als, result("fvc-pct", 45, "%")) == {"als-niv-threshold"}
    (finding,) = evaluated(als, result("fvc-pct", Decimal("0.5"), "%")).findings
    assert (finding.issue, finding.references) == ("dq-implausible-value", ("Observation/fvc-pct",))


def test_03_an_object_where_a_list_belongs_is_a_list_of_one() -> None:
    flag = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0078", "code": "H"}]}
    told = record(result("ck", 900, "U/L", interpretation=flag, referenceRange={"high": {"value": 200}}))
    (ck,) = told.results["ck"]
    assert (ck.flag, ck.high) == ("H", Quantity(Decimal(200)))


def test_03_a_date_of_issue_is_no_date_of_the_result() -> None:
    issued = result("fvc-pct", 45, "%", effectiveDateTime=None, issued="2025-05-20T10:00:00Z")
    assert [fvc.day for fvc in record(issued).results["fvc-pct"]] == [None]


def test_03_the_real_test_patient(real: Path) -> None:
    records, nobody = read(documents(real / "davinci-test-ehr"), complete=True)
    told = person(records, "pat014")
    assert nobody == []
    assert {"fvc-pct", "fvc-l", "mip"}.isdisjoint(told.results), "miscoded: an FEV1, and a pressure on a ventilator"
    assert "als" not in told.diagnoses, "the header of the motor neuron diseases"
    assert evaluator().evaluate(told).findings == ()


# ---------------------------------------------------------------- 4: doNotPerform


@pytest.mark.parametrize("status", ["active", "cancelled", "stopped", "draft", "on-hold"])
def test_04_what_must_not_be_given_is_no_exposure_whatever_its_status(status: str) -> None:
    assert DANGER in issues(condition(), order())
    told = record(condition(), order(status=status, doNotPerform=True))
    assert told.medications == ()
    assert evaluator().evaluate(told).findings == ()


def test_04_the_real_vendor_that_marks_every_cancelled_order(real: Path) -> None:
    place = real / "ips-connectathon/US_MEDITECH_ips_4.json"
    marked = [r for r in resources(place) if r["resourceType"] == "MedicationRequest" and r.get("doNotPerform")]
    assert any("ciprofloxacin" in str(one["medicationReference"]) for one in marked)
    (told,), _ = read(documents(place))
    assert told.medications == ()


# ---------------------------------------------------------------- 5: long ids, many codings


def test_05_an_id_may_be_long_and_the_known_coding_the_fifth() -> None:
    long = "e" * 109
    drug = coded("ciprofloxacin", "medication")
    drug["coding"] = [{"system": f"{HOSPITAL}/{number}", "code": str(number)} for number in range(4)] + drug["coding"]
    evaluation = evaluated(condition(), order(medicationCodeableConcept=drug, id=long))
    assert [(f.issue, f.order) for f in evaluation.findings] == [(DANGER, f"MedicationRequest/{long}")]
    assert evaluation.problems == ()


def test_05_the_real_record_with_ids_of_109_characters(real: Path) -> None:
    place = real / "ips-connectathon/US_Epic_Connectathon_Sept.json"
    medications = [r for r in resources(place) if r["resourceType"] == "Medication"]
    assert max(len(r["id"]) for r in medications) == 109
    (told,), _ = read(documents(place))
    assert ("prednisone", False) in {(m.ingredient, m.found_by_name) for m in told.medications}


# ---------------------------------------------------------------- 6: results as text


def worded(text: str, concept: str = "achr-cba") -> Record:
    return record(result(concept, valueString=text))


@pytest.mark.parametrize("text", ["Test Not Performed mmol/L", "not done", "CANCELLED", "nicht durchgeführt", "annulé"])
def test_06_a_test_that_was_not_performed_is_neither_negative_nor_done(text: str) -> None:
    assert worded(text).results == {}
    assert worded(text, "nmj-study").results == {}
    report_ = about("DiagnosticReport", "r", status="final", code=coded("nmj-study", "report"), conclusion=text)
    assert record(report_).results == {}


def test_06_a_word_of_a_closed_list_is_an_answer_and_anything_else_is_unknown() -> None:
    assert worded("NEGATIF").results["achr-cba"][0].answer == "negative"
    assert worded("positiv").results["achr-cba"][0].answer == "positive"
    for text in (".", "see report", "?"):
        (unknown,) = worded(text).results["achr-cba"]
        assert (unknown.answer, unknown.quantity) == ("", None)
    assert worded("< 60 mmol/L", "chloride").results["chloride"][0].quantity == Quantity(Decimal(60), "mmol/L", "<")


def test_06_the_meaning_is_the_same_as_that_of_a_code() -> None:
    als = condition("als")
    positive = issues(als, result("achr-cba", valueCodeableConcept=coded("positive", "answer")))
    assert positive and positive == issues(als, result("achr-cba", valueString="positif"))
    assert issues(als, result("achr-cba", valueString="Test not performed")) == issues(als)


def test_06_real_cancelled_tests_are_no_results(real: Path) -> None:
    export = resources(real / "mimic-iv-demo-ndjson")
    said = [text for one in export if "CANCELLED" in (text := one.get("valueString", ""))]
    assert said
    for text in said:
        assert terminology().code("not-done", [("", text)]) == "not-done"
        assert worded(text).results == {}


# ---------------------------------------------------------------- 7: older forms


def test_07_a_status_written_as_a_string_is_read_as_its_code() -> None:
    assert DANGER in issues(condition(clinicalStatus="active", verificationStatus="confirmed"), order())
    assert DANGER not in issues(condition(verificationStatus="refuted"), order())


def test_07_an_order_without_status_is_active_and_the_older_elements_are_read() -> None:
    assert DANGER in issues(condition(), order(status=None, intent=None))
    older = result("fvc-pct", 45, "%", context={"reference": "Encounter/e"}, comment="supine")
    assert [fvc.quantity for fvc in record(older).results["fvc-pct"]] == [Quantity(Decimal(45), "%")]


def test_07_a_medication_that_is_not_there_costs_its_order_only() -> None:
    lost = order("lost", medicationReference={"reference": "Medication/gone"})
    evaluation = evaluated(condition(), order(), lost)
    assert DANGER in {f.issue for f in evaluation.findings}
    assert [(p.code, p.where.rpartition(": ")[2]) for p in evaluation.problems] == [
        ("dangling-reference", "MedicationRequest/order-lost")
    ]


# ---------------------------------------------------------------- 8: the system of a status


def test_08_a_status_counts_by_its_code_whatever_its_system() -> None:
    value_set = "http://hl7.org/fhir/ValueSet/condition-ver-status"
    for status, expected in (("confirmed", True), ("refuted", False), ("entered-in-error", False)):
        marked = condition(verificationStatus={"coding": [{"system": value_set, "code": status}]})
        assert (DANGER in issues(marked, order())) is expected
    flagged = result("ck", 90, "U/L", interpretation=[{"coding": [
        {"system": "http://hl7.org/fhir/ValueSet/observation-interpretation", "code": "H"}]}])  # fmt: skip
    assert record(flagged).results["ck"][0].flag == "H"


# ---------------------------------------------------------------- 9: messages without ids


@pytest.mark.parametrize("kind", ["message", "transaction", "searchset", "document", "batch", "history", ""])
def test_09_every_type_of_bundle_is_read_and_a_full_url_stands_for_an_id(kind: str) -> None:
    who, drug = "urn:uuid:0a0a0a0a-0000-4000-8000-000000000001", "urn:uuid:0a0a0a0a-0000-4000-8000-000000000002"
    entries = [
        (who, {name: value for name, value in patient().items() if name != "id"}),
        ("urn:uuid:0a0a0a0a-0000-4000-8000-000000000003", condition()),
        (drug, {"resourceType": "Medication", "code": coded("ciprofloxacin", "medication")}),
        ("urn:uuid:0a0a0a0a-0000-4000-8000-000000000004", order(medicationReference={"reference": drug})),
    ]
    for _, resource in entries:
        if "subject" in resource:
            resource["subject"] = {"reference": who}
            del resource["id"]
    whole = {"resourceType": "Bundle", "type": kind, "entry": [{"fullUrl": u, "resource": r} for u, r in entries]}
    (told,), nobody = read(as_documents([whole]))
    assert nobody == []
    assert told.person.reference == who
    (finding,) = evaluator().evaluate(told).findings
    assert (finding.issue, finding.order) == (DANGER, entries[3][0])


def test_09_real_prescription_messages(real: Path) -> None:
    records, nobody = read(documents(real / "nhs-eps"))
    assert nobody == [] and len(records) == 24
    drugs = Counter(m.ingredient for one in records for m in one.medications)
    assert drugs["methotrexate"] == 10 and drugs["azithromycin"] == 3
    assert all(m.reference for one in records for m in one.medications)


# ---------------------------------------------------------------- 10: names of code systems


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "G70.0"), ("http://hl7.org/fhir/sid/icd-10-nl", "G70.0"),
        ("urn:oid:1.3.6.1.4.1.12559.11.10.1.3.1.44.2", "G70.0"), ("ICD-10-CM", "G70.00"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("atc", ["http://www.whocc.no/atc", "http://fhir.de/CodeSystem/bfarm/atc",
                                 "urn:oid:2.16.840.1.113883.6.73", "ATC"])  # fmt: skip
def test_10_national_and_misspelt_systems_are_known(system: str, code: str, atc: str) -> None:
    disease = condition(code={"coding": [{"system": system, "code": code}]})
    drug = order(medicationCodeableConcept={"coding": [{"system": atc, "code": "J01MA02"}]})
    assert DANGER in issues(disease, drug)


@pytest.mark.parametrize("system", ["LOINC", "https://loinc.org", "http://loinc.org/", "http://www.loinc.org",
                                    "urn:oid:2.16.840.1.113883.6.1"])  # fmt: skip
def test_10_spellings_of_loinc(system: str) -> None:
    fvc = result("fvc-l", 2, "L")
    assert fvc["code"]["coding"][0]["system"] == "http://loinc.org"
    fvc["code"]["coding"][0]["system"] = system
    assert set(record(fvc).results) == {"fvc-l"}


def test_10_real_german_orders_by_their_atc_codes(real: Path) -> None:
    records, _ = read(documents(real / "mii-testdata"))
    drugs = {(m.ingredient, m.found_by_name) for one in records for m in one.medications}
    assert {("clarithromycin", False), ("morphine", False), ("propofol", False)} <= drugs


# ---------------------------------------------------------------- 11: refuted and unconfirmed


@pytest.mark.parametrize("status", ["refuted", "unconfirmed", "provisional", "differential", "entered-in-error"])
def test_11_what_is_refuted_or_unconfirmed_is_not_the_disease(status: str) -> None:
    text = "Amyotrophic lateral sclerosis"
    marked = condition("als", verificationStatus={"coding": [{"code": status}]}, code=coded("als", text=text))
    told = record(marked, result("fvc-pct", 45, "%"))
    assert all(d.certainty != "confirmed" for d in told.diagnoses.get("als", ()))
    evaluation = evaluator().evaluate(told)
    assert "als-diagnosis" not in evaluation.facts or evaluation.facts["als-diagnosis"].value != "confirmed"
    assert evaluation.conclusions.get("als-level") != "level-1"
    if status in ("refuted", "entered-in-error"):
        assert evaluation.findings == ()
    assert evaluator().evaluate(record(condition("als"))).conclusions["als-level"] == "level-1"


def test_11_real_rare_diseases(real: Path) -> None:
    records, _ = read(documents(real / "mii-rare-diseases"), complete=True)
    diagnoses = [d for one in records for found in one.diagnoses.values() for d in found]
    assert [d.concept for d in diagnoses if d.certainty == "confirmed"] == []
    assert [f.issue for one in records for f in evaluator().evaluate(one).findings] == []


# ---------------------------------------------------------------- 12: "no problems"


IPS = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"


def test_12_no_known_problem_is_neither_a_disease_nor_a_proof_of_absence() -> None:
    none = condition(code={"coding": [{"system": IPS, "code": "no-problem-info"}]}, id="none")
    no_drug = about("MedicationStatement", "none", status="active", medicationCodeableConcept={
        "coding": [{"system": IPS, "code": "no-known-medications"}], "text": "No known medications"})  # fmt: skip
    told = record(none, no_drug)
    assert (told.diagnoses, told.medications, told.results, told.problems) == ({}, (), {}, ())
    assert not told.complete
    assert issues(condition(), order(), none, no_drug) == issues(condition(), order())


def test_12_a_reason_for_missing_data_hides_no_drug_that_the_text_names() -> None:
    missing = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}
    drug = order(medicationCodeableConcept={"coding": [missing], "text": "Ciprofloxacin 500 mg"})
    assert DANGER in issues(condition(), drug)


def test_12_real_summaries_without_information(real: Path) -> None:
    places = [real / "ips-connectathon/DE_no_info_with_Advance_Directive.json",
              real / "ips-connectathon/Bundle-NZPSNoClinicalInfoBundle.json"]  # fmt: skip
    records, _ = read(documents(*places))
    assert len(records) == 2
    for told in records:
        assert (told.diagnoses, told.medications) == ({}, ())
        assert not told.complete and evaluator().evaluate(told).findings == ()


# ---------------------------------------------------------------- 13: who it belongs to


def two_patients() -> Json:
    """Gravis has the disease, Other gets the drug; every way of naming a patient stands once."""
    number = {"system": "http://hospital.example/mrn", "value": "17"}
    mine = [patient("p", identifier=[number]), condition(id="by-reference")]
    by_identifier = condition(id="by-identifier", subject={"identifier": number})
    by_search = condition(id="by-search", subject={"reference": "Patient?identifier=http://hospital.example/mrn|17"})
    versioned = condition(id="versioned", subject={"reference": "Patient/p/_history/3"})
    inside = condition(id="contained", subject={"reference": "#me"})
    inside["contained"] = [{"resourceType": "Patient", "id": "me", "identifier": [number]}]
    other = [patient("q"), order(subject={"reference": "Patient/q"})]
    return bundle(*mine, by_identifier, by_search, versioned, inside, *other)


def test_13_facts_are_grouped_by_patient_and_nothing_crosses() -> None:
    (gravis, other), nobody = read(as_documents([two_patients()]))
    assert nobody == []
    assert {d.reference for d in gravis.diagnoses["mg"]} == {
        f"Condition/{i}" for i in ("by-reference", "by-identifier", "by-search", "versioned", "contained")
    }
    assert gravis.medications == () and other.diagnoses == {}
    for one in (gravis, other):
        assert evaluator().evaluate(one).findings == ()


def test_13_what_belongs_to_nobody_is_set_aside_and_counted() -> None:
    of_nobody = [
        order(id="without", subject=None),
        order(id="display", subject={"display": "Mr Gravis"}),
        order(id="stranger", subject={"reference": "Patient/stranger"}),
        order(id="group", subject={"reference": "Group/g"}),
    ]
    (told,), nobody = read(as_documents([bundle(patient(), condition(), *of_nobody)]))
    assert told.medications == ()
    assert codes(nobody) == ["no-patient", "no-patient", "no-patient", "unknown-patient"]


def test_13_real_bundles_of_several_patients_and_of_none(real: Path) -> None:
    several = none = 0
    for document in documents(real):
        if not isinstance(document, Document) or not isinstance(document.content, dict):
            continue
        if document.content.get("resourceType") != "Bundle":
            continue
        given = {r.get("id") for r in resources_in(document.content) if r.get("resourceType") == "Patient"}
        several += len(given) > 1
        none += not given
        records, _ = read([document])
        listed = [one.person.reference for one in records]
        assert len(listed) == len(set(listed)), document.where
        read_of = Counter(chain.from_iterable(references(one) for one in records))
        assert not read_of or max(read_of.values()) == 1, document.where
    assert several > 20 and none > 50


def references(told: Record) -> set[str]:
    """The resources that a record was made of."""
    results = (one.reference for found in told.results.values() for one in found)
    diagnoses = (one.reference for found in told.diagnoses.values() for one in found)
    return {*results, *diagnoses, *(medication.reference for medication in told.medications)}


# ---------------------------------------------------------------- 14: broken files


def lines(*resources: object) -> bytes:
    return b"\n".join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in resources)


def test_14_one_bad_line_costs_itself() -> None:
    twice = json.dumps(order()).replace('"status": "active"', '"status": "cancelled", "status": "active"').encode()
    data = b"\xef\xbb\xbf" + lines(
        patient(), b'{"resourceType": "Condition", "id": ', condition(), {"exportId": "7", "eventId": "kickoff"}, twice,
        b"2025-06-01 export finished", b"", [1, 2],
    )  # fmt: skip
    (told,), nobody = read(read_documents(data, "export.ndjson"))
    assert DANGER in {f.issue for f in evaluator().evaluate(told).findings}
    assert [(p.code, p.where) for p in nobody] == [
        ("not-json", "export.ndjson: line 2"), ("no-resource-type", "export.ndjson: line 4"),
        ("not-json", "export.ndjson: line 6"), ("not-an-object", "export.ndjson: line 8: 1"),
        ("not-an-object", "export.ndjson: line 8: 2"),
    ]  # fmt: skip


def test_14_a_bad_entry_costs_itself_and_a_broken_file_its_rest() -> None:
    whole = bundle(patient(), condition(), order())
    whole["entry"] += [None, 7, {"resource": 7}, {"resource": {"id": "x"}}, {}]
    (told,), nobody = read(as_documents([whole]))
    assert DANGER in {f.issue for f in evaluator().evaluate(told).findings}
    assert codes(nobody) == ["no-resource-type", "not-an-object", "not-an-object", "not-an-object"]

    packed = gzip.compress(lines(patient(), condition(), order(), *({"x": str(n)} for n in range(4000))))
    (told,), nobody = read(read_documents(io.BytesIO(packed[:-2000]), "cut.ndjson.gz"))
    assert DANGER in {f.issue for f in evaluator().evaluate(told).findings}
    assert codes(nobody)[-1] == "not-readable"


@pytest.mark.parametrize("birth", ["1960-05-05T00:00:00Z", "1960-05-05", "1960-05", "1960"])
def test_14_a_date_and_time_may_stand_for_a_birth_date(birth: str) -> None:
    (told,), _ = read(as_documents([bundle(patient(birthDate=birth))]))
    assert told.person.birth is not None and told.person.birth.year == 1960


def test_14_real_broken_files(real: Path) -> None:
    _, nobody = read(documents(real))
    counted = Counter(p.code for p in nobody)
    assert counted["not-json"] > 5 and counted["no-resource-type"] > 5
    logged = [p for p in nobody if "log.ndjson" in p.where]
    assert {p.code for p in logged} == {"no-resource-type"} and all("line" in p.where for p in logged)
    marked = [f for f in files(real) if f.read_bytes()[:3] == b"\xef\xbb\xbf"]
    assert marked and all(isinstance(next(iter(read_documents(f))), Document) for f in marked[:5])


# ---------------------------------------------------------------- 15: units


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ({"unit": "K/uL"}, "10*3/uL"), ({"unit": "x10*9/L"}, "10*9/L"), ({"unit": "/nL"}, "/nL"),
        ({"unit": "K/uL", "system": UCUM, "code": "K/uL"}, "10*3/uL"),
        ({"unit": "thousands", "system": UCUM, "code": "10*9/L"}, "10*9/L"),
        ({"unit": "10*9/L", "system": UCUM, "code": "%"}, "%"), ({"unit": "handfuls"}, "handfuls"), ({}, ""),
    ],
)  # fmt: skip
def test_15_the_code_decides_and_a_missing_one_is_read_from_its_spelling(quantity: Json, expected: str) -> None:
    (count,) = record(result("anc", valueQuantity={"value": 1, **quantity})).results["anc"]
    assert count.quantity == Quantity(Decimal(1), expected)


def test_15_one_count_in_any_of_its_units_means_the_same_and_an_unknown_one_is_said() -> None:
    def found(**quantity: str) -> set[str]:
        riluzole = order("riluzole", authoredOn="2025-04-01")
        return issues(condition("als"), riluzole, result("anc", valueQuantity={"value": Decimal("0.4"), **quantity}))

    for spelled in ("K/uL", "x10*9/L", "10^9/L", "thou/mm3"):
        assert "riluzole-neutropenia" in found(unit=spelled), spelled
    assert found(unit="handfuls") == {"dq-unit-unconvertible"}
    assert found() == {"dq-unit-missing"}


def test_15_a_weight_in_pounds_is_a_weight() -> None:
    (weight,) = record(result("body-weight", valueQuantity={"value": 185, "unit": "lbs"})).results["body-weight"]
    assert weight.quantity == Quantity(Decimal(185), "[lb_av]")


# ---------------------------------------------------------------- 16: dates in the future


def test_16_the_date_of_evaluation_is_honoured_and_what_lies_behind_it_is_counted() -> None:
    later = result("fvc-pct", 45, "%", effectiveDateTime="2178-07-22T09:21:03-04:00")
    als = condition("als")
    now = evaluated(als, later)
    assert (now.findings, codes(now.problems)) == ((), ["future-date"])
    then = evaluated(als, later, as_of=day("2178-08-01"))
    assert ([f.issue for f in then.findings], then.problems) == (["als-niv-threshold"], ())


def test_16_the_report_says_how_many_data_lie_in_the_future() -> None:
    futures = [result("fvc-pct", 45, "%", id=f"o{n}", effectiveDateTime="2178-07-22") for n in range(3)]
    page = report([evaluated(condition("als"), *futures)], evaluator().ruleset.info, source="export")
    words = re.sub(r"<[^>]*>|\s+", " ", page)
    assert re.search(r"future-date +3 |after the evaluation date +3 ", words), "counted by kind"


def test_16_a_real_export_of_the_22nd_century(real: Path, hospital: list[Record]) -> None:
    records, _ = read(documents(real / "mimic-iv-demo-ndjson"), as_of=date(2026, 11, 24))
    early = Counter(p.code for one in records for p in one.problems)["future-date"]
    late = Counter(p.code for one in hospital for p in one.problems)["future-date"]
    assert early > late


# ---------------------------------------------------------------- 17: ordinary patients


def test_17_an_ordinary_patient_has_no_finding_even_on_a_complete_record() -> None:
    ordinary = [
        result("wbc", Decimal("6.1"), "10*9/L"), result("hemoglobin", 14, "g/dL"), result("platelets", 210, "10*9/L"),
        result("sodium", 139, "mmol/L"), result("potassium", Decimal("4.2"), "mmol/L"), result("alt", 22, "U/L"),
        result("ast", 25, "handfuls"), result("calcium", 9), result("body-weight", 82, "kg"), result("ck", 900, "U/L"),
        order("simvastatin"), order("metoprolol"), order("prednisone"), order("morphine"),
        about("Condition", "htn", code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]}),
    ]  # fmt: skip
    for complete in (True, False):
        evaluation = evaluated(*ordinary, complete=complete)
        assert (evaluation.findings, evaluation.held_back, evaluation.relevant) == ((), (), False)


def test_17_no_real_patient_raises_a_false_alarm_and_no_file_a_traceback(real: Path) -> None:
    """Every file on its own, every record declared complete."""
    alarms = []
    patients = 0
    for file in files(real):
        records, _ = read(read_documents(file), as_of=date(2026, 11, 24), at_bundle_time=True, complete=True)
        for told in records:
            patients += 1
            alarms += [(file.name, told.person.reference, f.issue) for f in evaluator().evaluate(told).findings]
    assert alarms == []
    assert patients > 588


def test_17_a_pressure_of_a_ventilated_patient_is_no_weakness_of_breathing(real: Path) -> None:
    (told, *_), _ = read(documents(real / "mii-testdata/Bundle-mii-exa-test-data-bundle-icu-1.json"))
    assert {"mip", "mep", "snip"}.isdisjoint(told.results)


def test_17_a_ventilator_pressure_is_told_from_a_patients_own_by_its_other_codings_or_its_category() -> None:
    sct = "http://snomed.info/sct"
    own = {"system": sct, "code": "27913002"}
    ventilated = {"coding": [{"system": sct, "code": "40617009"}]}
    mg = condition()

    def found(*codings: Json, **more: Any) -> set[str]:
        pressure = result("mip", 25, "cm[H2O]", code={"coding": list(codings)}, effectiveDateTime="2025-06-01", **more)
        return issues(mg, pressure)

    assert found(own), "25 cm water of one's own is an alarm"
    assert found(own, category=[ventilated]) == set()
    assert found(own, {"system": "http://loinc.org", "code": "76531-3"}) == set()
    assert found(own, {"system": "urn:iso:std:iso:11073:10101", "code": "151973"}) == set()
