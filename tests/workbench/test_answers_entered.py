"""What is entered on a page becomes the answers of a form, all of it or nothing, and can be shown again as it was."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest
from answers_kit import (
    EXAMINATION,
    NEUROPHYSIOLOGY,
    WAITING,
    case_of,
    entries,
    facts_of,
    form,
    questions,
    ready,
    record,
    tried,
    with_extracted,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fhir.answers import read_answers
from engine.model.form import NOT_EXAMINED, Field, Form, Question
from engine.workbench.answers import UNIT, Entered, control, entered_of, filled, link_of, links_of, merged
from engine.workbench.asking import ways_to_answer

DAY = date(2026, 3, 1)
WHO: dict[str, Any] = {"patient": "Patient/p", "as_of": DAY}
FORMS = (EXAMINATION, NEUROPHYSIOLOGY)


def every_answer() -> list[tuple[str, Question, dict[str, str]]]:
    return [
        (name, question, answer)
        for name in FORMS
        for question in form(name).questions
        for answer, _ in ways_to_answer(question)
    ]


@pytest.mark.parametrize("name", FORMS)
def test_every_offered_answer_gives_the_facts_that_its_extraction_gives(name: str) -> None:
    case = case_of("typical-mg")
    before = facts_of(record(case))
    changed = 0
    for of, _, answer in every_answer():
        if of != name:
            continue
        with_one = tried(case, name, entries(name, {k: "true" if v == "done" else v for k, v in answer.items()}))
        assert facts_of(record(with_one)) == facts_of(with_extracted(with_one)), answer
        changed += facts_of(record(with_one)) != before
    assert changed >= 4


def typed(field: Field) -> st.SearchStrategy[dict[str, tuple[str, ...]]]:
    """Part of the control -> what somebody enters there."""
    words = [option.value for option in field.options]
    match field.kind:
        case "choice" if field.repeats:
            return st.sets(st.sampled_from(words), min_size=1).map(
                lambda some: {"": tuple(sorted(some, key=words.index))}
            )
        case "choice":
            return st.sampled_from(words).map(lambda word: {"": (word,)})
        case "quantity":
            number = st.decimals("-20", "150", places=1, allow_nan=False).map(lambda n: str(n.normalize() + 0))
            number = number.filter(lambda text: "E" not in text)
            prefix = st.just("") if field.name else st.sampled_from(["", "< ", ">= "])
            return st.tuples(prefix, number, st.sampled_from(field.units)).map(
                lambda t: {"": (t[0] + t[1],), UNIT: (t[2],)}
            )
        case "integer":
            return st.integers(0, 40).map(lambda n: {"": (str(n),)})
        case "date":
            return st.sampled_from(["2025", "2025-03", "2025-03-14"]).map(lambda day: {"": (day,)})
        case "boolean":
            return st.just({"": ("true",)})


@st.composite
def entered(draw: st.DrawFn, of: Form) -> dict[str, tuple[str, ...]]:
    """A form that somebody filled in well."""
    found: dict[str, tuple[str, ...]] = {control(of.name, "date"): ("2026-02-20",)}
    for question in of.questions:
        if not draw(st.booleans()):
            continue
        for row in range(1, draw(st.integers(1, 2)) + 1) if question.repeats else [0]:
            told: dict[str, tuple[str, ...]] = {}
            if question.value is not None:
                word = draw(typed(question.value))
                told |= {control(of.name, question.value.link, row, part): held for part, held in word.items()}
                if question.gate and word[""] != (question.gate,):
                    found |= told
                    continue
            parts = [part for part in question.parts if draw(st.booleans())]
            if question.value is None:
                parts = list(dict.fromkeys([*parts, question.parts[-1]]))
            for part in parts:
                told |= {control(of.name, part.link, row, key): held for key, held in draw(typed(part)).items()}
            stated = [p for p in parts if p.name not in ("muscle", "side") and told[control(of.name, p.link, row)]]
            if question.value is not None or stated:
                found |= told
    return found


@pytest.mark.parametrize("name", FORMS)
def test_what_was_entered_is_shown_again_as_it_was(name: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(entered(form(name)))
    def comes_back(told: Entered) -> None:
        found = filled(form(name), told, **WHO)
        assert found.faults == ()
        if found.response is None:
            assert set(told) == {control(name, "date")}
        else:
            assert entered_of(form(name), found.response) == told
            noted: list[tuple[str, str]] = []
            read = read_answers(found.response, form(name), ready().ruleset.terminology, lambda *of: noted.append(of))
            assert noted == [] and read.day == "2026-02-20"

    comes_back()


def test_what_is_not_answered_is_not_in_it() -> None:
    found = filled(form(EXAMINATION), entries(EXAMINATION, {"fatigability": "present", "ice-pack": " "}), **WHO)
    assert found.response is not None
    assert entered_of(form(EXAMINATION), found.response) == {
        control(EXAMINATION, "date"): ("2026-03-01",), control(EXAMINATION, "fatigability"): ("present",)
    }  # fmt: skip
    assert filled(form(EXAMINATION), {}, **WHO).response is None


def test_a_detail_of_something_that_is_not_present_is_not_asked() -> None:
    told = entries(EXAMINATION, {"ocular-weakness": "absent", "ocular-weakness.fluctuating": "present"})
    found = filled(form(EXAMINATION), told, **WHO)
    assert found.response is not None and found.faults == ()
    assert control(EXAMINATION, "ocular-weakness.fluctuating") not in entered_of(form(EXAMINATION), found.response)


@pytest.mark.parametrize(
    ("told", "at", "says"),
    [
        ({"ice-pack": "a lot"}, "ice-pack", "this is no number"),
        ({"ice-pack": "2,5"}, "ice-pack", "write a point"),
        ({"ice-pack": "1e3"}, "ice-pack", "this is no number"),
        ({"ice-pack": "NaN"}, "ice-pack", "this is no number"),
        ({"ice-pack": "٣"}, "ice-pack", "this is no number"),
        ({"ice-pack": "9" * 40}, "ice-pack", "this is no number"),
        ({"ice-pack": "3", "ice-pack~unit": "mile"}, "ice-pack", "choose one of the units"),
        ({"symptom-onset": "yesterday"}, "symptom-onset", "this is no date"),
        ({"symptom-onset": "2025-13-40"}, "symptom-onset", "this is no date"),
        ({"symptom-onset": "2026-03-02"}, "symptom-onset", "after the day of the evaluation"),
        ({"date": "2026-03-02"}, "date", "after the day of the evaluation"),
        ({"date": "2026-03"}, "date", "this is no date"),
        ({"fatigability": "perhaps"}, "fatigability", "none of the answers"),
        ({"ocular-weakness.fluctuating": "present"}, "ocular-weakness", "the result itself is missing"),
        ({"lmn-sign/bulbar": "present", "lmn-sign/bulbar.muscles": "-1"}, "lmn-sign/bulbar.muscles", "no whole number"),
        ({"rns.muscle#1": "nasalis"}, "rns.result#1", "the result itself is missing"),
        ({"rns.result#2": "12", "rns.hz#2": "< 3"}, "rns.hz#2", "the number alone"),
        ({"emg-muscle.muscle#1": "deltoid"}, "emg-muscle.muscle#1", "nothing is said of this muscle"),
        ({"nmj-study": "maybe"}, "nmj-study", "none of the answers"),
    ],
)
def test_an_entry_that_cannot_be_used_is_told_at_its_control_and_nothing_is_applied(
    told: dict[str, str], at: str, says: str
) -> None:
    name = next(one for one in FORMS if set(map(link_of, entries(one, told))) <= set(links_of(form(one))))
    good = entries(name, {"edx-study": "normal"} if name == NEUROPHYSIOLOGY else {"areflexia": "absent"})
    found = filled(form(name), {**good, **entries(name, told)}, **WHO)
    assert found.response is None
    [fault] = found.faults
    assert fault.control == control(name, at)
    assert says in fault.message


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_whatever_is_sent_is_used_or_told(data: st.DataObject) -> None:
    of = form(data.draw(st.sampled_from(FORMS)))
    links = sorted(links_of(of))
    names = st.builds(
        control, st.just(of.name), st.sampled_from(links), st.integers(0, 3), st.sampled_from(["", UNIT, "x"])
    ) | st.text(max_size=20)
    words = st.text(max_size=30) | st.sampled_from(["present", "absent", NOT_EXAMINED, "12", "mm", "true", "2025"])
    sent = data.draw(st.dictionaries(names, st.lists(words, max_size=3).map(tuple), max_size=8))
    found = filled(of, merged(of, {}, sent, links_of(of).values()), **WHO)
    assert found.response is None or found.faults == ()
    if found.response is not None:
        noted: list[tuple[str, str]] = []
        read_answers(found.response, of, ready().ruleset.terminology, lambda *told: noted.append(told))
        assert noted == []


def test_what_was_not_asked_this_time_stays_and_what_was_is_replaced() -> None:
    of = form(EXAMINATION)
    before = entries(EXAMINATION, {"fatigability": "present", "areflexia": "absent"})
    sent = {**entries(EXAMINATION, {"areflexia": "present", "sphincter": "present"}), "other:areflexia": ("absent",)}
    assert merged(of, before, sent, ["areflexia"]) == entries(
        EXAMINATION, {"fatigability": "present", "areflexia": "present"}
    )
    assert merged(of, before, {}, ["fatigability"]) == entries(EXAMINATION, {"areflexia": "absent"})


def test_the_questions_know_which_facts_their_answers_make_known() -> None:
    """What an answer makes known, in a record that holds nothing else, its question is asked for."""
    case = case_of(WAITING)
    known: dict[str, set[str]] = {}
    for name, question, answer in every_answer():
        results = questions().results(form(name), question, answer, case.as_of)
        reasoning_facts = facts_of(_only(case, results))
        for fact, (value, _, _) in reasoning_facts.items():
            if value != "unknown":
                known.setdefault(fact, set()).add(question.link)
    for fact, links in known.items():
        places = {place.question.link for place in questions().places.get(fact, ())}
        assert links <= places or fact in facts_of(_only(case, {})), (fact, links, places)


def _only(case: Any, results: Any) -> Any:
    return msgspec.structs.replace(record(case), results=dict(results), diagnoses={}, medications=())
