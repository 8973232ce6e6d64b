"""Small changes of rules and policies, one at a time: what a slip of the pen, or a wrong idea, would make of them.

A test is dropped, loses one of its values, or reads `unknown` the other way; a count moves by one; a case, an `unless`,
an adjustment, a display, a gate or one of its groups is dropped. If no vignette notices, nothing holds the rule to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from engine.inference.kleene import conditions
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.quality.wording import Wording
from engine.rules.program import All, Any, AtLeast, Condition, Issue, Literal, Program, Rule

MANY = 24                              # values of a fact beyond which they stand for members of classes: none is dropped

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
        for index, case in enumerate(rule.cases):
            where = f", case {index + 1}" if len(rule.cases) > 1 else ""
            before, after = rule.cases[:index], rule.cases[index + 1 :]
            if len(rule.cases) > 1:
                yield f"{where}: dropped", _with_cases(rule, (*before, *after))
            changes: list[tuple[str, object]] = [
                (what, msgspec.structs.replace(case, when=when)) for what, when in self.changes(case.when)
            ]
            if isinstance(rule, Issue):
                issue_case = rule.cases[index]
                changes += [
                    (f"without adjustment {name}",
                     msgspec.structs.replace(issue_case, adjust=tuple(n for n in issue_case.adjust if n != name)))
                    for name in issue_case.adjust
                ]
                if issue_case.display:
                    changes.append(("with the default display", msgspec.structs.replace(issue_case, display="")))
            for what, changed in changes:
                yield f"{where}: {what}", _with_cases(rule, (*before, changed, *after))
        if isinstance(rule, Issue) and rule.unless is not None:
            yield ": without its unless", msgspec.structs.replace(rule, unless=None)
            for what, unless in self.changes(rule.unless):
                yield f", unless: {what}", msgspec.structs.replace(rule, unless=unless)

    def of_policies(self) -> Iterator[Mutant]:
        """The changes of gates and adjustments."""
        program = self._program
        for index, gate in enumerate(program.gates):
            name, others = f"gate {index + 1}", (program.gates[:index], program.gates[index + 1 :])

            def with_gate(*gate_: object, others: tuple[object, ...] = others) -> Program:
                return msgspec.structs.replace(program, gates=(*others[0], *gate_, *others[1]))  # type: ignore[misc]

            yield Mutant(name=f"{name}: dropped", program=with_gate(), tests=(gate.when, None))
            for what, when in self.changes(gate.when):
                changed = msgspec.structs.replace(gate, when=when)
                yield Mutant(name=f"{name}: {what}", program=with_gate(changed), tests=(gate.when, when))
            for group in gate.keep or ():
                changed = msgspec.structs.replace(gate, keep=tuple(g for g in gate.keep or () if g != group))
                yield Mutant(name=f"{name}: mutes {group}", program=with_gate(changed), tests=(gate.when, None))
            for group in gate.mute or ():
                changed = msgspec.structs.replace(gate, mute=tuple(g for g in gate.mute or () if g != group))
                yield Mutant(name=f"{name}: keeps {group}", program=with_gate(changed), tests=(gate.when, None))
        for name, adjustment in program.adjustments.items():
            ways = [(what, msgspec.structs.replace(adjustment, when=when)) for what, when in
                    self.changes(adjustment.when)]
            if adjustment.severity:
                ways.append(("leaves the severity", msgspec.structs.replace(adjustment, severity="")))
            if adjustment.display:
                ways.append(("leaves the display", msgspec.structs.replace(adjustment, display="")))
            for what, changed_adjustment in ways:
                adjustments = {**program.adjustments, name: changed_adjustment}
                same = changed_adjustment.when == adjustment.when
                yield Mutant(
                    name=f"adjustment {name}: {what}",
                    program=msgspec.structs.replace(program, adjustments=adjustments),
                    tests=(adjustment.when, None if same else changed_adjustment.when),
                )

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
        if 1 < len(test.values) and len(closed) <= MANY:
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


def _with_cases(rule: Rule, cases: tuple[object, ...]) -> Rule:
    return msgspec.structs.replace(rule, cases=cases)  # type: ignore[arg-type]


def facts_of(rule: Rule) -> tuple[str, ...]:
    """The facts that a rule reads."""
    from engine.inference.kleene import literals  # noqa: PLC0415

    return tuple(dict.fromkeys(test.fact for condition in conditions(rule) for test in literals(condition)))
