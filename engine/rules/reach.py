"""Whether a condition can ever be true: a search over the closed sets of the facts that it names.

Only "true" counts, so each literal is a set of values in which the fact must be (for `not` the others, unknown
included), and the rest follows by and, or and counting. Derived facts are taken as free: what is called impossible here
is impossible whatever their rules say.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

from engine.model.fact import UNKNOWN
from engine.rules.program import All, Any, AtLeast, Condition, Literal
from engine.rules.vocabulary import Vocabulary

STEPS = 5_000         # a search that is longer than this counts as "can be true"
WIDEST = 500          # ways of counting that are tried


class _SpentError(Exception):
    """The search is cut off."""


def possible(true: Sequence[Condition], not_true: Sequence[Condition], vocabulary: Vocabulary) -> bool:
    """Whether all of `true` can be true while none of `not_true` is."""
    try:
        goals = [_normal(condition, True, vocabulary) for condition in true]
        goals += [_normal(condition, False, vocabulary) for condition in not_true]
        return _Search().holds(goals, {})
    except _SpentError:
        return True


def _normal(condition: Condition, wanted: bool, vocabulary: Vocabulary) -> Condition:
    """An equal condition of sets of values, `all` and `any`: being true, or (not `wanted`) not being true."""
    match condition:
        case Literal(fact=fact, values=values):
            closed = frozenset(vocabulary[fact].values)
            inside = values if condition.positive else closed - values
            inside = inside if condition.closed or not condition.positive else inside - {UNKNOWN}
            return Literal(fact, inside if wanted else closed - inside)
        case All(parts=parts):
            return (All if wanted else Any)(tuple(_normal(part, wanted, vocabulary) for part in parts))
        case Any(parts=parts):
            return (Any if wanted else All)(tuple(_normal(part, wanted, vocabulary) for part in parts))
        case AtLeast(count=count, parts=parts):
            size = count if wanted else len(parts) - count + 1
            if comb(len(parts), size) > WIDEST:
                raise _SpentError
            inner = [_normal(part, wanted, vocabulary) for part in parts]
            return Any(tuple(All(chosen) for chosen in combinations(inner, size)))


class _Search:
    def __init__(self) -> None:
        self._steps = 0

    def holds(self, goals: Sequence[Condition], domains: dict[str, frozenset[str]]) -> bool:
        """Whether all goals can hold with each fact inside its domain (a fact without one is free)."""
        self._steps += 1
        if self._steps > STEPS:
            raise _SpentError
        choices = self._settle([*goals], domains := dict(domains))
        if not choices:
            return choices is not None
        first = min(choices, key=lambda choice: len(choice.parts))
        rest = [choice for choice in choices if choice is not first]
        return any(self.holds([way, *rest], domains) for way in first.parts)

    def _settle(self, todo: list[Condition], domains: dict[str, frozenset[str]]) -> list[Any] | None:
        """Narrow the domains by all goals that leave no choice; the choices that remain, or None: a contradiction."""
        choices: list[Any] = []
        while todo:
            match todo.pop():
                case Literal(fact=fact, values=values):
                    domains[fact] = values & domains.get(fact, values)
                    if not domains[fact]:
                        return None
                    todo, choices = [*todo, *choices], []          # choices may have narrowed with it
                case All(parts=parts):
                    todo += parts
                case Any(parts=parts):
                    ways = [way for way in parts if self._fits(way, domains)]
                    if not ways:
                        return None
                    if len(ways) == 1:
                        todo.append(ways[0])
                    else:
                        choices.append(Any(tuple(ways)))
        return choices

    def _fits(self, way: Condition, domains: dict[str, frozenset[str]]) -> bool:
        """Whether a way is not already excluded, as far as its own literals show."""
        if isinstance(way, All):
            return all(self._fits(part, domains) for part in way.parts)
        return not isinstance(way, Literal) or bool(way.values & domains.get(way.fact, way.values))
