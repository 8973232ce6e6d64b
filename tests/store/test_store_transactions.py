"""One transaction holds all or nothing, whoever writes in it, and its errors tell nothing of a patient."""

from __future__ import annotations

import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, insert, select, update
from store_kit import kept, shown

from engine.store import ConflictError, Database, StoreError, cards, names, pages, schema, statements
from engine.store.tables import page, secret, used

WHO = "Patient/of-whom-nothing-may-be-told"


def count(database: Database, table: Any = used) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def use(connection: Connection, *uses: str) -> int:
    return statements.add(connection, used, [{"name": name, "until": 1} for name in uses])


def test_several_repositories_share_one_transaction(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        cards.show(connection, [shown()])
        pages.keep(connection, [kept()])
        names.secret(connection, "k")
        raise ZeroDivisionError
    assert (count(database, page), count(database, secret)) == (0, 0)

    with database.write() as connection:
        cards.show(connection, [shown()])
        pages.keep(connection, [kept()])
        assert pages.kept(connection, "p", 0) == b"page"
    assert count(database, page) == 1


def test_what_is_not_committed_is_seen_by_nobody_else(lasting: Path | str, opened: Any) -> None:
    one, two = opened(Database, lasting), opened(Database, lasting)
    schema.upgrade(one)
    with one.write() as connection:
        use(connection, "a")
        assert count(two) == 0
    assert count(two) == 1


def test_readers_do_not_wait_for_a_writer_of_the_same_process(lasting: Path | str, opened: Any) -> None:
    database = opened(Database, lasting)
    schema.upgrade(database)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(count(database)))
    with database.write() as connection:
        use(connection, "a")
        reader.start()
        reader.join(10)
        assert seen == [0]


def test_inserting_says_how_much_was_new_and_putting_replaces(database: Database) -> None:
    with database.write() as connection:
        assert use(connection) == 0
        assert use(connection, "a", "b") == 2
        assert use(connection, "b", "c", "c") == 1
        statements.put(connection, used, [{"name": "a", "until": 5}, {"name": "d", "until": 6}])
        statements.put(connection, used, [])
        found = connection.execute(select(used.c.name, used.c.until).order_by(used.c.name)).all()
    assert [tuple(row) for row in found] == [("a", 5), ("b", 1), ("c", 1), ("d", 6)]


def test_a_transaction_inside_another_is_a_mistake_that_is_named(database: Database) -> None:
    with database.write() as connection:
        use(connection, "a")
        with pytest.raises(RuntimeError, match="inside another"), database.read():
            pass
        with pytest.raises(RuntimeError, match="inside another"), database.write():
            pass
    assert count(database) == 1


@pytest.mark.parametrize("durable", [True, False])
def test_it_is_chosen_whether_a_loss_of_power_may_take_the_last_moments(database: Database, durable: bool) -> None:
    question = "pragma synchronous" if database.dialect == "sqlite" else "show synchronous_commit"
    answers = {"sqlite": (1, 2), "postgresql": ("off", "on")}
    for one in (durable, not durable, durable):
        with database.write(durable=one) as connection:
            assert connection.exec_driver_sql(question).scalar_one() == answers[database.dialect][one]


def test_a_file_is_in_wal_mode_and_a_server_at_read_committed(lasting: Path | str, opened: Any) -> None:
    database = opened(Database, lasting)
    question = {"sqlite": "pragma journal_mode", "postgresql": "show transaction_isolation"}[database.dialect]
    with database.write() as connection:
        assert connection.exec_driver_sql(question).scalar_one() in ("wal", "read committed")


def test_many_threads_write_and_read_with_few_connections(place: Path | str | None, opened: Any) -> None:
    database = opened(Database, place, connections=3)
    schema.upgrade(database)

    def work(number: int) -> None:
        for index in range(20):
            database.run(lambda connection, at=index: use(connection, f"{number}-{at}"), durable=False)
            count(database)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert count(database) == 240
    if database.dialect == "postgresql":
        with database.read() as connection:
            opened_now = "select count(*) from pg_stat_activity where datname = current_database()"
            assert connection.exec_driver_sql(opened_now).scalar_one() <= 3


def test_when_all_connections_are_in_use_it_says_so(
    lasting: Path | str, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.engines.WAIT", 0.2)
    database = opened(Database, lasting, connections=2)
    schema.upgrade(database)
    held, done = threading.Barrier(3), threading.Event()

    def hold() -> None:
        with database.read() as connection:
            connection.exec_driver_sql("select 1")
            held.wait(10)
            done.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    held.wait(10)
    with pytest.raises(StoreError, match=r"no connection is free.*ENDPLATE_DATABASE_CONNECTIONS"), database.read():
        pass
    done.set()
    for thread in threads:
        thread.join(10)
    assert count(database) == 0


def test_another_process_that_holds_the_file_too_long_is_an_error(
    tmp_path: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.engines.WAIT", 0.1)
    one, two = opened(Database, tmp_path / "s"), opened(Database, tmp_path / "s")
    schema.upgrade(one)
    schema.upgrade(two)
    with one.write(), pytest.raises(StoreError, match="database is locked"), two.write():
        pass
    with two.write() as connection:
        use(connection, "a")


# -- PostgreSQL: those who lose try again ------------------------------------------------------------------------------


def test_a_deadlock_is_tried_again_and_both_succeed(on_postgresql: str, opened: Any) -> None:
    database = opened(Database, on_postgresql)
    schema.upgrade(database)
    with database.write() as connection:
        use(connection, "a", "b")
    both, calls = threading.Barrier(2), []

    def work(first: str, second: str) -> None:
        def both_rows(connection: Connection) -> None:
            calls.append(first)
            connection.execute(update(used).values(until=used.c.until + 1).where(used.c.name == first))
            if len(calls) <= 2:
                both.wait(10)
            connection.execute(update(used).values(until=used.c.until + 1).where(used.c.name == second))

        database.run(both_rows)

    threads = [threading.Thread(target=work, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(calls) > 2  # the one that is tried again may be there before the other one has woken up
    with database.read() as connection:
        assert connection.execute(select(used.c.until).order_by(used.c.name)).scalars().all() == [3, 3]


def test_one_that_always_loses_gives_up(database: Database) -> None:
    calls: list[float] = []

    def work(_: Connection) -> None:
        calls.append(time.monotonic())
        raise ConflictError("lost")

    with pytest.raises(ConflictError, match="lost"):
        database.run(work)
    assert len(calls) == 6
    assert 0.05 < calls[-1] - calls[0] < 5


def test_work_is_claimed_by_one_of_several_without_waiting(on_postgresql: str, opened: Any) -> None:
    one, two = opened(Database, on_postgresql), opened(Database, on_postgresql)
    schema.upgrade(one)
    with one.write() as connection:
        use(connection, "a", "b")
    claim = select(used.c.name).order_by(used.c.name).limit(1).with_for_update(skip_locked=True)
    with one.write() as first, two.write() as second:
        assert (first.execute(claim).scalar(), second.execute(claim).scalar()) == ("a", "b")


def test_a_server_that_was_restarted_is_no_error(on_postgresql: str, opened: Any) -> None:
    one, two = opened(Database, on_postgresql), opened(Database, on_postgresql)
    schema.upgrade(one)
    count(one)
    with two.read() as connection:
        end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() " \
              "and pid <> pg_backend_pid()"  # fmt: skip
        assert connection.exec_driver_sql(end).scalars().all() == [True]
    assert count(one) == 0


@pytest.mark.parametrize(("limits", "timeout"), [(True, "30s"), (False, "0")])
def test_a_server_ends_what_takes_too_long_but_not_for_operators(
    on_postgresql: str, opened: Any, limits: bool, timeout: str
) -> None:
    with opened(Database, on_postgresql, limits=limits).write() as connection:
        assert connection.exec_driver_sql("show statement_timeout").scalar_one() == timeout


def test_the_options_of_an_address_stand(on_postgresql: str, opened: Any) -> None:
    place = f"{on_postgresql}?options=-c%20statement_timeout%3D7s&application_name=mine"
    with opened(Database, place).read() as connection:
        shown = [connection.exec_driver_sql(f"show {name}").scalar() for name in ("statement_timeout", "lock_timeout")]
        assert shown == ["7s", "0"]
        assert connection.exec_driver_sql("show application_name").scalar() == "mine"


# -- errors ------------------------------------------------------------------------------------------------------------


def breaking(database: Database, how: str) -> None:
    with database.write() as connection:
        if how == "key":
            for _ in range(2):
                connection.execute(insert(used), [{"name": WHO, "until": 1}])
        elif how == "null":
            connection.execute(insert(page), [{"id": WHO, "content": None, "until": 1, "patient": WHO}])
        elif how == "value":
            wrong = {"sqlite": "select json(?)", "postgresql": "select cast(cast(%s as text) as integer)"}
            connection.exec_driver_sql(wrong[database.dialect], (WHO,))
        else:
            connection.exec_driver_sql(f"delete from nowhere where name = '{WHO}'")  # noqa: S608


@pytest.mark.parametrize("how", ["key", "null", "value", "table"])
def test_an_error_tells_nothing_that_was_written(database: Database, how: str) -> None:
    with pytest.raises(StoreError) as raised:
        breaking(database, how)

    shown = "".join(traceback.format_exception(raised.value))
    assert WHO not in shown.replace(f"WHO = {WHO!r}", "")
    assert str(raised.value).startswith("the store cannot be written: ")
    assert "\n" not in str(raised.value)
    assert count(database) == 0


def test_a_server_that_is_not_there_is_named_without_user_and_password() -> None:
    database = Database("postgresql://me:hush@127.0.0.1:1/records?password=hush")
    with pytest.raises(StoreError) as raised:
        schema.upgrade(database)

    message = str(raised.value)
    assert "`postgresql://127.0.0.1:1/records` cannot be opened" in message
    assert "refused" in message
    assert "`ENDPLATE_DATABASE`" in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("mysql://me:hush@host/db", "names `mysql`"),
        ("host/db", "no address"),
        ("", "no address"),
        ("postgresql://me:hush@host:port/db", "no address"),
        ("postgresql://me:hush@[::1/db", "no address"),
        ("postgresql://me:hu@hush@host/db", "`@` in a password is written `%40`"),
    ],
)
def test_an_address_of_something_else_is_refused(address: str, told: str) -> None:
    with pytest.raises(StoreError, match=told) as raised:
        Database(address)
    assert "hush" not in str(raised.value)


def test_rows_can_be_deleted_in_the_same_transaction(database: Database) -> None:
    with database.write() as connection:
        use(connection, "a", "b")
        assert connection.execute(delete(used).where(used.c.name == "a").returning(used.c.until)).all() == [(1,)]
    assert count(database) == 1
