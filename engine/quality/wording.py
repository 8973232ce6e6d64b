"""Conditions in the words of the rule language, with named sets where they say the same as their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.model.fact import UNKNOWN
from engine.rules.program import All, Any, AtLeast, Condition, Literal
from engine.rules.ruleset import Ruleset

Sets = Mapping[str, Mapping[str, frozenset[str]]]


class Wording:
    """`achr: positive`, `mg: not refuted`, `order.ingredient: fluoroquinolone, aminoglycoside`."""

    def __init__(self, ruleset: Ruleset) -> None:
        info = ruleset.fact_info
        self._sets: Sets = {name: {key: frozenset(of) for key, of in fact.sets.items()} for name, fact in info.items()}

    def test(self, literal: Literal) -> str:
        """One test of a fact."""
        values = ", ".join(self.values(literal.fact, literal.values))
        return f"{literal.fact}: {'' if literal.positive else 'not '}{values}"

    def values(self, fact: str, values: frozenset[str]) -> list[str]:
        """Values, the largest named sets that fit first."""
        named = []
        left = set(values)
        for name, members in sorted(self._sets.get(fact, {}).items(), key=lambda of: (-len(of[1]), of[0])):
            if len(members) > 1 and members <= values and len(members & left) > 1:
                named.append(name)
                left -= members
        return [*named, *sorted(left, key=lambda value: (value == UNKNOWN, value))]

    def line(self, condition: Condition) -> str:
        """A condition on one line, nested ones in brackets."""
        match condition:
            case Literal():
                return self.test(condition)
            case All(parts=parts):
                return " and ".join(self._inner(part) for part in parts)
            case Any(parts=parts):
                return " or ".join(self._inner(part) for part in parts)
            case AtLeast(count=count, parts=parts):
                return f"at least {count} of ({'; '.join(self.line(part) for part in parts)})"

    def tree(self, condition: Condition, depth: int = 0) -> Iterator[tuple[int, str]]:
        """A condition as an outline: (depth, text)."""
        match condition:
            case Literal():
                yield depth, self.test(condition)
            case All(parts=parts) if depth == 0:
                for part in parts:
                    yield from self.tree(part)
            case All(parts=parts):
                yield depth, "all of"
                yield from self._below(parts, depth)
            case Any(parts=parts):
                yield depth, "any of"
                yield from self._below(parts, depth)
            case AtLeast(count=count, parts=parts):
                yield depth, f"at least {count} of"
                yield from self._below(parts, depth)

    def _below(self, parts: tuple[Condition, ...], depth: int) -> Iterator[tuple[int, str]]:
        for part in parts:
            yield from self.tree(part, depth + 1)

    def _inner(self, part: Condition) -> str:
        return self.line(part) if isinstance(part, Literal | AtLeast) else f"({self.line(part)})"
