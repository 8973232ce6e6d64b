"""What was acknowledged is there after a kill -9, of the service or of the database server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_kit import given, kept, shown

from engine.store import Store, StoreError

WRITER = """
import sys; from pathlib import Path; from store_kit import given, kept, shown; from engine.store import Store
place, first = sys.argv[1], int(sys.argv[2])
store = Store(place if place.startswith("postgresql") else Path(place))
for number in range(first, first + 10_000):
    name = str(number)
    store.remember([shown(card=name, finding=f"{name}-{n}") for n in range(2)], [kept(id=name)])
    store.give([given(card=name)])
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 7, 40])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(
    lasting: Path | str, opened: Any, lines: int
) -> None:
    first = 0
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(lasting), str(first)]
        here = Path(__file__).resolve()
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here.parents[2],
                                  env={"PYTHONPATH": f"{here.parent}:{here.parents[2]}"})  # fmt: skip
        assert writer.stdout is not None
        for _ in range(lines):
            assert writer.stdout.readline()
        writer.kill()
        told = writer.stdout.read().split()
        writer.wait(10)
        writer.stdout.close()
        first = int(told[-1] if told else first + lines - 1) + 1

        store = opened(Store, lasting)
        for number in range(first):
            assert len(store.shown(f"{number}", "ehr")) == 2
            assert store.kept(f"{number}", 0) == b"page"
            assert len(store.acknowledged([f"{number}-1"], "ehr")) == 1
        half = len(store.shown(f"{first}", "ehr")), store.kept(f"{first}", 0)
        assert half in ((2, b"page"), (0, None))
        store.close()


def test_a_server_that_is_killed_has_lost_nothing_and_is_found_again(
    new_postgres: Callable[..., Any], opened: Any
) -> None:
    server = new_postgres()
    store = opened(Store, server.create("endplate"))
    for number in range(20):
        store.give([given(card=f"{number}")])
    store.remember([shown(card=f"{number}", finding=f"{number}") for number in range(20)], [kept()])
    store.give([given(card="last")])  # it is on the disk, and with it all that came before

    server.kill()
    with pytest.raises(StoreError, match="cannot be written: "):
        store.give([given(card="lost")])
    server.start()

    assert all(store.acknowledged([f"{number}"], "ehr") for number in range(20))
    assert store.kept("p", 0) == b"page"
    store.give([given(card="again")])
