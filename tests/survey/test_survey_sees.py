"""What a survey says of a feed: what is met, what looks relevant and is unknown, what is missing; and of no patient."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from survey_kit import (
    FEED,
    LAB,
    LOINC,
    Json,
    coded,
    condition,
    observation,
    order,
    patient,
    surveyed,
    surveyed_of,
)

from engine.survey.page import page
from engine.survey.result import Proposal, Survey
from engine.survey.site_file import site_yaml
from engine.survey.text import survey_text

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
ALT = coded(LOINC, "1742-6")


def quantity(unit: str, value: float = 40) -> Json:
    return {"value": value, "unit": unit}


def proposed(survey: Survey, section: str) -> list[Proposal]:
    return [one for one in survey.proposals if one.section == section]


def test_concepts_are_counted_with_their_codes_units_and_missing_dates(tmp_path: Path) -> None:
    feed = [
        patient(1),
        observation(1, ALT, valueQuantity=quantity("U/L"), effectiveDateTime="2026-01-01"),
        observation(2, ALT, valueQuantity=quantity("mmol/L")),
        observation(3, ALT, valueQuantity=quantity("")),
        condition(1, coded(ICD, "G12.21", "Amyotrophic lateral sclerosis")),
    ]
    survey = surveyed_of(tmp_path, feed)
    alt, als = survey.concepts
    assert (alt.concept, alt.entries, alt.undated, alt.numbers, alt.without_range) == ("alt", 3, 2, 3, 3)
    assert [(code.code, code.entries) for code in alt.codes] == [("1742-6", 3)]
    assert {unit.unit: unit.understood for unit in alt.units} == {"U/L": True, "mmol/L": False, "": False}
    assert (als.concept, als.entries, als.undated, dict(als.carriers)) == ("als", 1, 1, {"condition": 1})
    assert survey.patients == 1
    assert survey.unmet > 100


def test_statuses_that_keep_entries_from_counting_are_told(tmp_path: Path) -> None:
    riluzole = coded("http://www.nlm.nih.gov/research/umls/rxnorm", "35623")
    feed = [
        observation(1, ALT, status="cancelled"),
        {key: value for key, value in observation(2, ALT).items() if key != "status"},
        order(1, riluzole, authoredOn="2026-01-01"),
        order(2, riluzole, status="entered-in-error"),
        condition(1, coded(ICD, "G12.21"), verificationStatus=coded("", "entered-in-error")),
    ]
    kinds = {one.resource: one for one in surveyed_of(tmp_path, feed).kinds}
    seen = kinds["Observation"]
    assert (seen.relevant, seen.not_used, seen.without_status) == (2, 2, 1)
    assert (kinds["MedicationRequest"].not_used, kinds["MedicationRequest"].undated) == (1, 1)
    assert kinds["Condition"].not_used == 1


def test_a_system_is_recognised_by_its_codes_and_by_its_address(tmp_path: Path) -> None:
    feed = [condition(n, coded("https://a.example.org/dx", code)) for n, code in enumerate(("G1221", "Z8889"))]
    feed += [condition(n, coded("https://b.example.org/local-icd9", "V173")) for n in (1, 2)]
    feed += [condition(n, coded("https://c.example.org/dx", "4711")) for n in (1, 2)]
    survey = surveyed_of(tmp_path, feed)
    assert {one.system: one.like for one in survey.systems} == {
        "https://a.example.org/dx": "icd10cm", "https://b.example.org/local-icd9": "icd9",
        "https://c.example.org/dx": "",
    }  # fmt: skip
    assert [(one.values["uri"], one.values["system"]) for one in proposed(survey, "systems")] == [
        ("https://a.example.org/dx", "icd10cm"), ("https://b.example.org/local-icd9", "icd9"),
    ]  # fmt: skip


def test_of_two_editions_the_one_that_has_the_codes_as_they_are_is_proposed(tmp_path: Path) -> None:
    """G12.21 is a code of the American edition, and no more than a member of a group in the international one."""
    feed = [condition(n, coded("https://h.example.org/icd10", code)) for n, code in enumerate(("G1221", "G7000"))]
    (proposal,) = proposed(surveyed_of(tmp_path, feed), "systems")
    assert proposal.values["system"] == "icd10cm"
    assert proposal.why == "2 of its codes are codes of `icd10cm` (2 of `icd10`)"


def test_a_local_code_is_proposed_by_its_name_in_any_order_of_words(tmp_path: Path) -> None:
    feed = [observation(n, coded(LAB, "K-7", "Creatine kinase")) for n in (1, 2)]
    feed += [observation(n, coded(LAB, "B-1", "MRI, brain")) for n in (1, 2)]
    feed += [condition(n, coded(LAB, "B-2", "Brain MRI")) for n in (1, 2)]
    feed += [condition(n, coded(LAB, "D-1", "Family history of multiple sclerosis")) for n in (1, 2)]
    found = {one.values["code"]: one for one in proposed(surveyed_of(tmp_path, feed), "codes")}
    assert {code: (one.values["concept"], one.values["in"]) for code, one in found.items()} == {
        "B-1": ("mri-brain", "observation"), "D-1": ("ms", "condition"),
        "K-7": ("ck", "observation"),
    }  # fmt: skip
    assert found["B-1"].values["study"] == "y"
    assert "B-2" not in found
    assert "its name is near to one of `ms`" in found["D-1"].why


def test_a_member_of_a_reported_family_is_listed_with_its_concept_left_open(tmp_path: Path) -> None:
    feed = [condition(n, coded("http://hl7.org/fhir/sid/icd-9-cm", "335.29")) for n in (1, 2)]
    survey = surveyed_of(tmp_path, feed)
    (code,) = survey.codes
    assert (code.code.code, code.why) == ("335.29", "it lies in a family of `icd9` of which all members are reported")
    (proposal,) = survey.proposals
    assert (proposal.values["concept"], proposal.values["in"]) == ("", "condition")


def test_drugs_found_by_name_are_proposed_unless_a_code_means_a_class(tmp_path: Path) -> None:
    def dispensed(code: str, name: str, system: str = LAB, **more: str) -> Json:
        return coded(system, code, **more) | {"text": name}

    feed = [order(n, dispensed("A", "Riluzole 50 mg")) for n in (1, 2)]
    feed += [order(3, dispensed("B", "Riluzole 50 mg")), order(4, dispensed("B", "Baclofen 10 mg"))]
    feed += [order(n, dispensed("C", "Baclofen 10 mg", display="Muscle relaxants")) for n in (5, 6)]
    feed += [order(7, dispensed("D", "Baclofen")), order(8, dispensed("D", "Nothing of ours"))]
    survey = surveyed_of(tmp_path, feed)
    assert [(one.values["code"], one.values["drug"]) for one in proposed(survey, "codes")] == [("A", "riluzole")]
    assert {one.drug: (one.entries, one.by_name) for one in survey.drugs} == {"riluzole": (3, 3), "baclofen": (4, 4)}


def test_a_product_belongs_to_the_patients_whose_orders_refer_to_it(tmp_path: Path) -> None:
    def product(name: str, code: str) -> Json:
        return {"resourceType": "Medication", "id": name, "code": coded(LAB, code) | {"text": "Riluzole"}}

    def by_reference(number: int, name: str) -> Json:
        return {"resourceType": "MedicationRequest", "id": f"m{number}", "status": "active",
                "subject": {"reference": f"Patient/p{number}"},
                "medicationReference": {"reference": f"Medication/{name}"}}  # fmt: skip

    feed = [by_reference(1, "x"), product("x", "X"), product("y", "Y"), by_reference(2, "x"), by_reference(3, "y")]
    survey = surveyed_of(tmp_path, feed)
    assert [one.values["code"] for one in proposed(survey, "codes")] == ["X"]
    assert survey.hidden.rare["product codes"] == 1


def test_units_and_ranges_are_proposed_where_results_cannot_be_read(tmp_path: Path) -> None:
    tsh = coded(LOINC, "3016-3")
    feed = [observation(n, ALT, valueQuantity=quantity("Unitz/L")) for n in (1, 2)]
    feed += [observation(n, tsh, valueQuantity=quantity("m[IU]/L")) for n in (1, 2, 3)]
    limits = [{"low": quantity("m[IU]/L", 0.4), "high": quantity("m[IU]/L", 4.2)}]
    feed += [observation(n, tsh, valueQuantity=quantity("m[IU]/L"), referenceRange=limits) for n in (4, 5)]
    survey = surveyed_of(tmp_path, feed)
    assert [(one.values["spelling"], one.values["unit"]) for one in proposed(survey, "units")] == [("Unitz/L", "U/L")]
    (limit,) = proposed(survey, "ranges")
    assert dict(limit.values) == {"concept": "tsh", "unit": "m[IU]/L", "low": "0.4", "high": "4.2"}
    assert limit.why.startswith("3 of 5 numbers have neither a flag nor limits")


def test_units_of_codes_that_are_not_known_yet_are_looked_at_too() -> None:
    survey = surveyed(FEED)
    assert [(one.values["spelling"], one.values["unit"]) for one in survey.units] == [("Units p. L", "U/L")]


def test_words_without_a_code_are_counted_and_never_shown(tmp_path: Path) -> None:
    feed = [condition(1, {"text": "Multiple sclerosis"}), condition(2, {"text": "told his wife on Sunday"})]
    survey = surveyed_of(tmp_path, feed)
    assert dict(survey.textual) == {"condition": 2}
    assert dict(survey.worded) == {"ms": 1}
    assert "Sunday" not in everything(survey)


def test_the_accepted_proposals_are_gone_from_the_next_survey(tmp_path: Path) -> None:
    before = surveyed(FEED)
    site = tmp_path / "site.yaml"
    site.write_text(site_yaml(before).replace("accept: no", "accept: yes"), "utf-8")
    after = surveyed(FEED, added=(site,))
    assert before.proposals
    assert not after.proposals
    assert {one.rule for one in after.blind} == {one.rule for one in before.blind} - {*before.opened}
    assert len(after.concepts) > len(before.concepts) == 0


# -- privacy ----------------------------------------------------------------------------------------------------------


def everything(survey: Survey) -> str:
    return "\n".join([msgspec.json.encode(survey).decode(), page(survey), site_yaml(survey), survey_text(survey)])


def test_no_name_id_date_value_or_text_of_a_patient_is_shown(tmp_path: Path) -> None:
    feed: list[object] = []
    for number in (1, 2):
        mine = f"secret-{number}"
        feed += [
            patient(number),
            observation(number, coded(LAB, mine, f"Creatine kinase {mine}"), valueQuantity=quantity(mine, 98765),
                        effectiveDateTime="2026-03-03", note=[{"text": mine}]),
            observation(number, ALT, valueQuantity=quantity(mine, 98765)),
            observation(number, coded(LOINC, "1742-6", mine), method={"text": mine}),
            condition(number, coded(f"urn:{mine}", "G1221", "Amyotrophic lateral sclerosis")),
            condition(number, coded(ICD, "G35.Z9", mine)),
            condition(number, coded(ICD, f"G35 {mine}", "Multiple sclerosis")),
            condition(number, coded("https://h.example.org/icd9", f"340 {mine}", "Multiple sclerosis")),
            condition(number, {"text": f"Multiple sclerosis {mine}"}),
            order(number, coded(LAB, mine, f"Riluzole {mine}") | {"text": f"Riluzole {mine}"},
                  dosageInstruction=[{"text": mine, "doseAndRate": [{"doseQuantity": quantity(mine)}]}]),
            {"resourceType": mine, "id": mine},
            {"resourceType": "Medication", "id": mine, "code": coded(LAB, mine, "Riluzole")},
        ]  # fmt: skip
    said = everything(surveyed_of(tmp_path, feed))
    for secret in ("secret", "Secretname", "2026-03-03", "98765", "Patient/"):
        assert secret not in said, secret


def test_a_display_of_one_patient_is_shown_only_if_the_value_sets_hold_it(tmp_path: Path) -> None:
    feed = [
        condition(1, coded("https://h.example.org/icd9", "340", "Multiple sclerosis")),
        condition(1, coded("https://h.example.org/icd9", "341", "Multiple sclerosis of his aunt Secretname")),
        condition(2, coded("https://h.example.org/icd9", "401")),
    ]
    survey = surveyed_of(tmp_path, feed)
    assert [(code.code.code, code.code.display) for code in survey.codes] == [("340", "Multiple sclerosis")]
    assert survey.hidden.rare["codes"] == 1
    assert "Secretname" not in everything(survey)


def test_more_patients_can_be_demanded(tmp_path: Path) -> None:
    feed = [observation(n, coded(LAB, "K", "Creatine kinase Secretname")) for n in range(4)]
    assert "Secretname" in everything(surveyed_of(tmp_path, feed, fewest=4))
    assert "Secretname" not in everything(surveyed_of(tmp_path, feed, fewest=5))


def test_the_page_escapes_what_it_shows_and_loads_nothing(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> Multiple sclerosis"
    feed = [condition(n, coded(LAB, "<b>", hostile)) for n in (1, 2)]
    shown = page(surveyed_of(tmp_path, feed))
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'" in shown
    assert " src=" not in shown
    assert " href=" not in shown


# -- odd input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        {}, [], "x", 7, None, {"resourceType": 5}, {"resourceType": "Observation", "code": 7, "subject": []},
        {"resourceType": "Observation", "code": {"coding": {"system": 3, "code": {}}}, "component": {"code": None}},
        {"resourceType": "Observation", "code": ALT, "valueQuantity": [], "referenceRange": "x", "component": [1]},
        {"resourceType": "Observation", "code": ALT, "valueQuantity": {"value": "x", "unit": 3, "code": []}},
        {"resourceType": "MedicationRequest", "medicationCodeableConcept": [], "medicationReference": "Medication/1",
         "dosageInstruction": {"doseAndRate": 3}},
        {"resourceType": "MedicationStatement", "medication": 4, "status": {}},
        {"resourceType": "Medication", "code": [], "ingredient": {"item": 3}},
        {"resourceType": "Bundle", "entry": {"resource": {"resourceType": "Patient"}}},
        {"resourceType": "Bundle", "entry": [3, {"resource": 4}, {"fullUrl": 7, "resource": {"resourceType": "X"}}]},
        {"resourceType": "Parameters", "parameter": [{"resource": {"resourceType": "Condition", "code": "G12.21"}}]},
    ],
)  # fmt: skip
def test_odd_resources_cost_nothing_but_themselves(tmp_path: Path, odd: object) -> None:
    survey = surveyed_of(tmp_path, [condition(1, coded(ICD, "G12.21")), odd, condition(2, coded(ICD, "G12.21"))])
    assert survey.concepts[0].concept == "als"
    assert survey.concepts[0].entries >= 2


def test_bundles_in_bundles_parameters_and_contained_resources_are_read(tmp_path: Path) -> None:
    als = condition(1, coded(ICD, "G12.21"))
    inner = {"resourceType": "Bundle", "entry": [{"resource": als}]}
    parts = {"resourceType": "Parameters", "parameter": [{"name": "a", "part": [{"name": "b", "resource": inner}]}]}
    report = {"resourceType": "DiagnosticReport", "subject": {"reference": "Patient/p1"}, "contained": [als]}
    survey = surveyed_of(tmp_path, [parts, report, {"resourceType": "Bundle", "entry": [{"resource": parts}]}])
    assert survey.concepts[0].entries == 3


def test_long_lists_are_cut_and_say_so(tmp_path: Path) -> None:
    feed = [
        one
        for code in range(700)
        for one in (condition(1, coded(LAB, f"M-{code}", "Multiple sclerosis")),
                    condition(2, coded(LAB, f"M-{code}", "Multiple sclerosis")))
    ]  # fmt: skip
    survey = surveyed_of(tmp_path, feed)
    assert len(survey.codes) == len(survey.proposals) == 500
    assert survey.hidden.more == {"codes": 200, "proposals of codes": 200}
    assert "200 codes" in survey_text(survey)


def test_a_survey_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = surveyed(FEED), surveyed(FEED)
    assert json.loads(msgspec.json.encode(first)) == json.loads(msgspec.json.encode(second))
