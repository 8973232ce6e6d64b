"""What was shown is written a moment after the answer, and nobody sees a difference."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from requests_kit import Day, bundle, condition, order, patient, request
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.model.figure import Figure
from engine.service import backlog as module
from engine.service.app import create_app
from engine.service.backlog import MOST_BYTES, Backlog
from engine.service.lanes import SMALL, Lanes
from engine.settings import Settings
from engine.store import Kept, Shown, Store, StoreError, figures

SIGN = "endplate-order-sign"
NOW = 1_000
NO_FIGURES: Mapping[Figure, int] = {}


class Odd(Store):
    """Writes nothing while it is `broken`, and never takes anything of the user `bad`."""

    def __init__(self, place: Path | None = None) -> None:
        super().__init__(place)
        self.broken = False
        self.writings: list[tuple[int, int]] = []

    def remember(
        self, shown: Iterable[Shown], kept: Iterable[Kept], counted: Mapping[Figure, int] = NO_FIGURES
    ) -> None:
        shown, kept = list(shown), list(kept)
        if self.broken or any(one.user == "bad" for one in shown):
            raise StoreError("the store cannot be written: no space left")
        self.writings.append((len(shown), len(kept)))
        super().remember(shown, kept, counted)

    def check(self) -> None:
        if self.broken:
            raise StoreError("the store cannot be written: no space left")
        super().check()


@pytest.fixture
def store() -> Iterator[Odd]:
    store = Odd()
    yield store
    store.close()


def card(name: str, user: str = "Practitioner/1") -> Shown:
    return Shown(
        card=name, finding="f", evidence="e", issue="i", severity="high", client="c", user=user, encounter="",
        evaluation="v", at=NOW,
    )  # fmt: skip


def page(name: str, content: bytes = b"x") -> Kept:
    return Kept(id=name, content=content, until=NOW + 10, patient="Patient/p", at=NOW)


def eventually(holds: Any) -> bool:
    until = time.monotonic() + 20
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return bool(holds())


def test_many_calls_are_written_together_within_a_second(store: Odd) -> None:
    backlog = Backlog(store)

    for number in range(20):
        backlog.add([card(str(number))], [page(str(number))])

    assert store.writings == []
    assert eventually(lambda: store.kept("19", NOW))
    assert store.writings == [(20, 20)]
    assert [one.card for one in store.shown("7", "c")] == ["7"]


def test_the_same_call_again_is_written_once_as_it_was_last(store: Odd) -> None:
    backlog = Backlog(store)

    backlog.add([card("a")], [page("a", b"first")])
    backlog.add([card("a", user="Practitioner/2")], [page("a", b"second")])
    backlog.flush()

    assert store.writings == [(1, 1)]
    assert store.kept("a", NOW) == b"second"
    assert [one.user for one in store.shown("a", "c")] == ["Practitioner/2"]


def test_a_page_is_to_be_had_before_it_is_written_and_until_its_time(store: Odd) -> None:
    store.broken = True
    backlog = Backlog(store)

    backlog.add([], [page("a")])

    assert backlog.kept("a", NOW) == b"x"
    assert backlog.kept("a", NOW + 10) is None
    assert backlog.kept("b", NOW) is None


def test_what_cannot_be_written_goes_on_waiting_and_nothing_is_added_to_it(store: Odd) -> None:
    failures: list[Exception] = []
    backlog = Backlog(store, failed=failures.append)
    store.broken = True
    backlog.add([card("a")], [page("a")])
    assert eventually(lambda: backlog.failing)

    with pytest.raises(StoreError, match="tried again"):
        backlog.add([card("b")])
    assert [str(one) for one in failures][:1] == ["the store cannot be written: no space left"]
    assert backlog.kept("a", NOW) == b"x"

    store.broken = False
    assert eventually(lambda: not backlog.failing)
    assert store.kept("a", NOW) == b"x"
    backlog.add([card("b")])
    backlog.flush()
    assert store.shown("b", "c")


def test_what_the_store_does_not_take_costs_itself_alone(store: Odd) -> None:
    failures: list[Exception] = []
    backlog = Backlog(store, failed=failures.append)

    backlog.add([card("a"), card("b", user="bad"), card("c")], [page("a")])
    backlog.flush()

    assert not backlog.failing
    assert [bool(store.shown(name, "c")) for name in "abc"] == [True, False, True]
    assert store.kept("a", NOW) == b"x"
    assert len(failures) == 2  # of all together, and of that one


def test_what_waits_is_bounded(store: Odd) -> None:
    store.broken = True
    backlog = Backlog(store)
    large = bytes(MOST_BYTES // 2 + 1)
    backlog.add([], [page("a", large)])

    with pytest.raises(StoreError, match="does not keep up"):
        backlog.add([card("b")], [page("b", large)])


def test_the_end_writes_what_waits(tmp_path: Path) -> None:
    store = Odd(tmp_path / "store.sqlite")
    backlog = Backlog(store)
    backlog.add([card("a")], [page("a")])

    backlog.close()
    store.close()

    again = Store(tmp_path / "store.sqlite")
    assert again.shown("a", "c")
    assert again.kept("a", NOW) == b"x"
    again.close()


def test_where_others_read_the_store_it_is_written_at_once(store: Odd) -> None:
    backlog = Backlog(store, alone=False)

    backlog.add([card("a")], [page("a")])

    assert store.writings == [(1, 1)]


def test_many_threads_lose_nothing(store: Odd) -> None:
    backlog = Backlog(store)

    def some(start: int) -> None:
        for number in range(start, start + 50):
            backlog.add([card(str(number))], [page(str(number))])
            if number % 10 == 0:
                backlog.flush()

    threads = [threading.Thread(target=some, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    backlog.close()

    numbers = [100 * start + number for start in range(4) for number in range(50)]
    assert all(store.shown(str(number), "c") and store.kept(str(number), NOW) for number in numbers)


# -- figures

TOLD = Figure("2026-03-01", "evaluation", "hook", "cards")


def counted(store: Store) -> dict[Figure, int]:
    with store.database.read() as connection:
        return figures.since(connection, "")


def test_figures_are_written_with_what_waits(store: Odd) -> None:
    backlog = Backlog(store)

    for number in range(20):
        backlog.add([card(str(number))])
        backlog.count({TOLD: 1})

    assert eventually(lambda: counted(store) == {TOLD: 20})
    assert store.writings == [(20, 0)]


def test_figures_alone_are_written_some_seconds_later(store: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIGURES", 0.3)
    backlog = Backlog(store)
    backlog.count({TOLD: 1})
    backlog.count({TOLD: 2})

    time.sleep(0.1)
    assert store.writings == []
    assert eventually(lambda: counted(store) == {TOLD: 3})
    assert store.writings == [(0, 0)]


def test_cards_do_not_wait_for_the_time_of_figures(store: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIGURES", 1000)
    backlog = Backlog(store)
    backlog.count({TOLD: 1})
    time.sleep(0.05)
    backlog.add([card("a")])

    assert eventually(lambda: store.shown("a", "c"))
    assert counted(store) == {TOLD: 1}


def test_where_others_read_the_store_figures_wait_all_the_same(store: Odd) -> None:
    backlog = Backlog(store, alone=False)
    backlog.count({TOLD: 1})
    backlog.add([card("a")])
    assert counted(store) == {}
    backlog.close()
    assert counted(store) == {TOLD: 1}


def test_no_figure_is_lost_or_counted_twice_where_the_store_fails(store: Odd) -> None:
    backlog = Backlog(store)
    store.broken = True
    backlog.count({TOLD: 1})
    with pytest.raises(StoreError):
        backlog.flush()
    backlog.count({TOLD: 1})
    store.broken = False
    assert eventually(lambda: not backlog.failing)
    backlog.count({TOLD: 1})
    backlog.add([card("a"), card("b", user="bad")])  # one of which the store does not take
    backlog.flush()
    assert counted(store) == {TOLD: 3}
    assert store.shown("a", "c")


def test_many_threads_count_everything(store: Odd) -> None:
    backlog = Backlog(store)

    def some() -> None:
        for number in range(100):
            backlog.count({TOLD: 1})
            if number % 20 == 0:
                backlog.flush()

    threads = [threading.Thread(target=some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    backlog.close()
    assert counted(store) == {TOLD: 400}


def test_a_store_that_was_closed_is_not_written_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIGURES", 0.05)
    store = Store()
    backlog = Backlog(store)
    backlog.count({TOLD: 1})
    store.close()
    assert eventually(lambda: backlog._thread is None)


# -- in the service


def signing() -> dict[str, Any]:
    held = {"patient": patient(), "conditions": bundle(condition("91637004", "mg"))}
    return request(SIGN, prefetch=held, context={"draftOrders": bundle(order("a"))})


def test_the_service_tells_when_it_can_no_longer_write_and_when_it_can_again(
    store: Odd, evaluator: Evaluator, day: Day
) -> None:
    settings = Settings(pages_url="http://127.0.0.1")
    client = TestClient(create_app(evaluator, settings, dev=True, today=day, store=store))
    store.broken = True
    first = client.post(f"/cds-services/{SIGN}", json=signing()).json()
    [address] = [link["url"] for link in first["cards"][0]["links"] if "/evaluations/" in link["url"]]
    assert eventually(lambda: client.app.state.service.backlog.failing)  # type: ignore[attr-defined]
    assert client.get("/readyz").status_code == 503

    later = client.post(f"/cds-services/{SIGN}", json=signing()).json()
    feedback = {"feedback": [{"card": first["cards"][0]["uuid"], "outcome": "accepted"}]}
    refused = client.post(f"/cds-services/{SIGN}/feedback", json=feedback)

    # what was promised is kept as long as the process lives
    assert client.get(address.removeprefix("http://127.0.0.1")).status_code == 200
    assert later["cards"]
    assert "what was shown could not be remembered" in later["extension"]["org.endplate.evaluation"]["notes"]
    assert refused.status_code == 503
    assert 'endplate_failures_total{part="store"}' in client.get("/metrics").text
    store.broken = False
    assert eventually(lambda: client.get("/readyz").status_code == 200)
    assert client.post(f"/cds-services/{SIGN}/feedback", json=feedback).status_code == 200
    assert 'outcome="accepted"' in client.get("/metrics").text


@pytest.mark.anyio
@pytest.mark.parametrize(("size", "alone", "here"), [(0, True, True), (SMALL, True, True), (SMALL + 1, True, False),
                                                     (0, False, False)])  # fmt: skip
async def test_small_work_is_done_at_once_and_large_or_shared_work_in_threads(
    size: int, alone: bool, here: bool
) -> None:
    lanes = Lanes(2, alone=alone)

    assert (await lanes.direct(threading.current_thread, size) is threading.current_thread()) is here
    assert await lanes.beside(threading.current_thread) is not threading.current_thread()


@pytest.mark.anyio
async def test_small_work_is_done_in_its_order_and_the_network_is_looked_at_in_between() -> None:
    """Else a request of which a piece is still on its way waits for two rounds of all others."""
    lanes, done = Lanes(2), list[str]()

    async def others() -> None:
        while len(done) < 12:
            done.append("-")
            await anyio.sleep(0)

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(lanes.direct, partial(done.append, name), 1)
        tasks.start_soon(others)

    assert [name for name in done if name != "-"] == ["a", "b", "c"]
    assert not {"ab", "bc"} & {one + other for one, other in pairwise(done)}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
