"""Kleene's three-valued logic over the conditions of a program (rule language, "Conditions").

A truth is `True`, `False`, or `None` for unknown. `all` is false as soon as one part is false, `any` true as soon as
one part is true, `at_least` N true when N parts are true and false when too few can still become true; a literal on
values is unknown while its fact is, a `not` literal or a literal on `unknown` never is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from engine.model.fact import UNKNOWN
from engine.rules.program import All, AtLeast, Condition, Literal

Truth = bool | None
Test = Callable[[Mapping[str, str]], Truth]


@lru_cache(maxsize=16_384)
def compiled(condition: Condition) -> Test:
    """The condition as a function of the facts. It indexes the mapping: every fact that it reads must have a value."""
    if isinstance(condition, Literal):
        return _literal(condition)
    if isinstance(condition, AtLeast):
        return _at_least(condition)
    return _all(condition.parts) if isinstance(condition, All) else _any(condition.parts)


def truth(condition: Condition, facts: Mapping[str, str]) -> Truth:
    """The truth of a condition that is asked once; to ask often, compile it."""
    if isinstance(condition, Literal):
        value = facts[condition.fact]
        if value == UNKNOWN and condition.positive and not condition.closed:
            return None
        return (value in condition.values) is condition.positive
    if isinstance(condition, AtLeast):
        truths = [truth(part, facts) for part in condition.parts]
        true = truths.count(True)
        if true >= condition.count:
            return True
        return None if true + truths.count(None) >= condition.count else False
    decisive = not isinstance(condition, All)          # `any` is settled by a true part, `all` by a false one
    settled: Truth = not decisive
    for part in condition.parts:
        found = truth(part, facts)
        if found is decisive:
            return decisive
        if found is None:
            settled = None
    return settled


_Row = tuple[str, frozenset[str], bool, bool]     # fact, values, wanted, open (unknown while the fact is unknown)


def _row(literal: Literal) -> _Row:
    is_open = literal.positive and not literal.closed
    return literal.fact, literal.values - {UNKNOWN} if is_open else literal.values, literal.positive, is_open


def _literal(literal: Literal) -> Test:
    fact, values, wanted, is_open = _row(literal)

    def test(facts: Mapping[str, str]) -> Truth:
        value = facts[fact]
        return None if is_open and value == UNKNOWN else (value in values) is wanted

    return test


def _split(parts: tuple[Condition, ...]) -> tuple[tuple[_Row, ...], tuple[Test, ...]]:
    """Literals are tested inline, before nested parts: they are the cheap ones, and most decide."""
    rows = tuple(_row(part) for part in parts if isinstance(part, Literal))
    return rows, tuple(compiled(part) for part in parts if not isinstance(part, Literal))


def _all(parts: tuple[Condition, ...]) -> Test:
    rows, nested = _split(parts)

    def test(facts: Mapping[str, str]) -> Truth:
        truth: Truth = True
        for fact, values, wanted, is_open in rows:
            value = facts[fact]
            if (value in values) is not wanted:
                if not is_open or value != UNKNOWN:
                    return False
                truth = None
        for part in nested:
            found = part(facts)
            if not found:
                if found is False:
                    return False
                truth = None
        return truth

    return test


def _any(parts: tuple[Condition, ...]) -> Test:
    rows, nested = _split(parts)

    def test(facts: Mapping[str, str]) -> Truth:
        truth: Truth = False
        for fact, values, wanted, is_open in rows:
            value = facts[fact]
            if (value in values) is wanted:
                return True
            if is_open and value == UNKNOWN:
                truth = None
        for part in nested:
            found = part(facts)
            if found:
                return True
            if found is None:
                truth = None
        return truth

    return test


def _at_least(condition: AtLeast) -> Test:
    count, parts = condition.count, tuple(compiled(part) for part in condition.parts)

    def test(facts: Mapping[str, str]) -> Truth:
        truths = [part(facts) for part in parts]
        true = truths.count(True)
        if true >= count:
            return True
        return None if true + truths.count(None) >= count else False

    return test
