"""A program as clauses for a SAT solver: what may hold at once, over all values of the base facts.

Every base fact has exactly one of its values. A condition has two rails, certainly true and certainly false (neither:
unknown); a rule has a rail for each case that is the first true one, and one for each of its values. Base facts are
free of each other, so what is called impossible is impossible for every record; what is called possible may need values
that no record has at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

from engine.findings import mutes
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.program import All, Any, AtLeast, Condition, Issue, Literal, Program, Rule, conditions, literals

TRUE, FALSE = 1, -1
FEW = 24                                  # values of a fact that are kept apart; of more, those no test parts are one

Rails = tuple[int, int]                   # of a condition: true, false


class Clauses:
    """The clauses of a program. More come with each question, so a solver must read the list again."""

    def __init__(self, program: Program, more: Iterable[Condition] = ()) -> None:
        self.clauses: list[list[int]] = [[TRUE]]
        self.program = program
        self.values: dict[tuple[str, str], int] = {}          # (fact, value) -> variable
        self.selected: dict[str, tuple[int, ...]] = {}        # rule -> each case: it is the first true one
        self.unless: dict[str, int] = {}                      # issue -> its `unless` is true
        self.anew: frozenset[str] = frozenset()               # of a variant: the rules that were said anew
        self._rails: dict[Condition, Rails] = {}
        self._gates: dict[frozenset[int], int] = {}
        self._count = 1
        self.rules = (*program.patient, *program.order)
        policies = [gate.when for gate in program.gates] + [a.when for a in program.adjustments.values()]
        read = [*(c for rule in self.rules for c in conditions(rule)), *policies, *more]
        self.members = _classes(program.base, read)
        for fact, classes in self.members.items():
            self._one_of(fact, classes)
        for rule in self.rules:
            self._rule(rule)

    def variant(self, program: Program, changed: Collection[str]) -> Clauses:
        """Another program over the same base facts. The rules of `changed`, and all that read them, are said anew on
        top of these clauses, so that both programs can be asked about at once."""
        other = object.__new__(Clauses)
        other.clauses, other.members = [*self.clauses], self.members
        other.program, other.rules = program, (*program.patient, *program.order)
        other.values, other.selected, other.unless = dict(self.values), dict(self.selected), dict(self.unless)
        other._gates, other._count = dict(self._gates), self._count
        anew = set(changed)
        for rule in other.rules:
            if rule.name in anew or any(test.fact in anew for c in conditions(rule) for test in literals(c)):
                anew.add(rule.name)
        other.anew = frozenset(anew)
        other._rails = {
            condition: rails for condition, rails in self._rails.items()
            if not any(test.fact in anew for test in literals(condition))
        }
        for rule in other.rules:
            if rule.name in anew:
                for key in [key for key in other.values if key[0] == rule.name]:
                    del other.values[key]
                other._rule(rule)
        return other

    # -- rails ----------------------------------------------------------------------------------------------------

    def truth(self, condition: Condition) -> Rails:
        """The rails of a condition over facts of the program."""
        if condition not in self._rails:
            self._rails[condition] = self._truth(condition)
        return self._rails[condition]

    def has(self, fact: str, values: Collection[str]) -> int:
        """A fact has one of the values."""
        return self.any(self.values.get((fact, value), FALSE) for value in self._represented(fact, values))

    def fires(self, issue: Issue) -> int:
        """An issue stands: a case is true, and neither its `unless` nor a gate mutes it."""
        return self.all((self.has(issue.name, (PRESENT,)), -self.muted(issue)))

    def muted(self, issue: Issue) -> int:
        """A gate mutes the issue."""
        return self.any(self.truth(gate.when)[0] for gate in self.program.gates if mutes(gate, issue.group))

    def any(self, literals: Iterable[int]) -> int:
        return -self.all(-literal for literal in literals)

    def all(self, literals: Iterable[int]) -> int:
        """A variable that is true when all of the literals are."""
        parts = frozenset(literals) - {TRUE}
        if FALSE in parts or any(-part in parts for part in parts):
            return FALSE
        if len(parts) < 2:
            return next(iter(parts), TRUE)
        if parts not in self._gates:
            gate = self._gates[parts] = self._new()
            self.clauses += [[-gate, part] for part in parts]
            self.clauses.append([gate, *(-part for part in parts)])
        return self._gates[parts]

    def differ(self, one: int, other: int) -> int:
        return self.any((self.all((one, -other)), self.all((-one, other))))

    def _truth(self, condition: Condition) -> Rails:
        match condition:
            case Literal(fact=fact, values=values):
                inside = self.has(fact, values - {UNKNOWN} if condition.positive and not condition.closed else values)
                if condition.closed or not condition.positive:
                    true = inside if condition.positive else -inside
                    return true, -true
                return inside, self.all((-inside, -self.has(fact, (UNKNOWN,))))
            case All(parts=parts):
                rails = [self.truth(part) for part in parts]
                return self.all(true for true, _ in rails), self.any(false for _, false in rails)
            case Any(parts=parts):
                rails = [self.truth(part) for part in parts]
                return self.any(true for true, _ in rails), self.all(false for _, false in rails)
            case AtLeast(count=count, parts=parts):
                rails = [self.truth(part) for part in parts]
                enough = combinations([true for true, _ in rails], count)
                too_few = combinations([false for _, false in rails], len(parts) - count + 1)
                return self.any(map(self.all, enough)), self.any(map(self.all, too_few))

    def _rule(self, rule: Rule) -> None:
        rails = [self.truth(case.when) for case in rule.cases]
        selected = tuple(
            self.all((true, *(-higher for higher, _ in rails[:index]))) for index, (true, _) in enumerate(rails)
        )
        self.selected[rule.name] = selected
        none, all_false = -self.any(true for true, _ in rails), self.all(false for _, false in rails)
        if isinstance(rule, Issue):
            unless = self.truth(rule.unless)[0] if rule.unless is not None else FALSE
            self.unless[rule.name] = unless
            self.values[rule.name, PRESENT] = self.all((-none, -unless))
            self.values[rule.name, ABSENT] = self.any((all_false, unless))
            self.values[rule.name, UNKNOWN] = self.all((none, -all_false, -unless))
            return
        ways: dict[str, list[int]] = {ABSENT: [all_false], UNKNOWN: [self.all((none, -all_false))]}
        for case, chosen in zip(rule.cases, selected, strict=True):
            ways.setdefault(case.value, []).append(chosen)
        self.values |= {(rule.name, value): self.any(of) for value, of in ways.items()}

    # -- base facts -----------------------------------------------------------------------------------------------

    def _one_of(self, fact: str, classes: Mapping[str, frozenset[str]]) -> None:
        variables = [self._new() for _ in classes]
        self.values |= {(fact, value): variable for value, variable in zip(classes, variables, strict=True)}
        self.clauses.append(variables)
        self.clauses += [[-one, -other] for one, other in combinations(variables, 2)]

    def _represented(self, fact: str, values: Collection[str]) -> Iterable[str]:
        classes = self.members.get(fact)
        if classes is None:
            return values
        found = [name for name, members in classes.items() if not members.isdisjoint(values)]
        assert all(classes[name] <= set(values) for name in found), f"{fact} is asked for half a class"  # noqa: S101
        return found

    def free(self) -> int:
        """A variable that nothing ties."""
        return self._new()

    def _new(self) -> int:
        self._count += 1
        return self._count


def _classes(base: Mapping[str, tuple[str, ...]], read: Iterable[Condition]) -> dict[str, dict[str, frozenset[str]]]:
    """Each base fact's values, where there are many put together as far as no test tells them apart: by the first."""
    tests: dict[str, set[frozenset[str]]] = {}
    for condition in read:
        for test in literals(condition):
            tests.setdefault(test.fact, set()).add(test.values)
    found: dict[str, dict[str, frozenset[str]]] = {}
    for fact, values in base.items():
        if len(values) <= FEW:
            found[fact] = {value: frozenset((value,)) for value in values}
            continue
        alike: dict[frozenset[frozenset[str]], list[str]] = {}
        for value in values:
            inside = frozenset(test for test in tests.get(fact, ()) if value in test)
            alike.setdefault(inside if value != UNKNOWN else frozenset((frozenset((UNKNOWN,)),)), []).append(value)
        found[fact] = {members[0]: frozenset(members) for members in alike.values()}
    return found
