"""Kind `site-result`: the newest test of each muscle, and the muscle whose finding counts most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from engine.facts.definition import Definition
from engine.facts.options import ConceptName, Number, ValueName, Where
from engine.facts.quantity import certainly
from engine.facts.reading import Reading, Readings, coded, numbers
from engine.facts.said import amount, evidence_for, known
from engine.facts.view import View
from engine.facts.window import newest, none_left
from engine.model.fact import Fact

ABNORMAL, NORMAL = "abnormal", "normal"


class SiteResultFact(Definition, frozen=True, kw_only=True, tag="site-result"):
    """The finding of the muscles that `where` keeps, each by its newest readable test; a later normal test stands for
    its own muscle only. A test whose muscle is not known is a muscle of its own.

    `above`: abnormal above the number, normal at or below it · YAML `values` (here `codes`): answer -> value, the most
    alarming first · `where`: the muscle is of that table and its newest test has the component so; `negate` keeps all
    others · `loose`: a component that is not stated counts as false; without it, it is neither · `rank`: which finding
    wins over the muscles, by default the most alarming.
    """

    slots: ClassVar[tuple[str, ...]] = ("muscles",)

    concept: ConceptName
    above: Number | None = None
    codes: Mapping[ValueName, ValueName] = msgspec.field(name="values", default_factory=dict)
    where: Where = msgspec.field(default_factory=dict)
    negate: bool = False
    loose: bool = False
    rank: tuple[ValueName, ...] = ()

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: self._findings()}

    def reads(self) -> frozenset[str]:
        return frozenset((self.concept,))

    def check(self) -> tuple[str, ...]:
        if (self.above is None) != bool(self.codes):
            return ("needs either `above` or `values`",)
        odd = [value for value in self.rank if value not in self._findings()]
        return tuple(f"`rank` names `{value}`, which is no value" for value in odd)

    def compute(self, view: View) -> tuple[Fact, ...]:
        muscles: dict[str, list[tuple[str, Reading]]] = {}
        readable = self._readable(view)
        for number, (finding, reading) in enumerate(readable):     # several may stand in one resource
            muscles.setdefault(reading.result.muscle or f"?{number}", []).append((finding, reading))
        alarm = self._findings()
        found: list[tuple[str, Readings]] = []
        for tests in muscles.values():
            day = newest([reading for _, reading in tests])
            if self._keeps(day) != self.negate:
                of_day = {id(reading) for reading in day}
                found.append((min((said for said, one in tests if id(one) in of_day), key=alarm.index), day))
        if not found:
            return () if readable else none_left(view, self.name, (self.concept,), ())
        ranks = (*self.rank, *alarm)
        value = min((finding for finding, _ in found), key=ranks.index)
        resting = [reading for finding, day in found if finding == value for reading in day]
        finding_of = {id(reading): said for tests in muscles.values() for said, reading in tests}
        last = newest([reading for reading in resting if finding_of[id(reading)] == value])[0]
        said = amount(last.result.quantity) if self.above is not None and last.result.quantity else ""
        places = ", ".join(sorted({reading.result.muscle for reading in resting} - {""}))
        return (known(self, value, evidence_for(view, resting), last.day, said=said, muscles=places),)

    def _findings(self) -> tuple[str, ...]:
        return (ABNORMAL, NORMAL) if self.above is not None else tuple(dict.fromkeys(self.codes.values()))

    def _readable(self, view: View) -> list[tuple[str, Reading]]:
        if self.above is None:
            return [
                (self.codes[reading.word], reading)
                for reading in coded(view, self.concept)
                if reading.word in self.codes
            ]
        found = []
        for reading in numbers(view, self.concept):
            high = certainly(reading.measure, "above", self.above) if reading.measure else None
            if high is not None:
                found.append((ABNORMAL if high else NORMAL, reading))
        return found

    def _keeps(self, day: Readings) -> bool:
        for name, wanted in self.where.items():
            if not isinstance(wanted, bool):
                if day[0].result.muscle not in wanted:
                    return False
                continue
            stated = {part for reading in day if isinstance(part := reading.result.parts.get(name), bool)}
            if not stated and self.loose:
                stated = {False}
            if not stated or (True in stated) != wanted:
                return False
        return True
