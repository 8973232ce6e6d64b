"""What operators see: which rules are silent, which are noisy, who sends what cannot be used, what waits."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from engine.evaluation import Evaluator
from engine.model.figure import SENT, Answers, Fetches, Figure, Letters, Voice
from engine.workbench.figures import ANSWERED, OFTEN, Overview, Rows, lasting, on_cards, overview

TODAY = "2026-03-07"
NOW = 1_772_900_000_000


@pytest.fixture
def view(evaluator: Evaluator) -> Any:
    def made(**rows: Any) -> Overview:
        return overview(Rows(last=date(2026, 3, 7), days=7, now=NOW, **rows), evaluator.ruleset)

    return made


def card(rule: str, outcome: str = "warning", day: str = TODAY) -> Figure:
    return Figure(day, "card", rule, outcome)


def answers(rule: str, overridden: int, accepted: int = 0, code: str = "planned") -> list[Answers]:
    return [
        Answers(issue=rule, outcome="overridden", code=code, number=overridden),
        Answers(issue=rule, outcome="accepted", code="", number=accepted),
    ]


def test_evaluations_are_told_by_day_and_entrance_and_a_day_without_any_is_there(view: Any) -> None:
    shown = view(
        figures={
            Figure("2026-03-01", "evaluation", "hook", "cards"): 2, Figure(TODAY, "evaluation", "hook", "no-cards"): 3,
            Figure(TODAY, "evaluation", SENT, "decided"): 1,
        },
        first="2026-03-01",
    )  # fmt: skip
    assert shown.entrances == ("hook", "sent to us")
    assert len(shown.evaluations) == 7
    assert [(day.day, day.total, day.numbers) for day in shown.evaluations if day.total] == [
        ("2026-03-01", 2, (2, 0)), (TODAY, 4, (3, 1)),
    ]  # fmt: skip
    assert (shown.total, shown.with_cards, shown.counted_since) == (6, 2, "")
    assert view(first="2026-03-05").counted_since == "2026-03-05"


def test_a_rule_that_was_never_shown_is_silent_and_one_that_cannot_be_on_a_card_is_not(
    view: Any, evaluator: Evaluator
) -> None:
    every = on_cards(evaluator.ruleset)
    info = evaluator.ruleset.info
    assert every and all(info[rule].kind == "issue" for rule in every)
    assert all(info[rule].group not in ("closed-world", "data-quality") for rule in every)
    shown = view(figures={card(every[0]): 1})
    assert [rule for rule, _ in shown.silent] == list(every[1:])
    assert shown.may_speak == len(every)
    kept_back = view(figures={Figure(TODAY, "silenced", every[0]): 1})
    assert every[0] in [rule for rule, _ in kept_back.silent] and kept_back.rules[0].silenced == 1


@pytest.mark.parametrize(
    ("cards", "overridden", "accepted", "noisy"),
    [
        (OFTEN, ANSWERED, 0, True),
        (OFTEN - 1, ANSWERED, 0, False),  # not shown often
        (OFTEN, ANSWERED - 1, 0, False),  # too few answers
        (OFTEN, 3, 3, False),  # not mostly overridden
        (OFTEN, 4, 3, True),
    ],
)
def test_a_rule_is_noisy_if_it_is_shown_often_and_mostly_overridden(
    view: Any, cards: int, overridden: int, accepted: int, noisy: bool
) -> None:
    shown = view(figures={card("a"): 900, card("b"): cards}, answers=answers("b", overridden, accepted))
    by_rule = {line.rule: line for line in shown.rules}
    assert by_rule["b"].noisy is noisy and by_rule["a"].noisy is False
    assert by_rule["b"].rate == round(100 * overridden / (overridden + accepted)) and by_rule["a"].rate is None
    assert [line.rule for line in shown.rules] == (["b", "a"] if noisy else ["a", "b"])


def test_reasons_are_ours_and_what_a_client_writes_is_not_repeated(view: Any) -> None:
    given = [*answers("a", 2, 1), *answers("a", 4, code="mrs-smith-declined"), *answers("", 1, code="")]
    shown = view(figures={card("a", "critical"): 9, card("a", day="2026-03-01"): 1}, answers=given)
    assert shown.reasons == (
        ("another reason", 4), ("Will be done or is already planned", 2), ("no reason given", 1),
    )  # fmt: skip
    assert (shown.rules[0].shown, shown.rules[0].critical, shown.rules[0].overridden) == (10, 9, 6)
    assert shown.unknown_cards == 1 and len(shown.rules) == 1


def test_a_rule_that_is_no_more_keeps_its_figures(view: Any) -> None:
    assert view(figures={card("gone"): 1}).rules[0].title == "a rule of another version"


def test_sources_are_told_by_what_became_of_their_messages(view: Any) -> None:
    counted = {
        Figure(TODAY, "message", "ehr", "taken", "resource"): 5, Figure(TODAY, "message", "ehr", "taken", "message"): 1,
        Figure(TODAY, "message", "ehr", "refused", "none"): 2, Figure(TODAY, "message", "ehr", "full", "none"): 1,
        Figure(TODAY, "message", "ehr", "failed", "none"): 1, Figure(TODAY, "fetch", "lab", "not-fetched"): 4,
        Figure(TODAY, "problem", "", "not-json"): 1, Figure(TODAY, "problem", "https://e", "not-json"): 3,
        Figure(TODAY, "something", "of", "a later version"): 1, Figure(TODAY, "differs", "rule"): 2,
    }  # fmt: skip
    shown = view(figures=counted, fetches=[Fetches(source="lab", number=2, attempts=7)])
    ehr, lab = shown.sources
    assert (ehr.source, ehr.taken, ehr.refused, ehr.failed, ehr.waiting) == ("ehr", 6, 2, 2, 0)
    assert (lab.not_fetched, lab.waiting, lab.attempts) == (4, 2, 7)
    assert shown.problems == (("https://e", "not-json", 3), ("not authenticated", "not-json", 1))
    assert shown.differs == (("rule", 2),)


def test_what_was_refused_comes_first_with_the_command_that_sends_it_again(view: Any) -> None:
    letters = [
        Letters(target="sink/a", pending=3, since=NOW - 90_000),
        Letters(target="sink/b", dead=2),
        Letters(target="subscription/c", pending=1, since=NOW - 3 * 86_400_000),
    ]
    shown = view(letters=letters, figures={Figure(TODAY, "delivery", "sink/a", "done"): 4})
    assert [(one.target, one.oldest, one.command) for one in shown.targets] == [
        ("sink/b", "", "endplate deliveries replay --target sink/b"),
        ("subscription/c", "3 days", ""),
        ("sink/a", "90 s", ""),
    ]
    assert shown.deliveries == (("sink/a", 4, 0, 0),)
    many = view(letters=[Letters(target=f"subscription/{n}", pending=1, since=1) for n in range(130)])
    assert (len(many.targets), many.more_targets) == (100, 30)


def test_heartbeats_are_missing_after_two_periods_and_where_none_was_ever_heard(view: Any) -> None:
    voices = [
        Voice(source="ehr", subscription="late", last_heard=NOW - 121_000, status="active"),
        Voice(source="ehr", subscription="well", last_heard=NOW - 119_000),
        Voice(source="ehr", subscription="free", last_heard=1),
        Voice(source="ehr", subscription="", last_heard=1),
    ]
    expected = {("ehr", name): 60 for name in ("late", "well", "never")}
    shown = view(voices=voices, expected=expected)
    assert [(one.subscription, one.missing) for one in shown.voices] == [
        ("late", True), ("never", True), ("free", False), ("well", False),
    ]  # fmt: skip
    assert [one.heard for one in shown.voices if one.missing] == ["2 min ago", "never"]


@pytest.mark.parametrize(
    ("ms", "said"),
    [(-5, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_199_000, "119 min"), (7_200_000, "2 h"),
     (172_800_000, "2 days")],
)  # fmt: skip
def test_times_are_said_in_the_largest_unit_that_fits(ms: int, said: str) -> None:
    assert lasting(ms) == said
