"""Which readings count: not older than, since, after; newest day first; and the unknown when none is left.

Undated readings never count where a time is named, even if the start itself is unknown; elsewhere a dated reading of
the same concept wins over them. Entries after `as_of` never reach the record.
Source: clinical specification 1.3 and 1.9; docs/facts.md, "Time".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby

import msgspec

from engine.facts.options import After, Since
from engine.facts.reading import Reading, Readings, entries
from engine.facts.said import evidence_for, evidence_of, unknown
from engine.facts.view import View
from engine.model.fact import PRESENT, Evidence, Fact, Reason


class Window(msgspec.Struct, frozen=True):
    """Readings from `first` on count (None: no limit); `timed`: dated ones only; `closed`: none. `links` is the
    evidence of the facts that set the limits."""

    first: date | None = None
    timed: bool = False
    closed: bool = False
    links: tuple[Evidence, ...] = ()


OPEN = Window()


def window(view: View, within: int | None = None, since: Since | None = None, after: After | None = None) -> Window:
    """The window that the options of a fact open at the view's date."""
    if within is None and since is None and after is None:
        return OPEN
    first = None if within is None else days_before(view.as_of, within)
    timed = within is not None
    links: tuple[Evidence, ...] = ()
    if since is not None:
        start = view.fact(since.fact)
        timed, links = True, start.evidence
        if start.value != PRESENT or (start.since is None and since.dated == "required"):
            return Window(timed=True, closed=True, links=links)
        first = _later(first, start.since)
    if after is not None:
        statement = view.fact(after.fact)
        if statement.value == after.value:
            timed, links = True, links + statement.evidence
            if statement.since == date.max:
                return Window(timed=True, closed=True, links=links)
            first = _later(first, statement.since and statement.since + timedelta(days=1))
        elif not timed:
            return OPEN
    return Window(first, timed, links=links)


def days_before(day: date, days: int) -> date:
    """The day that lies `days` before `day`, the first of all days at the latest."""
    return date.fromordinal(max(1, day.toordinal() - days))


def counts(opening: Window, day: date | None) -> bool:
    """Whether an entry of that day counts."""
    if opening.closed:
        return False
    if day is None:
        return not opening.timed
    return opening.first is None or day >= opening.first


def counted(readings: Readings, opening: Window) -> Readings:
    """The readings that count, in their order."""
    if opening is OPEN:
        return readings
    return [reading for reading in readings if counts(opening, reading.day)]


def newest(readings: Readings) -> Readings:
    """The readings of the newest day (undated ones only where none is dated)."""
    if len(readings) < 2:
        return readings
    day = max(reading.day or date.min for reading in readings)
    return [reading for reading in readings if (reading.day or date.min) == day]


def by_day(readings: Readings) -> Iterator[tuple[date | None, list[Reading]]]:
    """Days of one concept's readings from the newest, each with its readings; undated ones only where none is dated."""
    dated = bool(readings) and readings[0].day is not None
    for day, group in groupby(readings, key=lambda reading: reading.day):
        if day is not None or not dated:
            yield day, list(group)


def earliest(readings: Iterable[Reading]) -> Reading | None:
    """The reading of the earliest day; an undated one only where none is dated."""
    found = list(readings)
    if len(found) < 2:
        return found[0] if found else None
    return min(found, key=lambda reading: (reading.day or date.max, reading.result.reference))


def none_left(
    view: View, name: str, concepts: Sequence[str], readable: Readings, opening: Window = OPEN
) -> tuple[Fact, ...]:
    """The unknown of a fact for which nothing counts, with the newest entry that was found; () if nothing is recorded.

    `readable` are the readings of the concepts before the window was applied.
    """
    if opening.closed:
        return ()
    if readable:
        last = max(readable, key=lambda reading: (reading.day or date.min, reading.result.reference))
        reason = Reason.OUT_OF_DATE if last.day and opening.timed else Reason.NOT_USABLE
        return (unknown(name, reason, (*evidence_for(view, [last]), *opening.links)),)
    found = [result for concept in concepts for result in entries(view, concept)]
    if not found:
        return ()
    last_found = max(found, key=lambda result: (result.day or date.min, result.reference))
    return (unknown(name, Reason.NOT_USABLE, (evidence_of(view, last_found), *opening.links)),)


def _later(first: date | None, second: date | None) -> date | None:
    if first is None or second is None:
        return first or second
    return max(first, second)
