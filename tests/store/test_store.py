"""The store keeps what it is given, forgets in time, and says what is wrong with it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from store_kit import given, kept, shown

from engine.store import Store, StoreError, cards, pages, resources, tables
from engine.store.cards import REMEMBERED, UNANSWERED
from engine.store.pages import MOST_PAGES


def test_feedback_leads_to_what_stood_on_the_card(store: Store) -> None:
    store.show([shown(), shown(finding="g"), shown(card="d", finding="h")])
    store.give([given()])

    found = store.acknowledged(["f", "g", "h", "x"], "ehr")

    assert {one.finding for one in found} == {"f", "g"}
    assert {(one.user, one.encounter, one.evidence, one.code, one.at) for one in found} == {
        ("u", "n", "e", "planned", 1)
    }
    assert store.shown("d", "ehr") == [shown(card="d", finding="h")]


def test_a_client_cannot_acknowledge_the_cards_of_another(store: Store) -> None:
    store.show([shown()])
    store.give([given(client="other")])

    assert store.acknowledged(["f"], "ehr") == []
    assert store.acknowledged(["f"], "other") == []
    assert store.shown("c", "other") == []


def test_feedback_may_come_before_the_card_and_more_than_once(store: Store) -> None:
    for _ in range(2):
        store.give([given(), given(outcome="accepted")])
    store.show([shown()])
    store.show([shown()])

    assert sorted(one.outcome for one in store.acknowledged(["f"], "ehr")) == ["accepted", "overridden"]


def test_everything_survives_a_restart(lasting: Path | str, opened: Any) -> None:
    first = opened(Store, lasting)
    first.show([shown()])
    first.give([given()])
    first.keep("p", b"page", 100)
    secret = first.secret("page")
    first.close()

    second = opened(Store, lasting)

    assert [one.finding for one in second.acknowledged(["f"], "ehr")] == ["f"]
    assert second.kept("p", 99) == b"page"
    assert second.secret("page") == secret
    assert second.secret("other") != secret


def test_only_its_owner_can_read_a_file(tmp_path: Path, opened: Any) -> None:
    path = tmp_path / "folder" / "store.sqlite"
    opened(Store, path).show([shown()])

    assert {file.name for file in path.parent.iterdir()} == {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm"}
    assert not any(file.stat().st_mode & 0o077 for file in (path.parent, *path.parent.iterdir()))


def test_cards_and_pages_of_many_calls_are_remembered_at_once(store: Store) -> None:
    rows = (shown(card=f"{number}", patient=f"Patient/{number}") for number in range(300))
    store.remember(rows, (kept(id=f"p{number}") for number in range(300)))
    store.remember([shown(card="7", severity="low")], [kept(id="p7", content=b"new")])

    assert store.shown("299", "ehr") == [shown(card="299", patient="Patient/299")]
    assert store.shown("7", "ehr") == [shown(card="7", severity="low")]
    assert store.kept("p7", 99) == b"new"


def test_nothing_is_remembered_if_something_cannot_be(store: Store) -> None:
    broken: Any = kept(content=None)
    with pytest.raises(StoreError, match="cannot be written"):
        store.remember([shown()], [broken])

    assert store.shown("c", "ehr") == []


def test_a_page_is_gone_when_its_time_is_over(store: Store) -> None:
    store.keep("p", b"page", 100)

    assert store.kept("p", 100) is None
    assert store.kept("q", 0) is None


def test_what_is_no_longer_needed_is_forgotten(store: Store) -> None:
    store.show([shown(), shown(card="d")])
    store.give([given()])
    store.keep("p", b"page", UNANSWERED)

    store.purge(UNANSWERED + 1)
    assert store.shown("d", "ehr") == []
    assert store.acknowledged(["f"], "ehr")
    assert store.kept("p", 0) is None

    store.purge(REMEMBERED + UNANSWERED + 2)
    assert store.acknowledged(["f"], "ehr") == []
    assert store.shown("c", "ehr") == []


def test_only_so_many_pages_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_PAGES == 100_000
    monkeypatch.setattr(pages, "MOST_PAGES", 1_000)
    rows = [kept(id=f"{number}", until=1000 + number) for number in range(1_005)]
    store.remember((), rows)

    assert store.purge(0) == 5
    assert store.kept("4", 0) is None
    assert store.kept("5", 0) == b"page"


def test_it_is_time_to_purge_after_many_writes() -> None:
    store = Store()
    store._writes = 4_998

    store.check()
    assert not store.due()
    store.check()
    assert store.due()
    assert not store.due()


def test_a_token_is_used_once_over_all_processes(lasting: Path | str, opened: Any) -> None:
    one, two = opened(Store, lasting), opened(Store, lasting)

    assert one.first_time("t", 100.0, 1.0)
    assert not two.first_time("t", 100.0, 2.0)
    assert two.first_time("t", 300.0, 102.0)


def test_a_token_is_used_once_by_many_at_the_same_time(lasting: Path | str, opened: Any) -> None:
    stores = [opened(Store, lasting) for _ in range(2)]
    first: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: first.append(stores[n % 2].first_time("t", 100.0, 1.0))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(first) == [False] * 7 + [True]


def test_several_threads_and_processes_write_at_once(lasting: Path | str, opened: Any) -> None:
    stores = [opened(Store, lasting) for _ in range(3)]

    def write(store: Store, number: int) -> None:
        for index in range(30):
            store.show([shown(card=f"{number}-{index}")])

    threads = [threading.Thread(target=write, args=(stores[n % 3], n)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    with stores[0].database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.shown)).scalar() == 180


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, whatever its name may say" * 100)
    with pytest.raises(StoreError, match=r"text` cannot be opened.*not a database.*`ENDPLATE_DATA`"):
        Store(tmp_path / "text")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "text" / "below")


def test_a_search_for_findings_does_not_look_through_all_cards(store: Store) -> None:
    """It would, in SQLite, if the client were compared as it is: the more cards, the slower each call."""
    if store.database.dialect != "sqlite":
        return
    asked = cards._ACKNOWLEDGED.params(findings=["f"], client="ehr")
    with store.database.read() as connection:
        text = str(asked.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = [row[3] for row in connection.exec_driver_sql(f"explain query plan {text}")]

    assert "INDEX shown_finding (finding=?)" in plan[0]
    assert "PRIMARY KEY (client=? AND card=?)" in plan[1]


def test_resources_are_found_by_their_key_and_not_by_looking_through_all(store: Store) -> None:
    """A list of pairs alone is a scan in SQLite: the more resources, the slower each event."""
    if store.database.dialect != "sqlite":
        return
    keys = [("Observation", "o1"), ("Patient", "p1")]
    for statement in (resources._HELD, resources._SHARED, resources._KNOWN):
        with store.database.read() as connection:
            asked = statement.params(**resources._named(keys))
            text = str(asked.compile(connection, compile_kwargs={"literal_binds": True}))
            plan = [row[3] for row in connection.exec_driver_sql(f"explain query plan {text}")]

        assert "PRIMARY KEY (type=? AND id=?)" in plan[0]


def test_hostile_text_is_only_text(store: Store) -> None:
    evil = "'); drop table shown; --"
    store.show([shown(card=evil, finding=evil, user=evil)])
    store.give([given(card=evil, comment=evil)])

    assert [one.comment for one in store.acknowledged([evil], "ehr")] == [evil]


@pytest.mark.parametrize("odd", ["a\x00b", "\ud800", "a\U0001f9e0", "\x1b[31m", "e\u0301"])
def test_odd_text_is_kept_and_found_by_what_it_was(store: Store, odd: str) -> None:
    store.show([shown(card=odd, finding=odd)])
    store.give([given(card=odd, comment=odd)])

    (found,) = store.acknowledged([odd], "ehr")
    assert found.comment == odd.replace("\x00", "\ufffd").replace("\ud800", "?")
    assert len(store.shown(odd, "ehr")) == 1
    assert store.first_time(odd, 10, 0)
    assert not store.first_time(odd, 10, 0)
