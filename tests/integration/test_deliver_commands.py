"""`endplate deliveries`: those who run the service see what was refused, and send it again."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection

from engine.cli import main
from engine.store import Database, outbox
from engine.store.outbox import Letter

REFUSED = "`ehr` answers 422 (invalid)"


@pytest.fixture
def filled(database: Database, place: Path | str, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Two letters that were refused, and one that waits."""
    if isinstance(place, Path):
        (place.parent / "endplate.sqlite").symlink_to(place)
        monkeypatch.setenv("ENDPLATE_DATA", str(place.parent))
        monkeypatch.delenv("ENDPLATE_DATABASE", raising=False)
    else:
        monkeypatch.setenv("ENDPLATE_DATABASE", place)
    letters = [
        Letter(target=target, kind="new", patient=f"Patient/{number}", identifier=f"{number}" * 64, version=1)
        for number, target in enumerate(("sink/ehr", "sink/archive", "sink/ehr"))
    ]

    def work(connection: Connection) -> None:
        outbox.put(connection, letters, 1_777_000_000_000)
        for lane in ("sink/ehr", "sink/archive"):
            taken = outbox.claim(connection, lane, holder="t", now=2 * 10**12, until=3 * 10**12, most=1)
            outbox.bury(connection, taken[0], now=0, error=REFUSED)

    database.run(work)
    return database


def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str, fails: bool = False
) -> str:
    monkeypatch.setattr(sys, "argv", ["endplate", "deliveries", *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    assert bool(ended.value.code) is fails
    printed = capfd.readouterr()
    return printed.err if fails else printed.out


def test_refused_deliveries_are_listed_without_anything_of_the_patient(
    filled: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    printed = run(monkeypatch, capfd, "list")
    assert printed.splitlines()[:2] == [
        "sink/archive: 0 to be delivered, 1 refused", "sink/ehr: 1 to be delivered, 1 refused",
    ]  # fmt: skip
    assert re.search(
        r"^ +\d+  2026-04-24 \d\d:\d\d  refused  sink/ehr  new 0{12} version 1, tried 1 times: `ehr` answers 422",
        printed,
        re.MULTILINE,
    )
    assert "Patient" not in printed
    assert len(printed.splitlines()) == 4
    assert len(run(monkeypatch, capfd, "list", "--pending", "--target", "sink/ehr").splitlines()) == 4
    assert len(run(monkeypatch, capfd, "list", "--limit", "1").splitlines()) == 3


def test_they_are_replayed_by_number_target_or_all_and_never_by_accident(
    filled: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "say which" in run(monkeypatch, capfd, "replay", fails=True)
    with filled.read() as connection:
        first, _ = outbox.listed(connection)
    assert run(monkeypatch, capfd, "replay", "999999") == "0 to be delivered again\n"
    assert run(monkeypatch, capfd, "replay", str(first.seq)) == "1 to be delivered again\n"
    assert run(monkeypatch, capfd, "replay", "--target", first.target) == "0 to be delivered again\n"
    assert run(monkeypatch, capfd, "replay", "--all") == "1 to be delivered again\n"
    with filled.read() as connection:
        assert outbox.listed(connection) == []
        assert {one.attempts for one in outbox.listed(connection, states=("pending",))} == {0}
