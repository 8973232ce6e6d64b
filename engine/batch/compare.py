"""A second version of the rules beside the first, over the same bytes: who gains, loses or sees changed which issue.

Where both have the same value sets, a record is read once and evaluated twice; else each reads its own. Whatever may
concern one of them is kept, so neither misses what it would find alone. What differs, and why, is what
`engine.quality.diff` says of the two evaluations; beside it stands the verdict of the version that does not find it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Literal

import msgspec

from engine.batch.relevance import Relevance
from engine.evaluation import Evaluator
from engine.fhir.elements import Codings
from engine.fhir.lookup import Known, Lookup, lookup_for
from engine.inference.backends import make_backend
from engine.model.finding import Evaluation, RulesetId
from engine.model.record import Record
from engine.outputs.explanations import tree_lines
from engine.quality.diff import Change, Versions
from engine.rules.load import load_ruleset
from engine.rules.ruleset import Ruleset

How = Literal["gained", "lost", "changed"]
PARTS = ("severity", "display", "summary")     # of a finding that may change; the last one is its text
Pair = tuple[Record | None, Record | None]     # of the first and of the second version


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why the version without a finding has none: its verdict (`no such rule`: it does not know the issue; `no data`:
    its value sets know nothing of the patient), what holds the finding back, and its tree as lines."""

    verdict: str
    order: str = ""
    held_back_by: tuple[str, ...] = ()
    tree: tuple[str, ...] = ()


class Differs(msgspec.Struct, frozen=True, kw_only=True, tag="differs"):
    """One issue of one patient that comes out otherwise. `gained`: only the second version finds it; `lost`: only the
    first; `changed`: both do, with another severity, display or text, or about other orders; `what` says which."""

    patient: str
    as_of: date
    where: str
    issue: str
    how: How
    what: tuple[str, ...] = ()
    findings: tuple[Change, ...] = ()
    reasons: tuple[Reason, ...] = ()


class Second:
    """The second version, ready to be held against the first. `only`: issues that are compared; () = all."""

    def __init__(self, first: Evaluator, second: Ruleset, only: Sequence[str] = ()) -> None:
        self.first = first
        self.evaluator = Evaluator(second, make_backend("plain", second.program))
        self.reads_alike = first.ruleset.content == second.content
        self.terminology = (first.ruleset if self.reads_alike else second).terminology
        self.lookup = lookup_for(self.terminology)
        self._versions = Versions(first.ruleset, second)
        self._only = frozenset(only)

    def lookup_of_both(self) -> Lookup:
        """What a code means to either."""
        first = lookup_for(self.first.ruleset.terminology)
        return first if self.reads_alike else _Both(first, self.lookup)

    def relevance_of_both(self, first: Relevance) -> Relevance:
        """What may concern a rule of either; `first`: of the first version."""
        second = Relevance(self.evaluator.ruleset, self.lookup)
        if not self.reads_alike:
            return _Either(first, second)
        first.concepts |= second.concepts
        first.drugs |= second.drugs
        return first

    def pairs(self, first: Iterable[Record], second: Iterable[Record]) -> Iterator[Pair]:
        """Records of one Bundle, or of one patient, side by side: those of the first in their order, then those that
        only the second reads."""
        left = dict(_keyed(second))
        for key, record in _keyed(first):
            yield record, left.pop(key, None)
        for record in left.values():
            yield None, record

    def compare(self, pair: Pair, found: Evaluation | None, where: str) -> Comparison:
        """What differs for one record. `found`: what the first version said, with its facts, if it was evaluated."""
        first, second = pair
        given = first or second
        assert given is not None  # noqa: S101 - one of the two was read
        old = found or self._evaluated(self.first, first, given)
        new = self._evaluated(self.evaluator, second, given)
        change = self._versions.patient(old, new, where)
        before, after = ({f.issue for f in one.findings} & self._kept(one) for one in (old, new))
        kept = [one for one in change.changes if not self._only or one.issue in self._only]
        differing = tuple(
            self._differs(_how(issue in before, issue in after), tuple(own), pair, old, where)
            for issue, own in groupby(sorted(kept, key=lambda one: one.issue), key=lambda one: one.issue)
        )
        return Comparison(frozenset(before), frozenset(after), differing)

    def _kept(self, evaluation: Evaluation) -> set[str]:
        return {f.issue for f in evaluation.findings if not self._only or f.issue in self._only}

    def _differs(self, how: How, changes: tuple[Change, ...], pair: Pair, old: Evaluation, where: str) -> Differs:
        what = {
            part
            for one in changes
            if one.old is not None and one.new is not None
            for part in PARTS
            if getattr(one.old, part) != getattr(one.new, part)
        }
        if how == "changed" and any(one.how != "changed" for one in changes):
            what.add("orders")
        reasons = {
            one: tuple(self._reasons(one, pair, [change for change in changes if change.how == one]))
            for one in ("gained", "lost")
            if any(change.how == one for change in changes)
        }
        return Differs(
            patient=old.patient,
            as_of=old.as_of,
            where=where,
            issue=changes[0].issue,
            how=how,
            what=tuple(part for part in (*PARTS, "orders") if part in what),
            findings=changes,
            reasons=tuple(dict.fromkeys(reason for found in reasons.values() for reason in found)),
        )

    def _reasons(self, how: str, pair: Pair, changes: Sequence[Change]) -> Iterator[Reason]:
        """The verdict of the version that does not find it, on the orders that the other one speaks of."""
        issue, orders = changes[0].issue, {change.order for change in changes}
        evaluator, record = (self.first, pair[0]) if how == "gained" else (self.evaluator, pair[1])
        if issue not in evaluator.rules:
            yield Reason(verdict="no such rule")
        elif record is None:
            yield Reason(verdict="no data")
        else:
            said = evaluator.explain(record, issue, "none")
            about = [one for one in said if one.order in orders] or said
            for one in about:
                yield Reason(
                    verdict=one.verdict,
                    order=one.order,
                    held_back_by=tuple(held.by for held in one.held_back_by),
                    tree=tuple(tree_lines(one.tree)),
                )

    @staticmethod
    def _evaluated(evaluator: Evaluator, record: Record | None, other: Record) -> Evaluation:
        if record is not None:
            return evaluator.evaluate(record, "none")
        ruleset = evaluator.ruleset
        return Evaluation(
            patient=other.person.reference,
            as_of=other.as_of,
            ruleset=RulesetId(ruleset.id, ruleset.version, ruleset.hash),
            complete=other.complete,
            findings=(),
        )


class Comparison(msgspec.Struct, frozen=True):
    """Issues that each version finds in one record, and those that come out otherwise."""

    first: frozenset[str]
    second: frozenset[str]
    differing: tuple[Differs, ...]

    def tallies(self) -> Iterator[str]:
        """What is counted of it: `issue what`, each once for the record."""
        yield from (f"{issue} first" for issue in self.first)
        yield from (f"{issue} second" for issue in self.second)
        for one in self.differing:
            yield f"{one.issue} {one.how}"
            if one.how == "changed":
                yield from (f"{one.issue} {part}" for part in one.what)


def second_of(
    first: Evaluator, folder: str, valuesets: Sequence[str], cache: str, only: Sequence[str]
) -> Second | None:
    """The second version of a run; None if it has none."""
    if not folder:
        return None
    extra = tuple(Path(one) for one in valuesets)
    cache_dir = Path(cache) if cache else None
    return Second(first, load_ruleset(Path(folder), extra_valuesets=extra, cache_dir=cache_dir), only)


def comparison_summary(
    first: Ruleset, second: Ruleset, tallies: Mapping[str, int], differing: int, failed: int
) -> dict[str, object]:
    """What `summary.json` says: the second version, what differs in content, and patients by issue."""
    by_issue: dict[str, dict[str, int]] = {}
    for key, count in sorted(tallies.items()):
        issue, _, what = key.rpartition(" ")
        by_issue.setdefault(issue, {})[what] = count
    columns = ("first", "second", "gained", "lost", "changed", *PARTS, "orders")
    info = {**second.info, **first.info}
    return {
        "ruleset": {"id": second.id, "version": second.version, "hash": second.hash},
        "content": msgspec.to_builtins(Versions(first, second).content()),
        "patients": {"differing": differing, "not_compared": failed},
        "by_issue": {
            issue: {"title": info[issue].title, **{name: held.get(name, 0) for name in columns}}
            for issue, held in by_issue.items()
        },
    }


def _how(before: bool, after: bool) -> How:
    return "gained" if not before else "changed" if after else "lost"


def _keyed(records: Iterable[Record]) -> Iterator[tuple[tuple[str, int], Record]]:
    """Records by patient, and by how many of the same name went before."""
    seen: Counter[str] = Counter()
    for record in records:
        name = record.person.reference
        yield (name, seen[name]), record
        seen[name] += 1


class _Both(Lookup):
    """What codings mean to one or the other terminology."""

    def __init__(self, first: Lookup, second: Lookup) -> None:
        super().__init__(first.terminology)
        self._two = first, second

    def known(self, carrier: str, codings: Codings) -> Known:
        one, other = (lookup.known(carrier, codings) for lookup in self._two)
        return _united(one, other)

    def limited(self, carrier: str, codings: Codings, category: Codings) -> Known:
        one, other = (lookup.limited(carrier, codings, category) for lookup in self._two)
        return _united(one, other)


def _united(one: Known, other: Known) -> Known:
    if one == other:
        return one
    meanings = (*one.meanings, *(meaning for meaning in other.meanings if meaning not in one.meanings))
    return Known(meanings, one.named or other.named, one.suspicious or other.suspicious)


class _Either(Relevance):
    """What may concern a rule of one or the other version, where codes do not mean the same to both."""

    def __init__(self, first: Relevance, second: Relevance) -> None:
        self._two = first, second
        self.concepts = first.concepts | second.concepts
        self.drugs = first.drugs | second.drugs

    def looks_alike(self, carrier: str, raw: bytes) -> bool:
        return self._two[0].looks_alike(carrier, raw)

    def code(self, carrier: str, raw: bytes) -> bool:
        return any(one.code(carrier, raw) for one in self._two)

    def product(self, raw: bytes) -> bool:
        return any(one.product(raw) for one in self._two)

    def bundle(self, raw: bytes) -> str:
        patient = self._two[0].bundle(raw)
        return patient if patient and self._two[1].bundle(raw) else ""

    def order(self, raw: bytes) -> tuple[str, str, str, bool]:
        kind, identity, subject, concerns = self._two[0].order(raw)
        return kind, identity, subject, concerns or self._two[1].order(raw)[3]
