"""What is missing behind an outcome, proved by asking again with the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from engine.explanation.answers import Answers, Ways
from engine.explanation.state import State
from engine.model.fact import Fact
from engine.model.finding import Missing, Outcome
from engine.rules.program import Issue

Outcomes = frozenset[tuple[str, str, str]]      # (issue, severity, display) of everything that stands
Ask = Callable[[Mapping[str, str]], Outcomes]   # evaluates again with answers added to what is known


class WhatIf:
    """What would stand with answers added to what is known. Only what an answer can reach is decided again.

    `enters`: the issues that values let in (an issue can fire only if one of its anchors holds).
    """

    def __init__(
        self,
        known: Mapping[str, str],
        state: State,
        issues: Iterable[Issue],
        enters: Callable[[Mapping[str, str]], frozenset[str]],
        stands: Callable[[Iterable[Issue], State], Outcomes],
    ) -> None:
        self._known = known
        self._state = state
        self._issues = issues
        self._enters = enters
        self._stands = stands

    def __call__(self, answers: Mapping[str, str]) -> Outcomes:
        """Everything that would stand, in the part of the program that is spoken of."""
        state = self._state.answered(answers)
        again = (self._entered | self._enters(answers)).intersection(state.touched)
        issues = [issue for issue in self._issues if issue.name in again]
        return self._stands(issues, state) | {o for o in self._now if o[0] not in state.touched}

    @cached_property
    def _entered(self) -> frozenset[str]:
        return self._enters(self._known)

    @cached_property
    def _now(self) -> Outcomes:
        return self._stands([issue for issue in self._issues if issue.name in self._entered], self._state)


def listed(ways: Ways, fact: Callable[[str], Fact], ask_for: Callable[[str], str]) -> tuple[Missing, ...]:
    """The facts that some answer set names, unproved, the narrowest sets first."""
    names = dict.fromkeys(name for way in ways for name in sorted(f for f, _ in way))
    return once(_missing(name, fact, ask_for) for name in names)


class Changes(NamedTuple):
    """What was proved to change an outcome: fact -> answer -> what it changes, and the answers that it does so with."""

    outcomes: Mapping[str, Mapping[str, Outcome]]
    company: Mapping[str, Mapping[str, Mapping[str, str]]]


def proved(
    ways: Ways, changes: Changes, fact: Callable[[str], Fact], ask_for: Callable[[str], str]
) -> tuple[Missing, ...]:
    """The facts of which an answer, alone or with the others of its set, changes the outcome."""
    outcomes, company = changes
    names = dict.fromkeys(name for way in ways for name in sorted(fact_name for fact_name, _ in way))
    found = (_missing(name, fact, ask_for, outcomes[name], company.get(name, {})) for name in names if name in outcomes)
    return once(found)


def changes_of(ways: Ways, *, ask: Ask, about: str, most: int = 400) -> Changes:
    """How answers change what becomes of `about` (an issue or a fact); what else they change is told with it.

    Every set is tried by evaluating again; at most `most` evaluations are spent.
    """
    before = ask({})
    answers: dict[str, dict[str, Outcome]] = {}
    company: dict[str, dict[str, Mapping[str, str]]] = {}
    for way in ways[:most]:
        if all(value in answers.get(name, ()) for name, value in way):
            continue                           # narrower sets said it already
        if len(way) > 1 and any(fact_name in answers and value in answers[fact_name] and not
                                company.get(fact_name, {}).get(value) for fact_name, value in way):
            continue                           # one answer of the set changes the outcome by itself
        after = ask(dict(way))
        if any(name == about for name, _, _ in before ^ after):
            _note(way, outcome(before, after), answers, company)
    return Changes(answers, company)


def once(missing: Iterable[Missing]) -> tuple[Missing, ...]:
    """Each question once: facts that ask for the same thing with the same effect (newest and recent) are one."""
    kept: list[Missing] = []
    effects: dict[str, list[Mapping[str, Outcome]]] = {}       # of those that are kept, by what they ask for
    for one in missing:
        told = effects.setdefault(one.ask_for, [])
        if one.would_change not in told:
            told.append(one.would_change)
            kept.append(one)
    return tuple(kept)


def outcome(before: Outcomes, after: Outcomes) -> Outcome:
    """What newly stands and what is gone, as `issue severity`."""
    return Outcome(gained=_worded(after - before), lost=_worded(before - after))


def _worded(outcomes: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    return tuple(sorted(f"{issue} {severity}" for issue, severity, _ in outcomes))


def _note(
    way: Answers,
    changed: Outcome,
    answers: dict[str, dict[str, Outcome]],
    company: dict[str, dict[str, Mapping[str, str]]],
) -> None:
    for name, value in sorted(way):
        if value in answers.get(name, {}):
            continue                           # a narrower set said it already
        answers.setdefault(name, {})[value] = changed
        others = {other: given for other, given in sorted(way) if other != name}
        if others:
            company.setdefault(name, {})[value] = others


def _missing(
    name: str,
    fact: Callable[[str], Fact],
    ask_for: Callable[[str], str],
    would_change: Mapping[str, Outcome] | None = None,
    with_answers: Mapping[str, Mapping[str, str]] | None = None,
) -> Missing:
    reason = fact(name).reason
    return Missing(
        fact=name,
        reason=str(reason) if reason else "",
        ask_for=ask_for(name),
        would_change=would_change or {},
        with_answers=with_answers or {},
    )
