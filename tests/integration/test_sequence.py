"""The numbers of a subscription's events: what is missing is noticed, whatever tells of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.integration.event import Event, Kind, Message
from engine.integration.sequence import FEW, Progress, progress
from engine.store.sources import Heard


def heard(last: int, at: int = 1) -> Heard:
    return Heard(source="ehr", subscription="s", last_number=last, last_heard=at)


def after(before: Heard | None, *numbers: int, kind: Kind = "notification", since: int = -1, at: int = 9) -> Progress:
    events = tuple(Event(action="fetch", type="Observation", id=str(n), number=n) for n in numbers)
    return progress(before, "ehr", Message(kind=kind, subscription="s", since=since, events=events), at)


@pytest.mark.parametrize(
    ("last", "numbers", "missing", "now"),
    [
        (4, (5,), (), 5),
        (4, (7,), ((5, 5), (6, 6)), 7),
        (4, (6, 8), ((5, 5), (7, 7)), 8),
        (4, (4,), (), 4),
        (4, (2,), (), 4),
        (4, (5 + FEW + 1,), ((5, 5 + FEW),), 6 + FEW),
        (0, (1,), (), 1),
    ],
)
def test_a_gap_is_what_was_jumped_over(
    last: int, numbers: tuple[int, ...], missing: tuple[tuple[int, int], ...], now: int
) -> None:
    found = after(heard(last), *numbers)
    assert (found.missing, found.heard.last_number) == (missing, now)


def test_what_comes_late_is_said_to_have_come() -> None:
    assert after(heard(9), 7, 8, 10).late == (7, 8)


def test_the_first_that_is_heard_of_a_subscription_misses_nothing() -> None:
    found = after(None, 400)
    assert (found.missing, found.heard.last_number) == ((), 400)


@pytest.mark.parametrize("kind", ["heartbeat", "status", "handshake"])
def test_heartbeat_and_status_tell_how_many_there_have_been(kind: Kind) -> None:
    assert after(heard(4), kind=kind, since=6).missing == ((5, 5), (6, 6))


def test_a_notification_that_lists_events_misses_none_that_are_still_under_way() -> None:
    assert after(heard(4), 5, since=9).missing == ()


def test_a_subscription_that_was_made_anew_counts_from_its_beginning() -> None:
    assert after(heard(50), kind="handshake", since=0).heard.last_number == 0
    assert after(heard(50), 1, since=1).heard.last_number == 1


def test_what_we_asked_for_ourselves_is_no_sign_of_life() -> None:
    assert after(heard(4, at=1), kind="status", since=4, at=9).heard.last_heard == 1
    assert after(heard(4, at=1), 4, kind="events", at=9).heard.last_number == 4
    assert after(heard(4, at=1), kind="heartbeat", since=4, at=9).heard.last_heard == 9


@given(st.integers(0, 30), st.lists(st.integers(1, 60), max_size=8))
def test_nothing_between_is_forgotten(last: int, numbers: list[int]) -> None:
    found = after(heard(last), *numbers)
    missing = {number for low, high in found.missing for number in range(low, high + 1)}
    top = max([last, *numbers])
    assert missing == set(range(last + 1, top + 1)) - set(numbers)
    assert found.heard.last_number == top
