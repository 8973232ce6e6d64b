"""What answers change is told finding by finding, each with its reason."""

from __future__ import annotations

import random

from answers_kit import (
    EXAMINATION,
    FALSE_POSITIVE,
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

from engine.outputs.wording import titles
from engine.workbench.case import Case
from engine.workbench.changes import Changes, changes

NO = entries(EXAMINATION, {"fatigability": "absent", "ocular-weakness": "absent"})
YES = entries(
    EXAMINATION,
    {
        "fatigability": "present", "ocular-weakness": "present", "ocular-weakness.fluctuating": "present",
        "ache-response": "positive",
    },
)  # fmt: skip


def changed(before: Case, after: Case) -> Changes:
    one, other = ready().reasoning(record(before)), ready().reasoning(record(after))
    return changes(one, one.evaluation("none"), other, other.evaluation("none"))


def test_a_finding_comes_for_new_reasons_and_another_goes_because_of_what_broke() -> None:
    case = case_of(WAITING)
    found = changed(case, tried(case, EXAMINATION, NO))
    gained, lost = found.findings
    assert (gained.kind, gained.issue) == ("gained", FALSE_POSITIVE)
    assert any(line.startswith("fatigability absent on") for line in gained.why)
    assert not any("FVC" in line for line in gained.why)  # it rests on more, which was known before
    assert (lost.kind, lost.issue) == ("lost", OPEN)
    assert "suspected-false-positive instead of unconfirmed (fatigability absent on" in lost.why[0]
    outcome = next(one for one in found.facts if one.fact == "als-mg-outcome")
    assert (outcome.before, outcome.after) == ("unconfirmed", "suspected-false-positive")
    assert found.summary == (
        "“AChR antibody in ALS without anything myasthenic” is found now; “AChR antibody in ALS, not yet confirmed” no "
        "longer stands"
    )


def test_the_other_answers_lead_the_other_way() -> None:
    case = case_of(WAITING)
    found = changed(case, tried(case, EXAMINATION, YES))
    assert {(one.kind, one.issue) for one in found.findings} == {("gained", OVERLAP), ("lost", OPEN)}
    assert any("drug response present" in line for one in found.findings for line in one.why)


def test_a_finding_that_stands_with_other_reasons_or_another_severity_says_so() -> None:
    before = tried(case_of(WAITING), EXAMINATION, entries(EXAMINATION, {"fatigability": "present"}))
    after = tried(before, EXAMINATION, YES)
    kinds = {one.kind for one in changed(before, after).findings}
    assert kinds == {"gained", "lost"}
    more = tried(before, EXAMINATION, entries(EXAMINATION, {"fatigability": "present", "ocular-weakness": "present",
                                                            "ocular-weakness.fluctuating": "present"}))  # fmt: skip
    [other] = changed(before, more).findings
    assert other.kind == "reasons" and any("eye weakness" in line for line in other.why)


def test_answers_that_say_nothing_change_nothing() -> None:
    case = case_of(WAITING)
    found = changed(case, tried(case, EXAMINATION, entries(EXAMINATION, {"fatigability": "not-examined"})))
    assert (found.findings, found.facts, found.summary) == ((), (), "Nothing changes.")


def test_every_difference_of_two_evaluations_is_told_with_a_reason_and_nothing_else_is() -> None:
    chance = random.Random(5)
    told = 0
    for content in chance.sample(vectors(), 12):
        case = opened(content)
        reasoning = ready().reasoning(record(case))
        asked = questions().asked(reasoning, reasoning.evaluation("proved"), titles(ready().ruleset.info))
        options = [(one.form, effect.answer) for one in asked for effect in one.effects if effect.changes]
        if not options:
            continue
        form, answer = chance.choice(options)
        after = tried(case, form, entries(form, dict(answer)))
        was, now = (
            {(f.issue, f.order): (f.severity, f.display, f.evidence_hash) for f in ready().evaluate(record(c)).findings}
            for c in (case, after)
        )
        found = changed(case, after)
        different = {key for key in {*was, *now} if was.get(key) != now.get(key)}
        assert {(one.issue, one.order) for one in found.findings} == different
        assert all(one.why for one in found.findings), found
        told += len(found.findings)
    assert told >= 5
