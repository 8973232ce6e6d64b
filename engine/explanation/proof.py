"""The base facts without which a smaller record would give another answer (rule language, "Why, and what is missing").

Taking data away can only turn known facts into unknown ones. A literal on values then stops being true, while a `not`
or `unknown` literal may start to be. So a proof keeps two kinds of facts: those that make the true case true, and those
that keep a higher case, the `unless`, a gate or an adjustment from becoming true once something is forgotten.

INVARIANT: with every base fact outside the proof unknown, the proved value, severity and display stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from engine.explanation.state import State
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.program import All, Any, AtLeast, Condition, Derived, DerivedCase, Issue, Literal, Rule

Facts = tuple[str, ...]
NONE: Facts = ()


def union(parts: Iterable[Facts]) -> Facts:
    """The facts of all parts, each once, in order."""
    return tuple(dict.fromkeys(name for part in parts for name in part))


def smallest(parts: Iterable[Facts]) -> Facts:
    """The shortest of several sufficient sets, the first of equals. Lazy: nothing is shorter than the empty one."""
    best: Facts | None = None
    for part in parts:
        if not part:
            return NONE
        if best is None or len(part) < len(best):
            best = part
    assert best is not None, "a condition always has a part that decides it"  # noqa: S101
    return best


class Proof:
    """Proofs over one reasoning. `fragile` names base facts that are unknown only because their data conflict: part of
    such data would make them known, so where a proof rests on their being unknown it keeps them whole."""

    def __init__(self, rules: Mapping[str, Rule], state: State, fragile: frozenset[str] = frozenset()) -> None:
        self._rules = rules
        self._state = state
        self.fragile = fragile
        self._memo: dict[tuple[str, str, frozenset[str]], Facts] = {}

    # -- conditions -----------------------------------------------------------------------------------------------

    def true(self, condition: Condition) -> Facts:
        """What makes a true condition true."""
        match condition:
            case Literal(fact=fact, values=values, positive=True):
                return self.value_in(fact, values)
            case Literal(fact=fact, values=values):
                if UNKNOWN in values:
                    return self.value_in(fact, frozenset({self._state.value(fact)}))
                return self.kept_out(fact, values)
            case All(parts=parts):
                return union(self.true(part) for part in parts)
            case Any(parts=parts):
                return smallest(self.true(part) for part in parts if self._state.truth(part) is True)
            case AtLeast(count=count, parts=parts):
                return self._fewest(self.true, parts, lambda truth: truth is True, count)

    def false(self, condition: Condition) -> Facts:
        """What makes a false condition false."""
        match condition:
            case Literal(fact=fact):
                return self.value_in(fact, frozenset({self._state.value(fact)}))
            case All(parts=parts):
                return smallest(self.false(part) for part in parts if self._state.truth(part) is False)
            case Any(parts=parts):
                return union(self.false(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return self._fewest(self.false, parts, lambda truth: truth is False, len(parts) - count + 1)

    def not_true(self, condition: Condition) -> Facts:
        """What keeps a condition that is false or unknown from becoming true when other facts are forgotten."""
        match condition:
            case Literal(fact=fact, values=values, positive=True):
                if values == {UNKNOWN}:
                    return self.value_in(fact, frozenset({self._state.value(fact)}))
                return self.kept_out(fact, values)
            case Literal(fact=fact):
                return self.value_in(fact, frozenset({self._state.value(fact)}))
            case All(parts=parts):
                return smallest(self.not_true(part) for part in parts if self._state.truth(part) is not True)
            case Any(parts=parts):
                return union(self.not_true(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return self._fewest(self.not_true, parts, lambda truth: truth is not True, len(parts) - count + 1)

    def not_false(self, condition: Condition) -> Facts:
        """What keeps a condition that is true or unknown from becoming false when other facts are forgotten.

        Only literals that read `unknown` as a value can become false by forgetting.
        """
        match condition:
            case Literal(fact=fact, values=values, positive=True) if UNKNOWN not in values:
                if fact not in self._rules:
                    return NONE
                return self.kept_out(fact, frozenset(self._closed(fact)) - values)
            case Literal():
                return self.true(condition)
            case All(parts=parts):
                return union(self.not_false(part) for part in parts)
            case Any(parts=parts):
                return smallest(self.not_false(part) for part in parts if self._state.truth(part) is not False)
            case AtLeast(count=count, parts=parts):
                return self._fewest(self.not_false, parts, lambda truth: truth is not False, count)

    def _closed(self, name: str) -> tuple[str, ...]:
        rule = self._rules[name]
        return (PRESENT, ABSENT) if isinstance(rule, Issue) else (*(case.value for case in rule.cases), ABSENT)

    def _fewest(
        self,
        prove: Callable[[Condition], Facts],
        parts: Sequence[Condition],
        fits: Callable[[bool | None], bool],
        count: int,
    ) -> Facts:
        proofs = sorted((prove(part) for part in parts if fits(self._state.truth(part))), key=len)
        return union(proofs[:count])

    # -- facts ----------------------------------------------------------------------------------------------------

    def value_in(self, name: str, values: frozenset[str]) -> Facts:
        """What gives a fact its present value, as far as it matters that it is one of `values`."""
        rule = self._rules.get(name)
        if rule is None:
            return (name,) if self._state.value(name) != UNKNOWN else self._fragile_only(name)
        key = ("in", name, values)
        if key not in self._memo:
            self._memo[key] = self._issue_value(rule) if isinstance(rule, Issue) else self._derived_value(rule, values)
        return self._memo[key]

    def kept_out(self, name: str, values: frozenset[str]) -> Facts:
        """What keeps a fact from taking one of `values` when other facts are forgotten."""
        rule = self._rules.get(name)
        if rule is None:
            # a known base fact can only be forgotten, and unknown is none of the values
            return self._fragile_only(name)
        key = ("out", name, values)
        if key not in self._memo:
            self._memo[key] = self._kept_out(rule, values)
        return self._memo[key]

    def _kept_out(self, rule: Rule, values: frozenset[str]) -> Facts:
        state = self._state
        rivals = [case for case in rule.cases if (case.value if isinstance(case, DerivedCase) else PRESENT) in values]
        unless = rule.unless if isinstance(rule, Issue) else None
        ways = []
        if unless is not None and ABSENT not in values and state.truth(unless) is True:
            ways.append(self.true(unless))
        if all(state.truth(case.when) is not True for case in rivals):
            parts = [self.not_true(case.when) for case in rivals]
            if ABSENT not in values:
                ways.append(union(parts))
            elif any(state.truth(case.when) is not False for case in rule.cases):
                parts.append(smallest(self.not_false(c.when) for c in rule.cases if state.truth(c.when) is not False))
                if unless is None or state.truth(unless) is not True:
                    ways.append(union([*parts, *([self.not_true(unless)] if unless is not None else [])]))
        value = state.value(rule.name)
        if value != UNKNOWN and value not in values:
            ways.append(self.value_in(rule.name, frozenset({value})))
        return smallest(ways)

    def _derived_value(self, rule: Derived, values: frozenset[str]) -> Facts:
        index = self._state.case(rule.name)
        if index is None:
            if self._state.value(rule.name) == ABSENT:
                return union(self.false(case.when) for case in rule.cases)
            return self._undecided(rule)
        higher = [case for case in rule.cases[:index] if case.value not in values]
        return union([self.true(rule.cases[index].when), *(self.not_true(case.when) for case in higher)])

    def _issue_value(self, rule: Issue) -> Facts:
        value, unless = self._state.value(rule.name), rule.unless
        if value == PRESENT:
            index = self._state.case(rule.name)
            proofs = [self.true(rule.cases[index or 0].when)]
            return union([*proofs, self.not_true(unless)] if unless is not None else proofs)
        if value == ABSENT:
            if unless is not None and self._state.truth(unless) is True:
                return self.true(unless)
            return union(self.false(case.when) for case in rule.cases)
        return union([self._undecided(rule), *([self.not_true(unless)] if unless is not None else [])])

    def _undecided(self, rule: Rule) -> Facts:
        """What keeps every case from being true and some case from being false."""
        conditions = [case.when for case in rule.cases]
        open_ways = [self.not_false(when) for when in conditions if self._state.truth(when) is None]
        return union([*(self.not_true(when) for when in conditions), smallest(open_ways)])

    def _fragile_only(self, name: str) -> Facts:
        return (name,) if name in self.fragile else NONE
