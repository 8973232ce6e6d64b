"""The use case: one record, one ruleset, one date -> findings with their reasons and with what is missing.

`evaluate` is pure: no clock, no network, no settings. Every entrance calls it; views (engine/views.py) only leave
findings out of what it answers. `explain` answers for any rule why it fires, does not fire, or cannot be decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import msgspec

from engine.explanation.missing import Outcomes, changes_of, proved
from engine.explanation.tree import Node, Trees
from engine.explanation.verdict import VERDICTS, Explanation
from engine.findings import Source, finding
from engine.model.fact import UNKNOWN, Fact
from engine.model.finding import Evaluation, Missing
from engine.model.record import Record, Result
from engine.reasoning import DEFECT, MissingMode, Ready, Reasoning, known
from engine.rules.program import Condition, Derived, Issue
from engine.rules.program import Literal as Test

__all__ = ["DEFECT", "Evaluator", "Explaining", "MissingMode"]


class Evaluator(Ready):
    """A ruleset made ready for many evaluations."""

    def evaluate(self, record: Record, missing: MissingMode = "listed") -> Evaluation:
        """The whole answer for one record at `record.as_of`."""
        return self.reasoning(record).evaluation(missing)

    def explain(self, record: Record, rule: str, missing: MissingMode = "proved") -> tuple[Explanation, ...]:
        """The verdict on one issue: one explanation, or one for each current order of the patient."""
        return tuple(self.reasoning(record).explanations(rule, missing))

    def reasoning(self, record: Record) -> Explaining:
        """For those who ask more than one thing of a record: its facts are computed once."""
        return Explaining(self, record)


class Explaining(Reasoning):
    """A reasoning that also answers for any rule, whatever was found, and for what would be if more were known."""

    def explanations(self, name: str, missing: MissingMode, order: str = "") -> Iterator[Explanation]:
        """The verdicts on one rule. `order` ("reference ingredient"): of that order alone."""
        if not self.e.rules[name].order:
            yield self._explanation(name, self._by_itself, missing)
            return
        for source in self._named.get(order, ()) if order else self._by_order:
            yield self._explanation(name, source, missing)
        if not self.orders:
            tree = (Node(text="the patient has no current order", truth="false"),)
            yield msgspec.structs.replace(self._headed(name), tree=tree)

    def value(self, name: str) -> str:
        """The value of a fact of the patient program, derived or not, or of an issue."""
        return self._by_itself.state.value(name)

    def fact(self, name: str) -> Fact:
        """A base fact of the patient, known or unknown."""
        return self._by_itself.fact(name)

    def judged(self, condition: Condition) -> Node:
        """Whether a condition of the patient program holds, and what decides."""
        return self._trees(self._by_itself).of(condition)

    def undecided(self) -> Iterator[tuple[str, str]]:
        """Issues that an anchor lets in and that are neither found nor ruled out, each with its order or ""."""
        sources = [(self._by_itself, self.e.anchors.entered(self.values))]
        sources += [(source, self.e.anchors.entered(source.values, "order")) for source in self._by_order]
        for source, names in sources:
            for name in sorted(names):
                if source.state.value(name) == UNKNOWN and source.state.case(name) is None:
                    yield name, _named(source)

    def standing(self, results: Mapping[str, tuple[Result, ...]] | None = None) -> Outcomes:
        """Everything that stands; with `results` (by concept): that would stand if the record held them as well."""
        sources = (self._by_itself, *self._by_order)
        if not results:
            return frozenset[tuple[str, str, str]]().union(*(source.what_if({}) for source in sources))
        held = {concept: (*self.record.results.get(concept, ()), *more) for concept, more in results.items()}
        record = msgspec.structs.replace(self.record, results={**self.record.results, **held})
        facts = self.base.again(record, self.record, self.facts, results)
        changed = _otherwise(self.facts, facts)
        stands = self._by_itself.what_if(changed)
        anew = self.base.reaches_orders(results, changed)
        for source, (order, before) in zip(self._by_order, self.orders, strict=True):
            after = self.base.compute_order(record, order, facts) if anew else before
            stands |= source.what_if({**changed, **_otherwise(before, after)})
        return stands

    def open_cases(self, name: str, order: str = "") -> tuple[int, ...]:
        """Which cases of a rule (of one order) are not ruled out."""
        rule = self.e.rules[name]
        state = (self._named[order][0] if order else self._by_itself).state
        whens = [case.when for case in rule.cases]
        return tuple(index for index, when in enumerate(whens) if state.truth(when) is not False)

    @cached_property
    def _by_itself(self) -> Source:
        """The patient program, decided as far as it is asked for."""
        return self.source(self.e.plain.session(self.values), self.facts, self.values)

    @cached_property
    def _by_order(self) -> tuple[Source, ...]:
        """The same for the order program, of each current order."""
        found = []
        for order, facts in self.orders:
            values = self.values | known(facts)
            found.append(self.source(self.e.plain.session(values), {**self.facts, **facts}, values, order))
        return tuple(found)

    @cached_property
    def _named(self) -> Mapping[str, tuple[Source, ...]]:
        """The sources of orders by their names."""
        found: dict[str, tuple[Source, ...]] = {}
        for source in self._by_order:
            found[_named(source)] = (*found.get(_named(source), ()), source)
        return found

    def _trees(self, source: Source) -> Trees:
        return Trees(self.e.rules, source.state, source.fact, self.e.ruleset.title_of, self.e.ruleset.info)

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
        explanation = self._headed(name, _named(source))
        trees = self._trees(source)
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
        return explanation if mode == "none" else told(explanation, missing=self.missing(name, source, mode))

    def _missing_of_fact(self, rule: Derived, source: Source) -> tuple[Missing, ...]:
        """The answers that would decide a derived fact."""

        def ask(answers: Mapping[str, str]) -> Outcomes:
            return frozenset({(rule.name, source.state.answered(answers).value(rule.name), "")})

        ways = tuple(way for way in source.answering.into(rule.name, frozenset(rule.values) - {UNKNOWN}) if way)
        return proved(ways, changes_of(ways, ask=ask, about=rule.name), source.fact, source.ask_for)


def _named(source: Source) -> str:
    """The order that is spoken of, as explanations and evaluations name it."""
    return f"{source.order} {source.ingredient}".strip()


def _otherwise(before: Mapping[str, Fact], after: Mapping[str, Fact]) -> dict[str, str]:
    """The values of the facts that have another one now."""
    changed = {}
    for name, fact in after.items():
        was = before.get(name)
        if was is not fact and fact.value != (was.value if was is not None else UNKNOWN):
            changed[name] = fact.value
    gone = before.keys() - after.keys()
    return changed | {name: UNKNOWN for name in gone if before[name].value != UNKNOWN}
