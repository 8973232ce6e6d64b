"""dose: the single, daily or course dose of the current medication entry, per body weight if asked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from engine.facts import medication
from engine.facts.definition import Band, Definition
from engine.facts.kinds.quantity import rounded
from engine.facts.options import Bands, ConceptName, Days, Drugs, ValueName
from engine.facts.quantity import Measure, band, certainly, ratio, sane, strongest
from engine.facts.reading import Reading, concept_of, newest_divisors
from engine.facts.said import evidence_for, known, ordered, unknown
from engine.facts.view import View
from engine.model.fact import Evidence, Fact, Reason
from engine.model.record import Medication

UNITS = {"single": "mg", "daily": "mg", "daily-steroid": "mg", "course": "g"}
PER_KG = {"single": "single-mg", "daily": "daily-mg", "daily-steroid": "daily-mg", "course": "course-g"}


Doses = list[tuple[Measure, Reading]]    # by each weight, with it


class DoseFact(Definition, frozen=True, kw_only=True, tag="dose"):
    """The band of the dose, if the entry is one of these drugs: `single` and `daily` in mg, `course` in g over the
    course, `daily-steroid` the daily dose in mg of a steroid that is compared by its own weight.

    `per`: divided by the newest value of that concept, at most `per_within` days old, unless the order itself states
    the dose per kg; for a band that a comparator leaves open, by an older one. Each order stands on its own; a dose
    that is not known gives no value.
    """

    members: Drugs = msgspec.field(name="drugs")
    of: Literal["single", "daily", "daily-steroid", "course"]
    bands: Bands
    otherwise: ValueName = "normal"
    per: ConceptName = ""
    per_within: Days | None = None

    def values(self) -> Mapping[str, tuple[str, ...]]:
        return {self.name: (*(one.value for one in self.bands), self.otherwise)}

    def reads(self) -> frozenset[str]:
        return frozenset({self.per}) if self.per else frozenset()

    def drugs(self) -> frozenset[str]:
        return self.members

    def current(self) -> bool:
        return True

    def check(self) -> tuple[str, ...]:
        paired = bool(self.per) == (self.per_within is not None)
        return () if paired else ("`per` and `per_within` go together",)

    def compute(self, view: View) -> tuple[Fact, ...]:
        order = view.order
        if order is None or order.ingredient not in self.members:
            return ()
        evidence: tuple[Evidence, ...] = (medication.evidence(order),)
        dose = _usable(order.per_kg.get(PER_KG[self.of]) if self.per else self._amount(order))
        if dose is not None:
            measure, value = Measure(dose), band(Measure(dose), self.bands, self.otherwise)
        else:
            doses = self._by_weight(view, order)
            value, resting = strongest(self.bands, self.otherwise, lambda one: _first_decided(doses, one))
            evidence = ordered((*evidence, *evidence_for(view, [w for _, w in resting] or [w for _, w in doses[:1]])))
            if not value or not resting:
                return (unknown(self.name, Reason.NOT_USABLE, evidence),)
            measure = resting[0][0]
        unit = f"{UNITS[self.of]}/{concept_of(view, self.per).unit}" if self.per else UNITS[self.of]
        return (known(self, value, evidence, order.start, said=f"{rounded(measure)} {unit}", date=order.written),)

    def _by_weight(self, view: View, order: Medication) -> Doses:
        """The dose divided by the newest value of `per`, and by older ones while a comparator leaves something open."""
        dose = _usable(self._amount(order)) if self.per else None
        if dose is None or self.per_within is None:
            return []
        weights = newest_divisors(view, self.per, self.per_within)
        quotients = ((ratio(Measure(dose), weight.measure), weight) for weight in weights if weight.measure)
        return [(quotient, weight) for quotient, weight in quotients if quotient]

    def _amount(self, order: Medication) -> Decimal | None:
        return {"single": order.single_mg, "course": order.course_g}.get(self.of, order.daily_mg)


def _usable(amount: Decimal | None) -> Decimal | None:
    return amount if amount is not None and sane(amount) and amount > 0 else None


def _first_decided(doses: Doses, one: Band) -> tuple[bool | None, Doses]:
    for found in doses:
        reached = certainly(found[0], one.test, one.limit)
        if reached is not None:
            return reached, [found]
    return None, []
