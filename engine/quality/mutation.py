"""Mutation: every small change of the rules must be noticed by a vignette.

A changed rule is first decided on the facts that it reads, once for each combination of values that the vignettes hold:
only where it answers differently is the changed program run on a vignette, and its expectation asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from engine.inference.plain import PlainBackend
from engine.inference.port import Part
from engine.quality.examples import Example, Judge, State
from engine.quality.mutants import Mutant, facts_of
from engine.rules.program import Condition, Issue, Program, Rule
from engine.rules.ruleset import Ruleset

Fate = Literal["killed", "unnoticed", "unreached"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one mutant. `by`: the vignette that noticed it, or one in which it made a difference that no
    expectation names."""

    name: str
    fate: Fate
    by: str = ""
    said: str = ""                     # the first difference that was noticed


class Mutation:
    """Mutants of the rules against examples. Those that fail as they are judge nothing."""

    def __init__(self, ruleset: Ruleset, examples: Sequence[Example]) -> None:
        self._program = ruleset.program
        self._rules = {rule.name: rule for rule in (*self._program.patient, *self._program.order)}
        self._examples = list(examples)
        self._judging = {example.index for example in examples if not example.wrong}
        self._states: dict[Part, list[State]] = {"patient": [], "order": []}
        for example in self._examples:
            for state in example.states:
                if example.index in self._judging:
                    self._states[state.part].append(state)
        self._alike: dict[str, dict[tuple[str, ...], list[State]]] = {}

    def run(self, mutants: Iterable[Mutant]) -> Iterator[Result]:
        """The fate of each mutant."""
        for mutant in mutants:
            yield self._fate(mutant)

    def _fate(self, mutant: Mutant) -> Result:
        reached = dict.fromkeys(self._by_rule(mutant) if mutant.rule else self._by_policy(mutant))
        judge = Judge(mutant.program)
        first = ""
        for index in reached:
            example = self._examples[index]
            wrong = judge.wrong(example)
            if wrong:
                return Result(name=mutant.name, fate="killed", by=example.id, said=wrong[0])
            first = first or example.id
        return Result(name=mutant.name, fate="unnoticed" if first else "unreached", by=first)

    def _by_rule(self, mutant: Mutant) -> Iterator[int]:
        """Examples in which the changed rule answers differently."""
        before = self._rules[mutant.rule]
        after = next(rule for rule in (*mutant.program.patient, *mutant.program.order) if rule.name == mutant.rule)
        deciding = PlainBackend(Program(patient=(after,), order=(), base={}))
        facts = facts_of(before)
        for values, states in self._projected(before, facts).items():
            concluded = deciding.infer(dict(zip(facts, values, strict=True))).conclusions
            value, case = concluded.values[before.name], concluded.cases.get(before.name)
            same_case = _same_case(before, states[0].cases.get(before.name), after, case)
            if value != states[0].value(before.name) or not same_case:
                yield from (state.example for state in states)

    def _projected(self, rule: Rule, facts: tuple[str, ...]) -> dict[tuple[str, ...], list[State]]:
        """States of the rule's part by the values of the facts that it reads."""
        if rule.name not in self._alike:
            alike: dict[tuple[str, ...], list[State]] = {}
            for state in self._states["order" if rule.order else "patient"]:
                alike.setdefault(tuple(state.value(fact) for fact in facts), []).append(state)
            self._alike[rule.name] = alike
        return self._alike[rule.name]

    def _by_policy(self, mutant: Mutant) -> Iterator[int]:
        """Examples in which a condition of the policy holds in one program and not in the other."""
        plain = PlainBackend(self._program)
        before, after = mutant.tests
        for states in self._states.values():
            for state in states:
                session = plain.session(state.values)
                if _holds(session, before) != _holds(session, after):
                    yield state.example


def _holds(session: object, condition: Condition | None) -> bool:
    return condition is not None and session.truth(condition) is True  # type: ignore[attr-defined]


def _same_case(before: Rule, old: int | None, after: Rule, new: int | None) -> bool:
    """Whether two cases say the same: of a derived fact the value is all, of an issue everything but its condition."""
    if not isinstance(before, Issue) or not isinstance(after, Issue):
        return True
    if old is None or new is None:
        return old == new
    one, other = before.cases[old], after.cases[new]
    return msgspec.structs.replace(one, when=other.when) == other
