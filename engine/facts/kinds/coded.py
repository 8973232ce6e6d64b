"""Kind `coded`: a code out of a closed list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from engine.facts.definition import Definition
from engine.facts.options import Concepts, Days, ValueName
from engine.facts.reading import Reading, coded
from engine.facts.said import evidence_for, known, tests
from engine.facts.view import View
from engine.facts.window import counted, newest, none_left, window
from engine.model.fact import Fact


class CodedFact(Definition, frozen=True, kw_only=True, tag="coded"):
    """The newest code; on one day, and with `pick: any` of all days, the one that stands first in `values`.

    YAML `values` (here `codes`): strongest first. `otherwise`: the value of a code that is not listed; without it such
    a result is not readable. Undated codes count beside dated ones only with `pick: any`.
    """

    slots: ClassVar[tuple[str, ...]] = ("test",)

    concepts: Concepts
    codes: tuple[ValueName, ...] = msgspec.field(name="values")
    pick: Literal["newest", "any"] = "newest"
    within: Days | None = None
    otherwise: ValueName = ""

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: tuple(dict.fromkeys((*self.codes, self.otherwise) if self.otherwise else self.codes))}

    def reads(self) -> frozenset[str]:
        return frozenset(self.concepts)

    def compute(self, view: View) -> tuple[Fact, ...]:
        readable: list[tuple[str, Reading]] = []
        for concept in self.concepts:
            for reading in coded(view, concept):
                value = reading.word if reading.word in self.codes else self.otherwise
                if value:
                    readable.append((value, reading))
        found = [reading for _, reading in readable]
        opening = window(view, self.within)
        pool = counted(found, opening)
        if self.pick == "newest":
            pool = newest(pool)
        if not pool:
            return none_left(view, self.name, self.concepts, found, opening)
        kept = {id(reading) for reading in pool}
        ranks = list(self.values()[self.name])
        value = min((value for value, reading in readable if id(reading) in kept), key=ranks.index)
        resting = newest([reading for said, reading in readable if said == value and id(reading) in kept])
        named = tests(self, view, (reading.result.concept for reading in resting))
        return (known(self, value, evidence_for(view, resting), resting[0].day, **named),)
