"""Anchors: for each issue a smallest set of base-fact literals of which one must be true for it to fire.

Of the parts of an `all` the one that fewest people have is taken, by the declared prevalence of its facts; of an `any`
the union; a derived fact or issue is replaced by what its own cases need. `not` and `unknown` need nothing, so they
anchor nothing, nor do `order.status`, `order.age`, `order.route`, `dq` and what is found in the general population.

The same cover over another choice of literals says whether a condition rests on something current.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.program import All, Any, AtLeast, Condition, Issue, Literal, Rule
from engine.rules.vocabulary import BaseFact

SILENT = frozenset({"order.status", "order.age", "order.route"})
Anchors = frozenset[Literal]
Weigh = Callable[[str, frozenset[str]], float | None]


def rarity(base: Mapping[str, BaseFact]) -> Weigh:
    """The weight of a literal as an anchor: the declared share of patients; None: it anchors nothing."""

    def weigh(fact: str, values: frozenset[str]) -> float | None:
        known = base[fact]
        if fact in SILENT or fact.split(".", maxsplit=1)[0] == "dq" or known.common or values & known.common_values:
            return None
        return known.prevalence

    return weigh


def currency(base: Mapping[str, BaseFact]) -> Weigh:
    """Literals that speak of now: a value in its window, a drug taken or ordered."""
    return lambda fact, _: 1.0 if base[fact].current else None


class Cover:
    """Sets of literals of which one must be true. `rules` holds no cycle."""

    def __init__(self, rules: Mapping[str, Rule], base: Mapping[str, BaseFact], weigh: Weigh) -> None:
        self._rules = rules
        self._base = base
        self._weigh = weigh
        self._memo: dict[tuple[str, frozenset[str]], Anchors | None] = {}

    def of_issue(self, issue: Issue) -> Anchors | None:
        """What an issue needs to fire; None: nothing in particular."""
        return self._union(self.true(case.when) for case in issue.cases)

    def true(self, condition: Condition) -> Anchors | None:
        match condition:
            case Literal():
                return self._among(condition.fact, self._allowed(condition, holds=True))
            case All(parts=parts):
                return self._smallest(self.true(part) for part in parts)
            case Any(parts=parts):
                return self._union(self.true(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return self._some((self.true(part) for part in parts), len(parts) - count + 1)

    def false(self, condition: Condition) -> Anchors | None:
        match condition:
            case Literal():
                return self._among(condition.fact, self._allowed(condition, holds=False))
            case All(parts=parts):
                return self._union(self.false(part) for part in parts)
            case Any(parts=parts):
                return self._smallest(self.false(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return self._some((self.false(part) for part in parts), count)

    def _allowed(self, literal: Literal, *, holds: bool) -> frozenset[str]:
        """The values with which a literal is true (or false)."""
        rule = self._rules.get(literal.fact)
        if rule is None:
            values = frozenset(self._base[literal.fact].values)
        else:
            values = frozenset((PRESENT, ABSENT, UNKNOWN) if isinstance(rule, Issue) else rule.values)
        inside = literal.values if literal.positive == holds else values - literal.values
        return inside if literal.closed or not literal.positive else inside - {UNKNOWN}

    def _among(self, fact: str, values: frozenset[str]) -> Anchors | None:
        """What a fact needs to have one of the values."""
        if UNKNOWN in values:
            return None
        rule = self._rules.get(fact)
        if rule is None:
            anchors = values and self._weigh(fact, values) is not None
            return frozenset((Literal(fact, values),)) if anchors else None if values else frozenset()
        key = (fact, values)
        if key not in self._memo:
            self._memo[key] = self._concluded(rule, values)
        return self._memo[key]

    def _concluded(self, rule: Rule, values: frozenset[str]) -> Anchors | None:
        ways: list[Anchors | None] = []
        if isinstance(rule, Issue):
            if PRESENT in values:
                ways.append(self.of_issue(rule))
            if ABSENT in values and rule.unless is not None:
                ways.append(self.true(rule.unless))
        else:
            ways += [self.true(case.when) for case in rule.cases if case.value in values]
        if ABSENT in values:
            ways.append(self._smallest(self.false(case.when) for case in rule.cases))
        return self._union(ways)

    # -- sets -----------------------------------------------------------------------------------------------------

    def _weight(self, anchors: Anchors) -> tuple[float, int, list[tuple[str, list[str]]]]:
        weight = sum(self._weigh(literal.fact, literal.values) or 0.0 for literal in anchors)
        return round(weight, 9), len(anchors), sorted((literal.fact, sorted(literal.values)) for literal in anchors)

    def _smallest(self, parts: Iterable[Anchors | None]) -> Anchors | None:
        known = [part for part in parts if part is not None]
        return min(known, key=self._weight) if known else None

    def _union(self, parts: Iterable[Anchors | None]) -> Anchors | None:
        """One of each part; values of one fact are put together."""
        values: dict[str, frozenset[str]] = {}
        for part in parts:
            if part is None:
                return None
            for literal in part:
                values[literal.fact] = values.get(literal.fact, frozenset()) | literal.values
        return frozenset(Literal(fact, of) for fact, of in values.items())

    def _some(self, parts: Iterable[Anchors | None], count: int) -> Anchors | None:
        known = sorted((part for part in parts if part is not None), key=self._weight)
        return self._union(known[:count]) if len(known) >= count else None
