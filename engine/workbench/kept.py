"""Why a rule came out as it did in an evaluation that was kept: told from its values alone, without the record.

What was known then is decided again by the plain backend, so the rules must be those of then. A fact that the
evaluation did not tell was unknown; why it was is not known any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from engine.evaluation import Evaluator
from engine.explanation.answers import Answering
from engine.explanation.tree import Node, Trees
from engine.explanation.verdict import VERDICTS, Explanation, Verdict
from engine.inference.plain import Session
from engine.model.fact import PRESENT, UNKNOWN, Fact
from engine.model.finding import SEVERITIES, Evaluation, Finding
from engine.reasoning import QUALITY
from engine.rules.program import Issue, Literal, Rule

NO_ORDER = Node(text="the patient had no current order", truth="false")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One explanation, and what came of it: None if nothing, or if the hook that asked shows no such finding."""

    explanation: Explanation
    finding: Finding | None = None

    @property
    def rank(self) -> int:
        """Its place among others."""
        return SEVERITIES.index(self.finding.severity) if self.finding else len(SEVERITIES)

    @property
    def verdict(self) -> Verdict:
        """What came out."""
        return self.explanation.verdict


def told(evaluator: Evaluator, evaluation: Evaluation, rule: str) -> tuple[Told, ...]:
    """One explanation of a rule (by the fact or issue that it concludes), or one for each order of then: the gravest
    findings first, then those without one.

    Raises KeyError if it takes no part, ValueError if the evaluation is one of other rules.
    """
    if evaluation.ruleset.hash != evaluator.ruleset.hash:
        raise ValueError("the rules have changed since this evaluation")
    found = _Kept(evaluator, evaluation).explanations(evaluator.rules[rule])
    return tuple(sorted(found, key=lambda one: one.rank))


class _Kept:
    def __init__(self, evaluator: Evaluator, evaluation: Evaluation) -> None:
        self.e = evaluator
        self.of = evaluation
        self.info = evaluator.ruleset.info
        aside = self._set_aside()
        self.values = {name: value for name, value in _known(evaluation.facts).items() if name not in aside}

    def _set_aside(self) -> frozenset[str]:
        """What is wrong with the data of a patient to whom the rules say nothing else is no finding."""
        if self.of.relevant:
            return frozenset()
        spoken = {because.fact for f in (*self.of.findings, *self.of.held_back) for because in f.because}
        facts = self.e.ruleset.fact_info
        return frozenset(n for n in self.of.facts if n not in spoken and n in facts and facts[n].kind == QUALITY)

    def explanations(self, rule: Rule) -> Iterator[Told]:
        if not rule.order:
            yield self._told(rule, self.e.plain.session(self.values), self.of.facts)
            return
        for order, facts in self.of.orders.items():
            session = self.e.plain.session(self.values | _known(facts))
            yield self._told(rule, session, {**self.of.facts, **facts}, order)
        if not self.of.orders:
            headed = self._headed(rule, "does not fire")
            yield Told(explanation=msgspec.structs.replace(headed, tree=(NO_ORDER,)))

    def _told(self, rule: Rule, session: Session, facts: Mapping[str, Fact], order: str = "") -> Told:
        ruleset = self.e.ruleset
        trees = Trees(
            self.e.rules, session, lambda name: facts.get(name) or Fact(name, UNKNOWN), ruleset.title_of, self.info
        )
        value = session.value(rule.name)
        tree: tuple[Node, ...]
        if not isinstance(rule, Issue):
            tree = (trees.of(Literal(rule.name, frozenset({value}), closed=value == UNKNOWN)),)
            return Told(explanation=self._headed(rule, VERDICTS.get(value, "fires"), order, tree))
        tree = trees.of_issue(rule)
        if held := self._of(self.of.held_back, rule, order):
            headed = self._headed(rule, "held back", order, tree)
            headed = msgspec.structs.replace(headed, held_back_by=held.held_back_by)
            return Told(explanation=headed, finding=held)
        found = self._of(self.of.findings, rule, order)
        if value == PRESENT:
            index = session.case(rule.name) or 0
            headed = self._headed(rule, "fires", order, tree)
            severity = found.severity if found else rule.cases[index].severity
            headed = msgspec.structs.replace(headed, severity=severity, display=found.display if found else "")
            return Told(explanation=headed, finding=found)
        can_fire = Answering(self.e.rules, session, ruleset.program.base).can_fire(rule)
        verdict: Verdict = "undetermined" if can_fire else "does not fire"
        return Told(explanation=self._headed(rule, verdict, order, tree))

    def _of(self, findings: tuple[Finding, ...], rule: Rule, order: str) -> Finding | None:
        """The finding of the rule for an order (`reference ingredient`), or for the patient."""
        return next(
            (f for f in findings if f.issue == rule.name and f"{f.order} {f.ingredient}".strip() == order), None
        )

    def _headed(self, rule: Rule, verdict: Verdict, order: str = "", tree: tuple[Node, ...] = ()) -> Explanation:
        info = self.info[rule.name]
        return Explanation(
            rule=rule.name, version=info.version, status=info.status, title=info.title, patient=self.of.patient,
            as_of=self.of.as_of, verdict=verdict, order=order, tree=tree, sources=info.sources,
        )  # fmt: skip


def _known(facts: Mapping[str, Fact]) -> dict[str, str]:
    return {name: fact.value for name, fact in facts.items() if fact.value != UNKNOWN}
