"""Kind `event`: a confirmed condition or a positive result, whatever came later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import ClassVar, Literal

import msgspec

from engine.facts.definition import Definition
from engine.facts.diagnosis import stands
from engine.facts.options import After, Concepts, Days, Since
from engine.facts.reading import positives
from engine.facts.said import diagnosis_evidence, evidence_of, known, ordered, tests, unknown
from engine.facts.view import View
from engine.facts.window import counts, window
from engine.model.fact import PRESENT, Evidence, Fact, Reason


class EventFact(Definition, frozen=True, kw_only=True, tag="event"):
    """`present` when a condition of the concepts is confirmed, or a result is positive as its concept is read.

    Only dated entries count, unless `undated` is set. A condition is dated by its onset, else its recorded date; with
    `date: recorded` by the recorded date, and counts only while its newest entries confirm it: refuted or suspected by
    them, it is no event. A later absence of a result takes nothing back; a yes and a no of one day are neither, of the
    `disputed` concepts a yes. It rests on the newest of each concept and on the first of all.
    """

    slots: ClassVar[tuple[str, ...]] = ("test",)

    concepts: Concepts
    within: Days | None = None
    since: Since | None = None
    after: After | None = None
    dated_by: Literal["", "recorded"] = msgspec.field(name="date", default="")
    undated: bool = False
    disputed: Concepts = ()

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (PRESENT,)}

    def reads(self) -> frozenset[str]:
        return frozenset(self.concepts)

    def needs(self) -> frozenset[str]:
        return frozenset(link.fact for link in (self.since, self.after) if link)

    def check(self) -> tuple[str, ...]:
        odd = [concept for concept in self.disputed if concept not in self.concepts]
        return tuple(f"`disputed` names `{concept}`, which is none of the concepts" for concept in odd)

    def compute(self, view: View) -> tuple[Fact, ...]:
        opening = window(view, self.within, self.since, self.after)
        named: list[str] = []
        resting: list[tuple[date | None, Evidence]] = []
        newest: list[tuple[date | None, Evidence]] = []
        passed_over: list[tuple[date | None, Evidence]] = []
        for concept in self.concepts:
            found = self._found(view, concept)
            if not found:
                continue
            kept = [one for one in found if counts(opening, one[0]) and (self.undated or one[0] is not None)]
            if kept:
                named.append(concept)
                newest.append(max(kept, key=_newest))
                resting += kept
            passed_over += found
        if resting:
            first = min(resting, key=lambda one: (one[0] or date.max, one[1].reference))
            last = max(newest, key=_newest)[0]
            evidence = ordered((*(one for _, one in newest), first[1], *opening.links))
            said = ", ".join(dict.fromkeys(one.said for _, one in sorted(newest, key=_newest, reverse=True)))
            slots = {"date": last.isoformat() if last else "", **tests(self, view, named)}
            return (known(self, PRESENT, evidence, first[0], said=said, **slots),)
        if not passed_over or opening.closed:
            return ()
        day, one = max(passed_over, key=_newest)
        reason = Reason.OUT_OF_DATE if day and opening.timed and not counts(opening, day) else Reason.NOT_USABLE
        return (unknown(self.name, reason, (one, *opening.links)),)

    def _found(self, view: View, concept: str) -> list[tuple[date | None, Evidence]]:
        found: list[tuple[date | None, Evidence]] = []
        if concept in view.record.results:
            for reading in positives(view, concept, disputed=concept in self.disputed):
                found.append((reading.day, evidence_of(view, reading.result)))
        diagnoses = view.record.diagnoses.get(concept, ())
        for diagnosis in diagnoses if stands(diagnoses) else ():
            if diagnosis.certainty == "confirmed":
                day = diagnosis.recorded if self.dated_by else diagnosis.onset or diagnosis.recorded
                found.append((day, diagnosis_evidence(view, diagnosis)))
        return found


def _newest(one: tuple[date | None, Evidence]) -> tuple[date, str]:
    return one[0] or date.min, one[1].reference
