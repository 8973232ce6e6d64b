"""The numbers of a subscription's events: what was heard, what has been missed. Pure.

A number is told by an event, and heartbeats and handshakes tell how many there have been. What is missing between is
waited for, since events may overtake each other, and then fetched.
"""

from __future__ import annotations

import msgspec

from engine.integration.event import Message
from engine.store.sources import Heard

FEW = 20  # missing numbers that are fetched one by one, so that each may still come by itself
Range = tuple[int, int]
_COUNTED = frozenset({"handshake", "heartbeat", "notification", "status"})


class Progress(msgspec.Struct, frozen=True):
    """What is known now; ranges of numbers that are missing; numbers that came late."""

    heard: Heard
    missing: tuple[Range, ...] = ()
    late: tuple[int, ...] = ()


def progress(before: Heard | None, source: str, message: Message, at: int) -> Progress:
    """What a message does to what is known of its subscription. Without `before` it is the first."""
    known = before or Heard(source=source, subscription=message.subscription)
    status = message.status or known.status
    when = known.last_heard if message.kind in ("status", "events") else max(known.last_heard, at)  # those we asked for
    heard = msgspec.structs.replace(known, last_heard=when, status=status)
    if message.kind not in _COUNTED or not message.subscription:
        return Progress(heard)
    numbers = {event.number for event in message.events if event.number}
    said = max(numbers) if numbers else message.since
    last = known.last_number
    again = message.since == 1 and said == 1 and last > 1  # the subscription was made anew
    if before is None or again or (message.kind == "handshake" and 0 <= message.since < last):
        return Progress(msgspec.structs.replace(heard, last_number=max(said, 0)))
    late = tuple(sorted(number for number in numbers if number <= last))
    missing = _missing(last, max(said, last), numbers)
    return Progress(msgspec.structs.replace(heard, last_number=max(said, last)), missing, late)


def _missing(last: int, until: int, numbers: set[int]) -> tuple[Range, ...]:
    """The ranges after `last` up to `until` that are not among the numbers."""
    found: list[Range] = []
    for number in (*sorted(n for n in numbers if n > last), until + 1):
        if number > last + 1:
            found.append((last + 1, number - 1))
        last = number
    return tuple(
        part
        for low, high in found
        for part in ([(n, n) for n in range(low, high + 1)] if high - low < FEW else [(low, high)])
    )
