"""The store keeps what it is given, forgets in time, and says what is wrong with it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.store import Given, Shown, Store, StoreError
from engine.store.store import REMEMBERED, UNANSWERED, VERSION

DAY = 86_400


def shown(**fields: Any) -> Shown:
    usual = {
        "card": "c", "finding": "f", "evidence": "e", "issue": "i", "severity": "high", "client": "ehr", "user": "u",
        "encounter": "n", "evaluation": "v", "at": 0,
    }  # fmt: skip
    return Shown(**usual | fields)


def given(**fields: Any) -> Given:
    usual = {
        "card": "c", "client": "ehr", "outcome": "overridden", "stamped": "t", "system": "s", "code": "planned",
        "comment": "", "suggestions": ("a", "b"), "at": 1,
    }  # fmt: skip
    return Given(**usual | fields)


def test_feedback_leads_to_what_stood_on_the_card() -> None:
    store = Store()
    store.show([shown(), shown(finding="g"), shown(card="d", finding="h")])
    store.give([given()])

    found = store.acknowledged(["f", "g", "h", "x"], "ehr")

    assert {one.finding for one in found} == {"f", "g"}
    assert {(one.user, one.encounter, one.evidence, one.code, one.at) for one in found} == {
        ("u", "n", "e", "planned", 1)
    }
    assert store.shown("d", "ehr") == [shown(card="d", finding="h")]


def test_a_client_cannot_acknowledge_the_cards_of_another() -> None:
    store = Store()
    store.show([shown()])
    store.give([given(client="other")])

    assert store.acknowledged(["f"], "ehr") == []
    assert store.acknowledged(["f"], "other") == []
    assert store.shown("c", "other") == []


def test_feedback_may_come_before_the_card_and_more_than_once() -> None:
    store = Store()
    for _ in range(2):
        store.give([given(), given(outcome="accepted")])
    store.show([shown()])
    store.show([shown()])

    assert sorted(one.outcome for one in store.acknowledged(["f"], "ehr")) == ["accepted", "overridden"]


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.sqlite"
    first = Store(path)
    first.show([shown()])
    first.give([given()])
    first.keep("p", b"page", 100)
    secret = first.secret("page")
    first.close()

    second = Store(path)

    assert [one.finding for one in second.acknowledged(["f"], "ehr")] == ["f"]
    assert second.kept("p", 99) == b"page"
    assert second.secret("page") == secret
    assert second.secret("other") != secret
    assert path.stat().st_mode & 0o077 == 0


def test_a_page_is_gone_when_its_time_is_over() -> None:
    store = Store()
    store.keep("p", b"page", 100)

    assert store.kept("p", 100) is None
    assert store.kept("q", 0) is None


def test_what_is_no_longer_needed_is_forgotten() -> None:
    store = Store()
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


def test_a_token_is_used_once_over_all_processes(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "s"), Store(tmp_path / "s")

    assert one.first_time("t", 100.0, 1.0)
    assert not two.first_time("t", 100.0, 2.0)
    assert two.first_time("t", 300.0, 102.0)


def test_several_threads_and_processes_write_at_once(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "s") for _ in range(3)]

    def write(store: Store, number: int) -> None:
        for index in range(30):
            store.show([shown(card=f"{number}-{index}")])

    threads = [threading.Thread(target=write, args=(stores[n % 3], n)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    with sqlite3.connect(tmp_path / "s") as db:
        assert db.execute("select count(*) from shown").fetchone() == (180,)


def test_a_file_that_is_none_or_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, whatever its name may say" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "text")

    with sqlite3.connect(tmp_path / "later") as db:
        db.execute(f"pragma user_version = {VERSION + 1}")
    with pytest.raises(StoreError, match="later version"):
        Store(tmp_path / "later")


def test_hostile_text_is_only_text() -> None:
    store = Store()
    evil = "'); drop table shown; --"
    store.show([shown(card=evil, finding=evil, user=evil)])
    store.give([given(card=evil, comment=evil)])

    assert [one.comment for one in store.acknowledged([evil], "ehr")] == [evil]
