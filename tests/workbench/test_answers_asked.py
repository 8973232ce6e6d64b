"""What is asked next, for whom, in which order; and what an answer is said to change is what it changes."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import pytest
from answers_kit import (
    EXAMINATION,
    NEUROPHYSIOLOGY,
    OPEN,
    OVERLAP,
    WAITING,
    case_of,
    entries,
    opened,
    questions,
    ready,
    record,
    tried,
    vectors,
)

from engine.explanation.missing import outcome
from engine.model.finding import SEVERITIES, Evaluation
from engine.model.record import Result
from engine.outputs.wording import titles
from engine.workbench.asking import Asking
from engine.workbench.case import Case


def asked(case: Case) -> tuple[Asking, ...]:
    reasoning = ready().reasoning(record(case))
    return questions().asked(reasoning, reasoning.evaluation("proved"), titles(ready().ruleset.info))


def standing(evaluation: Evaluation) -> frozenset[tuple[str, str, str]]:
    return frozenset((one.issue, one.severity, one.display) for one in evaluation.findings)


@pytest.mark.parametrize("seed", range(6))
def test_what_an_answer_is_said_to_change_is_what_it_changes(seed: int) -> None:
    """Deciding again with the results of an answer, and reading the record with the filled-in form, agree."""
    chance = random.Random(seed)
    compared = 0
    for content in chance.sample(vectors(), 8):
        case = opened(content)
        before = standing(ready().evaluate(record(case), "none"))
        said = [(one, effect) for one in asked(case) for effect in one.effects]
        for one, effect in chance.sample(said, min(5, len(said))):
            answers = {link: "true" if word == "done" else word for link, word in effect.answer.items()}
            after = standing(ready().evaluate(record(tried(case, one.form, entries(one.form, answers))), "none"))
            assert outcome(before, after) == effect.outcome, (case.patient, answers)
            compared += 1
    assert compared >= 10


@pytest.mark.parametrize("seed", range(6))
def test_facts_brought_up_to_date_are_those_of_the_whole_record(seed: int) -> None:
    """With results of another patient, some of them damaged, so that the quality of the data changes as well."""
    chance, base, moved = random.Random(seed), ready().ruleset.facts, 0
    records = [record(opened(content)) for content in chance.sample(vectors(), 24)]
    for one, other in pairwise(records):
        concepts = chance.sample(sorted(other.results), min(3, len(other.results)))
        more = {name: tuple(damaged(result, chance) for result in other.results[name]) for name in concepts}
        held = {name: (*one.results.get(name, ()), *found) for name, found in more.items()}
        after = msgspec.structs.replace(one, results={**one.results, **held})
        before, whole = base.compute(one), base.compute(after)
        assert base.again(after, one, before, concepts) == whole, concepts
        quality = {name for name in (*before, *whole) if name.startswith("dq.")}
        moved += any(before.get(name) != whole.get(name) for name in quality)
    assert 0 < moved < len(records) - 1, "it changes, and it stays"


def damaged(result: Result, chance: random.Random) -> Result:
    """Now and then without its date, in a unit that nobody knows, or the opposite of what was said on its day."""
    match chance.randrange(5):
        case 0:
            return msgspec.structs.replace(result, day=None)
        case 1 if result.quantity is not None:
            return msgspec.structs.replace(result, quantity=msgspec.structs.replace(result.quantity, unit="furlong"))
        case 2 if result.answer in ("present", "absent"):
            said = "absent" if result.answer == "present" else "present"
            return msgspec.structs.replace(result, answer=said)
    return result


@pytest.mark.parametrize("seed", range(3))
def test_without_results_the_same_stands_as_is_found(seed: int) -> None:
    for content in random.Random(100 + seed).sample(vectors(), 10):
        found = ready().evaluate(record(opened(content)), "none")
        if found.relevant:
            assert ready().reasoning(record(opened(content))).standing() == standing(found)


def test_the_question_that_decides_both_ways_comes_first_and_says_why() -> None:
    first, *others = asked(case_of(WAITING))
    assert (first.form, first.question.link, first.alone) == (EXAMINATION, "fatigability", True)
    assert first.waits(OPEN)
    assert first.why == (
        "Present: “AChR antibody in ALS, not yet confirmed” no longer stands, “Possible ALS-MG overlap, unproven” "
        "(moderate) is found",
        "Absent: “AChR antibody in ALS, not yet confirmed” no longer stands, “AChR antibody in ALS without anything "
        "myasthenic” (moderate) is found",
    )
    assert {"ocular-weakness", "rns", "sfemg"} <= {one.question.link for one in others}


def test_what_changes_something_by_itself_comes_before_what_needs_company_and_the_grave_before_the_slight() -> None:
    for example in (WAITING, "seronegative-mg", "signs-not-sent"):
        found = asked(case_of(example))
        alone = [one.alone for one in found]
        assert alone == sorted(alone, reverse=True) and found
        grave = [_counted(one) for one in found if one.alone and one.effects]
        assert grave == sorted(grave, reverse=True)
        assert all(one.why for one in found)


def _counted(one: Asking) -> tuple[int, ...]:
    entries_of = [entry for e in one.effects for entry in (*e.outcome.gained, *e.outcome.lost)]
    return tuple(sum(entry.endswith(f" {severity}") for entry in entries_of) for severity in SEVERITIES)


def test_an_issue_that_is_still_open_asks_as_well() -> None:
    waiting = {who.issue: who.found for one in asked(case_of(WAITING)) for who in one.waiting}
    assert waiting[OPEN] is True
    assert waiting["als-atypical-feature"] is False


def test_what_only_decides_together_says_with_what() -> None:
    company = [one for one in asked(case_of(WAITING)) if not one.alone]
    lems = next(one for one in company if one.question.link == "areflexia")
    assert any("together with proximal-leg-weakness present" in line for line in lems.why)


def test_what_is_answered_is_not_asked_again() -> None:
    case = tried(case_of(WAITING), EXAMINATION, entries(EXAMINATION, {"fatigability": "present"}))
    assert "fatigability" not in {one.question.link for one in asked(case)}
    reasoning = ready().reasoning(record(case_of(WAITING)))
    rest = questions().asked(reasoning, reasoning.evaluation("proved"), str, frozenset({"fatigability"}))
    assert "fatigability" not in {one.question.link for one in rest}


def test_nobody_is_asked_for_a_patient_to_whom_no_rule_speaks() -> None:
    assert asked(case_of("ordinary-patient")) == ()


@pytest.mark.parametrize(
    ("fact", "links"),
    [
        ("fatigability", {"fatigability"}),
        ("ocular-fluctuation", {"ocular-weakness"}),
        ("cholinesterase-response", {"ache-response", "edrophonium"}),
        ("umn.cervical", {"umn-sign/cervical"}),
        ("lmn-any.bulbar", {"lmn-sign/bulbar", "emg-muscle"}),
        ("rns-facial", {"rns"}),
        ("symptom-duration", {"symptom-onset"}),
        ("androgen-insensitivity-signs", {"gynecomastia", "perioral-fasciculation", "testicular-atrophy"}),
        ("gynecomastia-diagnosis", set()),  # a diagnosis is made known by no examination
        ("musk", set()),
    ],
)
def test_a_fact_is_asked_by_the_questions_whose_results_it_reads(fact: str, links: set[str]) -> None:
    assert fact in ready().ruleset.fact_info
    assert {place.question.link for place in questions().places.get(fact, ())} == links


def test_what_no_form_asks_is_known_to_be_beyond_them() -> None:
    [finding] = [one for one in ready().evaluate(record(case_of(WAITING)), "proved").findings if one.issue == OPEN]
    assert {one.fact for one in questions().beyond(finding.missing)} == {"musk", "mg-diagnosis"}


def test_the_story_needs_more_than_one_answer_for_the_overlap() -> None:
    eyes = {"ocular-weakness": "present", "ocular-weakness.fluctuating": "present"}
    case = tried(case_of(WAITING), EXAMINATION, entries(EXAMINATION, eyes))
    positive = next(one for one in asked(case) if one.question.link == "ache-response")
    assert any(OVERLAP in entry for effect in positive.effects for entry in effect.outcome.gained)
    assert NEUROPHYSIOLOGY in {one.form for one in asked(case)}
