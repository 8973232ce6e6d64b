"""Subscriptions in the store: who is told of what, numbers without gaps and repetitions, ends; on both databases."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection
from subscription_kit import NOW, change, subscription

from engine.store import Database, outbox, retention, subscriptions
from engine.store.outbox import Letter
from engine.store.subscriptions import IN_ERROR, Subscription


def keep(database: Database, *given: Subscription) -> None:
    with database.write() as connection:
        for one in given:
            subscriptions.add(connection, one, NOW)


def held(database: Database, identity: str = "s") -> Subscription:
    with database.read() as connection:
        found = subscriptions.get(connection, identity)
    assert found is not None
    return found


def letters(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        return [(one.target, one.kind) for one in outbox.listed(connection, states=("pending", "done", "dead"))]


def test_a_subscription_is_kept_as_it_is_and_its_endpoint_will_be_asked(database: Database) -> None:
    whole = subscription(
        headers=(("A", "1"), ("B", "é")), severities=("high", "low"), rulesets=("x",), issues=("y", "z"),
        patient="Patient/p", reason="why", ends_at=9, heartbeat=60, most=3, mime="application/json", error="e",
    )  # fmt: skip
    keep(database, whole)

    assert held(database) == whole
    assert letters(database) == [("subscription/s/handshake", "handshake")]


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({}, True),
        ({"severities": ("high",)}, True),
        ({"severities": ("low", "moderate")}, False),
        ({"rulesets": ("als-mimics",), "issues": ("mg-likely",)}, True),
        ({"rulesets": ("als-mimics",), "issues": ("als-mimic",)}, False),
        ({"patient": "Patient/p"}, True),
        ({"patient": "Patient/q"}, False),
        ({"status": "requested"}, True),
        ({"status": "error"}, True),
        ({"status": "off"}, False),
    ],
)
def test_only_those_are_told_whom_it_concerns(database: Database, filters: dict[str, object], told: bool) -> None:
    keep(database, subscription(**filters))

    with database.write() as connection:
        found = subscriptions.matching(connection, change())

    assert found == ([("s", 1)] if told else [])
    assert held(database).number == int(told)


def test_a_number_is_taken_with_the_change_or_not_at_all(database: Database) -> None:
    keep(database, subscription())

    with pytest.raises(ZeroDivisionError), database.write() as connection:
        assert subscriptions.matching(connection, change()) == [("s", 1)]
        raise ZeroDivisionError
    with database.write() as connection:
        assert subscriptions.matching(connection, change()) == [("s", 1)]
        assert subscriptions.matching(connection, change(version=2)) == [("s", 2)]


def test_those_who_write_at_the_same_time_get_numbers_of_their_own(database: Database) -> None:
    keep(database, *(subscription(id=name) for name in "abc"))
    taken: list[list[tuple[str, int]]] = []

    def work(connection: Connection) -> list[tuple[str, int]]:
        first = subscriptions.matching(connection, change())
        return first + subscriptions.matching(connection, change(version=2))

    def many() -> None:
        for _ in range(15):
            taken.append(database.run(work))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)

    for name in "abc":
        numbers = sorted(number for found in taken for who, number in found if who == name)
        assert numbers == list(range(1, 121))
    assert held(database, "a").number == 120


def test_two_processes_do_not_send_the_same_heartbeat(place: Path | str, database: Database) -> None:
    keep(database, subscription(heartbeat=10, heard_at=NOW), subscription(id="quiet", heard_at=0))
    other = Database(place)

    with database.write() as connection:
        assert subscriptions.beat(connection, NOW + 9_999) == 0
    put = []
    for one in (database, other):
        with one.write() as connection:
            put.append(subscriptions.beat(connection, NOW + 10_000))
    other.close()

    assert put == [1, 0]
    assert [kind for _, kind in letters(database)].count("heartbeat") == 1


def test_a_subscription_ends_at_its_end_and_after_a_week_in_error(database: Database) -> None:
    keep(
        database,
        subscription(id="ends", ends_at=NOW + 5),
        subscription(id="error", status="error", changed_at=NOW),
        subscription(id="goes-on"),
    )
    with database.write() as connection:
        subscriptions.matching(connection, change())
        outbox.put(connection, [Letter(target=f"subscription/{one}", kind="new") for one in ("ends", "error")], NOW)

    with database.write() as connection:
        assert subscriptions.end(connection, NOW + 5) == 1
    assert (held(database, "ends").status, held(database, "error").status) == ("off", "error")
    with database.write() as connection:
        assert subscriptions.end(connection, NOW + IN_ERROR) == 1
        assert subscriptions.end(connection, NOW + IN_ERROR) == 0

    assert (held(database, "error").status, held(database, "goes-on").status) == ("off", "active")
    assert [target for target, _ in letters(database)] == ["subscription/goes-on/handshake"]


def test_what_is_changed_keeps_its_numbers_and_what_waits_until_it_is_off(database: Database) -> None:
    keep(database, subscription())
    with database.write() as connection:
        subscriptions.matching(connection, change())
        outbox.put(connection, [Letter(target="subscription/s", kind="new", number=1)], NOW)
    again = msgspec.structs.replace(held(database), status="requested", severities=("high",), revision=2, number=0)

    with database.write() as connection:
        subscriptions.replace(connection, again, NOW)

    assert (held(database).number, held(database).severities, held(database).revision) == (1, ("high",), 2)
    assert ("subscription/s", "new") in letters(database)
    with database.write() as connection:
        subscriptions.replace(connection, msgspec.structs.replace(again, status="off"), NOW)
    assert letters(database) == []


def test_who_has_read_an_older_version_moves_nothing(database: Database) -> None:
    keep(database, subscription(status="requested"))
    old = held(database)
    with database.write() as connection:
        assert subscriptions.move(connection, old, "active", now=NOW)
        assert not subscriptions.move(connection, old, "error", now=NOW, error="no-response")

    assert (held(database).status, held(database).error, held(database).revision) == ("active", "", 2)


def test_removing_one_removes_all_that_it_was_to_be_told(database: Database) -> None:
    keep(database, subscription(), subscription(id="other"))
    with database.write() as connection:
        subscriptions.remove(connection, "s")
        assert subscriptions.get(connection, "s") is None
        assert subscriptions.count(connection, "engine") == 1

    assert letters(database) == [("subscription/other/handshake", "handshake")]


def test_purging_a_patient_takes_the_subscriptions_for_them_alone(database: Database) -> None:
    keep(database, subscription(id="one", patient="Patient/p"), subscription(id="all"))

    with database.write() as connection:
        retention.forget_patient(connection, "Patient/p")
        assert [one.id for one in subscriptions.of_client(connection, "engine")] == ["all"]


def test_numbers_of_events_only_rise(database: Database) -> None:
    keep(database, subscription())
    found: list[int] = []
    for version in range(1, 6):
        with database.write() as connection:
            found += [number for _, number in subscriptions.matching(connection, change(version=version))]

    assert all(later == earlier + 1 for earlier, later in pairwise(found))
