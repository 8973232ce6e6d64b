"""One record under one ruleset: its facts, what follows from them, the findings and what is missing of each.

A defect of ours costs the fact or the rule that it happens in: it becomes a problem of the evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Literal

import msgspec

from engine import errors
from engine.explanation.answers import Answering
from engine.explanation.memory import Memory
from engine.explanation.missing import WhatIf, changes_of, listed, proved
from engine.explanation.proof import Proof
from engine.explanation.state import rules_by_name
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
from engine.rules.program import Issue
from engine.rules.ruleset import Ruleset

QUALITY = "data-quality"               # the group of issues that speak of the data, not of the patient
CLOSED_WORLD = "closed-world"           # the group of issues that speak of what is not in the record
DEFECT = "defect"                      # the code of problems that are ours

MissingMode = Literal["none", "listed", "proved"]
"""How much is said of what is missing: nothing, candidates (batch), or only what was proved to change the outcome."""


class Ready:
    """A ruleset made ready for many records. `backend` is what infers; the plain backend always explains."""

    def __init__(self, ruleset: Ruleset, backend: Backend | None = None, tenant: str = "") -> None:
        self.ruleset = ruleset
        self.tenant = tenant
        self.plain = PlainBackend(ruleset.program)
        self.backend = backend or make_backend("plain", ruleset.program)
        self.rules = rules_by_name(ruleset.program)
        self.anchors = Anchors(ruleset.program)
        self.memory = Memory(ruleset.program, ruleset.info)
        facts = ruleset.fact_info
        self.of_birth = frozenset(
            name
            for name, info in facts.items()
            if info.kind == "elapsed" and not (info.concepts or info.drugs or info.needs)
        )
        self.quality = frozenset(name for name, info in facts.items() if info.kind == QUALITY)


class Reasoning:
    """One record under one ruleset: its facts, and the reasoning over them. `evaluation` may be asked for once."""

    def __init__(self, ready: Ready, record: Record) -> None:
        self.e = ready
        self.record = record
        self.base = ready.ruleset.facts
        self.defects: list[Problem] = []
        self.facts: dict[str, Fact] = self.base.compute(record, partial(self._failed, "fact"))
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
        told = partial(self._failed, "fact")
        return tuple((order, self.base.compute_order(self.record, order, self.facts, told)) for order in current)

    # -- evaluation -----------------------------------------------------------------------------------------------

    def evaluation(self, missing: MissingMode) -> Evaluation:
        return self.heard(self.unheard(missing))

    def heard(self, evaluation: Evaluation) -> Evaluation:
        """An evaluation of this record with whatever the backend holds against it, for which this waits."""
        if self.begun:
            self._hear()
            told = {"disagreements": tuple(self.disagreements), "notes": tuple(self.notes)}
            return msgspec.structs.replace(evaluation, **told)
        return evaluation

    def unheard(self, missing: MissingMode) -> Evaluation:
        """All of the answer that waits for nobody. Whoever asks for it does something else, and then calls `heard`."""
        entered_by = self.e.anchors.entered
        entered = entered_by(self.values)
        per_order = [(order, facts, entered_by(self.values | known(facts), "order")) for order, facts in self.orders]
        relevant = bool(entered) or any(names for _, _, names in per_order)
        problems = self.record.problems if relevant else (*self.record.problems, *self._set_aside())
        found: list[Finding] = []
        if relevant or any(name in self.values for name in self.e.quality):
            # all is asked before anything is explained: what is held against the answers is worked out meanwhile
            patient = self.source(self._inferred("patient", self.values), self.facts, self.values)
            stand = self._true(entered | self.e.anchors.free())
            orders = [(self._of_order(order, facts), self._true(names)) for order, facts, names in per_order if names]
            found += self._patient_findings(patient, stand, missing)
            for source, names in orders:
                found += self._order_findings(source, names, missing)
        if self.defects or any(problem.code == DEFECT for problem in problems):
            found = [f for f in found if f.group != CLOSED_WORLD]  # what is not found may be what could not be read
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
            problems=(*problems, *self.defects),
            backend=self.e.backend.name,
        )

    def _failed(self, what: str, name: str, error: Exception) -> None:
        said = f"could not be worked out ({errors.defect(error)}): a defect of Endplate"
        self.defects.append(Problem(DEFECT, f"{what} `{name}`", said))

    def _findings(self, issues: Iterable[Issue], source: Source, missing: MissingMode) -> Iterator[Finding]:
        """The findings of issues that stand. A defect of ours costs the one that it happens in, which is told."""
        for issue in issues:
            try:
                if (f := finding(issue, source)) is not None:
                    f = self._with_relevance(f) if f.group == QUALITY and not source.order else f
                    yield self._with_missing(f, source, missing)
            except MemoryError:
                raise
            except Exception as error:
                self._failed("rule", issue.name, error)

    def _set_aside(self) -> Iterator[Problem]:
        """Unusable data of common concepts: findings in relevant patients only, else problems of the run."""
        for name in self.e.quality & self.values.keys():
            fact = self.facts[name]
            if of_a_rare_concept(fact.evidence, self.record, self.base.tables):
                continue
            del self.values[name]
            for evidence in fact.evidence:
                yield Problem("unusable-datum", evidence.reference, name.rpartition(".")[2].replace("-", " "))

    def _patient_findings(self, source: Source, names: frozenset[str], missing: MissingMode) -> list[Finding]:
        return list(self._findings((i for i in self.e.anchors.issues() if i.name in names), source, missing))

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
            if name := self.e.anchors.first(self.values | known(facts), "order"):
                return facts.get(name) or self.facts[name]
        return None

    def _of_order(self, order: Medication, facts: Mapping[str, Fact]) -> Source:
        values = self.values | known(facts)
        return self.source(self._inferred("order", values), {**self.facts, **facts}, values, order)

    def _order_findings(self, source: Source, names: frozenset[str], missing: MissingMode) -> list[Finding]:
        return list(self._findings((i for i in self.e.anchors.issues("order") if i.name in names), source, missing))

    def _inferred(self, part: Part, values: Mapping[str, str]) -> Session:
        """What stands, plain's conclusions; what is held against them is heard at the end (`heard`)."""
        known = values if part == "patient" else {**values, **self.conclusions}
        begun = self.e.backend.begin(known, part)
        self.begun.append(begun)
        if part == "patient":
            self.conclusions = dict(begun.conclusions.values)
        return self.e.plain.session(known, begun.conclusions)

    def _true(self, names: frozenset[str]) -> frozenset[str]:
        """Of these issues those of which a case is true, by what was inferred last: of most there is none."""
        return names & self.begun[-1].conclusions.cases.keys()

    def _hear(self) -> None:
        """Waits for whatever the backend holds against each of its answers."""
        for inference in (begun.finish() for begun in self.begun):
            self.disagreements += [
                f"{d.name}: plain {d.plain.value}, durable {d.durable.value}" for d in inference.disagreements
            ]
            self.notes += inference.notes

    def source(
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
        return msgspec.structs.replace(f, missing=self.missing(f.issue, source, mode))

    def missing(self, name: str, source: Source, mode: MissingMode) -> tuple[Missing, ...]:
        issue = self.e.rules[name]
        assert isinstance(issue, Issue)  # noqa: S101 - only issues are asked about
        ways = ways_to_change(issue, source)
        if mode == "listed":
            return listed(ways, source.fact, source.ask_for)
        find = partial(changes_of, ways, ask=source.what_if, about=name)
        changes = self.e.memory.changes(issue, ways, source.values, find, draft=source.draft)
        return proved(ways, changes, source.fact, source.ask_for)

    def _told(self, found: list[Finding]) -> dict[str, Fact]:
        """Known facts, unknown ones for which something was found, and those listed as missing."""
        told = {name: f for name, f in self.facts.items() if f.value != UNKNOWN or f.evidence}
        for name in (m.fact for f in found for m in f.missing):
            told.setdefault(name, self.facts.get(name) or self.base.unknown(name, self.record))
        return dict(sorted(told.items()))


def known(facts: Mapping[str, Fact]) -> dict[str, str]:
    """The values of the facts that have one."""
    return {name: fact.value for name, fact in facts.items() if fact.value != UNKNOWN}
