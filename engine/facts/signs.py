"""Signs and muscle tests in body regions: contradictions, later absences, and what makes enough muscles.

Source: clinical specification 1.6.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Literal

import msgspec

from engine.facts.options import Component, ConceptName
from engine.facts.quantity import Measure, certainly, sane
from engine.facts.reading import Reading, Readings, entries, yes_no
from engine.facts.view import View
from engine.facts.window import Window, counted, counts, earliest
from engine.model.fact import PRESENT
from engine.model.record import Quantity, Result

ANYWHERE = "any"                             # the region of a sign that was looked for in the whole body
LIMB_REGION = "limb-region"                  # the class of the regions that are limbs
LIMB_MUSCLES = "limb-muscles"                # the parameter: enough muscles in a limb


class Way(msgspec.Struct, frozen=True):
    """One way in which a region counts: a present sign, or muscle tests, `with` the components of one of the sets.

    `muscles: enough`: in a limb as many muscles of different nerve and disjoint roots as `limb-muscles` says (a sign
    states their number, 1 if it does not), elsewhere one. `one`: one.
    """

    components: tuple[tuple[Component, ...], ...] = msgspec.field(name="with")
    sign: ConceptName = ""
    muscle_test: ConceptName = ""
    muscles: Literal["", "one", "enough"] = ""


def without_conflicts(readings: Readings) -> tuple[list[Reading], list[Reading]]:
    """Signs apart from those that are present and absent for one region, sign type and day; and the latter."""
    if len(readings) < 2 or len({reading.word for reading in readings}) == 1:
        return list(readings), []
    words: dict[tuple[str, str, date], set[str]] = {}
    for reading in readings:
        if reading.day is not None:
            words.setdefault((reading.result.region, reading.result.sign, reading.day), set()).add(reading.word)
    if all(len(said) == 1 for said in words.values()):
        return list(readings), []
    kept: list[Reading] = []
    dropped: list[Reading] = []
    for reading in readings:
        clash = reading.day and len(words[reading.result.region, reading.result.sign, reading.day]) > 1
        (dropped if clash else kept).append(reading)
    return kept, dropped


def denier(reading: Reading, absent: Readings) -> Reading | None:
    """The first later absence that denies a present sign; an undated sign is never known to be earlier."""
    if reading.day is None:
        return None
    sign = reading.result
    return earliest(
        other
        for other in absent
        if other.day is not None and other.day > reading.day
        and other.result.region in (sign.region, ANYWHERE) and other.result.sign in (sign.sign, "")
    )


class Holds(msgspec.Struct, frozen=True):
    """The regions in which a way holds, with what each rests on; and the signs that contradict each other."""

    found: dict[str, list[Reading]]
    dropped: list[Reading]


def way_holds(view: View, way: Way, opening: Window) -> Holds:
    """Where a way holds, found once for all definitions that share it."""
    key = ("way", way, opening)
    holds: Holds | None = view.cache.get(key)
    if holds is None:
        limbs = limb_regions(view) if way.muscles == "enough" else frozenset()
        if way.muscle_test:
            holds = Holds(_tested(view, way, opening, limbs), [])
        else:
            read, dropped = without_conflicts(counted(yes_no(view, way.sign), opening))
            holds = Holds(signs_by_region(view, way, read, limbs), dropped)
        view.cache[key] = holds
    return holds


def _tested(view: View, way: Way, opening: Window, limbs: frozenset[str]) -> dict[str, list[Reading]]:
    regions: dict[str, list[Reading]] = {}
    for reading in active(view, way, opening):
        regions.setdefault(reading.result.region, []).append(reading)
    resting = {region: enough(view, here) if region in limbs else here[:1] for region, here in regions.items()}
    return {region: found for region, found in resting.items() if found}


def signs_by_region(
    view: View, way: Way, readings: Readings, limbs: frozenset[str]
) -> dict[str, list[Reading]]:
    """The first sign of each region that shows what the way asks for, in `limbs` in enough muscles."""
    found: dict[str, list[Reading]] = {}
    for reading in sorted(readings, key=oldest):
        result = reading.result
        if reading.word == PRESENT and shows(result, way) and (result.region not in limbs or several(view, result)):
            found.setdefault(result.region, [reading])
    return found


def shows(result: Result, way: Way) -> bool:
    """Whether the components of one of the sets are all stated as present."""
    for together in way.components if result.parts else ():
        for name in together:
            if result.parts.get(name) is not True:
                break
        else:
            return True
    return False


def several(view: View, result: Result) -> bool:
    """Whether a sign in a limb states enough muscles; one if it does not say."""
    stated = result.parts.get("muscles")
    if not isinstance(stated, Quantity):
        return limb_muscles(view) <= 1
    measure = Measure(stated.value, stated.comparator)
    return sane(stated.value) and bool(certainly(measure, "at_least", Decimal(limb_muscles(view))))


def active(view: View, way: Way, opening: Window) -> list[Reading]:
    """Muscle tests that show what the way asks for, oldest first."""
    return sorted(
        (
            Reading(result, result.day)
            for result in entries(view, way.muscle_test)
            if shows(result, way) and counts(opening, result.day)
        ),
        key=oldest,
    )


def limbs_of(view: View, tested: list[Reading]) -> dict[tuple[str, str], list[Reading]]:
    """Limbs (limb region and side; a side that is not stated is one of its own) with tests of enough muscles."""
    found: dict[tuple[str, str], list[Reading]] = {}
    regions = limb_regions(view)
    for limb in sorted({(reading.result.region, reading.result.side) for reading in tested}):
        here = [reading for reading in tested if (reading.result.region, reading.result.side) == limb]
        if limb[0] in regions and (chosen := enough(view, here)):
            found[limb] = chosen
    return found


def enough(view: View, tested: list[Reading]) -> list[Reading]:
    """The first tests of enough muscles of different nerve and disjoint roots; sides are pooled.

    A muscle whose nerve and roots the table does not give never makes one of a pair.
    """
    table = view.tables.muscles
    first: dict[str, Reading] = {}
    for reading in tested:
        if all(table.get(reading.result.muscle, ("", ()))):
            first.setdefault(reading.result.muscle, reading)
    for chosen in combinations(first, limb_muscles(view)):
        if all(
            table[one][0] != table[other][0] and not table[one][1] & table[other][1]
            for one, other in combinations(chosen, 2)
        ):
            return [first[muscle] for muscle in chosen]
    return []


def limb_regions(view: View) -> frozenset[str]:
    return view.tables.classes.get(LIMB_REGION, frozenset())


def limb_muscles(view: View) -> int:
    return int(view.tables.parameters[LIMB_MUSCLES])


def oldest(reading: Reading) -> tuple[date, str]:
    return reading.day or date.max, reading.result.reference
