"""How one result of a concept is read (concepts.yaml): unit, factors, limits, direction, guards."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

Reading = Literal["yes-no", "coded", "quantity", "titre", "own-range", "sign", "date"]


class Computed(msgspec.Struct, frozen=True):
    """A quantity made of two others: `source` times `factor`, divided by the newest `per` of the last `within` days."""

    source: str
    per: str
    within: int
    factor: Decimal


class Needs(msgspec.Struct, frozen=True):
    """A component that makes a result readable (stimulation frequency), and a value that is borderline."""

    component: str
    at_least: Decimal
    at_most: Decimal
    borderline: Decimal
    unit: str = ""                                   # UCUM unit that the component must state; "" = any


class Concept(msgspec.Struct, frozen=True, kw_only=True):
    """The reading of one concept. A concept that concepts.yaml does not name has all defaults."""

    name: str
    title: str = ""
    reading: Reading | None = None
    unit: str = ""
    also: Mapping[str, Decimal] = {}                 # further accepted UCUM units -> factor to `unit`
    plausible: tuple[Decimal, Decimal] | None = None
    absolute: bool = False                           # the sign has no meaning and turns the comparator
    zero_not_done: bool = False
    worse: Literal["lower", "higher"] = "higher"
    preliminary: bool = False
    time_critical: bool = False
    common: bool = False
    never_low: bool = False                          # antibodies: an L flag is a conflict, no negative
    positive_from: Decimal | None = None             # titre: the engine's defaults
    negative_to: Decimal | None = None
    computed: Computed | None = None
    needs: Needs | None = None
