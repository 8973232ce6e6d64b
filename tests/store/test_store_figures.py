"""Figures of days add up over processes, and what users did with cards is counted by card."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from store_kit import given, shown

from engine.model.figure import Answers, Fetches, Figure, Letters, Voice
from engine.store import Database, Store, StoreError, figures, outbox, sources
from engine.store.outbox import Letter
from engine.store.sources import Heard, Pending

MONDAY = Figure("2026-03-02", "card", "toy", "warning")
TUESDAY = Figure("2026-03-03", "card", "toy", "warning")
OTHER = Figure("2026-03-03", "evaluation", "hook", "cards", "detail")


def all_of(database: Database, first: str = "") -> dict[Figure, int]:
    with database.read() as connection:
        return figures.since(connection, first)


def test_what_is_counted_adds_up_by_day(database: Database) -> None:
    with database.read() as connection:
        assert figures.first_day(connection) == ""
    for counted in ({MONDAY: 2}, {TUESDAY: 1, OTHER: 5}, {}, {TUESDAY: 3}):
        with database.write() as connection:
            figures.count(connection, counted)

    assert all_of(database) == {MONDAY: 2, TUESDAY: 4, OTHER: 5}
    assert all_of(database, "2026-03-03") == {TUESDAY: 4, OTHER: 5}
    with database.read() as connection:
        assert figures.first_day(connection) == "2026-03-02"


def test_nothing_is_lost_where_several_count_at_once(lasting: Path | str, opened: Any) -> None:
    stores = [opened(Store, lasting) for _ in range(3)]

    def some(store: Store, turn: int) -> None:
        for number in range(20):
            both = [MONDAY, TUESDAY] if (number + turn) % 2 else [TUESDAY, MONDAY]
            store.remember((), (), dict.fromkeys(both, 1))

    threads = [threading.Thread(target=some, args=(store, turn)) for turn, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all_of(stores[0].database) == {MONDAY: 60, TUESDAY: 60}


def test_cards_and_figures_are_remembered_together_or_not_at_all(store: Store) -> None:
    store.remember([shown()], (), {MONDAY: 1})
    assert all_of(store.database) == {MONDAY: 1}
    with pytest.raises(StoreError, match="cannot be written"):
        store.remember([shown(severity=None)], (), {MONDAY: 1})
    assert all_of(store.database) == {MONDAY: 1}


def test_the_last_answer_to_a_card_counts_for_every_rule_on_it(store: Store) -> None:
    store.show([shown(), shown(finding="g", issue="k"), shown(card="d"), shown(card="e", client="other")])
    store.give([
        given(stamped="1", at=10), given(stamped="2", outcome="accepted", code="", at=20),
        given(card="d", at=20), given(card="e", code="their-own", at=20), given(card="nobody-knows", at=20),
        given(card="d", stamped="old", outcome="accepted", at=5),
    ])  # fmt: skip
    store.give([given(card="d", at=20)])  # again

    with store.database.read() as connection:
        assert figures.answers(connection, 0) == [
            Answers(issue="", outcome="overridden", code="planned", number=1),
            Answers(issue="", outcome="overridden", code="their-own", number=1),  # of another client
            Answers(issue="i", outcome="accepted", code="", number=1),
            Answers(issue="i", outcome="overridden", code="planned", number=1),
            Answers(issue="k", outcome="accepted", code="", number=1),
        ]
        assert figures.answers(connection, 21) == []


def test_what_waits_is_told_by_target(database: Database) -> None:
    def work(connection: Any) -> None:
        put = ((5_000, "sink/a"), (7_000, "sink/a"), (6_000, "sink/a"), (1_000, "subscription/s/handshake"))
        for at, target in put:
            outbox.put(connection, [Letter(target=target, kind="new", patient=f"Patient/{at}")], at)
        refused = outbox.claim(connection, "sink/a", holder="h", now=9_000, until=10_000, most=1)
        outbox.bury(connection, refused[0], now=9_000, error="422")
        sources.fetch(connection, [Pending(source="ehr", subscription="", kind="search", what="")])
        sources.hear(connection, [Heard(source="ehr", subscription="1", last_heard=42, status="active")])

    database.run(work)
    with database.read() as connection:
        assert figures.letters(connection) == [
            Letters(target="sink/a", pending=2, since=6_000, dead=1),
            Letters(target="subscription/s/handshake", pending=1, since=1_000),
        ]
        assert figures.fetches(connection) == [Fetches(source="ehr", number=1, attempts=0)]
        assert figures.heard(connection) == [Voice(source="ehr", subscription="1", last_heard=42, status="active")]


def test_figures_are_forgotten_after_more_than_a_year(store: Store) -> None:
    store.remember((), (), {MONDAY: 1, Figure("2027-04-01", "card", "toy"): 1})
    store.purge(1_806_537_600)  # 2027-04-01
    assert all_of(store.database) == {MONDAY: 1, Figure("2027-04-01", "card", "toy"): 1}
    store.purge(1_806_537_600 + 7 * 86_400)
    assert all_of(store.database) == {Figure("2027-04-01", "card", "toy"): 1}
