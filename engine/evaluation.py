"""The use case: one record, one ruleset, one date -> findings with their reasons and with what is missing.

`evaluate` is pure: no clock, no network, no settings. Every entrance calls it; views (engine/views.py) only leave
findings out of what it answers. `explain` answers for any rule why it fires, does not fire, or cannot be decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Literal

import msgspec

from engine.explanation.answers import Answering
from engine.explanation.memory import Memory
from engine.explanation.missing import Outcomes, WhatIf, changes_of, listed, proved
from engine.explanation.proof import Proof
from engine.explanation.state import rules_by_name
from engine.explanation.tree import Node, Trees
from engine.explanation.verdict import VERDICTS, Explanation
from engine.facts.kinds.data_quality import of_a_rare_concept
from engine.findings import Source, because_from, finding, gravest_first, merged, standing, ways_to_change
from engine.identity import evidence_hash
from engine.inference.anchors import Anchors
from engine.inference.backends import make_backend
from engine.inference.plain import PlainBackend, Session
from engine.inference.port import Backend, Begun, Part
from engine.model.fact import UNKNOWN, Fact, Reason
from engine.model.finding import Evaluation, Finding, Missing, RulesetId
from engine.model.problem import Problem
from engine.model.record import Medication, Record
from engine.rules.program import Derived, Issue
from engine.rules.program import Literal as Test
from engine.rules.ruleset import Ruleset

QUALITY = "data-quality"               # the group of issues that speak of the data, not of the patient

MissingMode = Literal["none", "listed", "proved"]
"""How much is said of what is missing: nothing, candidates (batch), or only what was proved to change the outcome."""


class Evaluator:
    """A ruleset made ready for many evaluations. `backend` names what infers; the plain backend always explains."""

    def __init__(self, ruleset: Ruleset, backend: Backend | None = None, tenant: str = "") -> None:
        self.ruleset = ruleset
        self.tenant = tenant
        self.plain = PlainBackend(ruleset.program)
        self.backend = backend or make_backend("plain", ruleset.program)
        self.rules = rules_by_name(ruleset.program)
        self.anchors = Anchors(ruleset.program)
        self.memory = Memory(ruleset.program)
        facts = ruleset.fact_info
        self.of_birth = frozenset(
            name
            for name, info in facts.items()
            if info.kind == "elapsed" and not (info.concepts or info.drugs or info.needs)
        )
        self._quality = frozenset(name for name, info in facts.items() if info.kind == QUALITY)

    def evaluate(self, record: Record, missing: MissingMode = "listed") -> Evaluation:
        """The whole answer for one record at `record.as_of`."""
        return _Reasoning(self, record).evaluation(missing)

    def explain(self, record: Record, rule: str, missing: MissingMode = "proved") -> tuple[Explanation, ...]:
        """The verdict on one issue: one explanation, or one for each current order of the patient."""
        return tuple(_Reasoning(self, record).explanations(rule, missing))


class _Reasoning:
    """One record under one ruleset: its facts, and the reasoning over them."""

    def __init__(self, evaluator: Evaluator, record: Record) -> None:
        self.e = evaluator
        self.record = record
        self.base = evaluator.ruleset.facts
        self.facts: dict[str, Fact] = self.base.compute(record)
        self.values = {name: fact.value for name, fact in self.facts.items() if fact.value != UNKNOWN}
        self.patient = record.person.reference
        self.notes: list[str] = []
        self.disagreements: list[str] = []
        self.begun: list[Begun] = []
        self.conclusions: dict[str, str] = {}

    @cached_property
    def orders(self) -> tuple[tuple[Medication, dict[str, Fact]], ...]:
        """Each current order with its facts."""
        current = self.base.current_orders(self.record)
        return tuple((order, self.base.compute_order(self.record, order, self.facts)) for order in current)

    # -- evaluation -----------------------------------------------------------------------------------------------

    def evaluation(self, missing: MissingMode) -> Evaluation:
        entered_by = self.e.anchors.entered
        entered = entered_by(self.values)
        per_order = [(order, facts, entered_by(self.values | _known(facts), "order")) for order, facts in self.orders]
        relevant = bool(entered) or any(names for _, _, names in per_order)
        problems = self.record.problems if relevant else (*self.record.problems, *self._set_aside())
        found: list[Finding] = []
        if relevant or any(name in self.values for name in self.e._quality):
            # all is asked before anything is explained: what is held against the answers is worked out meanwhile
            patient = self._source(self._inferred("patient", self.values), self.facts, self.values)
            orders = [(self._of_order(order, facts), names) for order, facts, names in per_order if names]
            found += self._patient_findings(patient, entered | self.e.anchors.free(), missing)
            for source, names in orders:
                found += self._order_findings(source, names, missing)
            self._hear()
        unmuted = gravest_first(merged(f for f in found if not f.held_back_by))
        ruleset = self.e.ruleset
        return Evaluation(
            patient=self.patient,
            as_of=self.record.as_of,
            ruleset=RulesetId(ruleset.id, ruleset.version, ruleset.hash),
            complete=self.record.complete,
            findings=unmuted,
            held_back=merged(f for f in found if f.held_back_by),
            facts=self._told(found),
            conclusions=self.conclusions,
            orders={f"{o.reference} {o.ingredient}": facts for o, facts, _ in per_order},
            relevant=relevant,
            problems=problems,
            backend=self.e.backend.name,
            disagreements=tuple(self.disagreements),
            notes=tuple(self.notes),
        )

    def _set_aside(self) -> Iterator[Problem]:
        """Unusable data of common concepts: findings in relevant patients only, else problems of the run."""
        for name in self.e._quality & self.values.keys():
            fact = self.facts[name]
            if of_a_rare_concept(fact.evidence, self.record, self.base.tables):
                continue
            del self.values[name]
            for evidence in fact.evidence:
                yield Problem("unusable-datum", evidence.reference, name.rpartition(".")[2].replace("-", " "))

    def _patient_findings(self, source: Source, names: frozenset[str], missing: MissingMode) -> list[Finding]:
        found = [finding(issue, source) for issue in self.e.anchors.issues() if issue.name in names]
        found = [self._with_relevance(f) if f is not None and f.group == QUALITY else f for f in found]
        return [self._with_missing(f, source, missing) for f in found if f is not None]

    def _with_relevance(self, f: Finding) -> Finding:
        """Data quality of common concepts is a finding because the patient is relevant: the reason belongs to it."""
        evidence = tuple(e for because in f.because for e in because.evidence)
        if of_a_rare_concept(evidence, self.record, self.base.tables):
            return f
        anchor = self._anchor()
        if anchor is None or any(anchor.name == because.fact for because in f.because):
            return f
        because = (*f.because, because_from(anchor))
        return msgspec.structs.replace(f, because=because, evidence_hash=evidence_hash(because))

    def _anchor(self) -> Fact | None:
        """The fact that makes the patient relevant: of the patient, else of an order."""
        if name := self.e.anchors.first(self.values):
            return self.facts[name]
        for _, facts in self.orders:
            if name := self.e.anchors.first(self.values | _known(facts), "order"):
                return facts.get(name) or self.facts[name]
        return None

    def _of_order(self, order: Medication, facts: Mapping[str, Fact]) -> Source:
        values = self.values | _known(facts)
        return self._source(self._inferred("order", values), {**self.facts, **facts}, values, order)

    def _order_findings(self, source: Source, names: frozenset[str], missing: MissingMode) -> list[Finding]:
        found = [finding(issue, source) for issue in self.e.anchors.issues("order") if issue.name in names]
        return [self._with_missing(f, source, missing) for f in found if f is not None]

    def _inferred(self, part: Part, values: Mapping[str, str]) -> Session:
        """What stands, plain's conclusions; what is held against them is heard at the end (`_hear`)."""
        known = values if part == "patient" else {**values, **self.conclusions}
        begun = self.e.backend.begin(known, part)
        self.begun.append(begun)
        if part == "patient":
            self.conclusions = dict(begun.conclusions.values)
        return self.e.plain.session(known, begun.conclusions)

    def _hear(self) -> None:
        """Waits for whatever the backend holds against each of its answers."""
        for inference in (begun.finish() for begun in self.begun):
            self.disagreements += [
                f"{d.name}: plain {d.plain.value}, durable {d.durable.value}" for d in inference.disagreements
            ]
            self.notes += inference.notes

    def _source(
        self, state: Session, facts: Mapping[str, Fact], values: Mapping[str, str], order: Medication | None = None
    ) -> Source:
        rules, anchors = self.e.rules, self.e.anchors
        part: Part = "order" if order else "patient"
        draft = order is not None and order.status == "draft"
        stands = partial(standing, program=self.e.ruleset.program, draft=draft)
        fragile = frozenset(name for name, fact in facts.items() if fact.reason is Reason.CONFLICTING)
        return Source(
            program=self.e.ruleset.program,
            info=self.e.ruleset.info,
            state=state,
            proof=Proof(rules, state, fragile),
            answering=Answering(rules, state, self.e.ruleset.program.base),
            fact=lambda name: facts.get(name) or self.base.unknown(name, self.record),
            ask_for=self.base.ask_for,
            patient=self.patient,
            tenant=self.e.tenant,
            order=order.reference if order else "",
            ingredient=order.ingredient if order else "",
            draft=draft,
            memory=self.e.memory,
            values=values,
            what_if=WhatIf(values, state, anchors.issues(part), partial(anchors.may_fire, part=part), stands),
            of_birth=self.e.of_birth,
        )

    # -- what is missing ------------------------------------------------------------------------------------------

    def _with_missing(self, f: Finding, source: Source, mode: MissingMode) -> Finding:
        if mode == "none" or f.held_back_by:
            return f
        return msgspec.structs.replace(f, missing=self._missing(f.issue, source, mode))

    def _missing(self, name: str, source: Source, mode: MissingMode) -> tuple[Missing, ...]:
        issue = self.e.rules[name]
        assert isinstance(issue, Issue)  # noqa: S101 - only issues are asked about
        ways = ways_to_change(issue, source)
        if mode == "listed":
            return listed(ways, source.fact, source.ask_for)
        find = partial(changes_of, ways, ask=source.what_if, about=name)
        changes = self.e.memory.changes(issue, ways, source.values, find, draft=source.draft)
        return proved(ways, changes, source.fact, source.ask_for)

    def _missing_of_fact(self, rule: Derived, source: Source) -> tuple[Missing, ...]:
        """The answers that would decide a derived fact."""

        def ask(answers: Mapping[str, str]) -> Outcomes:
            return frozenset({(rule.name, source.state.answered(answers).value(rule.name), "")})

        ways = tuple(way for way in source.answering.into(rule.name, frozenset(rule.values) - {UNKNOWN}) if way)
        return proved(ways, changes_of(ways, ask=ask, about=rule.name), source.fact, source.ask_for)

    def _told(self, found: list[Finding]) -> dict[str, Fact]:
        """Known facts, unknown ones for which something was found, and those listed as missing."""
        told = {name: f for name, f in self.facts.items() if f.value != UNKNOWN or f.evidence}
        for name in (m.fact for f in found for m in f.missing):
            told.setdefault(name, self.facts.get(name) or self.base.unknown(name, self.record))
        return dict(sorted(told.items()))

    # -- explanation ----------------------------------------------------------------------------------------------

    def explanations(self, name: str, missing: MissingMode) -> Iterator[Explanation]:
        if not self.e.rules[name].order:
            source = self._source(self.e.plain.session(self.values), self.facts, self.values)
            yield self._explanation(name, source, missing)
            return
        for order, facts in self.orders:
            values = self.values | _known(facts)
            source = self._source(self.e.plain.session(values), {**self.facts, **facts}, values, order)
            yield self._explanation(name, source, missing)
        if not self.orders:
            tree = (Node(text="the patient has no current order", truth="false"),)
            yield msgspec.structs.replace(self._headed(name), tree=tree)

    def _headed(self, name: str, order: str = "") -> Explanation:
        """An explanation that says of what it speaks, and no more than that the rule does not fire."""
        info = self.e.ruleset.info[name]
        return Explanation(
            rule=name,
            version=info.version,
            status=info.status,
            title=info.title,
            patient=self.patient,
            as_of=self.record.as_of,
            verdict="does not fire",
            order=order,
            sources=info.sources,
        )

    def _explanation(self, name: str, source: Source, mode: MissingMode) -> Explanation:
        rule = self.e.rules[name]
        explanation = self._headed(name, f"{source.order} {source.ingredient}".strip())
        trees = Trees(self.e.rules, source.state, source.fact, self.e.ruleset.title_of, self.e.ruleset.info)
        told = msgspec.structs.replace
        if not isinstance(rule, Issue):
            value = source.state.value(name)
            tree = (trees.of(Test(name, frozenset({value}), closed=value == UNKNOWN)),)
            missing = self._missing_of_fact(rule, source) if value == UNKNOWN and mode == "proved" else ()
            return told(explanation, verdict=VERDICTS.get(value, "fires"), tree=tree, missing=missing)
        explanation = told(explanation, tree=trees.of_issue(rule))
        found = finding(rule, source)
        if found is not None and found.held_back_by:
            return told(explanation, verdict="held back", held_back_by=found.held_back_by)
        if found is not None:
            explanation = told(explanation, verdict="fires", severity=found.severity, display=found.display)
        elif source.answering.can_fire(rule):
            explanation = told(explanation, verdict="undetermined")
        else:
            return explanation
        return explanation if mode == "none" else told(explanation, missing=self._missing(name, source, mode))


def _known(facts: Mapping[str, Fact]) -> dict[str, str]:
    return {name: fact.value for name, fact in facts.items() if fact.value != UNKNOWN}
