"""Vignettes, run once: what each reasoning in them knew and concluded. Coverage and mutation read nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from engine.errors import InputError, Place
from engine.evaluation import Evaluator
from engine.facts.kinds.data_quality import of_a_rare_concept
from engine.findings import standing
from engine.inference.plain import PlainBackend
from engine.inference.port import Part
from engine.model.fact import UNKNOWN, Fact
from engine.model.finding import Evaluation, Finding
from engine.model.record import Medication, Record
from engine.rules.program import Issue, Program
from engine.vignettes import Case, differences, record_of

QUALITY = "data-quality"               # the kind of facts that speak of the data


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One reasoning: over a patient, or over one of her orders."""

    example: int                       # index of the example
    part: Part
    base: Mapping[str, str]            # known base facts; for an order its own besides the patient's
    values: Mapping[str, str]          # those, and what was concluded from them
    cases: Mapping[str, int]           # rules of the part with a true case -> its index
    order: Medication | None = None

    @property
    def draft(self) -> bool:
        return self.order is not None and self.order.status == "draft"

    def value(self, name: str) -> str:
        """A base fact, derived fact or issue."""
        return self.values.get(name, UNKNOWN)


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One vignette. The first state is the patient's; `wrong`: how it fails as it is, so that it can judge nothing."""

    index: int
    case: Case
    place: Place
    record: Record
    facts: Mapping[str, Fact]          # as computed, unknown ones with a reason included
    evaluation: Evaluation
    states: tuple[State, ...]
    said: Mapping[tuple[str, str], str]    # (issue, words of its case) -> the summary, filled in
    wrong: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return str(self.case.get("id", ""))


def examples(evaluator: Evaluator, cases: Iterable[tuple[Case, Place]]) -> Iterator[Example]:
    """Every vignette that can be read, run."""
    index = 0
    for case, place in cases:
        try:
            record = record_of(evaluator, case)
        except (InputError, ValueError):
            continue                   # `rules test` tells it
        yield _example(evaluator, index, case, place, record)
        index += 1


def _example(evaluator: Evaluator, index: int, case: Case, place: Place, record: Record) -> Example:
    base, plain = evaluator.ruleset.facts, evaluator.plain
    evaluation = evaluator.evaluate(record, "none")
    facts = base.compute(record)
    known = {name: fact.value for name, fact in facts.items() if fact.value != UNKNOWN}
    if not evaluation.relevant:        # unusable data of common concepts are set aside, as the evaluation does
        for name, info in evaluator.ruleset.fact_info.items():
            if info.kind == QUALITY and name in known and not of_a_rare_concept(
                facts[name].evidence, record, base.tables
            ):
                del known[name]
    concluded = plain.infer(known).conclusions
    patient = {**known, **concluded.values}
    states = [State(example=index, part="patient", base=known, values=patient, cases=concluded.cases)]
    for order in base.current_orders(record):
        own = base.compute_order(record, order, facts)
        inside = {**known, **{name: fact.value for name, fact in own.items() if fact.value != UNKNOWN}}
        of_order = plain.infer({**patient, **inside}, "order").conclusions
        values = {**patient, **inside, **of_order.values}
        states.append(
            State(example=index, part="order", base=inside, values=values, cases=of_order.cases, order=order)
        )
    return Example(
        index=index, case=case, place=place, record=record, facts=facts, evaluation=evaluation,
        states=tuple(states), said=_said(evaluator.ruleset.program, evaluation),
        wrong=tuple(differences(case, evaluation)),
    )  # fmt: skip


def _summaries(program: Program) -> dict[str, list[str]]:
    """Issue -> the words of each of its cases."""
    rules = (*program.patient, *program.order)
    return {rule.name: [case.summary for case in rule.cases] for rule in rules if isinstance(rule, Issue)}


def _said(program: Program, evaluation: Evaluation) -> dict[tuple[str, str], str]:
    words = _summaries(program)
    return {(f.issue, words[f.issue][f.case]): f.summary for f in evaluation.findings}


class Judge:
    """A program, perhaps a changed one, over the facts that examples had already: what do their expectations say?"""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._plain = PlainBackend(program)
        self._issues = {
            "patient": tuple(rule for rule in program.patient if isinstance(rule, Issue)),
            "order": tuple(rule for rule in program.order if isinstance(rule, Issue)),
        }
        self._summaries = _summaries(program)

    def wrong(self, example: Example) -> tuple[str, ...]:
        """What differs from the expectation of the vignette."""
        return tuple(differences(example.case, self.evaluation(example)))

    def evaluation(self, example: Example) -> Evaluation:
        """The findings, bare of reasons, and the conclusions. A summary is filled in if the example had it already."""
        findings: list[Finding] = []
        patient: Mapping[str, str] = {}
        for state in example.states:
            known = {**patient, **state.base}
            concluded = self._plain.infer(known, state.part).conclusions
            session = self._plain.session(known, concluded)
            stand = standing(self._issues[state.part], session, program=self._program, draft=state.draft)
            for shown in sorted(stand):
                findings.append(self._bare(shown, session.case(shown[0]), example))
            patient = patient or concluded.values
        reasoned = bool(example.evaluation.conclusions)    # nothing is concluded of a patient whom no rule is about
        return msgspec.structs.replace(
            example.evaluation, findings=tuple(findings), conclusions=patient if reasoned else {}
        )

    def _bare(self, shown: tuple[str, str, str], case: int | None, example: Example) -> Finding:
        issue, severity, display = shown
        words = self._summaries[issue][case] if case is not None else ""
        words = example.said.get((issue, words), words)
        return Finding(
            issue=issue, severity=severity, display=display, group="", rule="", version="", hash="", summary=words,
            case=case or 0,
        )  # fmt: skip
