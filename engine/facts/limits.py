"""A site's own plausible limits, in place of those of the ruleset: in the unit in which each concept is read."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.errors import Fault, RulesetError
from engine.facts.base import FactBase
from engine.facts.concept import Concept
from engine.facts.quantity import EXACT, factor_of
from engine.terminology.content import Range


def with_limits(base: FactBase, ranges: Mapping[str, Range]) -> FactBase:
    """The facts with the plausible limits of a site. Raises RulesetError for each range in a unit that its concept does
    not convert, for these limits and for those of results alike."""
    if not ranges:
        return base
    faults: list[Fault] = []
    concepts = dict(base.tables.concepts)
    for name, given in ranges.items():
        concept = concepts.get(name) or Concept(name=name)
        factor = factor_of(given.unit, concept)
        if concept.unit and factor is None:
            units = ", ".join(f"`{unit}`" for unit in (concept.unit, *concept.also))
            faults.append(Fault(given.place, f"`{name}` is not read in `{given.unit}`", f"use {units}"))
        elif given.plausible is not None:
            lowest, highest = (EXACT.multiply(limit, factor or 1) for limit in given.plausible)
            concepts[name] = msgspec.structs.replace(concept, plausible=(lowest, highest))
    if faults:
        raise RulesetError(faults)
    return msgspec.structs.replace(base, tables=msgspec.structs.replace(base.tables, concepts=concepts))
