"""What cannot be used of a response is told and never guessed; it costs its question and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from forms_kit import (
    EXAMINATION,
    NEUROPHYSIOLOGY,
    Json,
    answered,
    codes,
    extracted,
    form,
    observations,
    patient,
    read,
    ready,
    with_extracted,
    with_resources,
)

from engine.errors import InputError
from engine.fhir.extraction import extract
from engine.rules.load import load_ruleset

PRESENT = {"valueCoding": {"system": "http://snomed.info/sct", "code": "52101004"}}
ABSENT = {"valueCoding": {"system": "http://snomed.info/sct", "code": "2667000"}}
FATIGABLE = {"c": "fatigability", "v": "present"}


def with_items(*items: Json, **more: Any) -> Json:
    return answered(EXAMINATION, **{"item": list(items), **more})


def item(link: str, *answers: Json, inner: list[Json] | None = None) -> Json:
    return {"linkId": link, "answer": list(answers), **({"item": inner} if inner else {})}


def told(response: Json) -> tuple[list[str], list[str]]:
    """The concepts with results and the codes of problems, the same inside a record and by extraction."""
    record, problems = read(with_resources(patient(), [response]))
    found = extracted(response)
    assert codes(problems) == codes(found.problems)
    made = record.results
    assert set(made) == set(read(with_extracted(patient(), response))[0].results)
    return sorted(made), codes(problems)


@pytest.mark.parametrize(("status", "counts"), [
    ("completed", True), ("amended", True), ("in-progress", False), ("entered-in-error", False), ("stopped", False),
    ("finished", False), (None, False), (7, False),
])  # fmt: skip
def test_only_completed_and_amended_answers_count(status: Any, counts: bool) -> None:
    response = answered(EXAMINATION, FATIGABLE, status=status)
    assert told(response) == ((["fatigability"], []) if counts else ([], ["unfinished-form"]))
    assert [one["status"] for one in observations(response)] == (
        [] if not counts else ["amended" if status == "amended" else "final"]
    )


@pytest.mark.parametrize(("questionnaire", "why"), [
    ("urn:endplate:form:neuromuscular-examination|000000000000", "another version"),
    ("urn:endplate:form:neuromuscular-examination", "without naming its version"),
    ("urn:endplate:form:gait|1", "a form that the rules do not have"),
])  # fmt: skip
def test_answers_to_another_version_of_a_form_are_told_and_not_used(questionnaire: str, why: str) -> None:
    response = answered(EXAMINATION, FATIGABLE, questionnaire=questionnaire)
    assert told(response) == ([], ["unknown-form"])
    assert why in extracted(response).problems[0].message


@pytest.mark.parametrize("questionnaire", [None, 7, "https://example.org/Questionnaire/phq-9|1", {"reference": "x"}])
def test_answers_to_forms_of_others_are_passed_over(questionnaire: Any) -> None:
    record, problems = read(with_resources(patient(), [answered(EXAMINATION, FATIGABLE, questionnaire=questionnaire)]))
    assert (record.results, problems) == ({}, [])


def test_a_version_that_the_ruleset_calls_the_same_is_still_read() -> None:
    now = form(EXAMINATION)
    renewed = msgspec.structs.replace(now, version="new", earlier=("older", now.version))
    content = msgspec.structs.replace(ready().ruleset.content, forms={now.url: renewed})
    terminology = msgspec.structs.replace(ready().ruleset, content=content).terminology
    found = extract(answered(EXAMINATION, FATIGABLE), terminology, recorded="2026-03-01T12:00:00Z", agent="Endplate")
    assert found.bundle is not None
    assert found.problems == ()


@pytest.mark.parametrize(("answers", "problem"), [
    ([{"valueBoolean": True}], "unusable-answer"),
    ([{"valueString": "present"}], "unusable-answer"),
    ([{"valueCoding": {"system": "http://snomed.info/sct", "code": "10828004"}}], "unusable-answer"),
    ([{"valueCoding": {"code": "52101004"}}], "unusable-answer"),
    ([{"valueCoding": "52101004"}], "unusable-answer"),
    ([{**PRESENT, "valueBoolean": True}], "unusable-answer"),
    ([PRESENT, ABSENT], "contradicting-value"),
])  # fmt: skip
def test_an_answer_that_the_question_does_not_allow_costs_the_question(answers: list[Json], problem: str) -> None:
    response = with_items(item("fatigability", *answers), item("sensory-loss", ABSENT))
    assert told(response) == (["sensory-loss"], [problem])


def test_an_item_that_stands_twice_and_differs_contradicts_itself() -> None:
    yes, no = item("fatigability", PRESENT), item("fatigability", ABSENT)
    assert told(with_items(yes, no)) == ([], ["contradicting-value"])
    assert told(with_items(yes, yes)) == (["fatigability"], [])


@pytest.mark.parametrize("quantity", [
    {"value": 4}, {"value": 4, "code": "kg", "system": "http://unitsofmeasure.org"}, {"value": "4", "code": "mm"},
    {"code": "mm"}, {"value": 4, "code": "mm", "system": "http://example.org"},
    {"value": 4, "code": "mm", "comparator": "~"},
    4, None, {"value": True, "code": "mm"}, {"value": float("inf"), "code": "mm"},
])  # fmt: skip
def test_a_quantity_needs_its_number_and_a_unit_of_the_form(quantity: Any) -> None:
    concepts, problems = told(with_items(item("ice-pack", {"valueQuantity": quantity})))
    assert (concepts, problems) == ([], ["unusable-answer"])


def test_questions_that_the_form_does_not_have_are_counted_and_not_used() -> None:
    response = with_items(item("fatigability", PRESENT), item("fatigue", PRESENT), item("x", PRESENT), {"answer": 7})
    assert told(response) == (["fatigability"], ["unknown-question"])
    assert "3 questions" in extracted(response).problems[0].message


def test_a_part_without_its_whole_is_told() -> None:
    part = item("ocular-weakness.fluctuating", PRESENT)
    assert told(with_items(item("ocular-weakness", ABSENT), part)) == ([], ["contradicting-value"])
    assert told(with_items(part)) == ([], ["contradicting-value"])
    inner = {**item("ocular-weakness", {**PRESENT, "item": [part]})}
    assert told(with_items(inner)) == (["ocular-weakness"], [])


def test_a_muscle_without_a_result_says_nothing() -> None:
    muscle = {"valueCoding": {"system": "urn:endplate:muscle", "code": "nasalis"}}
    response = answered(NEUROPHYSIOLOGY, item=[{"linkId": "rns", "item": [item("rns.muscle", muscle)]}])
    assert told(response) == ([], ["unusable-answer"])
    response = answered(NEUROPHYSIOLOGY, item=[{"linkId": "emg-muscle", "item": [item("emg-muscle.muscle", muscle)]}])
    assert told(response) == ([], [])


def test_how_deep_the_items_are_nested_does_not_matter_until_it_is_absurd() -> None:
    nested: Json = item("fatigability", PRESENT)
    for _ in range(10):
        nested = {"linkId": "section-motor-signs", "item": [nested]}
    assert told(with_items(nested)) == (["fatigability"], [])
    for _ in range(30):
        nested = {"linkId": "section-motor-signs", "item": [nested]}
    assert told(with_items(nested)) == ([], ["too-deep"])


@pytest.mark.parametrize("authored", ["yesterday", "2026-13-40", 20260220])
def test_an_unreadable_date_leaves_the_results_undated(authored: Any) -> None:
    record, problems = read(with_resources(patient(), [answered(EXAMINATION, FATIGABLE, authored=authored)]))
    assert [one.day for one in record.results["fatigability"]] == [None]
    assert codes(problems) == ["unreadable-date"]


def test_the_day_of_the_examination_goes_before_the_day_of_writing() -> None:
    response = answered(EXAMINATION, FATIGABLE)
    response["item"].insert(0, item("date", {"valueDate": "2026-01-15"}))
    [made] = observations(response)
    assert made["effectiveDateTime"] == "2026-01-15"
    [result] = read(with_resources(patient(), [response]))[0].results["fatigability"]
    assert str(result.day) == "2026-01-15"


def test_answers_of_the_future_do_not_count_yet() -> None:
    record, problems = read(with_resources(patient(), [answered(EXAMINATION, FATIGABLE, authored="2026-03-02")]))
    assert (record.results, codes(problems)) == ({}, ["future-date"])


def test_answers_about_another_patient_never_count() -> None:
    response = answered(EXAMINATION, FATIGABLE, subject={"reference": "Patient/q"})
    record, problems = read(with_resources(patient(), [response]))
    assert (record.results, codes(problems)) == ({}, ["unknown-patient"])


@pytest.mark.parametrize("subject", [None, {}, {"reference": "Group/1"}, {"display": "him"}, "Patient/p"])
def test_answers_about_nobody_are_set_aside(subject: Any) -> None:
    response = answered(EXAMINATION, FATIGABLE, subject=subject)
    record, problems = read(with_resources(patient(), [response]))
    assert (record.results, codes(problems)) == ({}, ["no-patient"])
    assert codes(extracted(response).problems) == ["no-patient"]
    assert extracted(response).bundle is None


def test_what_was_extracted_goes_before_the_response() -> None:
    response = answered(EXAMINATION, FATIGABLE)
    bundle = with_resources(with_extracted(patient(), response), [response])
    [result] = read(bundle)[0].results["fatigability"]
    assert result.reference.startswith("urn:uuid:")
    withdrawn = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Observation"]
    withdrawn[0]["status"] = "entered-in-error"
    assert read(bundle)[0].results == {}


def test_a_result_inside_a_record_rests_on_the_response() -> None:
    [result] = read(with_resources(patient(), [answered(EXAMINATION, FATIGABLE)]))[0].results["fatigability"]
    assert result.reference == "QuestionnaireResponse/answers-neuromuscular-examination"


def test_a_modifier_extension_makes_a_response_unusable() -> None:
    response = answered(EXAMINATION, FATIGABLE, modifierExtension=[{"url": "https://example.org/not"}])
    assert told(response) == ([], ["modifier-extension"])
    odd = {**item("fatigability", PRESENT), "modifierExtension": [{"url": "https://example.org/not"}]}
    assert told(with_items(odd, item("sensory-loss", ABSENT))) == (["sensory-loss"], ["modifier-extension"])


def test_what_is_extracted_says_who_when_and_from_what() -> None:
    author = {"reference": "Practitioner/n"}
    stay = {"reference": "Encounter/e"}
    response = answered(EXAMINATION, FATIGABLE, author=author, encounter=stay)
    bundle = extracted(response).bundle
    assert bundle is not None
    made, provenance = (entry["resource"] for entry in bundle["entry"])
    assert (made["performer"], made["encounter"]) == ([author], stay)
    assert made["derivedFrom"] == [{"reference": f"QuestionnaireResponse/{response['id']}"}]
    assert provenance["target"] == [{"reference": bundle["entry"][0]["fullUrl"]}]
    assert [one["who"] for one in provenance["agent"]] == [{"display": "Endplate"}, author]
    assert provenance["entity"][0]["what"] == made["derivedFrom"][0]
    assert provenance["recorded"] == "2026-03-01T12:00:00+00:00"


def test_extracted_twice_it_is_the_same_observation() -> None:
    one, other = (extracted(answered(EXAMINATION, FATIGABLE, status=status)) for status in ("completed", "amended"))
    assert one.bundle is not None
    assert other.bundle is not None
    assert one.bundle["entry"][0]["request"] == other.bundle["entry"][0]["request"]
    assert one.bundle["entry"][0]["fullUrl"] == other.bundle["entry"][0]["fullUrl"]


@pytest.mark.parametrize("identity", [
    "a1", "a,urn:endplate:extracted-answer|b", "a&_id=7", "a$b", "a\\,b", "a b", "a%2Cb", "a|b", "ä#1",
])  # fmt: skip
def test_whatever_its_id_a_response_can_only_replace_its_own_observations(identity: str) -> None:
    bundle = extracted(answered(EXAMINATION, FATIGABLE, id=identity)).bundle
    assert bundle is not None
    entry = bundle["entry"][0]
    kind, _, query = entry["request"]["url"].partition("?")
    [(name, searched)] = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    [value] = re.split(r"(?<!\\)(?:\\\\)*,", searched)  # a comma means `or`, unless a backslash stands before it
    system, _, number = value.partition("|")
    [identifier] = entry["resource"]["identifier"]
    assert (kind, name, system) == ("Observation", "identifier", identifier["system"])
    assert re.sub(r"\\(.)", r"\1", number) == identifier["value"] == f"{identity}/fatigability"


def test_a_question_that_is_answered_thousands_of_times_is_told_once() -> None:
    """Each answer held against all others would take a quarter of a minute."""
    many = [{"valueQuantity": {"value": number, "code": "mm"}} for number in range(40_000)]
    found = extracted(with_items(item("ice-pack", *many)))
    assert (found.bundle, codes(found.problems)) == (None, ["contradicting-value"])


def test_a_form_has_no_answer_for_what_it_does_not_ask() -> None:
    for fact in ({"c": "ck", "v": 5}, {"c": "fatigability", "v": "perhaps"}, {**FATIGABLE, "hz": 3}):
        with pytest.raises(InputError):
            answered(EXAMINATION, fact)


def test_a_ruleset_without_forms_passes_responses_over() -> None:
    toy = load_ruleset(Path(__file__).resolve().parents[1] / "rulesets" / "toy")
    assert toy.content.forms == {}


@pytest.mark.parametrize(("form", "fact", "category"), [
    (EXAMINATION, FATIGABLE, "exam"),
    (NEUROPHYSIOLOGY, {"c": "edx-study", "v": "normal"}, "procedure"),
])  # fmt: skip
def test_what_is_extracted_is_found_by_who_searches_by_category(form: str, fact: Json, category: str) -> None:
    made = observations(answered(form, fact))
    found = {(coding["system"], coding["code"]) for one in made for of in one["category"] for coding in of["coding"]}
    assert found == {("http://terminology.hl7.org/CodeSystem/observation-category", category)}
