"""Observations as results: status, values of every type, flags, ranges, sites, components, laboratory, method."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from fhir_reading import (
    ANS,
    LAB,
    NOW,
    SITE,
    UCUM,
    answer,
    bundle,
    coded,
    codes,
    observation,
    patient,
    read_all,
    read_one,
)

from engine.model.record import Quantity, Record, Result


def quantity(value: object, unit: str = "mmol/L", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit} | more


def result(*others: dict[str, Any], of: str = "ab", **elements: Any) -> Result:
    """The only result of an Observation with these elements."""
    found = read_one(observation(of, **elements), *others).results
    assert len(found) == 1
    ((only,),) = found.values()
    return only


def record(**elements: Any) -> Record:
    return read_one(observation(**elements))


# ------------------------------------------------------------ status and date


@pytest.mark.parametrize("status", ["final", "amended", "corrected", " Final ", {"coding": [{"code": "final"}]}])
def test_a_result_counts_by_its_status(status: object) -> None:
    assert not result(status=status).preliminary


def test_a_preliminary_result_says_so() -> None:
    assert result(status="preliminary").preliminary


@pytest.mark.parametrize("status", ["registered", "cancelled", "entered-in-error", "unknown"])
def test_a_result_that_does_not_stand_is_not_used_and_no_problem(status: str) -> None:
    assert record(status=status).results == {} and record(status=status).problems == ()


@pytest.mark.parametrize(
    ("status", "code"), [(None, "no-status"), ("", "no-status"), (7, "no-status"), ("done", "unknown-status")]
)
def test_a_result_without_a_known_status_is_not_used_and_reported(status: object, code: str) -> None:
    assert record(status=status).results == {} and codes(record(status=status).problems) == [code]


@pytest.mark.parametrize(
    ("elements", "day"),
    [
        ({"effectiveDateTime": "2025-05-01T23:59:59-11:00"}, date(2025, 5, 1)),
        ({"effectiveDateTime": "2025-05"}, date(2025, 5, 15)),
        ({"effectiveDateTime": "2025-06"}, NOW),
        ({"effectiveDateTime": "2024"}, date(2024, 7, 1)),
        ({"effectiveDateTime": None, "effectiveInstant": "2025-01-02T00:00:00Z"}, date(2025, 1, 2)),
        (
            {"effectiveDateTime": None, "effectivePeriod": {"start": "2025-01-02", "end": "2025-01-09"}},
            date(2025, 1, 9),
        ),
        ({"effectiveDateTime": None, "effectivePeriod": {"start": "2025-01-02"}}, date(2025, 1, 2)),
        ({"effectiveDateTime": None, "issued": "2025-01-02T00:00:00Z"}, None),
    ],
)
def test_a_result_is_dated_as_written(elements: dict[str, Any], day: date | None) -> None:
    assert result(**elements).day == day


def test_a_result_after_the_evaluation_date_does_not_exist_yet() -> None:
    for written in ("2025-06-02", "2025-07", "2026", "2190-01-01"):
        assert record(effectiveDateTime=written).results == {}
        assert codes(record(effectiveDateTime=written).problems) == ["future-date"]


@pytest.mark.parametrize("written", ["yesterday", "2025-13-01", "1899-01-01", "01.05.2025", 20250501, [], "2025-W01-1"])
def test_a_date_that_cannot_be_read_makes_the_result_undated(written: object) -> None:
    found = record(effectiveDateTime=written)
    assert found.results["antibody"][0].day is None and codes(found.problems) in (["unreadable-date"], [])
    assert written == [] or codes(found.problems) == ["unreadable-date"]


# ------------------------------------------------------------ codes


def test_any_coding_counts_and_an_exclusion_wins() -> None:
    local = {"system": "urn:hospital", "code": "17"}
    known, other = coded("ab")["coding"][0], coded("other-ab")["coding"][0]
    assert result(code={"coding": [local, known]}).concept == "antibody"
    assert result(code={"coding": [{"system": "urn:oid:1.2.3.4.5", "code": "ab"}]}).concept == "antibody"
    assert record(code={"coding": [known, other]}).results == {}


def test_the_code_may_have_a_wrong_form() -> None:
    assert result(code={"coding": {"system": LAB, "code": "ab"}}).concept == "antibody"
    assert result(code=[coded("ab")]).concept == "antibody"
    assert result(code={"system": LAB, "code": "ab"}).concept == "antibody"
    assert result(code={"concept": coded("ab")}).concept == "antibody"
    for nothing in (None, "ab", 7, [], {}, {"coding": None}, {"coding": [None, 3, {}]}, {"text": "ab"}):
        assert record(code=nothing).results == {}


def test_a_category_can_exclude_and_never_adds() -> None:
    assert read_one(observation("press", category=[coded("ventilator")])).results == {}
    assert "pressure" in read_one(observation("press", category=[coded("exam")])).results
    assert read_one(observation("unknown", category=[coded("press")])).results == {}


def test_a_code_that_looks_relevant_is_reported_and_not_used() -> None:
    found = read_one(observation(code={"coding": [{"system": "urn:hospital:icd", "code": "P10.1"}]}))
    assert found.results == {} and codes(found.problems) == ["unrecognised-code"]
    assert "urn:hospital:icd" in found.problems[0].message and "P10" not in found.problems[0].message


# ------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (quantity(Decimal("0.40")), Quantity(Decimal("0.40"), "mmol/L")),
        (quantity(-3), Quantity(Decimal(-3), "mmol/L")),
        (quantity(1.5), Quantity(Decimal("1.5"), "mmol/L")),
        (quantity("7.5"), Quantity(Decimal("7.5"), "mmol/L")),
        (quantity("<0.5"), Quantity(Decimal("0.5"), "mmol/L", "<")),
        (quantity(5, comparator=">="), Quantity(Decimal(5), "mmol/L", ">=")),
        (quantity(5, comparator="≤"), Quantity(Decimal(5), "mmol/L", "<=")),
        ([quantity(5)], Quantity(Decimal(5), "mmol/L")),
        (5, Quantity(Decimal(5), "")),
        ({"value": 5}, Quantity(Decimal(5), "")),
        (quantity(0), Quantity(Decimal(0), "mmol/L")),
    ],
)
def test_a_number_is_exact_and_keeps_unit_and_comparator(value: object, expected: Quantity) -> None:
    assert result(valueQuantity=value).quantity == expected


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ({"code": "mmol/L", "unit": "mg/dL", "system": UCUM}, "mmol/L"),
        ({"code": "K/uL", "system": UCUM}, "10*3/uL"),
        ({"unit": "K/uL"}, "10*3/uL"),
        ({"unit": "cm[H2O]", "system": UCUM}, "cm[H2O]"),
        ({"code": "mol/m3", "unit": "mmol/L", "system": UCUM}, "mol/m3"),
        ({"code": "U7", "unit": "K/uL", "system": "urn:units"}, "10*3/uL"),
        ({"code": "U7", "unit": "furlong", "system": "urn:units"}, "furlong"),
        ({"unit": "furlong"}, "furlong"),
        ({"code": "", "unit": " "}, ""),
        ({}, ""),
        ({"code": 7, "unit": []}, "7"),
    ],
)
def test_the_code_decides_the_unit_and_a_missing_one_is_read_from_its_spelling(
    unit: dict[str, Any], expected: str
) -> None:
    found = result(valueQuantity={"value": 5} | unit).quantity
    assert found is not None and found.unit == expected


@pytest.mark.parametrize(
    "value",
    [
        quantity(None),
        quantity("many"),
        quantity("5 mg"),
        quantity(Decimal("NaN")),
        quantity(Decimal("Infinity")),
        quantity(float("nan")),
        quantity(True),
        quantity([]),
        quantity(Decimal("1e999999")),
        quantity(10**60),
        quantity(Decimal("1e-40")),
        quantity(5, comparator="about"),
        quantity(Decimal("1." + "3" * 80)),
        {},
        "x",
    ],
)
def test_a_number_that_is_none_is_reported_and_unknown(value: object) -> None:
    found = record(valueQuantity=value)
    assert found.results["antibody"][0].quantity is None and found.results["antibody"][0].done_only
    assert codes(found.problems) in (["unreadable-number"], ["unreadable-value"])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("< 60 mmol/L", Quantity(Decimal(60), "mmol/L", "<")),
        (">=1,5", Quantity(Decimal("1.5"), "", ">=")),
        ("12", Quantity(Decimal(12), "")),
        ("-4.0 %", Quantity(Decimal("-4.0"), "%")),
        ("7 K/uL", Quantity(Decimal(7), "10*3/uL")),
        ("7 furlongs", Quantity(Decimal(7), "furlongs")),
        ("0,125 mmol/L", Quantity(Decimal("0.125"), "mmol/L")),
    ],
)
def test_a_number_in_a_text_is_read(said: str, expected: Quantity) -> None:
    assert result(valueString=said).quantity == expected


@pytest.mark.parametrize(
    "said",
    [
        "1,234",
        "10,000-100,000 per field",
        "5-10",
        "1:80",
        "1+",
        ".",
        "see comment",
        "5 or 6",
        "24-48 heures",
        "",
        "negatif ?",
        "3 cm nodule",
        "12.5.2024",
        "1e99",
        "not negatif",
    ],
)
def test_a_text_that_says_anything_else_is_unknown(said: str) -> None:
    found = record(valueString=said)
    assert all(r.quantity is None and not r.answer for r in found.results["antibody"])
    assert codes(found.problems) == ["unreadable-value"]


def test_a_word_of_the_closed_list_is_an_answer_in_any_language() -> None:
    assert result(valueString="NEGATIF").answer == "negative"
    assert result(valueString=" Positiv. ").answer == "positive"
    assert result(valueCodeableConcept={"text": "NEGATIF"}).answer == "negative"
    assert result(valueCodeableConcept={"coding": [{"code": "x", "display": "Positiv"}]}).answer == "positive"
    assert result(valueCodeableConcept="negatif").answer == "negative"


@pytest.mark.parametrize(
    "value",
    [
        {"valueString": "Test Not Performed mmol/L"},
        {"valueCodeableConcept": {"text": "not performed"}},
        {"valueCodeableConcept": answer("neg") | {"text": "Not performed"}},
        {"valueCodeableConcept": {"coding": [{"system": "urn:own", "code": "NOT-PERFORMED"}]}},
        {"valueQuantity": {"value": "not performed", "unit": "mmol/L"}},
        {"note": [{"text": "Not performed: the patient had left."}]},
        {"comment": "not performed"},
        {"interpretation": [{"text": "not performed"}]},
        {"dataAbsentReason": coded("x")},
        {"dataAbsentReason": {}, "valueBoolean": True},
        {"_valueQuantity": {"extension": []}},
    ],
)
def test_what_was_not_done_is_no_result_and_never_negative(value: dict[str, Any]) -> None:
    assert record(**value).results == {}


def test_a_note_beside_a_value_takes_nothing_away() -> None:
    assert result(valueBoolean=True, note=[{"text": "repeat not performed"}]).answer == "present"
    assert result(note=[{"text": "performed at the bedside"}, 7, {"text": 7}]).done_only


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueCodeableConcept": answer("pos")}, "positive"),
        ({"valueBoolean": True}, "present"),
        ({"valueBoolean": False}, "absent"),
        ({"valueBoolean": "false"}, "absent"),
        ({"valueCodeableConcept": {"coding": [{"system": "x", "code": "y"}, {"system": ANS, "code": "no"}]}}, "absent"),
        ({"valueCodeableConcept": answer("IIb")}, "IIb"),
        ({"valueCodeableConcept": [answer("maybe")]}, "equivocal"),
    ],
)
def test_a_coded_answer_is_read(value: dict[str, Any], expected: str) -> None:
    assert result(**value).answer == expected


@pytest.mark.parametrize(
    "value",
    [
        {
            "valueCodeableConcept": {
                "coding": [answer("pos")["coding"][0], answer("neg")["coding"][0]],
                "text": "positiv",
            }
        },
        {"valueBoolean": True, "valueString": "negatif"},
    ],
)
def test_an_answer_that_contradicts_itself_is_unknown(value: dict[str, Any]) -> None:
    found = record(**value)
    assert found.results["antibody"][0].answer == "" and codes(found.problems) == ["contradicting-value"]


@pytest.mark.parametrize(
    "value",
    [
        {"valueRange": {}},
        {"valueRatio": {"numerator": {"value": 1}}},
        {"valueSampledData": {}},
        {"valueTime": "12:00"},
        {"valueCodeableConcept": coded("x")},
        {"valueCodeableConcept": {"text": "maybe so"}},
        {"valueBoolean": "yes"},
        {"valueAttachment": {}},
        {"valueDateTime": "soon"},
        {"valuePeriod": {"start": "2025"}},
    ],
)
def test_a_value_that_cannot_be_used_is_said_and_unknown(value: dict[str, Any]) -> None:
    found = record(**value)
    assert found.results["antibody"][0].done_only and codes(found.problems) == ["unreadable-value"]


def test_counts_and_dates_are_values() -> None:
    assert result(of="count", valueInteger=3).quantity == Quantity(Decimal(3), "")
    assert result(of="onset", valueDateTime="2024-03").date_value == date(2024, 3, 15)


def test_an_observation_without_a_value_was_done_and_says_nothing() -> None:
    assert result(of="panel", hasMember=[{"reference": "Observation/x"}]).done_only
    assert not result(valueBoolean=True).done_only
    assert not result(interpretation=[coded("H")]).done_only


def test_a_code_of_a_finding_says_what_yes_and_no_mean() -> None:
    assert result(of="jitter", valueBoolean=True).answer == "abnormal"
    assert result(of="jitter", valueBoolean=False).answer == "normal"
    assert result(of="jitter", valueCodeableConcept=answer("normal")).answer == "normal"
    sign = result(of="toe", valueBoolean=True)
    assert (sign.answer, sign.region, sign.sign) == ("present", "lower", "toe")


# ------------------------------------------------------------ flags and ranges


@pytest.mark.parametrize(
    ("interpretation", "flag"),
    [
        ([coded("POS")], "POS"),
        (coded("h"), "H"),
        ([{"coding": {"code": "NEG"}}], "NEG"),
        ("LL", "LL"),
        ([coded("S")], ""),
        ([{"text": "NEGATIF"}], "NEG"),
        ([answer("abnormal")], "A"),
        ([coded("x"), coded("IND")], "IND"),
        ([], ""),
        (None, ""),
        (7, ""),
        ([None, 3, {}], ""),
    ],
)
def test_the_interpretation_is_a_flag_whatever_its_form(interpretation: object, flag: str) -> None:
    assert result(interpretation=interpretation).flag == flag


def test_contradicting_flags_say_nothing() -> None:
    found = record(interpretation=[coded("POS"), coded("NEG")])
    assert found.results["antibody"][0].flag == "" and codes(found.problems) == ["contradicting-value"]


def test_the_own_range_keeps_its_own_unit() -> None:
    own = [{"low": {"value": 1}, "high": quantity(Decimal("0.4"), "10*3/uL")}]
    found = result(valueQuantity=quantity(5), referenceRange=own)
    assert (found.low, found.high) == (Quantity(Decimal(1), ""), Quantity(Decimal("0.4"), "10*3/uL"))
    assert result(valueQuantity=quantity(5), referenceRange=own[0]).high == found.high
    assert result(valueQuantity=quantity(5), referenceRange=[{"text": "below 4"}]).high is None


def test_a_range_that_is_not_for_healthy_persons_is_passed_over() -> None:
    critical, normal = (
        {"type": coded("critical"), "high": {"value": 9}},
        {"type": coded("normal"), "high": {"value": 4}},
    )
    assert result(valueInteger=5, referenceRange=[critical, normal]).high == Quantity(Decimal(4), "")
    assert result(valueInteger=5, referenceRange=[critical]).high is None


# ------------------------------------------------------------ sites and components


def test_two_codings_of_a_site_are_one_place() -> None:
    site = {"coding": [{"system": SITE, "code": c} for c in ("biceps", "arm", "ulnar", "cord", "right")]}
    found = result(of="weak", valueBoolean=True, bodySite=site)
    assert (found.region, found.muscle, found.nerve, found.site, found.side) == (
        "upper",
        "biceps",
        "ulnar",
        "cord",
        "R",
    )
    assert result(of="weak", bodySite=coded("whole", SITE)).region == "any"
    assert result(of="weak", bodySite={"text": "Arm"}).region == "upper"
    assert result(of="weak", bodySite=[coded("arm", SITE)]).region == "upper"


def test_a_sign_without_a_usable_site_has_no_place() -> None:
    missing = read_one(observation("weak", valueBoolean=True))
    assert missing.results["weakness"][0].region == ""
    for site in (coded("nose", SITE), {"text": "nose"}, [coded("arm", SITE), coded("leg", SITE)], "nose", 7):
        unmapped = read_one(observation("weak", valueBoolean=True, bodySite=site))
        assert unmapped.results["weakness"][0].region == ""


def component(code: str, **value: Any) -> dict[str, Any]:
    return {"code": coded(code)} | value


def test_components_are_parts_of_a_known_result() -> None:
    found = result(
        of="weak",
        valueBoolean=True,
        component=[
            component("c-weak", valueBoolean=True),
            component("c-fluct", valueCodeableConcept=answer("no")),
            component("c-hz", valueQuantity=quantity(3, "Hz")),
            component("c-sign", valueCodeableConcept=coded("hook")),
            component("c-side", valueCodeableConcept=coded("right", SITE)),
            component("nothing", valueBoolean=True),
        ],
    )
    assert found.parts == {"weakness": True, "fluctuating": False, "hz": Quantity(Decimal(3), "Hz")}
    assert (found.sign, found.side) == ("hook", "R")


def test_a_component_that_is_not_stated_is_not_false() -> None:
    found = result(
        of="weak",
        valueBoolean=True,
        component=[component("c-weak"), component("c-fluct", dataAbsentReason=coded("x"), valueBoolean=False), None, 7],
    )
    assert found.parts == {}


def test_a_component_stated_twice_and_differently_is_not_stated() -> None:
    twice = [component("c-weak", valueBoolean=True), component("c-weak", valueBoolean=False)]
    found = read_one(observation("weak", component=twice))
    assert found.results["weakness"][0].parts == {} and codes(found.problems) == ["contradicting-value"]


def test_components_of_a_panel_are_results_of_their_own() -> None:
    panel = observation(
        "panel",
        bodySite=coded("arm", SITE),
        component=[
            component(
                "ab", valueQuantity=quantity(5), interpretation=coded("H"), referenceRange={"high": {"value": 4}}
            ),
            component("press", valueString="12 cm[H2O]"),
            component("ab", dataAbsentReason=coded("x")),
            component("ab", modifierExtension=[{"url": "x"}], valueBoolean=True),
        ],
    )
    found = read_one(panel).results
    assert found["panel"][0].done_only and found["panel"][0].region == "upper"
    (own,) = found["antibody"]
    assert (own.reference, own.flag, own.day) == ("Observation/o", "H", date(2025, 5, 1))
    assert own.high == Quantity(Decimal(4), "") and own.quantity == Quantity(Decimal(5), "mmol/L")
    assert found["pressure"][0].quantity == Quantity(Decimal(12), "cm[H2O]")


def test_components_of_an_unknown_panel_are_read_even_if_the_panel_has_no_data() -> None:
    panel = observation("unknown", dataAbsentReason=coded("x"), component={"code": coded("ab"), "valueBoolean": False})
    assert read_one(panel).results["antibody"][0].answer == "absent"


# ------------------------------------------------------------ context


def organization(identity: str, *numbers: str) -> dict[str, Any]:
    identifiers = [{"system": "urn:labs", "value": number} for number in numbers]
    return {"resourceType": "Organization", "id": identity, "identifier": identifiers}


def laboratories(*performers: object, others: tuple[dict[str, Any], ...] = ()) -> list[str]:
    results = [observation(identity=str(n), performer=performer) for n, performer in enumerate(performers)]
    return [r.laboratory for r in read_one(*results, *others).results["antibody"]]


def test_a_laboratory_is_the_same_by_reference_or_by_identifier() -> None:
    keys = laboratories(
        [{"display": "A. Person"}, {"reference": "Organization/a"}],
        {"reference": "https://x.org/Organization/a"},
        [{"identifier": {"system": "urn:labs", "value": "1"}}],
        [{"reference": "Organization/b"}],
        [{"reference": "Organization/other"}],
        others=(organization("a", "1"), organization("b", "0", "1"), organization("other", "2")),
    )
    assert len(set(keys[:4])) == 1 and keys[0] and keys[4] not in ("", keys[0])


def test_an_unknown_laboratory_is_no_laboratory() -> None:
    assert (
        laboratories(
            None,
            [],
            [{"display": "x"}],
            [{"reference": "Practitioner/1"}],
            [{"identifier": {"value": "1"}}],
            [{"type": "Practitioner", "identifier": {"system": "urn:labs", "value": "1"}}],
            "lab",
            7,
        )
        == [""] * 8
    )


def test_a_contained_laboratory_counts_by_its_identifier() -> None:
    inside = observation(identity="in", contained=[organization("l", "1")], performer={"reference": "#l"})
    outside = observation(identity="out", performer=[{"identifier": {"system": "urn:labs", "value": "1"}}])
    keys = {r.laboratory for r in read_one(inside, outside).results["antibody"]}
    assert len(keys) == 1 and keys != {""}


def test_a_laboratory_that_is_not_given_is_known_by_its_reference() -> None:
    first, second, third = laboratories(*[{"reference": f"Organization/{x}"} for x in "aab"])
    assert first == second != third


@pytest.mark.parametrize(
    ("method", "key"),
    [
        (coded("ripa"), "ripa"),
        ({"text": "RIPA"}, "ripa"),
        (coded("m7", "urn:x"), "urn:x|m7"),
        ({"text": "Some Method"}, "some method"),
        (None, ""),
        ({}, ""),
        (7, ""),
        ({"coding": [{"system": "urn:x", "code": "m7"}, {"system": LAB, "code": "ripa"}]}, "ripa"),
    ],
)
def test_a_method_is_the_same_by_coding_or_by_text(method: object, key: str) -> None:
    assert result(method=method).method == key


def encounter(identity: str, status: str = "in-progress", who: str = "p") -> dict[str, Any]:
    return {"resourceType": "Encounter", "id": identity, "status": status, "subject": {"reference": f"Patient/{who}"}}


@pytest.mark.parametrize(
    ("element", "current"),
    [
        ({"encounter": {"reference": "Encounter/now"}}, True),
        ({"context": {"reference": "Encounter/now"}}, True),
        ({"encounter": {"reference": "Encounter/past"}}, False),
        ({"encounter": {"reference": "Encounter/theirs"}}, False),
        ({"encounter": {"reference": "Encounter/gone"}}, False),
        ({}, False),
        ({"encounter": "Encounter"}, False),
    ],
)
def test_the_present_encounter_is_the_patients_encounter_in_progress(element: dict[str, Any], current: bool) -> None:
    stay = [encounter("now"), encounter("past", "finished"), encounter("theirs", who="q")]
    records, _ = read_all(bundle(patient(), patient("q"), *stay, observation(**element)))
    assert records[0].results["antibody"][0].current_encounter is current


def test_the_caller_may_name_the_present_encounter() -> None:
    there = observation(encounter={"reference": "Encounter/e"})
    assert read_one(there, current_encounter="e").results["antibody"][0].current_encounter
    assert (
        read_one(there, encounter("e", "finished"), current_encounter="Encounter/e")
        .results["antibody"][0]
        .current_encounter
    )
    assert not read_one(there, encounter("e"), current_encounter="f").results["antibody"][0].current_encounter


def test_what_is_about_somebody_else_or_may_mean_the_opposite_is_not_used() -> None:
    found = record(focus=[{"reference": "#fetus"}])
    assert found.results == {} and codes(found.problems) == ["other-focus"]
    assert "antibody" in record(focus=[{"reference": "Patient/p"}]).results
    found = record(modifierExtension=[{"url": "x"}])
    assert found.results == {} and codes(found.problems) == ["modifier-extension"]
    assert "antibody" in record(modifierExtension=[]).results


def test_no_problem_repeats_what_the_patient_has() -> None:
    private = "SECRET-VALUE"
    found = record(status=private, effectiveDateTime=private)
    found_too = record(
        valueString=private, interpretation=private, bodySite=private, effectiveDateTime=private, method=private
    )
    for problem in (*found.problems, *found_too.problems):
        assert private not in problem.message and problem.where == "input: 1: entry 2: Observation/o"
