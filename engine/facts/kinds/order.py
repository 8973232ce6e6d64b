"""order: a field of the current medication entry (clinical specification 1.8). Computed once for each entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.facts import medication
from engine.facts.definition import Definition
from engine.facts.options import Codes, Days, Drugs, Ingredients
from engine.facts.said import known, unknown
from engine.facts.view import View
from engine.model.fact import PRESENT, Fact, Reason
from engine.model.record import Medication

STATUSES = ("active", "draft", "on-hold", "completed")
ROUTES = ("topical", "parenteral", "other")
AGES = ("new", "current", "long")
CODED = ("reason", "course")


class OrderFact(Definition, frozen=True, kw_only=True, tag="order"):
    """`ingredient`, of which `common_drugs` are found in the general population; `status`; `route`: topical, parenteral
    or other, unknown if not stated; `reason`, `course`: the code, one of `values`.

    `age`: new (a draft, or started at most `new` days ago), long (started more than `long` days ago), else current,
    unknown without a start. `initial`: coded as initiation, or a draft in a complete record that holds no other entry
    of the ingredient that is active, on hold, undated, or ended (else started) within `lookback` days.
    """

    field: Literal["ingredient", "status", "route", "reason", "age", "initial", "course"]
    codes: Codes = msgspec.field(name="values", default=())
    new: Days | None = None
    long: Days | None = None
    lookback: Days | None = None
    common_drugs: Drugs = frozenset()
    ingredients: Ingredients = ()

    def values(self) -> Mapping[str, tuple[str, ...]]:
        closed = {
            "ingredient": self.ingredients,
            "status": STATUSES,
            "route": ROUTES,
            "age": AGES,
            "initial": (PRESENT,),
        }
        return {self.name: closed.get(self.field, self.codes)}

    def current(self) -> bool:
        return True

    def common_values(self) -> frozenset[str]:
        return self.common_drugs

    def fixed(self) -> tuple[tuple[str, str, str], ...]:
        if self.field != "route":
            return ()
        return tuple(("class", name, "field: route") for name in (medication.TOPICAL, medication.PARENTERAL))

    def check(self) -> tuple[str, ...]:
        faults = []
        if (self.field in CODED) != bool(self.codes):
            faults.append("`values` lists the codes of `field: reason` and `field: course`, and of no other field")
        if (self.field == "age") != (self.new is not None and self.long is not None):
            faults.append("`field: age`, and no other, takes both `new` and `long`")
        elif self.new is not None and self.long is not None and self.new > self.long:
            faults.append("`new` is longer than `long`")
        if (self.field == "initial") != (self.lookback is not None):
            faults.append("`field: initial`, and no other, takes `lookback`")
        return tuple(faults)

    def compute(self, view: View) -> tuple[Fact, ...]:
        order = view.order
        if order is None:
            return ()
        value = self._value(order, view)
        if not value:
            return ()
        evidence = (medication.evidence(order),)
        if value not in self.values()[self.name]:
            return (unknown(self.name, Reason.NOT_USABLE, evidence),)
        said = self._said(value, order)
        if not self.shown:
            return (Fact(self.name, value, None, evidence, order.start, said),)
        return (known(self, value, evidence, order.start, said=said, date=order.written),)

    def _value(self, order: Medication, view: View) -> str:
        match self.field:
            case "ingredient":
                return order.ingredient
            case "status":
                return order.status
            case "route":
                return self._route(order, view)
            case "reason":
                return order.reason
            case "course":
                return order.course
            case "age":
                return self._age(order, view)
            case "initial":
                return PRESENT if order.initiation or self._first(order, view) else ""

    def _route(self, order: Medication, view: View) -> str:
        if not order.route:
            return ""
        if medication.topical(order, view):
            return "topical"
        return "parenteral" if order.route in view.tables.classes[medication.PARENTERAL] else "other"

    def _age(self, order: Medication, view: View) -> str:
        if order.status == "draft":
            return "new"
        if order.start is None or self.new is None or self.long is None:
            return ""
        days = (view.as_of - order.start).days
        return "new" if days <= self.new else "long" if days > self.long else "current"

    def _first(self, order: Medication, view: View) -> bool:
        if order.status != "draft" or not view.record.complete:
            return False
        return not any(
            other.reference != order.reference and self._earlier(other, view)
            for other in medication.entries_of(view, frozenset({order.ingredient}))
        )

    def _earlier(self, other: Medication, view: View) -> bool:
        last = medication.last_day(other)
        if medication.given_until_now(other) or last is None:
            return True
        return self.lookback is not None and medication.within(last, view.as_of, self.lookback)

    def _said(self, value: str, order: Medication) -> str:
        return order.route if self.field == "route" else "first prescription" if self.field == "initial" else value
