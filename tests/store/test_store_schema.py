"""Every database comes to the version of the program by migrations, old files too, and one that is newer is refused."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from store_kit import given, shown

from engine.store import Database, Store, StoreError, schema, tables
from engine.store.schema import REVISION, REVISIONS

VERSION_1 = """
create table shown (
    card text not null, finding text not null, evidence text not null, issue text not null, severity text not null,
    client text not null, user text not null, encounter text not null, evaluation text not null, at integer not null,
    primary key (client, card, finding)
) without rowid;
create index shown_finding on shown (finding, client);
create index shown_at on shown (at);
create table feedback (
    card text not null, client text not null, outcome text not null, stamped text not null, system text not null,
    code text not null, comment text not null, suggestions text not null, at integer not null,
    primary key (client, card, outcome, stamped)
) without rowid;
create table page (id text primary key, content blob not null, until integer not null) without rowid;
create index page_until on page (until);
create table used (name text primary key, until integer not null) without rowid;
create table secret (name text primary key, value blob not null) without rowid;
insert into shown values ('c', 'f', 'e', 'i', 'high', 'ehr', 'u', 'n', 'v', 7);
insert into feedback values ('c', 'ehr', 'overridden', 't', 's', 'planned', '', 'a b', 1);
insert into page values ('p', x'00ff', 100);
insert into used values ('t', 100);
insert into secret values ('page', x'0102');
pragma user_version = 1;
"""


def of_version_1(path: Path) -> None:
    """A file as it was made before there were migrations, with a row in each table."""
    db = sqlite3.connect(path)
    db.execute("pragma journal_mode = wal")
    db.executescript(VERSION_1)
    db.close()


def test_a_file_of_before_migrations_is_taken_over_without_loss(tmp_path: Path, opened: Any) -> None:
    of_version_1(tmp_path / "s")

    store = opened(Store, tmp_path / "s")

    assert store.shown("c", "ehr") == [shown(at=7)]
    (feedback,) = store.acknowledged(["f"], "ehr")
    assert (feedback.code, feedback.at) == ("planned", 1)
    assert store.kept("p", 0) == b"\x00\xff"
    assert not store.first_time("t", 100, 0)
    assert store.secret("page") == b"\x01\x02"
    assert schema.revision(store.database) == REVISION
    with store.database.read() as connection:
        assert schema.differences(connection) == []


def test_a_program_of_before_migrations_refuses_a_file_of_today(tmp_path: Path, opened: Any) -> None:
    opened(Store, tmp_path / "s").close()

    with sqlite3.connect(tmp_path / "s") as db:
        assert db.execute("pragma user_version").fetchone()[0] > 1


def test_the_migrations_lead_to_the_tables(place: Path | str | None, opened: Any) -> None:
    database = opened(Database, place)
    assert schema.upgrade(database)
    with database.read() as connection:
        assert schema.differences(connection) == []


def test_a_table_that_is_not_as_it_should_be_is_noticed(lasting: Path | str, opened: Any) -> None:
    database = opened(Store, lasting).database
    with database.write() as connection:
        connection.exec_driver_sql("drop index shown_at")
        connection.exec_driver_sql("alter table page add column more text")
        connection.exec_driver_sql("drop table used")
        connection.exec_driver_sql("create table of_the_site (x integer)")
    with database.read() as connection:
        found = set(schema.differences(connection))
    assert found == {"add_table used", "add_index shown_at", "remove_column page more"}


def test_what_is_of_today_is_left_alone_and_alembic_is_not_even_imported(tmp_path: Path) -> None:
    Store(tmp_path / "s").close()
    code = f"""
import sys; from pathlib import Path; from engine.store import Store
Store(Path({str(tmp_path / "s")!r})).close(); print("alembic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_commands_that_need_no_store_do_not_import_the_database() -> None:
    code = "import engine.cli.app, engine.cli.evaluate, engine.cli.screen, sys; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_migrations_are_numbered_one_after_another() -> None:
    assert tuple(f"{number:04d}" for number in range(1, len(REVISIONS) + 1)) == REVISIONS


def _open(place: Path | str, results: Any) -> None:
    try:
        store = Store(place)
        results.put(store.secret("page"))
        store.close()
    except Exception as error:  # told to the test
        results.put(repr(error))


def test_several_processes_may_start_at_once_on_a_new_database(lasting: Path | str) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_open, args=(lasting, results)) for _ in range(4)]
    for process in processes:
        process.start()
    found = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
    assert len(found) == 1
    assert isinstance(found.pop(), bytes)


def test_several_threads_may_start_at_once_on_an_old_file(tmp_path: Path) -> None:
    of_version_1(tmp_path / "s")
    secrets: list[bytes] = []

    def start() -> None:
        store = Store(tmp_path / "s")
        secrets.append(store.secret("page"))
        store.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert secrets == [b"\x01\x02"] * 4


def test_a_database_of_a_later_version_is_refused(lasting: Path | str, opened: Any) -> None:
    database = opened(Store, lasting).database
    with database.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")

    for attempt in (Store, lambda place: schema.current(opened(Database, place))):
        with pytest.raises(StoreError, match="was made by a later version of Endplate: use that one, or another"):
            attempt(lasting)


def test_a_file_of_a_later_version_without_migrations_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "later") as db:
        db.execute("pragma user_version = 3")
    with pytest.raises(StoreError, match="later version"):
        Store(tmp_path / "later")


def test_a_migration_that_fails_changes_nothing(
    lasting: Path | str, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: Any) -> None:
        migrate(connection)
        connection.exec_driver_sql("insert into nowhere values (1)")

    migrate = schema._migrate
    monkeypatch.setattr(schema, "_migrate", broken)
    with pytest.raises(StoreError, match="cannot be written"):
        Store(lasting)
    monkeypatch.undo()

    database = opened(Database, lasting)
    assert schema.revision(database) == ""
    with database.read() as connection:
        assert "add_table page" in schema.differences(connection)
    store = opened(Store, lasting)
    store.give([given()])


def test_a_user_who_may_not_upgrade_is_told_who_may(on_postgresql: str, opened: Any) -> None:
    server = create_engine(on_postgresql.replace("postgresql:", "postgresql+psycopg:", 1))
    with server.begin() as connection:
        role = "create role clerk login; exception when duplicate_object then null"
        connection.execute(text(f"do $$ begin {role}; end $$"))
    place = on_postgresql.replace("//endplate@", "//clerk@", 1)
    with pytest.raises(StoreError, match="may not: run `endplate store upgrade` as its owner"):
        Store(place)

    opened(Store, on_postgresql)
    with server.begin() as connection:
        connection.execute(text("grant select, insert, update, delete on all tables in schema public to clerk"))
    opened(Store, place).show([shown()])
    server.dispose()


def test_every_table_that_holds_anything_of_a_patient_says_of_whom() -> None:
    without = {table.name for table in tables.metadata.sorted_tables if "patient" not in table.c}
    assert without == tables.KNOWN_BY_CARD | tables.NO_PATIENT
