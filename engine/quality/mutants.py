"""Small changes of rules and policies, one at a time: what a slip of the pen, or a wrong idea, would make of them.

A test is dropped, loses one of its values, or reads `unknown` the other way; a count moves by one; a case, an `unless`,
an adjustment, a display, a gate or one of its groups is dropped. If no vignette notices, nothing holds the rule to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.quality.wording import Wording
from engine.rules.program import (
    Adjustment,
    All,
    Any,
    AtLeast,
    Condition,
    DerivedCase,
    Gate,
    Issue,
    IssueCase,
    Literal,
    Program,
    Rule,
    conditions,
    literals,
)

MANY = 24                              # more values than these are members of classes: none is dropped by itself

Change = tuple[str, Condition]


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """A changed program. `rule`: the fact or issue that was changed; "" for a policy, then `tests` are its conditions,
    as it was and as it is (None: never true)."""

    name: str                          # unique; the same for as long as the rule is the same
    program: Program
    rule: str = ""
    tests: tuple[Condition | None, Condition | None] = (None, None)


class Mutants:
    """All mutants of a program."""

    def __init__(self, program: Program, wording: Wording) -> None:
        self._program = program
        self._wording = wording
        values: dict[str, Sequence[str]] = dict(program.base)
        for rule in (*program.patient, *program.order):
            values[rule.name] = (PRESENT, ABSENT, UNKNOWN) if isinstance(rule, Issue) else rule.values
        self._values: Mapping[str, Sequence[str]] = values

    def all(self) -> Iterator[Mutant]:
        """Every mutant, rules by name and then the policies; each name once."""
        seen: dict[str, int] = {}
        for mutant in (*self.of_rules(), *self.of_policies()):
            seen[mutant.name] = count = seen.get(mutant.name, 0) + 1
            yield mutant if count == 1 else msgspec.structs.replace(mutant, name=f"{mutant.name} [{count}]")

    def of_rules(self) -> Iterator[Mutant]:
        for rule in sorted((*self._program.patient, *self._program.order), key=lambda rule: rule.name):
            for what, changed in self.of_rule(rule):
                yield Mutant(name=f"{rule.name}{what}", program=replaced(self._program, changed), rule=rule.name)

    def of_rule(self, rule: Rule) -> Iterator[tuple[str, Rule]]:
        """The changes of one rule."""
        for index in range(len(rule.cases)):
            where = f", case {index + 1}" if len(rule.cases) > 1 else ""
            if len(rule.cases) > 1:
                yield f"{where}: dropped", _with_case(rule, index)
            changes = self._of_issue_case(rule.cases[index]) if isinstance(rule, Issue) else (
                self._of_derived_case(rule.cases[index])
            )
            for what, changed in changes:
                yield f"{where}: {what}", _with_case(rule, index, changed)
        if isinstance(rule, Issue) and rule.unless is not None:
            yield ": without its unless", msgspec.structs.replace(rule, unless=None)
            for what, unless in self.changes(rule.unless):
                yield f", unless: {what}", msgspec.structs.replace(rule, unless=unless)

    def _of_derived_case(self, case: DerivedCase) -> Iterator[tuple[str, DerivedCase | IssueCase]]:
        for what, when in self.changes(case.when):
            yield what, msgspec.structs.replace(case, when=when)

    def _of_issue_case(self, case: IssueCase) -> Iterator[tuple[str, DerivedCase | IssueCase]]:
        for what, when in self.changes(case.when):
            yield what, msgspec.structs.replace(case, when=when)
        for name in case.adjust:
            others = tuple(other for other in case.adjust if other != name)
            yield f"without adjustment {name}", msgspec.structs.replace(case, adjust=others)
        if case.display:
            yield "with the default display", msgspec.structs.replace(case, display="")

    def of_policies(self) -> Iterator[Mutant]:
        """The changes of gates and adjustments."""
        program = self._program
        for index, gate in enumerate(program.gates):
            before, after = program.gates[:index], program.gates[index + 1 :]
            for what, changed, when in self._of_gate(gate):
                gates = (*before, *changed, *after)
                yield Mutant(
                    name=f"gate {index + 1}: {what}",
                    program=msgspec.structs.replace(program, gates=gates),
                    tests=(gate.when, when),
                )
        for name, adjustment in program.adjustments.items():
            for what, changed_adjustment in self._of_adjustment(adjustment):
                same = changed_adjustment.when == adjustment.when
                yield Mutant(
                    name=f"adjustment {name}: {what}",
                    program=msgspec.structs.replace(
                        program, adjustments={**program.adjustments, name: changed_adjustment}
                    ),
                    tests=(adjustment.when, None if same else changed_adjustment.when),
                )

    def _of_gate(self, gate: Gate) -> Iterator[tuple[str, tuple[Gate, ...], Condition | None]]:
        """What is changed, the gate as it is then (none: dropped), and its condition where that is what was changed."""
        yield "dropped", (), None
        for what, when in self.changes(gate.when):
            yield what, (msgspec.structs.replace(gate, when=when),), when
        for group in gate.keep or ():
            kept = tuple(other for other in gate.keep or () if other != group)
            yield f"mutes {group}", (msgspec.structs.replace(gate, keep=kept),), None
        for group in gate.mute or ():
            muted = tuple(other for other in gate.mute or () if other != group)
            yield f"keeps {group}", (msgspec.structs.replace(gate, mute=muted),), None

    def _of_adjustment(self, adjustment: Adjustment) -> Iterator[tuple[str, Adjustment]]:
        for what, when in self.changes(adjustment.when):
            yield what, msgspec.structs.replace(adjustment, when=when)
        if adjustment.severity:
            yield "leaves the severity", msgspec.structs.replace(adjustment, severity="")
        if adjustment.display:
            yield "leaves the display", msgspec.structs.replace(adjustment, display="")

    # -- conditions -----------------------------------------------------------------------------------------------

    def changes(self, condition: Condition) -> Iterator[Change]:
        """A condition with one part changed."""
        match condition:
            case Literal():
                yield from self._of_test(condition)
            case All(parts=parts) | Any(parts=parts) | AtLeast(parts=parts):
                for index, part in enumerate(parts):
                    rest = (*parts[:index], *parts[index + 1 :])
                    yield f"without ({self._wording.line(part)})", msgspec.structs.replace(condition, parts=rest)
                    for what, changed in self.changes(part):
                        yield what, msgspec.structs.replace(
                            condition, parts=(*parts[:index], changed, *parts[index + 1 :])
                        )
                if isinstance(condition, AtLeast):
                    for count in (condition.count - 1, condition.count + 1):
                        if 1 <= count <= len(parts):
                            yield f"at least {count}", msgspec.structs.replace(condition, count=count)

    def _of_test(self, test: Literal) -> Iterator[Change]:
        said = self._wording.test(test)
        closed = frozenset(self._values[test.fact])
        if len(test.values) > 1 and len(closed) <= MANY:
            for value in sorted(test.values):
                yield f"({said}) less {value}", msgspec.structs.replace(test, values=test.values - {value})
        if not test.positive:
            known = closed - test.values - {UNKNOWN}
            if known and UNKNOWN not in test.values:
                yield f"({said}) only when known", Literal(test.fact, known)
        elif test.values == {UNKNOWN}:
            if ABSENT in closed:
                yield f"({said}) or absent", Literal(test.fact, frozenset((UNKNOWN, ABSENT)), closed=True)
        else:
            others = closed - test.values - {UNKNOWN}
            yield f"({said}) also when unknown", Literal(test.fact, others, positive=False, closed=True)


def replaced(program: Program, rule: Rule) -> Program:
    """The program with another rule of the same name."""

    def swapped(rules: Iterable[Rule]) -> tuple[Rule, ...]:
        return tuple(rule if other.name == rule.name else other for other in rules)

    return msgspec.structs.replace(program, patient=swapped(program.patient), order=swapped(program.order))


def _with_case(rule: Rule, index: int, *case: DerivedCase | IssueCase) -> Rule:
    """The rule with another case in the place of one, or without it."""
    cases = (*rule.cases[:index], *case, *rule.cases[index + 1 :])
    return msgspec.structs.replace(rule, cases=cases)


def facts_of(rule: Rule) -> tuple[str, ...]:
    """The facts that a rule reads."""
    return tuple(dict.fromkeys(test.fact for condition in conditions(rule) for test in literals(condition)))
