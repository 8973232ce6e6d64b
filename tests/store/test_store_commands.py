"""`endplate store`: those who run the service upgrade, check, purge and copy its database."""

from __future__ import annotations

import re
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from store_kit import given, kept, shown

from engine.cli import main
from engine.store import Store
from engine.store.schema import REVISION

DAY = 86_400


class Site:
    """Where the commands find the database, and how they are called."""

    def __init__(self, place: Path | str, request: pytest.FixtureRequest) -> None:
        self.place = place
        self.name = f"{place}" if isinstance(place, Path) else f"postgresql://{place.partition('@')[2]}"
        self._patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        self._printed = request.getfixturevalue("capfd")
        if isinstance(place, Path):
            self._patch.setenv("ENDPLATE_DATA", str(place.parent))
            self._patch.delenv("ENDPLATE_DATABASE", raising=False)
        else:
            self._patch.setenv("ENDPLATE_DATABASE", place)

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What a command prints on one of the two streams."""
        self._patch.setattr(sys, "argv", ["endplate", "store", *arguments])
        self._printed.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._printed.readouterr()
        assert ended.value.code == (2 if fails else 0), err
        assert not (err if not fails else out)
        return str(out or err)


@pytest.fixture
def site(lasting: Path | str, request: pytest.FixtureRequest) -> Site:
    return Site(lasting.with_name("endplate.sqlite") if isinstance(lasting, Path) else lasting, request)


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    return Site(tmp_path / "data" / "endplate.sqlite", request)


def test_an_upgrade_makes_the_store_and_does_nothing_twice(site: Site) -> None:
    assert site.run("upgrade") == f"{site.name}: upgraded to version {REVISION}\n"
    assert site.run("upgrade") == f"{site.name}: has version {REVISION}\n"


def test_a_check_says_what_is_there(site: Site, opened: Any) -> None:
    opened(Store, site.place).show([shown(), shown(finding="g")])

    first, *rest = site.run("check").splitlines()

    assert first.startswith(f"{site.name}: ")
    assert first.endswith(f", version {REVISION}, can be written")
    assert ["shown", "2"] in [line.split() for line in rest]


def test_nothing_is_made_where_there_is_nothing(site: Site) -> None:
    wanted = "there is no store at" if isinstance(site.place, Path) else "run `endplate store upgrade`"
    for command in (("check",), ("purge",), ("purge", "--patient", "x"), ("backup", "copy")):
        assert wanted in site.run(*command, fails=True)
    if isinstance(site.place, Path):
        assert not site.place.exists()


def test_a_check_notices_what_was_altered(site: Site, opened: Any) -> None:
    with opened(Store, site.place).database.write() as connection:
        connection.exec_driver_sql("drop index shown_at")

    assert "is not as version" in (said := site.run("check", fails=True))
    assert said.rstrip().endswith("add_index shown_at")


def test_a_check_notices_a_damaged_file(file: Site, tmp_path: Path, opened: Any) -> None:
    store = opened(Store, file.place)
    store.remember((), [kept(id=f"p{number}", content=b"x" * 3000) for number in range(300)])
    store.close()
    content = bytearray(file.place.read_bytes())
    for page in range(20, 60):
        content[page * 4096 : page * 4096 + 4] = b"\x13\x37\x13\x37"
    file.place.write_bytes(content)

    assert "error: " in file.run("check", fails=True)


# -- purge -------------------------------------------------------------------------------------------------------------


def filled(store: Store) -> None:
    """Two patients, each with cards, feedback and a page; the first of long ago, the second of now."""
    now = int(time.time())
    for patient, at in (("Patient/old", now - 20 * DAY), ("Patient/new", now - DAY)):
        name = patient.removeprefix("Patient/")
        store.remember(
            [shown(card=name, finding=name, user=f"told-{name}", patient=patient, at=at)],
            [kept(id=name, patient=patient, content=f"page-{name}".encode(), at=at, until=now + DAY)],
        )
        store.give([given(card=name, comment=f"said-{name}", at=at)])


def known(store: Store, name: str) -> tuple[bool, bool, bool]:
    """Whether cards, feedback and page of a patient are there."""
    return bool(store.shown(name, "ehr")), bool(store.acknowledged([name], "ehr")), bool(store.kept(name, 0))


@pytest.mark.parametrize("named", ["old", "Patient/old"])
def test_a_purge_forgets_one_patient_and_nobody_else(site: Site, opened: Any, named: str) -> None:
    store = opened(Store, site.place)
    filled(store)

    assert site.run("purge", "--patient", named) == "3 rows forgotten\n"

    assert known(store, "old") == (False, False, False)
    assert known(store, "new") == (True, True, True)
    assert site.run("purge", "--patient", named) == "0 rows forgotten\n"


def test_of_a_purged_patient_no_byte_is_left_in_the_file(file: Site, tmp_path: Path, opened: Any) -> None:
    store = opened(Store, file.place)
    filled(store)
    file.run("purge", "--patient", "old")
    store.close()

    content = b"".join(file.read_bytes() for file in file.place.parent.iterdir())
    assert not any(word in content for word in (b"told-old", b"said-old", b"page-old", b"Patient/old"))
    assert all(word in content for word in (b"told-new", b"said-new", b"page-new", b"Patient/new"))


def test_what_may_be_of_the_patient_goes_with_them(site: Site, opened: Any) -> None:
    """Cards and pages of before the store knew patients, and feedback whose card is unknown."""
    store = opened(Store, site.place)
    filled(store)
    store.remember([shown(card="a", finding="a")], [kept(id="a", patient="")])
    store.give([given(card="a"), given(card="unknown")])

    assert site.run("purge", "--patient", "nobody") == "4 rows forgotten\n"
    assert known(store, "a") == (False, False, False)
    assert known(store, "new") == (True, True, True)


def test_a_purge_by_age_forgets_what_is_older(site: Site, opened: Any) -> None:
    store = opened(Store, site.place)
    filled(store)

    assert site.run("purge", "--older-than", "30") == "0 rows forgotten\n"
    assert site.run("purge", "--older-than", "10") == "3 rows forgotten\n"
    assert known(store, "old") == (False, False, False)
    assert known(store, "new") == (True, True, True)
    assert site.run("purge", "--older-than", "0") == "3 rows forgotten\n"
    assert known(store, "new") == (False, False, False)


def test_an_old_card_with_feedback_of_late_stays(site: Site, opened: Any) -> None:
    store = opened(Store, site.place)
    filled(store)
    store.give([given(card="old", outcome="accepted", at=int(time.time()))])

    assert site.run("purge", "--older-than", "10") == "2 rows forgotten\n"
    assert known(store, "old") == (True, True, False)


def test_a_purge_without_a_word_forgets_what_nothing_needs(site: Site, opened: Any) -> None:
    store = opened(Store, site.place)
    filled(store)
    store.remember([shown(card="a", at=0)], [kept(id="a", until=5)])

    assert site.run("purge") == "2 rows forgotten\n"
    assert known(store, "new") == (True, True, True)


def test_two_purges_at_once_are_refused(site: Site) -> None:
    assert "give one of them" in site.run("purge", "--patient", "x", "--older-than", "3", fails=True)


# -- backup ------------------------------------------------------------------------------------------------------------


def test_a_copy_is_whole_while_others_write(file: Site, tmp_path: Path, opened: Any) -> None:
    store = opened(Store, file.place)
    stop, written = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            number = len(written)
            store.remember(
                [shown(card=f"{number}", finding=f"{n}") for n in range(3)], [kept(id=f"{number}", content=b"x" * 5000)]
            )
            written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    while len(written) < 50:
        time.sleep(0.01)
    before = len(written)
    said = file.run("backup", str(tmp_path / "copy"))
    stop.set()
    writer.join(30)

    assert said == f"{file.name}: copied to {tmp_path / 'copy'}\n"
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert {file.name for file in tmp_path.iterdir()} == {"data", "copy"}
    with sqlite3.connect(tmp_path / "copy") as db:
        cards = db.execute("select count(*) from shown").fetchone()[0]
        pages = db.execute("select count(*) from page").fetchone()[0]
    assert before <= pages <= len(written)
    assert cards == 3 * pages


def test_a_copy_can_take_the_place_of_the_file(file: Site, tmp_path: Path, opened: Any) -> None:
    store = opened(Store, file.place)
    filled(store)
    file.run("backup", str(tmp_path / "copy"))
    file.run("purge", "--patient", "new")
    store.close()
    (tmp_path / "copy").rename(file.place)

    assert "can be written" in file.run("check")
    assert known(opened(Store, file.place), "new") == (True, True, True)


def test_a_copy_replaces_nothing(file: Site, tmp_path: Path, opened: Any) -> None:
    opened(Store, file.place)
    (tmp_path / "there").write_text("mine")

    assert "there is something at" in file.run("backup", str(tmp_path / "there"), fails=True)
    assert (tmp_path / "there").read_text() == "mine"
    assert "cannot be written as a backup" in file.run("backup", str(tmp_path / "no" / "folder"), fails=True)


def test_postgresql_is_copied_by_its_own_tool(on_postgresql: str, opened: Any, request: pytest.FixtureRequest) -> None:
    opened(Store, on_postgresql)
    assert "`pg_dump --format=custom --file=copy" in Site(on_postgresql, request).run("backup", "copy", fails=True)


def test_a_dump_of_postgresql_can_be_restored_as_the_page_says(
    on_postgresql: str, opened: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server, site = request.getfixturevalue("postgres"), Site(on_postgresql, request)
    name = on_postgresql.rpartition("/")[2]
    store = opened(Store, on_postgresql)
    filled(store)
    page = (Path(__file__).resolve().parents[2] / "docs/store.md").read_text("utf-8").replace("\n", " ")
    for command in re.findall(r"`(pg_dump [^`]+|pg_restore [^`]+)`", page):
        program, *arguments = command.replace("endplate.dump", str(tmp_path / "dump")).split()
        server.run(program, *(re.sub(r"(?<=dbname=)endplate$|^endplate$", name, one) for one in arguments))
        if program == "pg_dump":
            site.run("purge", "--older-than", "0")
            assert known(store, "new") == (False, False, False)

    assert "can be written" in site.run("check")
    assert known(store, "new") == (True, True, True)
