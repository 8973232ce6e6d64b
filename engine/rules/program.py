"""The compiled form of a ruleset's rules: flat, ordered, ready for any backend. No YAML, no places, no numbers.

Meaning (rule language, "Conditions" and "Derived facts"): a `Literal` with `positive` is true if the fact has one of
`values`, unknown if the fact is unknown, else false; without `positive` it is true unless the fact has one of `values`,
and never unknown. `{fact: unknown}` is `Literal(fact, {"unknown"}, positive=True, closed=True)`: never unknown either.
`All`, `Any`, `AtLeast` are Kleene's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec


class Literal(msgspec.Struct, frozen=True, tag="is"):
    """A test of one fact. `closed`: reads `unknown` as a value, so it is never unknown itself."""

    fact: str
    values: frozenset[str]
    positive: bool = True
    closed: bool = False                  # True for every `not` literal and for `unknown`


class All(msgspec.Struct, frozen=True, tag="all"):
    parts: tuple[Condition, ...]


class Any(msgspec.Struct, frozen=True, tag="any"):
    parts: tuple[Condition, ...]


class AtLeast(msgspec.Struct, frozen=True, tag="at_least"):
    count: int
    parts: tuple[Condition, ...]


Condition = Literal | All | Any | AtLeast


def literals(condition: Condition) -> Iterator[Literal]:
    """Every literal of a condition, in the order of writing."""
    if isinstance(condition, Literal):
        yield condition
    else:
        for part in condition.parts:
            yield from literals(part)


class DerivedCase(msgspec.Struct, frozen=True):
    """One ranked case of a derived fact: the first true one gives its value."""

    value: str
    when: Condition                       # the rule's common `when` is already part of it


class Derived(msgspec.Struct, frozen=True, kw_only=True, tag="derived"):
    """A derived fact. None of the cases true: `absent` if all are false, else unknown."""

    name: str
    rule: str                             # the rule's id (file name)
    cases: tuple[DerivedCase, ...]
    values: tuple[str, ...]               # closed set, `absent` and `unknown` included
    order: bool = False                   # belongs to the order program
    stratum: int = 0


class IssueCase(msgspec.Struct, frozen=True, kw_only=True):
    """One ranked case of an issue."""

    severity: str                         # high, moderate, low
    when: Condition
    display: str = ""                     # "" = default of the severity
    adjust: tuple[str, ...] = ()          # names of adjustments, in the order in which they apply
    summary: str = ""
    advice: tuple[str, ...] = ()
    suggest: tuple[str, ...] = ()         # names of suggestions (orders) that this case makes


class Issue(msgspec.Struct, frozen=True, kw_only=True, tag="issue"):
    """An issue. As a fact it is `present` only when it fires (a case true, `unless` not true), `absent` when all its
    cases are false or `unless` is true, else unknown."""

    name: str                             # the issue's id = rule id = fact name
    rule: str
    cases: tuple[IssueCase, ...]
    unless: Condition | None = None
    group: str = "diagnostic"
    order: bool = False
    stratum: int = 0
    anchors: tuple[Literal, ...] = ()     # base-fact literals of which one must be true for the issue to fire;
                                          #   () = none is needed (data-quality issues alone)


Rule = Derived | Issue


def conditions(rule: Rule) -> Iterator[Condition]:
    """The conditions of a rule: its cases in rank order, then `unless`."""
    for case in rule.cases:
        yield case.when
    if isinstance(rule, Issue) and rule.unless is not None:
        yield rule.unless


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A policy of ruleset.yaml that mutes findings, never facts. Exactly one of `keep` and `mute` is set; both name
    groups: `keep` mutes every other group (`()` mutes all), `mute` these."""

    when: Condition
    keep: tuple[str, ...] | None = None
    mute: tuple[str, ...] | None = None
    why: str = ""                          # for people: `the record is not declared complete`


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that a case may name. `severity`: high, moderate, low or `one-step-lower`; "" leaves it as it is."""

    name: str
    when: Condition
    severity: str = ""
    display: str = ""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """All rules in dependency order: the patient program, then the order program (once per order and ingredient)."""

    patient: tuple[Rule, ...]
    order: tuple[Rule, ...]
    base: Mapping[str, tuple[str, ...]]   # every base fact -> closed set of values, `unknown` included
    gates: tuple[Gate, ...] = ()
    adjustments: Mapping[str, Adjustment] = {}


class Conclusions(msgspec.Struct, frozen=True):
    """What a backend concludes: the value of every derived fact and issue, and which case (index) of it is true."""

    values: Mapping[str, str]             # derived fact or issue -> value (`unknown` if undecided)
    cases: Mapping[str, int]              # derived fact or issue with a true case -> index of the first true one
