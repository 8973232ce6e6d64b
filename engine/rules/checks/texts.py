"""Texts of issues: there, short enough, with placeholders that can be filled, without codes and paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from engine.document import Path_
from engine.errors import Fault, Place, nearest
from engine.rules.checks.cases import is_of_order
from engine.rules.compile import Compiled
from engine.rules.program import Issue
from engine.rules.shape import quoted
from engine.rules.source import CaseSource, RuleSource
from engine.rules.texts import CODE_OR_PATH, LISTS, LONGEST, PLACEHOLDER, names, shortest, with_parameters


def check_texts(compiled: Compiled, parameters: Collection[str], orders: Collection[str] | None) -> Iterator[Fault]:
    """`orders`: names of the orders that may be suggested; None: the ruleset describes none."""
    for name, source in compiled.sources.items():
        rule = compiled.rules[name]
        if isinstance(rule, Issue):
            yield from _Texts(source=source, rule=rule, compiled=compiled, parameters=parameters, orders=orders).check()


class _Texts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of one issue."""

    source: RuleSource
    rule: Issue
    compiled: Compiled
    parameters: Collection[str]
    orders: Collection[str] | None

    def check(self) -> Iterator[Fault]:
        source = self.source
        if not source.category:
            yield Fault(source.place(), "`category` is missing", "name the kind of problem by its v3-ActCode")
        shows_list = any("list" in names(case.summary) for case in source.cases)
        if source.listed and not shows_list:
            yield Fault(source.place("list"), "no summary shows the `list`", "use `{list}` in the summary")
        if shows_list and not source.listed:
            yield Fault(source.place("summary"), "the summary shows a `list`, and there is none", "add `list: [...]`")
        for case in source.cases:
            yield from self._summary(case)
            for text in case.advice:
                yield from self._advice(text, self._place(case, "advice"))
            yield from self._suggestions(case)

    def _summary(self, case: CaseSource) -> Iterator[Fault]:
        place = self._place(case, "summary")
        if not case.summary:
            yield Fault(place, "a case has no summary", "add `summary` to it or to the rule")
        yield from _wording(case.summary, place)
        for name in names(case.summary):
            if name not in self.parameters and name not in LISTS:
                yield from self._fact(name, place)
        length = shortest(with_parameters(case.summary, dict.fromkeys(self.parameters, "0000")))
        if length > LONGEST:
            message = f"the summary has {length} characters without what is filled in"
            yield Fault(place, message, f"keep it within {LONGEST}")

    def _fact(self, name: str, place: Place) -> Iterator[Fault]:
        known = self.compiled.vocabulary
        if name not in known:
            hint = nearest(name, [*known, *self.parameters, *LISTS])
            yield Fault(place, f"{quoted(name)} is no fact or parameter", hint)
        elif is_of_order(name, self.compiled) and not self.rule.order:
            message = f"{quoted(name)} is about an order, and {quoted(self.rule.name)} is about none"
            yield Fault(place, message, "name another fact")

    def _advice(self, text: str, place: Place) -> Iterator[Fault]:
        yield from _wording(text, place)
        for name in names(text):
            if name not in self.parameters:
                yield Fault(place, f"{quoted(name)} cannot be filled in here", "advice shows parameters only")

    def _suggestions(self, case: CaseSource) -> Iterator[Fault]:
        known = self.orders or ()
        for name in case.suggest:
            if name not in known:
                message = f"{quoted(name)} is no order of orders.yaml"
                yield Fault(self._place(case, "suggest"), message, nearest(name, known))

    def _place(self, case: CaseSource, key: str) -> Place:
        """Where a text of a case stands: in the case, else at the top of the rule."""
        data = self.source.document.data
        for step in case.path:
            data = data[step]
        own: Path_ = (*case.path, key)
        top: Path_ = (*self.source.path, key)
        return self.source.document.place(own if key in data else top)


def _wording(text: str, place: Place) -> Iterator[Fault]:
    plain = PLACEHOLDER.sub("", text)
    if "{" in plain or "}" in plain:
        yield Fault(place, "a placeholder is not closed", "write `{fact}`")
    if found := CODE_OR_PATH.search(plain):
        yield Fault(place, f"{quoted(found[0])} is a code or a path", "say it in words")
