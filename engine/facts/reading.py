"""How one result is read under its concept, once per view: as a word (yes or no, a code, a titre, a side of its range)
or as a number.

Every reader gives the usable readings of a concept, newest day first and undated ones last, so that the order of the
entries never matters. What cannot be read is left out here and named by `fault`.
Source: clinical specification 1.2 to 1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

import msgspec

from engine.facts.concept import Concept, Needs
from engine.facts.quantity import EXACT, Fault, Measure, Test, against, bare, canonical, certainly, place, ratio
from engine.facts.view import View
from engine.model.fact import ABSENT, PRESENT
from engine.model.record import Quantity, Result

HIGH_FLAGS = frozenset({"H", "HH", "HU", "HX", ">"})
LOW_FLAGS = frozenset({"L", "LL", "LU", "LX"})
NORMAL_FLAGS = frozenset({"NEG", "ND", "NR", "N"})
POSITIVE_FLAGS = frozenset({"POS", "DET", "RR", "A", "AA", "WR"}) | HIGH_FLAGS
NEGATIVE_FLAGS = NORMAL_FLAGS | {"<"}
EQUIVOCAL_FLAGS = frozenset({"IND", "E", "I"})
PRESENT_ANSWERS = frozenset({"present", "positive", "detected"})
ABSENT_ANSWERS = frozenset({"absent", "negative", "not-detected"})
POSITIVE, NEGATIVE, EQUIVOCAL = "positive", "negative", "equivocal"
HIGH, NORMAL, LOW = "high", "normal", "low"


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One result as it was read: `word`, or `measure`; `other` is what a computed number rests on besides."""

    result: Result
    day: date | None
    word: str = ""
    measure: Measure | None = None
    other: Result | None = None


Readings = Sequence[Reading]


def concept_of(view: View, name: str) -> Concept:
    """How results of the concept are read; one that the ruleset does not describe has the defaults."""
    return view.tables.concepts.get(name) or _undescribed(name)


def entries(view: View, name: str) -> tuple[Result, ...]:
    """The results of a concept with a usable status: preliminary ones only where the concept allows it."""
    results = view.record.results.get(name, ())
    if not results or concept_of(view, name).preliminary:
        return results
    found: tuple[Result, ...] | None = view.cache.get(name)
    if found is None:
        found = view.cache[name] = tuple([result for result in results if not result.preliminary])
    return found


def yes_no(view: View, name: str) -> Readings:
    """`present` or `absent` by the coded value, else by the flag."""
    return _read(view, "yes-no", name, lambda result, concept: says_yes(result))


def coded(view: View, name: str) -> Readings:
    """The code of the answer, whatever it is."""
    return _read(view, "coded", name, lambda result, concept: result.answer)


def titres(view: View, name: str) -> Readings:
    """`positive`, `negative` or `equivocal`."""
    return _read(view, "titre", name, lambda result, concept: titre(result, concept)[0])


def own_ranges(view: View, name: str) -> Readings:
    """`high`, `normal` or `low` by flag, else by the result's own limits."""
    return _read(view, "own-range", name, own_range)


def above_own_limit(view: View, name: str) -> Readings:
    """`high` or `normal` by flag, else by the result's own upper limit."""
    return _read(view, "own-limit", name, own_limit)


def numbers(view: View, name: str) -> Readings:
    """Usable numbers in the canonical unit, those that are computed from two other concepts included."""
    key = ("number", name)
    if key not in view.cache:
        view.cache[key] = ()             # two concepts computed from each other would ask for this one again
        concept = concept_of(view, name)
        found = [
            Reading(result, result.day, measure=measure)
            for result in entries(view, name)
            if isinstance(measure := number(result, concept), Measure)
        ]
        if concept.computed is not None:
            found += _computed(view, concept)
        view.cache[key] = _sorted(found)
    readings: Readings = view.cache[key]
    return readings


def multiples(view: View, name: str) -> Readings:
    """Multiples of the result's own upper limit; a result without such a limit is passed over."""
    key = ("multiple", name)
    if key not in view.cache:
        concept = concept_of(view, name)
        view.cache[key] = _sorted([
            Reading(result, result.day, measure=measure)
            for result in entries(view, name)
            if (measure := multiple(result, concept)) is not None
        ])
    readings: Readings = view.cache[key]
    return readings


def positives(view: View, name: str, *, disputed: bool = False) -> Readings:
    """The results that are positive as their concept is read: a titre, above the own range, or a plain yes.

    A plain yes beside a no of its day is none, unless `disputed` ones count.
    """
    reading = concept_of(view, name).reading
    if reading == "titre":
        return [found for found in titres(view, name) if found.word == POSITIVE]
    if reading == "own-range":
        return [found for found in own_ranges(view, name) if found.word == HIGH]
    found = yes_no(view, name)
    denied = {one.day for one in found if one.word == ABSENT and one.day and not disputed}
    return [one for one in found if one.word == PRESENT and one.day not in denied]


def says_yes(result: Result) -> str:
    """`present`, `absent` or "": the coded value decides, one that is neither gets its meaning from the flag."""
    if result.answer in PRESENT_ANSWERS:
        return PRESENT
    if result.answer in ABSENT_ANSWERS:
        return ABSENT
    if result.flag in POSITIVE_FLAGS:
        return PRESENT
    return ABSENT if result.flag in NEGATIVE_FLAGS else ""


def titre(result: Result, concept: Concept) -> tuple[str, bool]:
    """An antibody titre and whether it contradicts itself (1.5): flag, coded value, own upper limit, the defaults.

    A flag against the own range makes it equivocal. A low flag is a contradiction and no negative: the value is read.
    """
    by_limit = _by_own_limit(result, concept)
    flag = result.flag
    if flag in POSITIVE_FLAGS:
        return (EQUIVOCAL, True) if by_limit == NEGATIVE else (POSITIVE, False)
    if flag in NEGATIVE_FLAGS:
        return (EQUIVOCAL, True) if by_limit == POSITIVE else (NEGATIVE, False)
    if flag in EQUIVOCAL_FLAGS:
        return EQUIVOCAL, False
    conflict = flag in LOW_FLAGS
    if result.answer in PRESENT_ANSWERS:
        return POSITIVE, conflict
    if result.answer in ABSENT_ANSWERS:
        return NEGATIVE, conflict
    if result.answer == EQUIVOCAL:
        return EQUIVOCAL, conflict
    if result.high is None:
        return _by_defaults(result, concept), conflict
    return by_limit, conflict


def own_range(result: Result, concept: Concept) -> str:
    """`high`, `normal`, `low` or "": the flag, else the result's own limits; a limit that is not given is none."""
    if result.flag in HIGH_FLAGS:
        return HIGH
    if result.flag in LOW_FLAGS:
        return LOW
    if result.flag in NORMAL_FLAGS:
        return NORMAL
    if result.quantity is None or (result.low is None and result.high is None):
        return ""
    beyond: dict[str, bool | None] = {HIGH: False, LOW: False}
    for side, limit in ((HIGH, result.high), (LOW, result.low)):
        if limit is not None:
            pair = against(result.quantity, limit, concept)
            beyond[side] = None if pair is None else certainly(pair[0], "above" if side == HIGH else "below", pair[1])
    if beyond[HIGH] or beyond[LOW]:
        return HIGH if beyond[HIGH] else LOW
    return "" if None in beyond.values() else NORMAL


def own_limit(result: Result, concept: Concept) -> str:
    """`high`, `normal` or "": a flag that says so, else the own upper limit."""
    if result.flag in HIGH_FLAGS:
        return HIGH
    if result.flag in NORMAL_FLAGS:
        return NORMAL
    return {POSITIVE: HIGH, NEGATIVE: NORMAL, "": ""}[_by_own_limit(result, concept)]


def number(result: Result, concept: Concept) -> Measure | Fault:
    """The usable number of a result, or why there is none ("": it holds no number, or lacks what the concept needs)."""
    if result.quantity is None:
        return ""
    measure = canonical(result.quantity, concept)
    if isinstance(measure, Measure) and concept.needs is not None and not _meets(result, measure, concept.needs):
        return ""
    return measure


def multiple(result: Result, concept: Concept) -> Measure | None:
    """The number as a multiple of its own upper limit, with its comparator."""
    if result.quantity is None or result.high is None:
        return None
    pair = against(result.quantity, result.high, concept)
    if pair is None or pair[1] <= 0:
        return None
    return Measure(EXACT.divide(pair[0].value, pair[1]), pair[0].comparator)


def fault(result: Result, concept: Concept) -> Fault:
    """Why the number of a result is a data-quality issue: "" when it is usable, or when a flag already decides.

    A titre in a foreign unit is usable with its own range in that unit.
    """
    if result.quantity is None or result.flag in POSITIVE_FLAGS or result.flag in NEGATIVE_FLAGS:
        return ""
    found = canonical(result.quantity, concept)
    if isinstance(found, Measure) or found == "not-done":
        return ""
    if concept.reading == "titre":
        if result.flag in EQUIVOCAL_FLAGS:
            return ""
        if found == "unit-unconvertible" and result.high and result.high.unit in ("", result.quantity.unit):
            return ""
    return found


@lru_cache(maxsize=1000)
def _undescribed(name: str) -> Concept:
    return Concept(name=name)


def _read(view: View, how: str, name: str, word: Callable[[Result, Concept], str]) -> Readings:
    key = (how, name)
    found: Readings | None = view.cache.get(key)
    if found is None:
        concept = concept_of(view, name)
        said = ((result, word(result, concept)) for result in entries(view, name))
        found = _sorted([Reading(result, result.day, what) for result, what in said if what])
        view.cache[key] = found
    return found


def _sorted(readings: list[Reading]) -> Readings:
    if len(readings) > 1:
        readings.sort(key=lambda reading: (reading.day or date.min, reading.result.reference), reverse=True)
    return readings


def _by_own_limit(result: Result, concept: Concept) -> str:
    """`positive` above the own upper limit, `negative` at or below it, "" when there is none or it does not decide."""
    if result.quantity is None or result.high is None:
        return ""
    pair = against(result.quantity, result.high, concept)
    above = None if pair is None else certainly(pair[0], "above", pair[1])
    return "" if above is None else POSITIVE if above else NEGATIVE


def _by_defaults(result: Result, concept: Concept) -> str:
    """The ruleset's limits for a titre without flag and range; between them lies the equivocal zone."""
    if result.quantity is None or concept.positive_from is None or concept.negative_to is None:
        return ""
    measure = canonical(result.quantity, concept)
    if not isinstance(measure, Measure):
        return ""
    positive = certainly(measure, "at_least", concept.positive_from)
    negative = certainly(measure, "at_most", concept.negative_to)
    if positive or negative:
        return POSITIVE if positive else NEGATIVE
    return "" if positive is None or negative is None else EQUIVOCAL


def _meets(result: Result, measure: Measure, needs: Needs) -> bool:
    """Whether the component is stated within its limits and the value is not exactly the borderline one."""
    part = result.parts.get(needs.component)
    if not isinstance(part, Quantity) or part.comparator or not part.value.is_finite():
        return False
    if needs.unit and bare(part.unit) != needs.unit:
        return False
    borderline = not measure.comparator and measure.value == needs.borderline
    return needs.at_least <= part.value <= needs.at_most and not borderline


def _computed(view: View, concept: Concept) -> list[Reading]:
    """Numbers made of two others, kept if they are above 0 and plausible; of one source the newest divisor first."""
    rule = concept.computed
    assert rule is not None  # noqa: S101
    divisors = newest_divisors(view, rule.per, rule.within)
    found = []
    for source in numbers(view, rule.source):
        for per in divisors:
            measure = ratio(_measure(source), _measure(per), rule.factor)
            if measure and measure.value > 0 and (concept.plausible is None or measure.value <= concept.plausible[1]):
                found.append(Reading(source.result, source.day, measure=measure, other=per.result))
    return found


def newest_divisors(view: View, name: str, within: int) -> Readings:
    """The numbers of a concept by which another one is divided: those at most `within` days old, the newest first and
    of one day the more alarming one, up to the first exact one. What one leaves open the next may decide."""
    first = view.as_of - timedelta(days=min(within, view.as_of.toordinal() - 1))
    sign = 1 if concept_of(view, name).worse == "lower" else -1
    dated = [(one.day, one) for one in numbers(view, name) if one.day and one.day >= first and _measure(one).value]
    dated.sort(key=lambda pair: (-pair[0].toordinal(), *(sign * part for part in place(_measure(pair[1])))))
    found = []
    for _, reading in dated:
        found.append(reading)
        if not _measure(reading).comparator:
            break
    return found


def decided(readings: Readings, test: Test, limit: Decimal) -> list[tuple[bool, Reading]]:
    """The numbers that pass or fail the test for certain, in their order; of several that one result gives, the
    first."""
    found: dict[int, tuple[bool, Reading]] = {}
    for reading in readings:
        passed = certainly(_measure(reading), test, limit)
        if passed is not None:
            found.setdefault(id(reading.result), (passed, reading))
    return list(found.values())


def _measure(reading: Reading) -> Measure:
    assert reading.measure is not None  # noqa: S101 - only numbers are asked for theirs
    return reading.measure
