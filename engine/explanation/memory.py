"""Why an issue stands, which answers would change it, and how: functions of the values of the facts beneath it, and
beneath what else the answers reach, and of nothing else.

Patients of one kind have the same few values beneath an issue, and all else unknown. So of many patients most are
answered from here; what is remembered never changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

from engine.explanation.answers import Ways
from engine.explanation.missing import Changes
from engine.explanation.proof import Facts
from engine.inference.downstream import downstream
from engine.rules.info import RuleInfo
from engine.rules.program import Issue, Program, literals

_MOST = 4_000                              # of each that are kept
_MOST_CHANGES = 1_000                      # of these, which are larger
_Key = tuple[str, frozenset[tuple[str, str]]]
K = TypeVar("K")
V = TypeVar("V")


class Memory:
    """Ways, reasons and changes by issue and by what is known beneath it. Threads may share it."""

    def __init__(self, program: Program, info: Mapping[str, RuleInfo] = MappingProxyType({})) -> None:
        self._program = program
        self._info = info
        self._ways: dict[_Key, Ways] = {}
        self._reasons: dict[tuple[str, frozenset[tuple[str, str]], frozenset[str]], Facts] = {}
        self._changes: dict[tuple[str, bool, Ways, frozenset[tuple[str, str]]], Changes] = {}
        self._around: dict[frozenset[str], frozenset[str]] = {}

    @cached_property
    def _downstream(self) -> Mapping[str, frozenset[str]]:
        return downstream(self._program)

    @cached_property
    def _beneath(self) -> Mapping[str, frozenset[str]]:
        """Issue -> every fact that its cases, its `unless`, adjustments and gates rest on."""
        facts: dict[str, set[str]] = {}
        for fact, names in self._downstream.items():
            for name in names:
                facts.setdefault(name, set()).add(fact)
        return {name: frozenset(found) for name, found in facts.items()}

    @cached_property
    def _beneath_texts(self) -> Mapping[str, frozenset[str]]:
        """Issue -> the same, and what all rests on that its text may list."""
        found = dict(self._beneath)
        for name, rule in self._info.items():
            shown = {literal.fact for _, condition in rule.listed for literal in literals(condition)}
            found[name] = frozenset(shown).union(*(self._beneath.get(fact, ()) for fact in (name, *shown)))
        return found

    def reasons(
        self, issue: Issue, values: Mapping[str, str], fragile: frozenset[str], find: Callable[[], Facts]
    ) -> Facts:
        """The reasons that `find` gave for these values of base facts, or gives now. `fragile`: facts that are unknown
        because their data conflict."""
        beneath = self._beneath_texts.get(issue.name, frozenset())
        return _remembered(self._reasons, (*_key(issue, values, beneath), fragile & beneath), find, _MOST)

    def recall(self, issue: Issue, values: Mapping[str, str], find: Callable[[], Ways]) -> Ways:
        """The ways that `find` gave for these values of base facts, or gives now."""
        beneath = self._beneath.get(issue.name, frozenset())
        return _remembered(self._ways, _key(issue, values, beneath), find, _MOST)

    def changes(
        self, issue: Issue, ways: Ways, values: Mapping[str, str], find: Callable[[], Changes], *, draft: bool
    ) -> Changes:
        """The changes that `find` gave, or gives now, for these ways of an issue (of a draft order or not) and for
        what is known beneath every issue that they reach."""
        around = self._reached_with(frozenset([fact for way in ways for fact, _ in way]))
        key = issue.name, draft, ways, frozenset([known for known in values.items() if known[0] in around])
        return _remembered(self._changes, key, find, _MOST_CHANGES)

    def _reached_with(self, facts: frozenset[str]) -> frozenset[str]:
        """All that rules rest on that rest on one of the facts."""
        return _remembered(self._around, facts, lambda: self._beside(facts), _MOST_CHANGES)

    def _beside(self, facts: frozenset[str]) -> frozenset[str]:
        rules = frozenset[str]().union(*(self._downstream.get(fact, ()) for fact in facts))
        return frozenset[str]().union(*(self._beneath[rule] for rule in rules))


def _key(issue: Issue, values: Mapping[str, str], beneath: frozenset[str]) -> _Key:
    return issue.name, frozenset([known for known in values.items() if known[0] in beneath])


def _remembered(known: dict[K, V], key: K, find: Callable[[], V], most: int) -> V:
    """What is known, or found now; a full memory begins anew. Each step by itself is safe beside other threads."""
    value = known.get(key)
    if value is None:
        value = find()
        if len(known) >= most:
            known.clear()
        known[key] = value
    return value
