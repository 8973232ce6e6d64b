"""Mutation of base facts: every small change of a definition or concept must be noticed by a vignette.

Only what was changed is computed anew, over the records that it may touch; a vignette is evaluated again where a fact
comes out otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import msgspec

from engine.evaluation import Evaluator
from engine.facts.definition import Definition
from engine.facts.view import View
from engine.model.fact import UNKNOWN, Fact
from engine.quality.examples import Example
from engine.quality.fact_mutants import FactMutant
from engine.quality.mutation import Result
from engine.rules.ruleset import Ruleset
from engine.vignettes import differences

Said = dict[str, tuple[str, date | None]]


class FactMutation:
    """Mutants of the facts against examples. Those that fail as they are judge nothing."""

    def __init__(self, ruleset: Ruleset, examples: Sequence[Example]) -> None:
        self._ruleset = ruleset
        self._examples = [example for example in examples if not example.wrong]
        self._views = [self._views_of(example) for example in self._examples]
        self._concepts = [frozenset({*e.record.results, *e.record.diagnoses}) for e in self._examples]
        self._drugs = [frozenset(m.ingredient for m in e.record.medications) for e in self._examples]

    def run(self, mutants: Iterable[FactMutant]) -> Iterator[Result]:
        """The fate of each mutant."""
        for mutant in mutants:
            yield self._fate(mutant)

    def _fate(self, mutant: FactMutant) -> Result:
        evaluator: Evaluator | None = None
        first = ""
        for example in self._changed(mutant):
            if evaluator is None:
                evaluator = Evaluator(_with_facts(self._ruleset, mutant))
            wrong = tuple(differences(example.case, evaluator.evaluate(example.record, "none")))
            if wrong:
                return Result(name=mutant.name, fate="killed", by=example.id, said=wrong[0])
            first = first or example.id
        return Result(name=mutant.name, fate="unnoticed" if first else "unreached", by=first)

    def _changed(self, mutant: FactMutant) -> Iterator[Example]:
        """Examples in which some fact comes out otherwise."""
        if mutant.definition:
            yield from self._by_definition(mutant)
        else:
            named = self._named(mutant.concept)
            for position, example in enumerate(self._examples):
                touched = not named or named & self._concepts[position]
                if touched and self._comes_out_otherwise(mutant, example):
                    yield example

    def _named(self, concept: str) -> frozenset[str]:
        """A concept and those of which its number may be computed; none for a mutant of something else."""
        if not concept:
            return frozenset()
        computed = self._ruleset.facts.tables.concepts[concept].computed
        return frozenset((concept, computed.source, computed.per) if computed is not None else (concept,))

    def _by_definition(self, mutant: FactMutant) -> Iterator[Example]:
        old = next(d for d in self._ruleset.facts.definitions if d.name == mutant.definition)
        new = next(d for d in mutant.facts.definitions if d.name == mutant.definition)
        reads, drugs = old.reads() | new.reads(), old.drugs() | new.drugs()
        of_order = old.name.startswith("order.")
        for position, example in enumerate(self._examples):
            touched = not (reads or drugs) or reads & self._concepts[position] or drugs & self._drugs[position]
            if not touched and not of_order:
                continue
            patient, orders = self._views[position]
            views = orders if of_order else [patient]
            if any(_said(old, view) != _said(new, view) for view in views):
                yield example

    def _comes_out_otherwise(self, mutant: FactMutant, example: Example) -> bool:
        base, record = mutant.facts, example.record
        facts = base.compute(record)
        if _values(facts) != _values(example.facts):
            return True
        orders = base.current_orders(record)
        if len(orders) != len(example.states) - 1:
            return True
        return any(
            not _values(base.compute_order(record, order, facts)).items() <= state.values.items()
            for order, state in zip(orders, example.states[1:], strict=True)
        )

    def _views_of(self, example: Example) -> tuple[View, list[View]]:
        """The record as the kinds see it, and once more for each order. What they have read once is kept."""
        base, record = self._ruleset.facts, example.record

        def fact(name: str) -> Fact:
            return example.facts.get(name) or base.unknown(name, record)

        orders = [View(record, base.tables, fact, state.order) for state in example.states[1:]]
        return View(record, base.tables, fact), orders


def _said(definition: Definition, view: View) -> Said:
    """What a definition says: values, and since when."""
    return {fact.name: (fact.value, fact.since) for fact in definition.compute(view) if fact.value != UNKNOWN}


def _values(facts: Mapping[str, Fact]) -> dict[str, str]:
    return {name: fact.value for name, fact in facts.items() if fact.value != UNKNOWN}


def _with_facts(ruleset: Ruleset, mutant: FactMutant) -> Ruleset:
    changed = msgspec.structs.replace(ruleset, facts=mutant.facts)
    changed.__dict__["terminology"] = ruleset.terminology       # the same content: not built again
    return changed
