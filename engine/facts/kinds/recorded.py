"""Kind `recorded`: whether there is any entry at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from engine.facts.definition import Definition
from engine.facts.options import Concepts
from engine.facts.reading import concept_of, entries, numbers
from engine.facts.said import diagnosis_evidence, evidence_for, evidence_of, known, ordered, unknown
from engine.facts.view import View
from engine.model.fact import PRESENT, Evidence, Fact, Reason


class RecordedFact(Definition, frozen=True, kw_only=True, tag="recorded"):
    """`present` when any entry of the concepts has a usable status, whatever it says.

    `usable`: a result must meet what its concept `needs`; concepts without needs always do. `conditions`: diagnoses of
    the concepts count as well, whatever their certainty. It rests on the first and the newest entry.
    """

    concepts: Concepts
    conditions: bool = False
    usable: bool = False

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (PRESENT,)}

    def reads(self) -> frozenset[str]:
        return frozenset(self.concepts)

    def compute(self, view: View) -> tuple[Fact, ...]:
        found: list[tuple[date | None, Evidence]] = []
        unread: list[Evidence] = []
        for concept in self.concepts:
            if self.usable and concept_of(view, concept).needs is not None:
                readings = numbers(view, concept)
                found += [(reading.day, one) for reading in readings for one in evidence_for(view, [reading])]
                if not readings:
                    unread += [evidence_of(view, result) for result in entries(view, concept)]
            else:
                found += [(result.day, evidence_of(view, result)) for result in entries(view, concept)]
            if self.conditions:
                found += [
                    (diagnosis.recorded or diagnosis.onset, diagnosis_evidence(view, diagnosis))
                    for diagnosis in view.record.diagnoses.get(concept, ())
                ]
        if found:
            return (first_and_newest(self, found),)
        return (unknown(self.name, Reason.NOT_USABLE, ordered(unread)[:1]),) if unread else ()


def first_and_newest(definition: Definition, found: list[tuple[date | None, Evidence]]) -> Fact:
    """A fact that is present since the first of what was found, resting on that and on the newest."""
    first = min(found, key=lambda one: (one[0] or date.max, one[1].reference))
    last = max(found, key=lambda one: (one[0] or date.min, one[1].reference))
    day = last[0].isoformat() if last[0] else ""
    return known(definition, PRESENT, ordered((first[1], last[1])), first[0], date=day)
