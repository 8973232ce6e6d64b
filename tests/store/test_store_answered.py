"""A process that is alone with its store looks for no acknowledgement that nobody has given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from store_kit import given, shown

from engine.store import Given, Shown, Store, StoreError, answered


def show(card: str, finding: str) -> Shown:
    return shown(card=card, finding=finding)


def give(card: str) -> Given:
    return given(card=card)


def found(store: Store, *findings: str, client: str = "ehr") -> list[str]:
    return sorted(one.finding for one in store.acknowledged(findings, client))


@contextmanager
def unreadable(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever reads the database fails."""

    @contextmanager
    def fails() -> Iterator[Connection]:
        raise StoreError("it was read")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(store.database, "read", fails)
        yield


def test_what_nobody_has_acknowledged_is_not_looked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.alone()
    store.show([show("a", "f"), show("b", "g")])
    store.give([give("a")])

    with unreadable(store, monkeypatch):
        assert found(store, "g", "h") == []
        with pytest.raises(StoreError, match="it was read"):
            found(store, "f")
    assert found(store, "f", "g") == ["f"]
    assert found(store, "f", client="another") == []


def test_it_is_known_at_the_next_start(lasting: Path | str, opened: Any) -> None:
    first = opened(Store, lasting)
    first.show([show("a", "f"), show("b", "g")])
    first.give([give("a"), give("not shown yet")])
    first.close()

    second = opened(Store, lasting)
    second.alone()

    assert found(second, "f", "g") == ["f"]
    second.show([show("not shown yet", "h")])
    assert found(second, "f", "g", "h") == ["f", "h"]


def test_a_card_that_is_shown_after_its_feedback_counts_as_before(store: Store) -> None:
    store.alone()
    store.give([give("a")])
    assert found(store, "f") == []

    store.show([show("a", "f")])

    assert found(store, "f") == ["f"]


def test_feedback_that_could_not_be_written_is_no_acknowledgement(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.alone()
    store.show([show("a", "f")])
    with monkeypatch.context() as patched:
        patched.setattr("engine.store.cards.add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.give([give("a")])

    assert found(store, "f") == []


@pytest.mark.parametrize("at_the_start", [True, False])
def test_a_store_that_holds_too_much_is_asked_each_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, at_the_start: bool
) -> None:
    monkeypatch.setattr(answered, "MOST", 3)
    if not at_the_start:
        store.alone()
    store.show([show(f"card-{number}", f"finding-{number}") for number in range(5)])
    store.give([give(f"card-{number}") for number in range(4)])
    if at_the_start:
        store.alone()

    with unreadable(store, monkeypatch), pytest.raises(StoreError, match="it was read"):
        found(store, "nobody's")
    store.give([give("card-4")])
    assert found(store, *(f"finding-{number}" for number in range(6))) == [f"finding-{number}" for number in range(5)]


def test_where_others_give_feedback_too_the_store_is_asked_each_time(lasting: Path | str, opened: Any) -> None:
    one, other = opened(Store, lasting), opened(Store, lasting)
    one.show([show("a", "f")])
    assert found(one, "f") == []

    other.give([give("a")])

    assert found(one, "f") == ["f"]


def test_a_store_that_is_gone_says_so() -> None:
    store = Store()
    store.alone()
    store.close()

    with pytest.raises(StoreError):
        found(store, "f")
