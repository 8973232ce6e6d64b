"""What rests on a fact: every rule that reads it, by way of other rules too, or by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from engine.rules.program import Condition, Issue, Program, Rule, conditions, literals


def downstream(program: Program) -> Mapping[str, frozenset[str]]:
    """Fact -> the rules that may conclude otherwise, and the issues that may stand otherwise, if it changes.

    How an issue stands is also decided by the adjustments that its cases name, and by gates.
    """
    below: dict[str, set[str]] = {}
    for rule in (*program.patient, *program.order):              # in dependency order
        read = set(_reads(rule, program))
        below[rule.name] = read.union(*(below[name] for name in read if name in below))
    found: dict[str, set[str]] = {}
    for name, facts in below.items():
        for fact in facts:
            found.setdefault(fact, set()).add(name)
    return {fact: frozenset(names) for fact, names in found.items()}


class Readers(NamedTuple):
    """Who reads a fact itself: rules that others read, by their places in dependency order; rules that nobody reads;
    and the issues with an adjustment or a gate on it."""

    inner: tuple[int, ...] = ()
    last: tuple[str, ...] = ()
    showing: tuple[str, ...] = ()


def readers(program: Program) -> Mapping[str, Readers]:
    """Fact -> who reads it, in both parts."""
    rules = (*program.patient, *program.order)
    concluding = [frozenset(_facts(conditions(rule))) for rule in rules]
    showing = [frozenset(_facts(_policies(rule, program))) for rule in rules]
    read = frozenset[str]().union(*concluding, *showing)
    found: dict[str, tuple[list[int], list[str], list[str]]] = {name: ([], [], []) for name in read}
    for place, rule in enumerate(rules):
        for fact in concluding[place]:
            if rule.name in read:
                found[fact][0].append(place)
            else:
                found[fact][1].append(rule.name)
        for fact in showing[place]:
            found[fact][2].append(rule.name)
    return {fact: Readers(tuple(inner), tuple(last), tuple(shown)) for fact, (inner, last, shown) in found.items()}


def _reads(rule: Rule, program: Program) -> Iterator[str]:
    return _facts((*conditions(rule), *_policies(rule, program)))


def _policies(rule: Rule, program: Program) -> Iterator[Condition]:
    if isinstance(rule, Issue):
        yield from (program.adjustments[name].when for case in rule.cases for name in case.adjust)
        yield from (gate.when for gate in program.gates)


def _facts(asked: Iterable[Condition]) -> Iterator[str]:
    return (literal.fact for condition in asked for literal in literals(condition))
