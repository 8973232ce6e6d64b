"""What a kind sees while it computes: the record, the ruleset's tables, and the facts that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from engine.facts.concept import Concept
from engine.model.fact import UNKNOWN, Fact, Reason
from engine.model.record import Medication, Record


class Tables(msgspec.Struct, frozen=True):
    """Constants of a ruleset that kinds read by fixed names."""

    concepts: Mapping[str, Concept] = {}                        # concept -> how one result of it is read
    classes: Mapping[str, frozenset[str]] = {}                  # class -> members (drug classes, topical-route ...)
    muscles: Mapping[str, tuple[str, frozenset[str]]] = {}      # muscle -> (nerve, roots)
    regions: tuple[str, ...] = ()                               # rostral to caudal
    parameters: Mapping[str, int | Decimal] = {}                # name -> value


class View:
    """One computation of the facts of one record. `order` is set while order facts are computed."""

    def __init__(
        self, record: Record, tables: Tables, fact: Callable[[str], Fact], order: Medication | None = None
    ) -> None:
        self.record = record
        self.tables = tables
        self.order = order
        self._fact = fact
        self.cache: dict[object, Any] = {}   # what was read once: (how, concept) -> readings, id(result) -> Evidence

    @property
    def as_of(self) -> date:
        return self.record.as_of

    def fact(self, name: str) -> Fact:
        """Another fact of this record (computed on first use; the definitions hold no cycle)."""
        return self._fact(name)

    def nothing(self, name: str, concepts: frozenset[str]) -> Fact:
        """The unknown of a fact for which nothing is recorded, or for whose concepts nobody was asked."""
        asked = self.record.asked
        reason = Reason.NOTHING_RECORDED if asked is None or not concepts or concepts & asked else Reason.NOT_REQUESTED
        return Fact(name=name, value=UNKNOWN, reason=reason)
