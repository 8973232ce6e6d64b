"""Whoever claims work is seen to live; what a dead process has claimed is free at once, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.store import Database, StoreError, outbox, schema, sources, work
from engine.store.holders import Holder, free
from engine.store.outbox import Letter
from engine.store.sources import Pending
from engine.store.tables import holder

LEASE = 10**9
CLAIMER = """
import sys, time; from pathlib import Path; from engine.store import Database
from test_store_holders import claim_all; from engine.store.holders import Holder
place, name = sys.argv[1:]
database = Database(place if place.startswith("postgresql") else Path(place))
mine = Holder(database, name)
mine.begin(1)
print(claim_all(database, name), flush=True)
time.sleep(600)
"""


def claim_all(database: Database, name: str, now: int = 10) -> int:
    """Takes whatever is to be decided on, delivered or fetched; how much."""
    until = now + LEASE

    def work_on(connection: Any) -> int:
        patients = work.claim(connection, holder=f"{name}.1", now=now, until=until, most=9)
        letters = outbox.claim(connection, "sink/ehr", holder=f"{name}.sink/ehr.1", now=now, until=until, most=9)
        fetches = sources.claim(
            connection, holder=f"{name}.fetch.1", now=now, until=until, sources=["ehr"], most=9
        )  # fmt: skip
        return len(patients) + len(letters) + len(fetches)

    return database.run(work_on)


def something_to_do(database: Database) -> None:
    with database.write() as connection:
        work.mark(connection, ["Patient/p"], 1)
        outbox.put(connection, [Letter(target="sink/ehr", kind="new", patient="Patient/p", identifier="f")], 1)
        sources.fetch(connection, [Pending(source="ehr", subscription="", kind="read", what="Patient/p", next_at=1)])


def names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(holder.select()).scalars())


@pytest.fixture
def databases(lasting: Path | str, opened: Any) -> list[Database]:
    """Two on one place, as two processes have."""
    found = [opened(Database, lasting) for _ in range(2)]
    schema.upgrade(found[0])
    something_to_do(found[0])
    return found


@contextmanager
def process(place: Path | str, name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has claimed everything that there was."""
    here = Path(__file__).resolve()
    paths = f"{here.parent}:{here.parents[2]}"
    command = [sys.executable, "-c", CLAIMER, str(place), name]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "3\n"
        yield running
    finally:
        running.kill()
        running.wait(10)
        running.stdout.close()


def test_what_a_killed_process_has_claimed_is_free_at_once(lasting: Path | str, databases: list[Database]) -> None:
    database = databases[0]
    mine = Holder(database, "mine")
    mine.begin(1)
    with process(lasting, "other") as other:
        assert names(database) == {"mine", "other"}
        assert mine.look(11) == 0  # it lives, and may be slow
        assert claim_all(database, "mine") == 0
        other.kill()
        other.wait(10)
        assert freed_by(mine) == 3
    assert claim_all(database, "mine") == 3
    assert names(database) == {"mine"}
    mine.end()


def test_a_patient_with_whom_processes_die_is_taken_alone_and_rests_in_between(databases: list[Database]) -> None:
    """It may be their record that kills: whoever shared a claim with them goes on, and a change brings them at once."""
    one = databases[0]
    with one.write() as connection:
        work.mark(connection, ["Patient/q"], 1)
    taken = []
    for death in range(1, 6):
        with one.write() as connection:
            now = death * 100_000
            claims = work.claim(connection, holder="dead.1", now=now, until=now + LEASE, most=9)
            taken.append([claim.patient for claim in claims])
            free(connection, "dead", died=now)
            if death == 1:  # the other one is decided on next time, and it was not they
                [other] = work.claim(connection, holder="mine.1", now=now, until=LEASE, most=9)
                assert work.done(connection, other)
    assert taken == [["Patient/p", "Patient/q"], *[["Patient/q"]] * 4]
    with one.write() as connection:
        now = 500_000 + 5 * work.REST_MS
        assert work.claim(connection, holder="mine.2", now=now - 1, until=LEASE, most=9) == []
        assert work.waiting(connection, now)[2] == 1, "operators see it"
        [later] = work.claim(connection, holder="mine.2", now=now, until=LEASE, most=9)
        assert later.attempts == 5
        work.park(connection, later, LEASE)
        work.mark(connection, ["Patient/q"], 7)
        assert len(work.claim(connection, holder="mine.3", now=7, until=LEASE, most=9)) == 1


def test_who_ends_in_peace_leaves_no_suspicion(databases: list[Database]) -> None:
    with databases[0].write() as connection:
        work.claim(connection, holder="one.1", now=5, until=LEASE, most=9)
        free(connection, "one")
        [claim] = work.claim(connection, holder="two.1", now=5, until=LEASE, most=9)
        assert claim.attempts == 0


def freed_by(one: Holder) -> int:
    """A server notices the end of a connection a moment later."""
    until = time.monotonic() + 10
    while not (freed := one.look(12)) and time.monotonic() < until:
        time.sleep(0.01)
    return freed


def test_of_two_that_live_neither_takes_what_the_other_has(databases: list[Database]) -> None:
    one, two = (Holder(database, name) for database, name in zip(databases, ("one", "two"), strict=True))
    one.begin(1)
    two.begin(1)
    assert claim_all(databases[0], "one") == 3
    for holder_, database in ((one, databases[0]), (two, databases[1])):
        assert holder_.look(11) == 0
        assert claim_all(database, holder_.name) == 0
    one.end()
    assert claim_all(databases[1], "two") == 3
    assert names(databases[0]) == {"two"}
    two.end()


def test_a_name_that_begins_alike_is_another_name(databases: list[Database]) -> None:
    one, two = Holder(databases[0], "h"), Holder(databases[1], "h-2")
    one.begin(1)
    two.begin(1)
    assert claim_all(databases[1], "h-2") == 3
    one.end()
    assert claim_all(databases[0], "h") == 0
    two.end()


def test_several_that_find_the_same_dead_one_free_it_once(lasting: Path | str, databases: list[Database]) -> None:
    with process(lasting, "other"):
        pass
    some = [Holder(database, f"h{number}") for number, database in enumerate(databases)]
    for one in some:
        one.begin(1)
    freed: list[int] = []

    def look(one: Holder) -> None:
        until = time.monotonic() + 10
        while not sum(freed) and time.monotonic() < until:
            freed.append(one.look(11))

    threads = [threading.Thread(target=look, args=(one,)) for one in some]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(freed) == 3
    for one in some:
        one.end()


def test_a_file_that_is_gone_says_nothing_and_the_time_of_the_claim_holds(tmp_path: Path, opened: Any) -> None:
    database = opened(Database, tmp_path / "s")
    schema.upgrade(database)
    something_to_do(database)
    lost, mine = Holder(database, "lost"), Holder(opened(Database, tmp_path / "s"), "mine")
    lost.begin(1)
    mine.begin(1)
    assert claim_all(database, "lost") == 3
    (tmp_path / "s.lost.lock").unlink()
    assert mine.look(11) == 0
    assert claim_all(database, "mine") == 0
    assert names(database) == {"mine"}
    assert claim_all(database, "mine", now=11 + LEASE) == 3
    mine.end()
    lost.end()
    assert not list(tmp_path.glob("*.lock"))


def test_a_server_that_was_away_finds_everybody_alive_again(new_postgres: Callable[..., Any], opened: Any) -> None:
    server = new_postgres()
    place = server.create("endplate")
    first, second = (opened(Database, place) for _ in range(2))
    schema.upgrade(first)
    one, two = Holder(first, "one"), Holder(second, "two")
    one.begin(1)
    two.begin(1)
    server.kill()
    with pytest.raises(StoreError, match="cannot be"):
        one.look(5)
    server.start()
    something_to_do(first)
    assert [one.look(11), two.look(11)] == [0, 0]
    assert claim_all(first, "one") == 3
    assert [two.look(12), one.look(12)] == [0, 0]
    assert claim_all(second, "two") == 0
    assert names(first) == {"one", "two"}
    one.end()
    two.end()


def test_in_memory_there_is_nobody_else(opened: Any) -> None:
    database = opened(Database, None)
    schema.upgrade(database)
    only = Holder(database, "only")
    only.begin(1)
    assert only.look(2) == 0
    only.end()
