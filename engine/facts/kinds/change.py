"""Kind `change`: a number against its earlier values."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Literal

from engine.facts.definition import Definition
from engine.facts.options import ConceptName, Days, Number
from engine.facts.quantity import EXACT
from engine.facts.reading import Reading, Readings, concept_of, numbers
from engine.facts.said import amount, evidence_for, known, unknown
from engine.facts.view import View
from engine.facts.window import counted, days_before, newest, none_left, window
from engine.model.fact import ABSENT, PRESENT, Fact, Reason


class ChangeFact(Definition, frozen=True, kw_only=True, tag="change"):
    """`present` when the number is at least `percent` of the earlier value, or `points`, worse than its best of the
    `over` days before its own date; `absent` when it is not; unknown without an earlier value.

    `to`: the newest number `within`, or the worst fresh one (all of the last `worst_of` days, else the newest
    `within`). Only exact numbers are compared. Worse is the concept's `worse` end.
    """

    slots: ClassVar[tuple[str, ...]] = ("from", "earlier")

    concept: ConceptName
    to: Literal["newest", "worst-fresh"] = "newest"
    worst_of: Days | None = None
    within: Days | None = None
    over: Days
    percent: Number | None = None
    points: Number | None = None

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (PRESENT, ABSENT)}

    def reads(self) -> frozenset[str]:
        return frozenset((self.concept,))

    def check(self) -> tuple[str, ...]:
        return () if (self.percent is None) != (self.points is None) else ("needs either `percent` or `points`",)

    def compute(self, view: View) -> tuple[Fact, ...]:
        readings = [
            reading for reading in numbers(view, self.concept)
            if reading.day is not None and reading.measure is not None and not reading.measure.comparator
        ]
        lower = concept_of(view, self.concept).worse == "lower"
        opening = window(view, self.within)
        fresh = self._fresh(view, counted(readings, opening))
        if not fresh:
            found = readings or numbers(view, self.concept)
            return none_left(view, self.name, (self.concept,), found, opening)
        now = (min if lower else max)(fresh, key=_number)
        assert now.day is not None  # noqa: S101 - only dated readings are compared
        first = days_before(now.day, self.over)
        before = [reading for reading in readings if reading.day and first <= reading.day < now.day]
        if not before:
            return (unknown(self.name, Reason.NOTHING_RECORDED, evidence_for(view, [now])),)
        best = (max if lower else min)(before, key=_number)
        change = _number(best) - _number(now) if lower else _number(now) - _number(best)
        value = PRESENT if self._reached(change, _number(best)) else ABSENT
        said = f"from {_said(best)} to {_said(now)}"
        slots = {"from": _said(best), "earlier": best.day.isoformat() if best.day else ""}
        return (known(self, value, evidence_for(view, (now, best)), now.day, said=said, **slots),)

    def _fresh(self, view: View, readings: Readings) -> Readings:
        if self.to == "worst-fresh" and self.worst_of is not None:
            first = days_before(view.as_of, self.worst_of)
            worst = [reading for reading in readings if reading.day and reading.day >= first]
            if worst:
                return worst
        return newest(readings)

    def _reached(self, change: Decimal, earlier: Decimal) -> bool:
        if self.points is not None:
            return change >= self.points
        if self.percent is None or earlier <= 0:
            return False
        return EXACT.multiply(change, Decimal(100)) >= EXACT.multiply(earlier, self.percent)


def _said(reading: Reading) -> str:
    return amount(reading.result.quantity) if reading.result.quantity else ""


def _number(reading: Reading) -> Decimal:
    return reading.measure.value if reading.measure else Decimal(0)
