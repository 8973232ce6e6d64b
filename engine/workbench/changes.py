"""What answers changed: two evaluations of one patient held against each other, each difference with its reason.

A finding that came, or reads otherwise, rests on reasons that it did not have before; of one that went, the part of its
proof is told that no longer holds, or what holds it back now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Literal

import msgspec

from engine.evaluation import Explaining
from engine.explanation.tree import Node
from engine.model.fact import UNKNOWN
from engine.model.finding import Evaluation, Finding
from engine.outputs.wording import because_line
from engine.rules.program import Derived

Kind = Literal["gained", "lost", "severity", "display", "reasons"]
KINDS: tuple[Kind, ...] = ("gained", "lost", "severity", "display", "reasons")
WORDS: Mapping[str, str] = {
    "gained": "is found now", "lost": "no longer stands", "severity": "has another severity",
    "display": "is shown in another way", "reasons": "has other reasons",
}  # fmt: skip


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that answers changed. `before` and `after`: severity, or display, where it stands."""

    kind: Kind
    issue: str
    order: str
    title: str
    severity: str
    before: str = ""
    after: str = ""
    why: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """`becomes high (was moderate)`."""
        if self.kind in ("severity", "display"):
            return f"{WORDS[self.kind]}: {self.after} instead of {self.before}"
        return WORDS[self.kind]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A derived fact with another value."""

    fact: str
    title: str
    before: str
    after: str
    why: tuple[str, ...] = ()


class Changes(msgspec.Struct, frozen=True):
    """All of them; the findings by kind, then as they stand."""

    findings: tuple[Change, ...] = ()
    facts: tuple[Moved, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence, as it is announced."""
        told = [f"“{one.title}” {one.said}" for one in self.findings]
        if told:
            return "; ".join(told)
        return f"No finding changes; {len(self.facts)} derived facts do." if self.facts else "Nothing changes."


def changes(before: Explaining, was: Evaluation, after: Explaining, now: Evaluation) -> Changes:
    """What differs between two reasonings over one patient, and what they said."""
    return _Comparison(before, was, after, now).changes()


class _Comparison:
    def __init__(self, before: Explaining, was: Evaluation, after: Explaining, now: Evaluation) -> None:
        self._before = before
        self._was = was
        self._after = after
        self._now = now
        names = {*before.facts, *after.facts}
        self._moved = frozenset(name for name in names if _value(before, name) != _value(after, name))

    def changes(self) -> Changes:
        found = sorted(self._findings(), key=lambda one: KINDS.index(one.kind))
        return Changes(tuple(found), tuple(self._derived.values()))

    @cached_property
    def _derived(self) -> dict[str, Moved]:
        return {moved.fact: moved for moved in self._facts()}

    def _findings(self) -> Iterator[Change]:
        was = {(one.issue, one.order): one for one in self._was.findings}
        now = {(one.issue, one.order): one for one in self._now.findings}
        for key, finding in now.items():
            if key not in was:
                yield self._change("gained", finding, "", finding.severity, self._new_reasons(finding, None))
            else:
                yield from self._otherwise(was[key], finding)
        for key, finding in was.items():
            if key not in now:
                yield self._change("lost", finding, finding.severity, "", self._broken(finding))

    def _otherwise(self, was: Finding, now: Finding) -> Iterator[Change]:
        new = self._new_reasons(now, was)
        gone = tuple(f"no longer: {line}" for line in _lines(was) if line not in _lines(now))
        if was.severity != now.severity:
            yield self._change("severity", now, was.severity, now.severity, (*new, *gone))
        elif was.display != now.display:
            yield self._change("display", now, was.display, now.display, (*new, *gone))
        elif was.evidence_hash != now.evidence_hash:
            yield self._change("reasons", now, "", "", (*new, *gone))

    def _change(self, kind: Kind, of: Finding, before: str, after: str, why: tuple[str, ...]) -> Change:
        return Change(
            kind=kind, issue=of.issue, order=of.order, title=self._title(of.issue), severity=of.severity,
            before=before, after=after, why=tuple(dict.fromkeys(why)),
        )  # fmt: skip

    def _new_reasons(self, now: Finding, was: Finding | None) -> tuple[str, ...]:
        """The reasons that answers gave it; for one that is new and rests on what was known, all of them."""
        if was is not None:
            return tuple(line for line in _lines(now) if line not in _lines(was))
        new = tuple(because_line(one) for one in now.because if one.fact in self._moved)
        return new or tuple(_lines(now))

    def _broken(self, finding: Finding) -> tuple[str, ...]:
        """What no longer holds of a proof, or what holds the finding back."""
        order = f"{finding.order} {finding.ingredient}".strip()
        told: list[str] = []
        for verdict in self._after.explanations(finding.issue, "none", order):
            for held in verdict.held_back_by:
                shown = ", ".join(because_line(one) for one in held.because)
                told.append(f"held back by {held.by}" + (f": {shown}" if shown else ""))
            told += self._fallen(verdict.tree)
        return tuple(told)

    def _fallen(self, nodes: tuple[Node, ...]) -> Iterator[str]:
        """What a proof needs and answers took away: derived facts by what they are now, else base facts."""
        for node in nodes:
            moved = self._derived.get(node.fact)
            if node.truth == "true":
                continue
            if moved is not None:
                yield f"{moved.title}: {moved.after} instead of {moved.before}" + _in_brackets(moved.why)
            elif node.fact in self._moved and not node.children:
                yield _told(node)
            else:
                yield from self._fallen(node.children)

    def _facts(self) -> Iterator[Moved]:
        rules = self._after.e.rules
        names = {*self._was.conclusions, *self._now.conclusions}
        for name in sorted(name for name in names if isinstance(rules.get(name), Derived)):
            before = self._was.conclusions.get(name, UNKNOWN)
            after = self._now.conclusions.get(name, UNKNOWN)
            if before == after:
                continue
            trees = [node for verdict in self._after.explanations(name, "none") for node in verdict.tree]
            why = tuple(dict.fromkeys(_told(node) for node in self._leaves(tuple(trees))))
            yield Moved(fact=name, title=self._title(name), before=before, after=after, why=why)

    def _leaves(self, nodes: tuple[Node, ...]) -> Iterator[Node]:
        """The base facts of a proof whose values the answers changed."""
        for node in nodes:
            if node.fact in self._moved and not node.children:
                yield node
            yield from self._leaves(node.children)

    def _title(self, name: str) -> str:
        return self._after.e.ruleset.title_of(name)


def _value(reasoning: Explaining, name: str) -> str:
    return reasoning.facts[name].value if name in reasoning.facts else UNKNOWN


def _lines(finding: Finding) -> list[str]:
    return [because_line(one) for one in finding.because]


def _in_brackets(why: tuple[str, ...]) -> str:
    return f" ({'; '.join(why)})" if why else ""


def _told(node: Node) -> str:
    """What the record says now of a base fact."""
    return node.shown or f"{node.text}: {node.value}"
