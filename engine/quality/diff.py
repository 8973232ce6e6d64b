"""Two versions of a ruleset: what differs between them, and what that means for given patients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal

import msgspec

from engine.inference.plain import PlainBackend
from engine.model.fact import UNKNOWN, Fact
from engine.model.finding import Evaluation, Finding
from engine.rules.program import Issue, Rule, conditions, literals
from engine.rules.ruleset import Ruleset

How = Literal["gained", "lost", "changed"]


class Shown(msgspec.Struct, frozen=True):
    """How a finding stands: severity, display, summary."""

    severity: str
    display: str
    summary: str


class FactChange(msgspec.Struct, frozen=True):
    """A base fact, derived fact or issue behind a finding that comes out otherwise."""

    fact: str
    old: str
    new: str
    shown: str = ""                    # what the record says, where it is a base fact


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of one patient that only one version gives, or that the two show otherwise; and why: what comes out
    otherwise on the way to it, and which rules and definitions on that way are not the same."""

    issue: str
    how: How
    order: str = ""
    old: Shown | None = None
    new: Shown | None = None
    facts: tuple[FactChange, ...] = ()
    rules: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()


class PatientChange(msgspec.Struct, frozen=True, kw_only=True):
    """One patient for whom something changes. `source`: which record (one patient may stand in several)."""

    patient: str
    source: str
    changes: tuple[Change, ...]


class ContentChange(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the two rulesets, by name."""

    rules_added: tuple[str, ...] = ()
    rules_removed: tuple[str, ...] = ()
    rules_changed: tuple[str, ...] = ()
    texts_changed: tuple[str, ...] = ()          # rules of which only header or texts differ
    facts_added: tuple[str, ...] = ()
    facts_removed: tuple[str, ...] = ()
    facts_changed: tuple[str, ...] = ()
    parameters: Mapping[str, tuple[str, str]] = {}
    policies_changed: bool = False
    codes_changed: bool = False


class Versions:
    """Two rulesets side by side."""

    def __init__(self, old: Ruleset, new: Ruleset) -> None:
        self.old, self.new = old, new
        self._rules = _rules(old), _rules(new)
        self._definitions = tuple({d.name: d for d in ruleset.facts.definitions} for ruleset in (old, new))
        self._plain = PlainBackend(old.program), PlainBackend(new.program)
        self._ways: dict[str, tuple[str, ...]] = {}

    def content(self) -> ContentChange:
        """What differs between them."""
        return self._content

    @cached_property
    def _content(self) -> ContentChange:
        before, after = self._rules
        logic = {name for name in before.keys() & after.keys() if not _same(before[name], after[name])}
        old, new = self.old.info, self.new.info
        texts = {name for name in (before.keys() & after.keys()) - logic if old[name].hash != new[name].hash}
        one, other = self._definitions
        numbers = [
            {name: f"{p.value} {p.unit}".strip() for name, p in ruleset.facts.parameters.items()}
            for ruleset in (self.old, self.new)
        ]
        return ContentChange(
            rules_added=tuple(sorted(after.keys() - before.keys())),
            rules_removed=tuple(sorted(before.keys() - after.keys())),
            rules_changed=tuple(sorted(logic)),
            texts_changed=tuple(sorted(texts)),
            facts_added=tuple(sorted(other.keys() - one.keys())),
            facts_removed=tuple(sorted(one.keys() - other.keys())),
            facts_changed=tuple(sorted(self._changed_definitions & one.keys() & other.keys())),
            parameters={
                name: (numbers[0].get(name, ""), numbers[1].get(name, ""))
                for name in sorted(numbers[0].keys() | numbers[1].keys())
                if numbers[0].get(name) != numbers[1].get(name)
            },
            policies_changed=(self.old.program.gates, self.old.program.adjustments)
            != (self.new.program.gates, self.new.program.adjustments),
            codes_changed=self.old.content != self.new.content,
        )

    def patient(self, old: Evaluation, new: Evaluation, source: str) -> PatientChange:
        """What changes for one record that both versions have read and evaluated."""
        before, after = _findings(old), _findings(new)
        changes = []
        for key in dict.fromkeys([*before, *after]):
            one, other = before.get(key), after.get(key)
            shown = _shown(one), _shown(other)
            if shown[0] != shown[1]:
                changes.append(self._change(key, shown, (old, new)))
        return PatientChange(patient=new.patient, source=source, changes=tuple(changes))

    def _change(
        self, key: tuple[str, str], shown: tuple[Shown | None, Shown | None], both: tuple[Evaluation, Evaluation]
    ) -> Change:
        issue, order = key
        way = self._way_to(issue)
        values = [_values(evaluation, order, plain) for evaluation, plain in zip(both, self._plain, strict=True)]
        infos = (self.old.fact_info, self.new.fact_info)
        definitions = {info[name].definition for info in infos for name in way if name in info}
        return Change(
            issue=issue,
            how="gained" if shown[0] is None else "lost" if shown[1] is None else "changed",
            order=order,
            old=shown[0],
            new=shown[1],
            facts=tuple(_fact_changes(way, *values)),
            rules=tuple(sorted(self._changed_rules(issue, way))),
            definitions=tuple(sorted(definitions & self._changed_definitions)),
        )

    def _changed_rules(self, issue: str, way: Iterable[str]) -> Iterator[str]:
        """Rules on the way that differ in their logic; of the issue itself also the words."""
        before, after = self._rules
        for name in way:
            worded = name == issue and name in self.content().texts_changed
            if worded or not _same(before.get(name), after.get(name)):
                yield name

    def _way_to(self, issue: str) -> tuple[str, ...]:
        """Everything that an issue rests on in either version, policies included, itself first."""
        if issue in self._ways:
            return self._ways[issue]
        found: dict[str, None] = {}
        todo = [issue]
        for program in (self.old.program, self.new.program):
            policies = [gate.when for gate in program.gates] + [a.when for a in program.adjustments.values()]
            todo += [test.fact for condition in policies for test in literals(condition)]
        while todo:
            name = todo.pop(0)
            if name in found:
                continue
            found[name] = None
            for rules in self._rules:
                if name in rules:
                    todo += [test.fact for condition in conditions(rules[name]) for test in literals(condition)]
        self._ways[issue] = tuple(found)
        return self._ways[issue]

    @cached_property
    def _changed_definitions(self) -> set[str]:
        """Definitions that one version alone has, or that differ, or whose concepts are read otherwise."""
        one, other = self._definitions
        tables = self.old.facts.tables, self.new.facts.tables
        concepts = {
            name for name in tables[0].concepts.keys() | tables[1].concepts.keys()
            if tables[0].concepts.get(name) != tables[1].concepts.get(name)
        }
        return {
            name for name in one.keys() | other.keys()
            if one.get(name) != other.get(name) or one[name].reads() & concepts
        }


def _rules(ruleset: Ruleset) -> dict[str, Rule]:
    return {rule.name: rule for rule in (*ruleset.program.patient, *ruleset.program.order)}


def _same(one: Rule | None, other: Rule | None) -> bool:
    """Whether two rules have the same logic (their stratum and anchors follow from all the others)."""
    return one is other if one is None or other is None else _logic(one) == _logic(other)


def _logic(rule: Rule) -> Rule:
    """A rule without its words."""
    if not isinstance(rule, Issue):
        return msgspec.structs.replace(rule, stratum=0)
    cases = tuple(msgspec.structs.replace(case, summary="", advice=(), suggest=()) for case in rule.cases)
    return msgspec.structs.replace(rule, cases=cases, stratum=0, anchors=())


def _findings(evaluation: Evaluation) -> dict[tuple[str, str], Finding]:
    return {(f.issue, f"{f.order} {f.ingredient}".strip()): f for f in evaluation.findings}


def _shown(finding: Finding | None) -> Shown | None:
    return Shown(finding.severity, finding.display, finding.summary) if finding is not None else None


def _fact_changes(
    way: Iterable[str], before: Mapping[str, Fact | str], after: Mapping[str, Fact | str]
) -> Iterator[FactChange]:
    for name in way:
        one, other = before.get(name), after.get(name)
        values = [fact.value if isinstance(fact, Fact) else fact or UNKNOWN for fact in (one, other)]
        if values[0] != values[1]:
            said = other if isinstance(other, Fact) and other.shown else one
            yield FactChange(name, values[0], values[1], said.shown if isinstance(said, Fact) else "")


def _values(evaluation: Evaluation, order: str, plain: PlainBackend) -> dict[str, Fact | str]:
    """Facts and conclusions; where a finding is about an order, those of the order too."""
    values: dict[str, Fact | str] = {**evaluation.conclusions, **evaluation.facts}
    own = evaluation.orders.get(order) if order else None
    if own is None:
        return values
    known = {name: fact.value for name, fact in {**evaluation.facts, **own}.items() if fact.value != UNKNOWN}
    concluded = plain.infer({**evaluation.conclusions, **known}, "order").conclusions
    return {**values, **own, **concluded.values}
