"""255 test patients in three FHIR encodings: the findings, their reasons, and what is missing.

`expected.yaml` is closed-world: what stands neither under `must` nor under `may` must not be found.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import ruamel.yaml

from engine.evaluation import Evaluator
from engine.fhir.compose import compose_bundle
from engine.fhir.decode import Document, read_documents
from engine.fhir.record import Scope, read_records
from engine.inference.backends import available, make_backend
from engine.model.finding import Evaluation, Finding
from engine.model.problem import Problem
from engine.model.record import Record
from engine.rules.load import load_ruleset
from engine.vignettes import differences

VECTORS = Path(__file__).parent / "vectors"
ENCODINGS = ("primary", "alt", "messy")

# names of derived values in expected.yaml -> (fact, value that means true); None: the value itself
DERIVED = {
    "als_level": ("als-level", None),
    "el_escorial": ("el-escorial", None),
    "awaji": ("awaji", None),
    "mg_criteria": ("mg-criteria", None),
    "gold_coast": ("gold-coast", "present"),
    "achr_confirmed": ("achr", "confirmed"),
    "achr_equivocal": ("achr", "equivocal"),
    "achr_low": ("achr-titre", "low"),
    "nmj_specific": ("nmj-specific", "present"),
    "nmj_nonspecific": ("nmj-nonspecific", "present"),
    "ppms": ("ppms-criteria", "present"),
}


@cache
def expected() -> Mapping[str, Mapping[str, Any]]:
    cases = ruamel.yaml.YAML(typ="safe").load(VECTORS / "expected.yaml")
    return {case["id"]: case for case in cases}


@cache
def evaluator(backend: str = "plain") -> Evaluator:
    ruleset = load_ruleset()
    return Evaluator(ruleset, make_backend(backend, ruleset.program))  # type: ignore[arg-type]


@cache
def bundles(encoding: str) -> Mapping[str, Any]:
    documents = read_documents(VECTORS / f"{encoding}.ndjson.gz")
    found: dict[str, Any] = {}
    for document in documents:
        assert isinstance(document, Document), document
        content: Any = document.content
        found[content["id"].rsplit("-", 1)[0]] = content
    return found


def records_of(bundle: object, now: object) -> list[Record]:
    problems: list[Problem] = []
    scope = Scope(as_of=date.fromisoformat(str(now)))
    return list(read_records([Document(bundle, "bundle")], evaluator().ruleset.terminology, scope, problems))


@cache
def record(case: str, encoding: str) -> Record:
    own = [r for r in records_of(bundles(encoding)[case], expected()[case]["now"]) if
           r.person.reference == f"Patient/{case}"]
    assert len(own) == 1
    return own[0]


def patients(encoding: str) -> Iterator[tuple[str, Record]]:
    return ((case, record(case, encoding)) for case in expected())


def wrong(case: str, evaluation: Evaluation) -> list[str]:
    expectation = {key: value for key, value in expected()[case].items() if key != "derived"}
    found = [f"{case}: {text}" for text in differences(expectation, evaluation)]
    for name, value in (expected()[case].get("derived") or {}).items():
        fact, true = DERIVED[name]
        have = evaluation.conclusions.get(fact) or (
            evaluation.facts[fact].value if fact in evaluation.facts else "unknown"
        )
        if name == "als_level":
            fits = have == f"level-{value}" if value is not None else have in ("none", "unknown", "absent")
        elif true is not None:
            fits = (have == true) is bool(value)
        else:
            fits = have == value if value else have in ("none", "unknown", "absent")
        if not fits:
            found.append(f"{case}: {name} is {have}, expected {value}")
    return found


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("backend", ["plain", "both"])
def test_every_patient_has_exactly_the_expected_findings(encoding: str, backend: str) -> None:
    if backend == "both" and "durable" not in available():
        pytest.skip("durable-rules is not installed")

    evaluations = [(case, evaluator(backend).evaluate(patient)) for case, patient in patients(encoding)]

    assert [text for case, evaluation in evaluations for text in wrong(case, evaluation)] == []
    assert [e.disagreements for _, e in evaluations if e.disagreements] == []


def test_the_three_encodings_of_a_patient_give_the_same_findings_and_values() -> None:
    for case in expected():
        first, *others = (evaluator().evaluate(record(case, encoding), "none") for encoding in ENCODINGS)
        for other in others:
            assert told(other) == told(first), case


def told(evaluation: Evaluation) -> list[tuple[object, ...]]:
    return sorted((f.issue, f.severity, f.display, f.case, [b.fact for b in f.because]) for f in evaluation.findings)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_record_of_the_patient_and_the_reasons_alone_gives_the_same_finding(encoding: str) -> None:
    different = []
    for case, patient in patients(encoding):
        for finding in evaluator().evaluate(patient, "none").findings:
            if finding.group == "closed-world":
                continue
            again = evaluator().evaluate(reduced(patient, finding), "none")
            same = [f for f in again.findings if (f.issue, f.order) == (finding.issue, finding.order)]
            if [(f.severity, f.display) for f in same] != [(finding.severity, finding.display)]:
                different.append((case, finding.issue, [f.severity for f in same]))

    assert different == []


def reduced(patient: Record, finding: Finding) -> Record:
    """The record with nothing but the resources that the finding rests on."""
    kept = set(finding.references)

    def only(entries: Mapping[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        some = {name: tuple(e for e in of if e.reference in kept) for name, of in entries.items()}
        return {name: of for name, of in some.items() if of}

    return msgspec.structs.replace(
        patient,
        results=only(patient.results),
        diagnoses=only(patient.diagnoses),
        medications=tuple(m for m in patient.medications if m.reference in kept),
    )


def test_the_evidence_of_every_finding_is_in_the_bundle_and_belongs_to_the_patient() -> None:
    for encoding in ENCODINGS:
        for case, patient in patients(encoding):
            entries = [entry["resource"] for entry in bundles(encoding)[case]["entry"]]
            there = {f"{r['resourceType']}/{r['id']}" for r in entries if "id" in r} | {
                entry["fullUrl"] for entry in bundles(encoding)[case]["entry"]
            }
            for finding in evaluator().evaluate(patient, "none").findings:
                for reference in finding.references:
                    assert reference in there, (case, encoding, finding.issue, reference)
                    assert not reference.endswith("-other")


def test_every_fact_listed_as_missing_has_an_answer_that_changes_the_outcome() -> None:
    unproved = []
    for case, patient in patients("primary"):
        for finding in evaluator().evaluate(patient, "proved").findings:
            for missing in finding.missing:
                assert missing.reason
                if not any(o.gained or o.lost for o in missing.would_change.values()):
                    unproved.append((case, finding.issue, missing.fact))

    assert unproved == []


def test_the_order_of_the_entries_never_matters() -> None:
    shuffle = random.Random(20261124).shuffle
    for case in list(expected())[::5]:
        bundle = bundles("messy")[case]
        entries = list(bundle["entry"])
        shuffle(entries)
        again = [r for r in records_of({**bundle, "entry": entries}, expected()[case]["now"])
                 if r.person.reference == f"Patient/{case}"]

        assert told(evaluator().evaluate(again[0], "none")) == told(evaluator().evaluate(record(case, "messy"), "none"))


def test_a_patient_who_died_has_no_findings() -> None:
    for case, patient in list(patients("primary"))[::7]:
        died = msgspec.structs.replace(patient, person=msgspec.structs.replace(patient.person, deceased=True))

        assert evaluator().evaluate(died).findings == (), case


def test_a_finding_says_that_the_birth_date_is_missing() -> None:
    """Without it the patient is treated as an adult (clinical specification 1.2)."""
    known = record("V07", "primary")
    unborn = msgspec.structs.replace(known, person=msgspec.structs.replace(known.person, birth=None))

    (finding,) = evaluator().evaluate(unborn, "proved").findings
    (age,) = [missing for missing in finding.missing if missing.fact == "age"]

    assert "date of birth" in age.ask_for or "birth date" in age.ask_for
    assert age.would_change["under-18"].lost == ("mimic-achr-mg-in-als high",)
    assert "age" not in [missing.fact for f in evaluator().evaluate(known, "proved").findings for missing in f.missing]


def test_unusable_routine_data_rest_on_what_makes_the_patient_relevant_an_order_included() -> None:
    """A patient with nothing but a high dose and an ALT without unit: the ALT is told because of the order."""
    case = {
        "id": "dose", "now": "2025-06-01", "patient": {"sex": "male", "birth": "1960-01-01"},
        "facts": [
            {"r": "MedicationRequest", "c": "pyridostigmine", "status": "active", "single_mg": 180},
            {"r": "Observation", "c": "alt", "v": 50, "d": "2025-05-20"},
        ],
    }
    (whole,) = records_of(compose_bundle(case, evaluator().ruleset.terminology), case["now"])
    findings = {finding.issue: finding for finding in evaluator().evaluate(whole).findings}

    told = findings["dq-unit-missing"]
    assert findings["pyridostigmine-dose-high"].order in told.references
    again = evaluator().evaluate(reduced(whole, told)).findings
    assert "dq-unit-missing" in {finding.issue for finding in again}
