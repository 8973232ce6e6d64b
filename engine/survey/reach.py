"""Which rules can never fire on a feed, proved from the compiled program.

A fact whose concepts and drugs were never met is unknown in every record of the feed. For each rule the anchors over
these facts alone are asked for (engine/rules/anchors.py): a set of literals of which one must be true for the rule to
fire. If there is such a set, none of its literals can be true, and the rule cannot fire. Facts that were met count as
free, so a rule that is not named here may still be silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec

from engine.facts.base import FactInfo
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.rules.anchors import Cover
from engine.rules.build import base_facts_of
from engine.rules.program import Issue, Literal, Rule
from engine.rules.ruleset import Ruleset


class Want(msgspec.Struct, frozen=True):
    """One fact that would have to be known, and what was never met for it (any of these)."""

    fact: str
    title: str
    concepts: tuple[str, ...] = ()
    drugs: tuple[str, ...] = ()


class Blind(msgspec.Struct, frozen=True):
    """A rule that cannot fire: at least one fact of `wants` would have to be known."""

    rule: str
    title: str
    kind: str                              # issue, derived
    ruleset: str
    wants: tuple[Want, ...]


def blind(ruleset: Ruleset, concepts: Set[str], drugs: Set[str]) -> tuple[Blind, ...]:
    """The rules that cannot fire in records that hold no other concepts and drugs, in the order of their names."""
    info = ruleset.fact_info
    reached = ruleset.facts.within_reach(concepts, drugs)
    of_an_order = {
        definition.name for definition in ruleset.facts.definitions if getattr(definition, "field", "") == "ingredient"
    }

    def weigh(fact: str, values: frozenset[str]) -> float | None:
        if fact not in reached or (fact in of_an_order and not values & drugs):
            return info[fact].prevalence
        return None

    rules = {rule.name: rule for rule in (*ruleset.program.patient, *ruleset.program.order)}
    cover = Cover(rules, base_facts_of(ruleset.facts), weigh)
    found = []
    for name, rule in sorted(rules.items()):
        anchors = cover.true(Literal(name, _firing(rule)))
        if anchors is None and rule.order and not drugs:
            anchors = frozenset()
        if anchors is not None:
            wants = sorted((_want(literal, info, drugs, of_an_order) for literal in anchors), key=lambda w: w.fact)
            about = ruleset.info[name]
            found.append(Blind(name, about.title, about.kind, about.ruleset, tuple(wants)))
    return tuple(found)


def _firing(rule: Rule) -> frozenset[str]:
    return frozenset((PRESENT,)) if isinstance(rule, Issue) else frozenset(rule.values) - {ABSENT, UNKNOWN}


def _want(literal: Literal, info: Mapping[str, FactInfo], drugs: Set[str], of_an_order: Set[str]) -> Want:
    about = info[literal.fact]
    wanted = tuple(sorted(literal.values - drugs)) if literal.fact in of_an_order else about.drugs
    return Want(literal.fact, about.title or literal.fact, about.concepts, wanted)
