"""What every base-fact definition is: a name, texts, a closed set of values, and a pure reading of the record.

A kind (engine/facts/kinds/) is a subclass with its options as fields. `compute` is pure: it reads the record through
the `View` it is given and returns exactly one Fact per name of `values()` (a family returns several), or omits those
that are unknown because nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from engine.model.fact import Fact

if TYPE_CHECKING:
    from engine.facts.view import View


class Band(msgspec.Struct, frozen=True):
    """One band of a measured value; bands stand strongest first."""

    value: str
    test: Literal["below", "at_most", "above", "at_least"]
    limit: Decimal
    parameter: str


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """The part that all kinds share."""

    slots: ClassVar[tuple[str, ...]] = ()  # what `shown` may hold besides {value}, {date} and {title}

    name: str
    title: str = ""
    ask_for: str = ""
    shown: str = ""
    sets: Mapping[str, tuple[str, ...]] = {}
    common: bool = False                   # found in the general population: anchors nothing
    prevalence: float = 0.01               # declared share of patients; the rarer part of an `all` is the anchor

    def values(self) -> Mapping[str, tuple[str, ...]]:
        """Every fact of the definition (a family has several) and its closed set without `unknown`."""
        raise NotImplementedError

    def reads(self) -> frozenset[str]:
        """Concepts of the record that it reads (results and diagnoses)."""
        return frozenset()

    def drugs(self) -> frozenset[str]:
        """Ingredients that it reads; classes are already expanded."""
        return frozenset()

    def needs(self) -> frozenset[str]:
        """Other facts that must be known first (`since`, `after`, `fact_since`, region relations)."""
        return frozenset()

    def follows(self) -> frozenset[str]:
        """Facts that alone may give it a value; by default its needs, if it reads nothing of the record itself."""
        return frozenset() if self.reads() or self.drugs() else self.needs()

    def current(self) -> bool:
        """Whether a known value speaks of now: it lies in its window, or the drug is taken or ordered."""
        return getattr(self, "within", None) is not None or getattr(self, "encounter", "") == "current"

    def stays(self, before: View, after: View, concepts: Collection[str]) -> bool:
        """Whether it is sure to say the same of a record that only has more results of these concepts, and whose facts
        that it needs are the same. Only worth knowing of what reads a whole record."""
        return False

    def common_values(self) -> frozenset[str]:
        """Values that are found in the general population although the fact as a whole is not `common`."""
        return frozenset()

    def limits_in(self) -> str:
        """The unit in which the limits of its bands are stated; "" if any."""
        return ""

    def fixed(self) -> tuple[tuple[str, str, str], ...]:
        """Names that the kind reads in every ruleset: ("class" or "parameter", its name, the option that needs it)."""
        return ()

    def check(self) -> tuple[str, ...]:
        """What contradicts itself in its options, in words; the loader adds the place."""
        return ()

    def compute(self, view: View) -> tuple[Fact, ...]:
        """The fact, or the members of the family."""
        raise NotImplementedError
