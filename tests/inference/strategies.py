"""Random stratified programs and facts, for tests of the backends. A new feature of `Program` must be added here.

Everything is drawn through `Pick`, "a number below n", so that hypothesis can shrink a failure and a plain random
generator can make many programs fast (the soak).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeVar

from hypothesis import strategies as st

from engine.rules.program import (
    All,
    Any,
    AtLeast,
    Condition,
    Derived,
    DerivedCase,
    Issue,
    IssueCase,
    Literal,
    Program,
    Rule,
)

Closed = Mapping[str, tuple[str, ...]]                # fact -> closed set, `unknown` included
Pick = Callable[[int], int]
T = TypeVar("T")

POOLS = (("present", "absent"), ("high", "low", "normal"), ("definite", "probable", "possible", "none"), ("confirmed",))
_numbers_below = cache(lambda n: st.integers(0, n - 1))


@st.composite
def programs(draw: st.DrawFn, *, monotone: bool = False) -> Program:
    """Programs; `monotone`: without `not`, `unknown` and `unless`, and with one case a rule."""
    return program(_picker(draw), monotone=monotone)


@st.composite
def facts(draw: st.DrawFn, of: Program) -> dict[str, str]:
    """The known base facts of one patient."""
    return known(_picker(draw), of)


@st.composite
def reordered(draw: st.DrawFn, part: Sequence[Rule]) -> tuple[Rule, ...]:
    """The same rules in another dependency order."""
    pick = _picker(draw)
    waiting, placed, done = list(part), [], {rule.name for rule in part}
    reads = {rule.name: done & {literal.fact for literal in literals(rule)} for rule in part}
    done = set()
    while waiting:
        free = [rule for rule in waiting if reads[rule.name] <= done]
        rule = _one(pick, free)
        waiting.remove(rule)
        placed.append(rule)
        done.add(rule.name)
    return tuple(placed)


def seeded(seed: int) -> Pick:
    """Draws without hypothesis."""
    return random.Random(seed).randrange


def program(pick: Pick, *, monotone: bool = False) -> Program:
    """A patient program, and an order program that reads the patient's conclusions too."""
    base = {f"b{index}": (*_one(pick, POOLS), "unknown") for index in range(1 + pick(8))}
    patient = _rules(pick, base, "p", monotone)
    base |= {f"order.{index}": ("new", "long", "unknown") for index in range(2)}
    order = _rules(pick, base | {rule.name: _values(rule) for rule in patient}, "o", monotone)
    return Program(patient=patient, order=order, base=base)


def known(pick: Pick, of: Program) -> dict[str, str]:
    """Any of the base facts, in any order, now and then with a value that no rule names."""
    names = list(of.base)
    share = pick(4)                                   # of unknown facts, in thirds
    found = {}
    while names:
        name = names.pop(pick(len(names)))
        if pick(3) >= share:
            found[name] = _one(pick, [*(value for value in of.base[name] if value != "unknown"), "unheard-of"])
    return found


def literals(rule: Rule) -> list[Literal]:
    """Every literal of a rule."""
    found: list[Literal] = []
    waiting: list[Condition] = [case.when for case in rule.cases]
    if isinstance(rule, Issue) and rule.unless is not None:
        waiting.append(rule.unless)
    while waiting:
        condition = waiting.pop()
        if isinstance(condition, Literal):
            found.append(condition)
        else:
            waiting += condition.parts
    return found


def _rules(pick: Pick, closed: Closed, prefix: str, monotone: bool) -> tuple[Rule, ...]:
    readable = dict(closed)
    found: list[Rule] = []
    for index in range(1 + pick(10)):
        name = f"{prefix}{index}"
        rule = (_derived if pick(2) else _issue)(pick, readable, name, monotone)
        found.append(rule)
        readable[name] = _values(rule)
    return tuple(found)


def _derived(pick: Pick, closed: Closed, name: str, monotone: bool) -> Rule:
    pool = _one(pick, POOLS)
    count = 1 if monotone else 1 + pick(4)
    cases = tuple(DerivedCase(_one(pick, pool), _condition(pick, closed, monotone)) for _ in range(count))
    values = tuple(dict.fromkeys([*(case.value for case in cases), "absent", "unknown"]))
    return Derived(name=name, rule=name, cases=cases, values=values)


def _issue(pick: Pick, closed: Closed, name: str, monotone: bool) -> Rule:
    count = 1 if monotone else 1 + pick(3)
    cases = tuple(IssueCase(severity="low", when=_condition(pick, closed, monotone)) for _ in range(count))
    unless = None if monotone or pick(2) else _condition(pick, closed, monotone)
    return Issue(name=name, rule=name, cases=cases, unless=unless)


def _condition(pick: Pick, closed: Closed, monotone: bool, depth: int = 3) -> Condition:
    """Nested; now and then wider than one engine rule, and now and then empty."""
    shape = pick(6) if depth else 0
    if shape < 3:
        return _literal(pick, closed, monotone)
    width = 9 + pick(4) if pick(30) == 29 else pick(5)
    parts = tuple(_condition(pick, closed, monotone, depth - 1) for _ in range(width))
    if shape == 5:
        return AtLeast(pick(width + 2), parts)
    return Any(parts) if shape == 4 else All(parts)


def _literal(pick: Pick, closed: Closed, monotone: bool) -> Literal:
    fact = _one(pick, list(closed))
    form = 0 if monotone else pick(6)
    if form >= 4:
        return Literal(fact, frozenset({"unknown"}), positive=form == 4, closed=True)
    named = [value for value in closed[fact] if value != "unknown"]
    values = frozenset(_one(pick, named) for _ in range(1 + pick(2)))
    return Literal(fact, values) if form < 3 else Literal(fact, values, positive=False, closed=True)


def _values(rule: Rule) -> tuple[str, ...]:
    return rule.values if isinstance(rule, Derived) else ("present", "absent", "unknown")


def _one(pick: Pick, things: Sequence[T]) -> T:
    return things[pick(len(things))]


def _picker(draw: st.DrawFn) -> Pick:
    return lambda n: draw(_numbers_below(n))
