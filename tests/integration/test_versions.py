"""Which of two versions is the newer one: by when they were written, by their number, by the order of events."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.integration.versions import Stamp, is_newer, microseconds, of_meta


@pytest.mark.parametrize(
    ("new", "old", "newer"),
    [
        (Stamp(updated=2), Stamp(updated=1), True),
        (Stamp(updated=1, version="9"), Stamp(updated=2, version="1"), False),
        (Stamp(version="10"), Stamp(version="9"), True),
        (Stamp(version="9"), Stamp(version="10"), False),
        (Stamp(version="abc"), Stamp(version="10"), True),
        (Stamp(subscription="s", number=3), Stamp(subscription="s", number=4), False),
        (Stamp(subscription="s", number=3), Stamp(subscription="t", number=4), True),
        (Stamp(), Stamp(), True),
        (Stamp(updated=5), Stamp(updated=5, deleted=True), False),
        (Stamp(updated=6), Stamp(updated=5, deleted=True), True),
        (Stamp(updated=5, deleted=True), Stamp(updated=5), True),
        (Stamp(), Stamp(updated=5, deleted=True), True),
    ],
)
def test_the_order_of_what_is_said(new: Stamp, old: Stamp, newer: bool) -> None:
    assert is_newer(new, old) is newer


def test_instants_are_read_to_the_microsecond_and_in_any_zone() -> None:
    assert microseconds("1970-01-01T00:00:01.000002Z") == 1_000_002
    assert microseconds("1970-01-01T01:00:01+01:00") == 1_000_000
    assert microseconds("1970-01-01T00:00:01.1234567Z") == 1_123_456
    assert microseconds("1970-01-02") == 86_400_000_000


@pytest.mark.parametrize(
    "odd", [None, "", "yesterday", 7, [], {"a": 1}, "0001-01-01T00:00:00+14:00", "9999-99-99", True]
)
def test_what_is_no_instant_says_nothing(odd: object) -> None:
    assert microseconds(odd) == 0
    assert of_meta({"meta": {"lastUpdated": odd}}) == ("", 0)
    assert of_meta({"meta": odd}) == ("", 0)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5), st.booleans()), min_size=1, max_size=4))
def test_where_everybody_says_when_any_order_of_arrival_ends_in_the_same(told: list[tuple[int, int, bool]]) -> None:
    stamps = [Stamp(updated=when, version=str(number), deleted=gone) for when, number, gone in dict.fromkeys(told)]
    ends = set()
    for order in itertools.permutations(stamps):
        held = order[0]
        for one in order[1:]:
            held = one if is_newer(one, held) else held
        ends.add((held.updated, held.version, held.deleted))
    assert len(ends) == 1
