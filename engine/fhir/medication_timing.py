"""A Timing as numbers: how many doses on a day, how many in all, for how long, on which weekdays (FHIR R4 and R5).

A stated range gives its upper end: the most that the order allows. What the source leaves open stays None; statements
that contradict each other (code BID, three times a day in `repeat`) leave the number of doses open too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

import msgspec

from engine.fhir.medication_amount import UnitReader, positive, unit_of

_MONTH = Fraction("30.4375")  # days, clinical specification section 1
_DAYS = {
    "s": Fraction(1, 86400), "min": Fraction(1, 1440), "h": Fraction(1, 24), "d": Fraction(1), "wk": Fraction(7),
    "mo": _MONTH, "a": 12 * _MONTH,
}  # fmt: skip
_DURATION_WORDS = {
    "day": "d", "days": "d", "tag": "d", "tage": "d", "hour": "h", "hours": "h", "week": "wk", "weeks": "wk",
}  # fmt: skip
# EventTiming codes that happen once a day; at a meal, after or before it say nothing about the number of meals
_DAILY_EVENTS = frozenset({
    "MORN", "MORN.EARLY", "MORN.LATE", "NOON", "AFT", "AFT.EARLY", "AFT.LATE", "EVE", "EVE.EARLY", "EVE.LATE", "NIGHT",
    "HS", "WAKE", "CM", "CD", "CV", "ACM", "ACD", "ACV", "PCM", "PCD", "PCV",
})  # fmt: skip
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# abbreviations and words of prescriptions, without spaces and points -> doses a day
_PER_DAY = {
    word: Fraction(rate)
    for rate, words in {
        "1": "QD DAILY ONCEDAILY ONCEADAY EVERYDAY AM PM QAM QPM HS QHS BED ATBEDTIME EVERYMORNING EVERYEVENING OM ON",
        "2": "BID BD TWICEDAILY TWICEADAY",
        "3": "TID TDS THREETIMESDAILY THREETIMESADAY",
        "4": "QID QDS FOURTIMESDAILY FOURTIMESADAY",
        "1/2": "QOD EVERYOTHERDAY",
        "1/7": "WK ONCEWEEKLY ONCEAWEEK",
    }.items()
    for word in words.split()
}
_ONCE = frozenset({"ONCE", "X1", "1X", "STAT"})
_EVERY_HOURS = re.compile(r"(?:Q|EVERY)(\d{1,3})(?:H|HOURS?)")
_AS_NEEDED = re.compile(r"(?::?PRN)$")
_NOISE = re.compile(r"[\s.\-_]+")


class Schedule(msgspec.Struct, frozen=True):
    """Doses on a day that the schedule names (its average day for periods of more than one), doses in all, length in
    days, and the weekdays it is restricted to (none = every day)."""

    per_day: Fraction | None = None
    total: Fraction | None = None
    days: Fraction | None = None
    weekdays: frozenset[str] = frozenset()


NO_SCHEDULE = Schedule()


def read_schedule(timing: object, unit: UnitReader) -> Schedule:
    """The schedule of a Timing element; anything that is no Timing is an empty schedule."""
    if not isinstance(timing, Mapping):
        return NO_SCHEDULE
    repeat = timing.get("repeat")
    repeat = repeat if isinstance(repeat, Mapping) else {}
    coded, once = _coded(timing.get("code"))
    events = [event[:10] for event in _strings(timing.get("event"))]
    total = _largest(repeat, "count", "countMax")
    if once:
        total = total or Fraction(1)
    per_day, weekdays = _repeated(repeat, coded)
    if per_day is None and not _has_rate(repeat) and not coded:
        if events:
            per_day, total = Fraction(max(Counter(events).values())), total or Fraction(len(events))
        elif total == 1:
            per_day = total  # one dose in all is one dose on its day
    return Schedule(per_day, total, _bounds(repeat, unit), weekdays)


def _repeated(repeat: Mapping[str, object], coded: set[Fraction]) -> tuple[Fraction | None, frozenset[str]]:
    """Doses a day from all that state them, if they agree; the weekdays they are restricted to."""
    weekdays = frozenset(day.lower()[:3] for day in _strings(repeat.get("dayOfWeek")))
    if not weekdays.issubset(WEEK):
        return None, weekdays
    rates = set(coded)
    times = frozenset(_strings(repeat.get("timeOfDay")))
    period_days = _period(repeat)
    frequency = _largest(repeat, "frequency", "frequencyMax")
    if frequency is None:
        if repeat.get("frequency") is not None:
            return None, weekdays
        frequency = Fraction(len(times) or 1)  # FHIR: none stated = once per period
    if times and len(times) != frequency:
        return None, weekdays
    if period_days is not None:
        rates.add(frequency / period_days)
        if period_days > 1:
            weekdays = frozenset()  # the average day of a longer period already counts every day
    elif times:
        rates.add(frequency)
    events = [event.upper() for event in _strings(repeat.get("when"))]
    if events and not rates and _DAILY_EVENTS.issuperset(events):
        rates.add(Fraction(len(set(events))))
    if len(rates) != 1:
        return None, weekdays
    per_day = rates.pop()
    return (None if len(set(events)) > max(per_day, Fraction(1)) else per_day), weekdays


def _has_rate(repeat: Mapping[str, object]) -> bool:
    """Whether the schedule speaks of a rate at all, understood or not."""
    return any(repeat.get(key) for key in ("frequency", "period", "timeOfDay", "when", "dayOfWeek"))


def _period(repeat: Mapping[str, object]) -> Fraction | None:
    """The shortest stated period in days."""
    days = _DAYS.get(str(repeat.get("periodUnit", "")))
    period = positive(repeat.get("period"))
    return None if days is None or period is None else period * days


def _largest(repeat: Mapping[str, object], *keys: str) -> Fraction | None:
    known = [value for key in keys if (value := positive(repeat.get(key))) is not None]
    return max(known) if known else None


def _bounds(repeat: Mapping[str, object], unit: UnitReader) -> Fraction | None:
    """boundsDuration in days; of boundsRange the longer end."""
    longest = repeat.get("boundsRange")
    duration = longest.get("high") if isinstance(longest, Mapping) else repeat.get("boundsDuration")
    return duration_days(duration, unit)


def duration_days(duration: object, unit: UnitReader) -> Fraction | None:
    """A Duration in days; None without a value or a unit of time."""
    if not isinstance(duration, Mapping) or duration.get("comparator"):
        return None
    value, stated = positive(duration.get("value")), unit_of(duration, unit)
    days = _DAYS.get(_DURATION_WORDS.get(stated, stated))
    return None if value is None or days is None else value * days


def _coded(code: object) -> tuple[set[Fraction], bool]:
    """The doses a day that a timing code, its display or its text mean; whether it says once only."""
    texts: list[object] = [code]
    if isinstance(code, Mapping):
        codings = code.get("coding")
        codings = codings if isinstance(codings, list) else [codings]
        texts = [code.get("text")]
        texts += [coding.get(key) for coding in codings if isinstance(coding, Mapping) for key in ("code", "display")]
    words = {_AS_NEEDED.sub("", _NOISE.sub("", text.upper()[:60])) for text in texts if isinstance(text, str)}
    rates = {rate for word in words if (rate := _rate(word)) is not None}
    return rates, bool(words & _ONCE)


def _rate(word: str) -> Fraction | None:
    hours = _EVERY_HOURS.fullmatch(word)
    if hours:
        return Fraction(24, int(hours[1])) if int(hours[1]) else None
    return _PER_DAY.get(word)


def _strings(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
