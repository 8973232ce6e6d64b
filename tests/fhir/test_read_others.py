"""Conditions, reports, procedures, allergies and persons as the rules see them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from fhir_reading import DX, LAB, NOW, SITE, answer, bundle, coded, codes, condition, patient, read_all, read_one

from engine.model.record import Diagnosis, Person, Result


def diagnosis(of: str = "P10.1", **elements: Any) -> Diagnosis:
    ((only,),) = read_one(condition(of, **elements)).diagnoses.values()
    return only


def finding(of: str = "fatigue", **elements: Any) -> tuple[Result, ...]:
    found = read_one(condition(**{"code": coded(of)} | elements))
    assert found.diagnoses == {}
    return tuple(result for results in found.results.values() for result in results)


# ------------------------------------------------------------ conditions


@pytest.mark.parametrize(
    ("status", "certainty"),
    [
        (None, "confirmed"),
        (coded("confirmed"), "confirmed"),
        ("confirmed", "confirmed"),
        (coded("Confirmed"), "confirmed"),
        ({"text": "Confirmed"}, "confirmed"),
        ([coded("confirmed")], "confirmed"),
        ({}, "confirmed"),
        (coded("provisional"), "suspected"),
        (coded("differential"), "suspected"),
        ("unconfirmed", "suspected"),
        (coded("refuted"), "refuted"),
        ("refuted", "refuted"),
        ({"coding": [{"code": "confirmed"}, {"code": "refuted"}]}, "refuted"),
        ({"coding": [{"system": "x", "code": "410605003"}, {"code": "confirmed"}]}, "confirmed"),
    ],
)
def test_a_diagnosis_is_as_certain_as_its_verification(status: object, certainty: str) -> None:
    assert diagnosis(verificationStatus=status).certainty == certainty


def test_a_verification_that_is_not_known_is_only_a_suspicion_and_is_reported() -> None:
    found = read_one(condition(verificationStatus=coded("probably")))
    assert found.diagnoses["palsy"][0].certainty == "suspected" and codes(found.problems) == ["unknown-status"]


def test_entered_in_error_is_no_diagnosis() -> None:
    assert read_one(condition(verificationStatus=coded("entered-in-error"))).diagnoses == {}
    both = {"coding": [{"code": "confirmed"}, {"code": "entered-in-error"}]}
    assert read_one(condition(verificationStatus=both)).diagnoses == {}


def test_a_code_that_is_too_wide_confirms_nothing() -> None:
    assert diagnosis("P10").certainty == "suspected"
    assert diagnosis("P101").certainty == "confirmed"
    assert diagnosis("P10", verificationStatus=coded("refuted")).certainty == "refuted"


@pytest.mark.parametrize(
    ("mark", "certainty"), [("A", "refuted"), ("V", "suspected"), ("G", "confirmed"), ("Z", "confirmed")]
)
def test_a_german_mark_of_certainty_at_the_coding_counts(mark: str, certainty: str) -> None:
    extension = {
        "url": "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit",
        "valueCoding": {"code": mark},
    }
    code = {"coding": [{"system": DX, "code": "P10.1", "extension": [extension]}]}
    assert diagnosis(code=code).certainty == certainty
    assert diagnosis(code=code, verificationStatus=coded("refuted")).certainty == "refuted"


@pytest.mark.parametrize(
    ("elements", "recorded", "onset"),
    [
        ({}, date(2025, 5, 1), None),
        ({"recordedDate": None}, None, None),
        ({"recordedDate": None, "assertedDate": "2025-02"}, date(2025, 2, 15), None),
        ({"onsetDateTime": "2024"}, date(2025, 5, 1), date(2024, 7, 1)),
        ({"onsetPeriod": {"start": "2024-03-01T10:00:00Z", "end": "2024-04"}}, date(2025, 5, 1), date(2024, 3, 1)),
        ({"onsetString": "last year"}, date(2025, 5, 1), None),
        ({"recordedDate": "2026-01-01"}, date(2026, 1, 1), None),
    ],
)
def test_a_diagnosis_has_its_dates(elements: dict[str, Any], recorded: date | None, onset: date | None) -> None:
    found = diagnosis(**elements)
    assert (found.recorded, found.onset) == (recorded, onset)


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        (None, False),
        ("active", False),
        (coded("recurrence"), False),
        (coded("resolved"), True),
        ("inactive", True),
        ({"coding": [{"system": "http://x/ValueSet/y", "code": "remission"}]}, True),
        (7, False),
    ],
)
def test_an_ended_diagnosis_says_so(status: object, ended: bool) -> None:
    assert diagnosis(clinicalStatus=status).ended is ended


@pytest.mark.parametrize(
    ("category", "only"),
    [
        (None, False),
        ([coded("encounter-diagnosis")], True),
        (coded("encounter-diagnosis"), True),
        ("encounter-diagnosis", True),
        (["encounter-diagnosis"], True),
        ([coded("problem-list-item")], False),
        ([coded("encounter-diagnosis"), coded("problem-list-item")], False),
        ([None, 3], False),
    ],
)
def test_a_code_of_one_encounter_is_told_from_the_problem_list(category: object, only: bool) -> None:
    assert diagnosis(category=category).encounter_only is only


def test_a_finding_is_a_yes_no_result_dated_by_its_record() -> None:
    (result,) = finding(onsetDateTime="2020", verificationStatus=coded("confirmed"))
    assert (result.answer, result.day, result.reference) == ("present", date(2025, 5, 1), "Condition/c")
    assert finding(verificationStatus="refuted")[0].answer == "absent"
    assert (
        finding("jitter")[0].answer == "abnormal"
        and finding("jitter", verificationStatus="refuted")[0].answer == "normal"
    )
    sign = finding("toe", bodySite=[coded("biceps", SITE)])[0]
    assert (sign.region, sign.sign, sign.muscle) == ("lower", "toe", "biceps")


@pytest.mark.parametrize("status", ["provisional", "differential", "unconfirmed", "entered-in-error", "odd"])
def test_a_finding_that_is_not_sure_gives_no_result(status: str) -> None:
    assert finding(verificationStatus=coded(status)) == ()


def test_a_finding_after_the_evaluation_date_is_none_yet() -> None:
    assert finding(recordedDate="2025-06-02") == ()


# ------------------------------------------------------------ reports


def report(of: str = "scan", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "code": coded(of),
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2025-05-01",
    } | elements


@pytest.mark.parametrize(
    ("conclusion", "answers"),
    [
        ([answer("normal")], ["normal"]),
        (answer("squeezed"), ["compression"]),
        ([answer("abnormal"), answer("squeezed"), answer("abnormal")], ["abnormal", "compression"]),
        (None, [""]),
        ([coded("x")], [""]),
        ([{"text": "normal"}], [""]),
        ("normal", [""]),
        (7, [""]),
    ],
)
def test_a_report_says_what_its_coded_conclusions_say_or_that_it_was_done(
    conclusion: object, answers: list[str]
) -> None:
    results = read_one(report(conclusionCode=conclusion)).results["imaging"]
    assert [r.answer for r in results] == answers
    assert all(r.done_only is (r.answer == "") and r.reference == "DiagnosticReport/r" for r in results)


@pytest.mark.parametrize(
    "said",
    [
        {"conclusion": "Test not performed, the patient had left."},
        {"conclusionCode": [{"text": "not performed"}]},
        {"conclusionCode": [{"coding": [{"system": "urn:own", "code": "NOT-PERFORMED"}]}]},
    ],
)
def test_a_report_that_says_that_nothing_was_done_is_no_proof_of_a_study(said: dict[str, Any]) -> None:
    assert read_one(report(**said)).results == {}


def test_what_a_report_says_beside_a_coded_conclusion_takes_nothing_away() -> None:
    told = read_one(report(conclusionCode=[answer("normal")], conclusion="Contrast not performed."))
    assert [r.answer for r in told.results["imaging"]] == ["normal"]


def test_a_report_counts_by_its_status_and_date() -> None:
    for status in ("registered", "cancelled", "entered-in-error", "unknown", None):
        assert read_one(report(status=status)).results == {}
    assert read_one(report(status="preliminary")).results["imaging"][0].preliminary
    assert read_one(report(effectiveDateTime="2025-07-01")).results == {}
    assert read_one(report(effectiveDateTime=None, effectivePeriod={"end": "2025-04-30"})).results["imaging"][
        0
    ].day == date(2025, 4, 30)


# ------------------------------------------------------------ procedures


def procedure(of: str = "op", status: object = "completed", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Procedure",
        "id": "x",
        "status": status,
        "code": coded(of),
        "subject": {"reference": "Patient/p"},
        "performedDateTime": "2025-05-01",
    } | elements


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("completed", ["present"]),
        ("in-progress", ["present"]),
        ("not-done", ["absent"]),
        ("preparation", []),
        ("on-hold", []),
        ("stopped", []),
        ("entered-in-error", []),
        ("unknown", []),
        (None, []),
        ("odd", []),
    ],
)
def test_a_procedure_is_present_or_absent_by_its_status(status: object, said: list[str]) -> None:
    found = read_one(procedure(status=status))
    assert [r.answer for r in found.results.get("operation", ())] == said
    assert bool(found.problems) is (status in (None, "odd"))


def test_a_code_may_demand_one_status() -> None:
    assert read_one(procedure("vent", "in-progress")).results["ventilation"][0].answer == "present"
    assert read_one(procedure("vent", "completed")).results == {}
    assert read_one(procedure("vent", "not-done")).results == {}


def test_a_study_was_done_and_says_nothing_else() -> None:
    (result,) = read_one(procedure("scan")).results["imaging"]
    assert result.done_only and result.answer == ""
    assert read_one(procedure("scan", "not-done")).results == {}


@pytest.mark.parametrize(
    "elements",
    [
        {"performedPeriod": {"start": "2025-04-30", "end": "2025-05-02"}, "performedDateTime": None},
        {"occurrenceDateTime": "2025-04-30", "performedDateTime": None},
        {"occurrencePeriod": {"start": "2025-04-30"}, "performedDateTime": None},
    ],
)
def test_a_procedure_is_dated_by_its_start(elements: dict[str, Any]) -> None:
    assert read_one(procedure(**elements)).results["operation"][0].day == date(2025, 4, 30)


def test_an_older_form_says_not_done_beside_the_status() -> None:
    assert read_one(procedure(notDone=True)).results["operation"][0].answer == "absent"


def test_a_procedure_of_the_present_encounter_says_so() -> None:
    stay = {"resourceType": "Encounter", "id": "e", "status": "in-progress", "subject": {"reference": "Patient/p"}}
    there = procedure("vent", "in-progress", encounter={"reference": "Encounter/e"})
    assert read_one(stay, there).results["ventilation"][0].current_encounter


def test_a_procedure_can_be_a_medication() -> None:
    found = read_one(procedure("exchange", performedPeriod={"start": "2025-05-01"}))
    assert found.results == {} and [m.ingredient for m in found.medications] == ["exchange"]
    assert found.medications[0].reference == "Procedure/x"


# ------------------------------------------------------------ allergies


def allergy(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance",
        "id": "a",
        "code": coded("salt"),
        "patient": {"reference": "Patient/p"},
        "recordedDate": "2020-01-01",
    } | elements


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({}, ["present"]),
        ({"verificationStatus": coded("confirmed")}, ["present"]),
        ({"verificationStatus": coded("unconfirmed")}, ["present"]),
        ({"verificationStatus": "refuted"}, ["absent"]),
        ({"verificationStatus": coded("entered-in-error")}, []),
        ({"clinicalStatus": coded("resolved")}, []),
        ({"clinicalStatus": coded("resolved"), "verificationStatus": coded("refuted")}, ["absent"]),
        ({"recordedDate": "2026"}, []),
        ({"recordedDate": None}, ["present"]),
        ({"code": coded("pollen")}, []),
    ],
)
def test_an_allergy_is_a_yes_no_result(elements: dict[str, Any], said: list[str]) -> None:
    assert [r.answer for r in read_one(allergy(**elements)).results.get("salt-allergy", ())] == said


# ------------------------------------------------------------ persons


def person(**elements: Any) -> Person:
    ((record,), problems) = read_all(bundle(patient(**elements)))
    assert problems == []
    return record.person


def test_a_person_is_as_the_patient_resource_says() -> None:
    found = person(gender="female", birthDate="1990-05-01", active=True, deceasedBoolean=False)
    assert found == Person(reference="Patient/p", sex="female", birth=date(1990, 5, 1))
    assert person() == Person(reference="Patient/p")


@pytest.mark.parametrize(
    ("elements", "deceased"),
    [
        ({"deceasedBoolean": True}, True),
        ({"deceasedBoolean": "true"}, True),
        ({"deceasedBoolean": "false"}, False),
        ({"deceasedDateTime": "2024"}, True),
        ({"deceasedDateTime": "some time ago"}, True),
        ({"deceasedBoolean": None}, False),
    ],
)
def test_whoever_has_died_is_deceased(elements: dict[str, Any], deceased: bool) -> None:
    assert person(**elements).deceased is deceased


def test_an_inactive_record_says_so() -> None:
    assert not person(active=False).active and not person(active="false").active and person(active=None).active


@pytest.mark.parametrize(
    ("written", "birth"),
    [
        ("1990", date(1990, 7, 1)),
        ("1990-05", date(1990, 5, 15)),
        ("2025", NOW),
        ("1990-05-01T00:00:00Z", date(1990, 5, 1)),
    ],
)
def test_a_partial_birth_date_is_resolved(written: str, birth: date) -> None:
    assert person(birthDate=written).birth == birth


@pytest.mark.parametrize("written", ["1850-01-01", "unknown", 19900501, ["1990"], "2030-01-01"])
def test_a_birth_date_that_cannot_be_is_unknown_and_reported(written: object) -> None:
    ((record,), _) = read_all(patient(birthDate=written))
    assert record.person.birth is None and codes(record.problems) == ["unreadable-date"]


@pytest.mark.parametrize("gender", ["m", 7, None, [], {"coding": []}])
def test_a_sex_that_is_not_known_is_none(gender: object) -> None:
    assert person(gender=gender).sex == ""


def test_the_codes_of_the_tests_are_those_of_the_kit() -> None:
    assert (LAB, SITE) == ("urn:test:lab", "urn:test:site")
