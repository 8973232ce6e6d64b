"""The Questionnaires: made of the facts, valid by four judges, and never behind the ruleset."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest
from forms_kit import (
    EXAMINATION,
    FORMS,
    NEUROPHYSIOLOGY,
    WAITING,
    Json,
    answered,
    extracted,
    form,
    patient,
    ready,
    with_resources,
)
from peers.hapi import Hapi

from engine.cli.forms import build, check
from engine.errors import InputError, RulesetError
from engine.facts.kinds.recorded import RecordedFact
from engine.forms.questionnaire import Version, questionnaire
from engine.outputs.validation import check_output
from engine.rules.files import bundled
from engine.rules.load import load_ruleset

ROOT = Path(__file__).resolve().parents[2]
VERSIONS: tuple[Version, ...] = ("R4", "R5")


def written(name: str, version: Version) -> Json:
    return questionnaire(form(name), ready().ruleset.terminology, version)


def items(held: Json) -> Iterator[Json]:
    for item in held.get("item", ()):
        yield item
        yield from items(item)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A copy of the ruleset that a test may change."""
    folder = tmp_path / "rules"
    shutil.copytree(bundled(), folder)
    return folder


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


# ---------------------------------------------------------------- what is asked


def test_every_concept_that_the_facts_of_a_form_read_is_asked_once() -> None:
    facts = {d.name: d for d in ready().ruleset.facts.definitions}
    asked = [q.concept for name in FORMS for q in form(name).questions]
    assert {"fatigability", "ocular-weakness", "umn-sign", "lmn-sign", "emg-muscle", "rns", "sfemg"} <= set(asked)
    for name in ("fatigability", "ocular-fluctuation", "umn", "lmn-gold-coast", "lmn-emg", "rns-facial", "ice-pack"):
        assert facts[name].reads() <= set(asked)
    assert all(asked.count(q.concept) == 1 for name in FORMS for q in form(name).questions if not q.region)


def test_signs_are_asked_in_every_region_and_tests_for_every_muscle() -> None:
    tables = ready().ruleset.facts.tables
    assert [q.region for q in form(EXAMINATION).questions if q.concept == "umn-sign"] == list(tables.regions)
    [emg] = [q for q in form(NEUROPHYSIOLOGY).questions if q.concept == "emg-muscle"]
    [muscle] = [part for part in emg.parts if part.name == "muscle"]
    assert emg.repeats
    assert {option.value for option in muscle.options} == set(tables.muscles)


def test_everything_that_a_way_of_counting_a_region_needs_is_asked() -> None:
    parts = {part.name for q in form(EXAMINATION).questions if q.concept == "lmn-sign" for part in q.parts}
    assert parts == {"atrophy", "weakness", "fasc", "hyporeflexia", "muscles"}


@pytest.mark.parametrize("name", FORMS)
def test_a_question_of_present_and_absent_can_be_answered_with_neither(name: str) -> None:
    for item in items(written(name, "R4")):
        offered = [one["valueCoding"]["code"] for one in item.get("answerOption", ())]
        if "2667000" in offered:
            assert offered == ["52101004", "2667000", "not-examined"]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_question_says_what_it_asks_under_a_link_of_its_own(name: str, version: Version) -> None:
    every = list(items(written(name, version)))
    links = [item["linkId"] for item in every]
    assert len(links) == len(set(links))
    assert all(item["text"] for item in every)
    conditions = [when for item in every for when in item.get("enableWhen", ())]
    assert all(when["question"] in links for when in conditions)


def test_observation_based_extraction_is_marked_where_it_gives_what_we_extract() -> None:
    marked = {}
    for item in items(written(EXAMINATION, "R4")):
        for extension in item.get("extension", ()):
            if extension["url"].endswith("observationExtract"):
                marked[item["linkId"]] = extension.get("valueBoolean", extension.get("valueCode"))
                assert item["code"]
    assert marked["fatigability"] is True
    assert marked["ocular-weakness.fluctuating"] == "component"
    assert not [link for link in marked if "/" in link]        # a body site has no place there


# ---------------------------------------------------------------- a change of the rules


def test_a_fact_that_is_added_to_the_rules_is_asked(other: Path) -> None:
    before = load_ruleset(other).content.forms
    fact = "bulbar-symptom:\n  title: Swallowing\n  kind: result\n  concept: dysphagia\n"
    fact += '  shown: "dysphagia {value}"\n  ask_for: trouble swallowing at bedside\n'
    path = other / "facts" / "myasthenic-signs.yaml"
    path.write_text(path.read_text("utf-8") + fact, "utf-8")
    rule = other / "rules" / "monitoring-respiratory" / "als-gastrostomy-window.yaml"
    change(rule, "{dysphagia: present}", "{bulbar-symptom: present}")

    after = load_ruleset(other).content.forms
    [name] = [url for url in after if url.endswith(EXAMINATION)]
    assert {q.link for q in after[name].questions} - {q.link for q in before[name].questions} == {"dysphagia"}
    assert after[name].version != before[name].version
    assert {url: one for url, one in after.items() if url != name} == {u: o for u, o in before.items() if u != name}


def test_a_change_of_words_is_another_version_and_one_of_rules_or_category_is_not(other: Path) -> None:
    before = {url: one.version for url, one in load_ruleset(other).content.forms.items()}
    change(other / "ruleset.yaml", "version: ", "version: 9")
    change(other / "forms.yaml", "category: procedure", "category: laboratory")
    assert {url: one.version for url, one in load_ruleset(other).content.forms.items()} == before
    change(other / "forms.yaml", "atrophy: Wasting", "atrophy: Wasted muscles")
    assert {url for url, one in load_ruleset(other).content.forms.items() if one.version != before[url]} == {
        f"urn:endplate:form:{EXAMINATION}"
    }


def test_a_form_that_is_behind_the_rules_fails_the_check(other: Path, tmp_path: Path) -> None:
    out = tmp_path / "forms"
    build(other, out)
    check(other, out)
    change(other / "facts" / "myasthenic-signs.yaml", "ice-pack test, in millimetres", "ice on the lid")
    with pytest.raises(InputError, match=r"not up to date: .*neuromuscular-examination\.r4\.json.*; run"):
        check(other, out)
    build(other, out)
    check(other, out)
    (out / "gait.r4.json").write_text("{}", "utf-8")
    with pytest.raises(InputError, match=r"gait\.r4\.json"):
        check(other, out)


def test_the_written_forms_are_those_of_the_rules() -> None:
    check(None, ROOT / "forms")


@pytest.mark.parametrize(("old", "new", "says"), [
    ("facts: motor-signs", "facts: gait", "there is no file `facts/gait.yaml`"),
    (", without: [emg-muscle]", "", "`emg-muscle` is asked in `Motor signs and course` already"),
    ("without: [emg-muscle]", "without: [emg-muscle, ck]", "no fact of `facts/motor-signs.yaml` reads `ck`"),
    ("ache-response: [positive", "ache-response: [perhaps", "`perhaps` of `ache-response` has no code"),
    ("facts: electrophysiology", "facts: antibodies", "`achr-binding` is read in a way that no form can ask for"),
    ("title: Neurophysiology\n", "name: Neurophysiology\n", "the form `neurophysiology` needs a `title`"),
    ("forms:\n", "form:\n", "`form` is no key of forms.yaml"),
    ("    purpose: Nerve", "    reason: Nerve", "`reason` is no key of a form"),
    ("    category: procedure", "    category: exams", "`exams` is no category of Observations"),
    ("    category: procedure", "    category: [exam]", "`['exam']` is no category of Observations"),
])  # fmt: skip
def test_a_form_that_cannot_be_made_is_a_fault_with_its_place(other: Path, old: str, new: str, says: str) -> None:
    change(other / "forms.yaml", old, new)
    with pytest.raises(RulesetError) as refused:
        load_ruleset(other)
    [fault, *_] = [fault for fault in refused.value.faults if says in fault.message]
    assert fault.place.file.endswith("forms.yaml")


# ---------------------------------------------------------------- judges


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_classes_of_fhir_accept_the_forms_and_their_answers(name: str, version: Version) -> None:
    check_output(written(name, version), version)
    response = full(name)
    check_output(response, version)
    bundle = extracted(response).bundle
    assert bundle is not None
    check_output(json.loads(json.dumps(bundle)), version)


def test_the_schema_of_r4_accepts_the_forms_and_what_is_extracted(shared: Path) -> None:
    schema = json.loads((shared / "standards/schemas/fhir-r4.schema.json").read_text("utf-8"))
    validator = jsonschema_rs.validator_for(schema)
    for name in FORMS:
        for resource in (written(name, "R4"), full(name), extracted(full(name)).bundle):
            assert [str(error)[:200] for error in validator.iter_errors(resource)] == []


@pytest.mark.parametrize("name", FORMS)
def test_hapi_accepts_the_forms_the_answers_and_what_is_extracted(hapi: Hapi, name: str) -> None:
    assert hapi.validate(written(name, "R4")) == []
    assert hapi.validate(full(name)) == []
    bundle = extracted(full(name)).bundle
    assert bundle is not None
    assert [said for entry in bundle["entry"] for said in hapi.validate(entry["resource"])] == []


@pytest.mark.parametrize("name", FORMS)
def test_hapi_accepts_the_forms_of_r5(hapi_r5: Hapi, name: str) -> None:
    assert hapi_r5.validate(written(name, "R5")) == []


def test_hapi_takes_the_transaction_and_a_second_one_makes_nothing_twice(hapi: Hapi) -> None:
    mark = uuid4().hex[:12]
    patient_id = f"forms-{mark}"
    response = full(EXAMINATION) | {"id": f"answers-{mark}", "subject": {"reference": f"Patient/{patient_id}"}}
    hapi.put([{"resourceType": "Patient", "id": patient_id}, response])
    bundle = extracted(response).bundle
    assert bundle is not None
    for _ in range(2):
        hapi.post("", bundle)
    made = len(bundle["entry"]) - 1
    found = hapi.get(f"Observation?subject=Patient/{patient_id}&_summary=count&_total=accurate")
    assert found["total"] == made
    assert hapi.get(f"Provenance?target:Observation.subject=Patient/{patient_id}&_summary=count") is not None


def full(name: str) -> Json:
    """A response with an answer to every question, `present` and the like."""
    facts: list[Json] = []
    for question in form(name).questions:
        fact: Json = {"c": question.concept}
        if question.region:
            fact["region"] = question.region
        if question.value is not None:
            fact["v"] = _value(question.value)
            if question.value.units:
                fact["u"] = question.value.units[0]
        facts.append(fact | {part.name: _value(part) for part in question.parts})
    return answered(name, *facts)


def _value(field: Any) -> Any:
    match field.kind:
        case "choice":
            return field.options[0].value
        case "date":
            return "2025-01-01"
        case "boolean":
            return "done"
        case _:
            return 3


def test_facts_that_only_note_a_study_ask_whether_it_was_done() -> None:
    [study] = [q for q in form(NEUROPHYSIOLOGY).questions if q.concept == "nmj-study"]
    readers = [d for d in ready().ruleset.facts.definitions if "nmj-study" in d.reads()]
    assert any(isinstance(one, RecordedFact) for one in readers)
    assert study.value is not None
    assert study.value.kind == "boolean"


def test_a_bundle_with_answers_is_still_a_valid_bundle() -> None:
    check_output(with_resources(json.loads(json.dumps(patient(*WAITING), default=float)), [full(EXAMINATION)]), "R4")
