"""Kind `result`: a yes-no result of the newest day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import ClassVar, Literal

from engine.facts.definition import Definition
from engine.facts.options import After, Component, Concepts, Days
from engine.facts.reading import Reading, Readings, yes_no
from engine.facts.said import evidence_for, known, ordered, tests, unknown
from engine.facts.view import View
from engine.facts.window import Window, counted, earliest, newest, none_left, window
from engine.model.fact import ABSENT, PRESENT, Fact, Reason


class ResultFact(Definition, frozen=True, kw_only=True, tag="result"):
    """`present` or `absent` by the newest day; a day that contradicts itself is unknown.

    Of several concepts: present when one is, absent when one is and none is present. `component`: the whole must be
    present; the component is read on the newest day whose present result states it, true if any of that day does.
    `encounter: current` keeps the entries of the present encounter.
    Since: the first present after the last absent.
    """

    slots: ClassVar[tuple[str, ...]] = ("test",)

    concepts: Concepts
    within: Days | None = None
    after: After | None = None
    component: Component = ""
    encounter: Literal["", "current"] = ""

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (PRESENT, ABSENT)}

    def reads(self) -> frozenset[str]:
        return frozenset(self.concepts)

    def needs(self) -> frozenset[str]:
        return frozenset((self.after.fact,)) if self.after else frozenset()

    def compute(self, view: View) -> tuple[Fact, ...]:
        opening = window(view, self.within, None, self.after)
        conflicting: list[Reading] = []
        present: list[Readings] = []
        absent: list[Readings] = []
        readable: list[Reading] = []
        for concept in self.concepts:
            readings = yes_no(view, concept)
            if self.encounter:
                readings = [reading for reading in readings if reading.result.current_encounter]
            if not readings:
                continue
            readable.extend(readings)
            kept = counted(readings, opening)
            if not kept:
                continue
            day = newest(kept)
            if len(day) > 1 and len({reading.word for reading in day}) > 1:
                conflicting.extend(day)
            else:
                (present if day[0].word == PRESENT else absent).append(kept)
        if present:
            return self._present(view, present, opening)
        if absent:
            resting = [reading for kept in absent for reading in newest(kept)]
            return self._answer(view, ABSENT, [*resting, *conflicting], None, opening)
        if conflicting:
            evidence = (*evidence_for(view, conflicting), *opening.links)
            return (unknown(self.name, Reason.CONFLICTING, evidence),)
        if self.encounter and not readable:
            return ()
        return none_left(view, self.name, self.concepts, readable, opening)

    def _present(self, view: View, present: list[Readings], opening: Window) -> tuple[Fact, ...]:
        if self.component:
            return self._component(view, present, opening)
        resting: list[Reading] = []
        starts: list[date] = []
        for kept in present:
            first = _first_since(kept)
            resting += kept if len(kept) == 1 else [*newest(kept), first]
            if first.day is not None:
                starts.append(first.day)
        return self._answer(view, PRESENT, resting, min(starts, default=None), opening)

    def _component(self, view: View, present: list[Readings], opening: Window) -> tuple[Fact, ...]:
        whole = [reading for kept in present for reading in newest(kept)]
        dated = any(reading.day is not None for reading in whole)
        stating = [
            reading
            for kept in present
            for reading in kept
            if reading.word == PRESENT
            and isinstance(reading.result.parts.get(self.component), bool)
            and (reading.day is not None or not dated)
        ]
        if not stating:
            return (unknown(self.name, Reason.NOTHING_RECORDED, (*evidence_for(view, whole), *opening.links)),)
        last = max(reading.day or date.min for reading in stating)
        day = [reading for reading in stating if (reading.day or date.min) == last]
        true = [reading for reading in day if reading.result.parts[self.component]]
        since = day[0].day
        return self._answer(view, PRESENT if true else ABSENT, [*whole, *(true or day)], since, opening)

    def _answer(
        self, view: View, value: str, resting: list[Reading], since: date | None, opening: Window
    ) -> tuple[Fact, ...]:
        evidence = evidence_for(view, resting)
        last = max([reading.day for reading in resting if reading.day], default=None)
        if opening.links:
            evidence = ordered((*evidence, *opening.links))
        day = last.isoformat() if last else ""
        named = tests(self, view, (reading.result.concept for reading in resting))
        return (known(self, value, evidence, since if value == PRESENT else since or last, date=day, **named),)


def _first_since(readings: Readings) -> Reading:
    """The first present reading after the last absent one; the newest day is present."""
    if len(readings) == 1:
        return readings[0]
    denied = max((reading.day for reading in readings if reading.word == ABSENT and reading.day), default=None)
    standing = [
        reading
        for reading in readings
        if reading.word == PRESENT and (denied is None or (reading.day is not None and reading.day > denied))
    ]
    first = earliest(standing)
    assert first is not None  # noqa: S101 - the newest day is present and later than any absence
    return first
