"""Group commit: what is acknowledged is durable, what cannot be written is said to be, nobody waits without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from stream_kit import SERVED, Json, letter, posted, record_of, stamped, stands

from engine.evaluation import Evaluator
from engine.integration import receiver as module
from engine.integration.event import Event
from engine.integration.intake import Letter, Taken, take
from engine.integration.receiver import FullError, Receiver
from engine.store import Database, StoreError, resources, retention, schema, sources
from engine.store.resources import Held
from engine.store.tables import metadata
from engine.store.tables import pending_fetch as p
from engine.store.tables import work as w

NAME = "quinine-in-overlap"


def result(identity: str = "o", patient: str = "p", **more: Any) -> Json:
    """A creatine kinase, which a rule reads."""
    return {"resourceType": "Observation", "id": identity, "status": "final", **more,
            "code": {"coding": [{"system": "http://loinc.org", "code": "2157-6"}]},
            "subject": more.get("subject", {"reference": f"Patient/{patient}"}),
            "valueQuantity": {"value": 900, "code": "U/L", "system": "http://unitsofmeasure.org"}}  # fmt: skip


def held(database: Database, *keys: tuple[str, str]) -> list[Held]:
    with database.write() as connection:
        return list(resources.held(connection, keys).values())


def marked(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {row.patient: row.dirty for row in connection.execute(w.select())}


def tell(database: Database, *letters: Letter, at: int = 1_000) -> Taken:
    return database.run(lambda connection: take(connection, letters, at))


class Counting:
    def __init__(self) -> None:
        self.groups: list[Taken] = []
        self.marks = 0
        self.failures: list[Exception] = []

    def mark(self) -> None:
        self.marks += 1


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def receiver(database: Database, counting: Counting) -> Iterator[Receiver]:
    receiver = Receiver(
        database, lambda: 1_000, taken=counting.groups.append, marked=counting.mark, failed=counting.failures.append
    )
    receiver.start()
    yield receiver
    receiver.close()


def test_what_is_acknowledged_is_there_and_its_patient_is_marked(
    receiver: Receiver, database: Database, evaluator: Evaluator, counting: Counting
) -> None:
    receiver.submit(posted(evaluator, result())).result(10)
    assert [row.patient for row in held(database, ("Observation", "o"))] == ["Patient/p"]
    receiver.close()
    assert marked(database) == {"Patient/p": 1}
    assert counting.marks == 1


def test_many_connections_share_a_transaction(
    receiver: Receiver, database: Database, evaluator: Evaluator, counting: Counting
) -> None:
    letters = [posted(evaluator, result(f"o{n}", f"p{n % 7}")) for n in range(200)]
    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(receiver.submit, letters))
        wait(done, 30)
    assert all(one.result() is None for one in done)
    receiver.close()
    assert sum(group.new for group in counting.groups) == 200
    assert len(counting.groups) < 150
    assert len(held(database, *(("Observation", f"o{n}") for n in range(200)))) == 200
    assert marked(database).keys() == {f"Patient/p{n}" for n in range(7)}


def test_one_that_cannot_be_written_fails_alone(
    receiver: Receiver, database: Database, evaluator: Evaluator, counting: Counting
) -> None:
    bad = letter(evaluator, Event(action="delete", type="Observation", id="bad", updated=2**80))
    with database.write():  # the others wait for this one, and then for each other
        first = receiver.submit(posted(evaluator, result("first")))
        done = [receiver.submit(one) for one in (bad, posted(evaluator, result("a")), posted(evaluator, result("b")))]
        assert receiver.waiting >= 2 or database.dialect == "postgresql"
    wait([first, *done], 30)
    assert [one.exception() is None for one in (first, *done)] == [True, False, True, True]
    assert counting.failures
    assert len(held(database, ("Observation", "a"), ("Observation", "b"), ("Observation", "bad"))) == 2


def test_when_too_much_waits_the_sender_is_asked_to_come_again(
    memory: Database, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 3)
    receiver = Receiver(memory, lambda: 1)
    with pytest.raises(FullError):  # it has not begun
        receiver.submit(posted(evaluator, result()))
    go_on, begun = threading.Event(), threading.Event()

    def hold() -> None:
        with memory.write():
            begun.set()
            go_on.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(10)
    receiver.start()
    taken: list[Future[None]] = []
    with pytest.raises(FullError):
        for number in range(1000):
            taken.append(receiver.submit(posted(evaluator, result(f"o{number}"))))
    assert len(taken) <= 3 + module.GROUP
    go_on.set()
    holder.join()
    receiver.close()
    assert all(one.result(10) is None for one in taken)


def test_at_the_end_what_waits_is_written(database: Database, evaluator: Evaluator) -> None:
    receiver = Receiver(database, lambda: 1)
    receiver.start()
    done = [receiver.submit(posted(evaluator, result(f"o{n}"))) for n in range(50)]
    receiver.close()
    assert all(one.done() and one.exception() is None for one in done)
    with pytest.raises(FullError):
        receiver.submit(posted(evaluator, result()))


def test_what_a_killed_database_did_not_keep_was_not_acknowledged(new_postgres: Any, evaluator: Evaluator) -> None:
    server = new_postgres()
    database = Database(server.create("killed"))
    schema.upgrade(database)
    receiver = Receiver(database, lambda: 1)
    receiver.start()
    acknowledged: set[int] = set()
    for number in range(120):
        if number == 60:
            server.kill()
        done = receiver.submit(posted(evaluator, result(f"o{number}", patient=f"p{number}")))
        try:
            done.result(60)
            acknowledged.add(number)
        except StoreError:
            if number == 60:
                server.start()
    receiver.close()
    found = {int(row.id[1:]) for row in held(database, *(("Observation", f"o{n}") for n in range(120)))}
    database.close()
    assert acknowledged <= found
    assert len(acknowledged) > 100


# ---------------------------------------------------------------- whose it is


def test_what_a_correction_gives_to_another_patient_marks_both(memory: Database, evaluator: Evaluator) -> None:
    tell(memory, posted(evaluator, stamped(result(patient="a"), 1)))
    tell(memory, posted(evaluator, stamped(result(patient="b"), 2)))
    assert marked(memory) == {"Patient/a": 2, "Patient/b": 1}
    assert [row.patient for row in held(memory, ("Observation", "o"))] == ["Patient/b"]


def test_an_older_version_and_a_repeated_one_change_nothing(memory: Database, evaluator: Evaluator) -> None:
    new = posted(evaluator, stamped(result(), 9))
    first = tell(memory, new)
    assert (first.new, first.marked) == (1, 1)
    again = tell(memory, new, posted(evaluator, stamped(result(status="preliminary"), 8)))
    assert (again.new, again.known, again.older, again.marked) == (0, 1, 1, 0)


MRN = {"identifier": {"system": "urn:mrn", "value": "7"}}


def person(identity: str, *numbers: str) -> Json:
    return {"resourceType": "Patient", "id": identity,
            "identifier": [{"system": "urn:mrn", "value": number} for number in numbers]}  # fmt: skip


def owner(database: Database) -> str:
    (row,) = held(database, ("Observation", "o"))
    return row.patient


def test_what_names_its_patient_by_an_identifier_follows_who_has_it(database: Database, evaluator: Evaluator) -> None:
    tell(database, posted(evaluator, result(subject=MRN)))
    assert owner(database) == "Patient?identifier=urn:mrn|7"
    tell(database, posted(evaluator, stamped(person("a", "7"), 1)))
    assert owner(database) == "Patient/a"
    tell(database, posted(evaluator, stamped(person("b", "8", "7"), 1)))
    assert owner(database) == "Patient?identifier=urn:mrn|7"  # two have it: it says nothing
    tell(database, posted(evaluator, stamped(person("a", "9"), 2)))
    assert owner(database) == "Patient/b"
    assert {"Patient/a", "Patient/b"} <= marked(database).keys()
    tell(database, posted(evaluator, b"", "DELETE", "Patient/b"))
    assert owner(database) == "Patient?identifier=urn:mrn|7"


def test_a_purged_patient_is_gone_from_every_table(database: Database, evaluator: Evaluator) -> None:
    record = record_of(NAME)
    tell(database, *(posted(evaluator, one, source=SERVED) for one in record))
    (name,) = [f"Patient/{one['id']}" for one in record if one["resourceType"] == "Patient"]
    assert stands(evaluator, database, name)
    database.run(lambda connection: retention.forget_patient(connection, name))
    with database.read() as connection:
        for table in metadata.sorted_tables:
            if "patient" in table.c:
                rows = connection.execute(table.select()).mappings().all()
                assert not [row for row in rows if name in row.values() or NAME in row["patient"]], table.name


def test_deletions_and_useless_versions_are_forgotten_after_a_while(database: Database, evaluator: Evaluator) -> None:
    tell(database, posted(evaluator, b"", "DELETE", "Observation/gone"), posted(evaluator, result()), at=1_000)
    month = 31 * 86_400
    assert database.run(lambda connection: resources.forget(connection, 86_400)) == 0
    assert database.run(lambda connection: resources.forget(connection, month)) == 1
    assert [row.id for row in held(database, ("Observation", "o"), ("Observation", "gone"))] == ["o"]


# ---------------------------------------------------------------- deletions that do not say when


def test_a_version_that_its_deletion_has_overtaken_is_told_from_one_made_anew(
    memory: Database, evaluator: Evaluator
) -> None:
    tell(memory, posted(evaluator, stamped(result(), 5)))
    tell(memory, posted(evaluator, b"", "DELETE", "Observation/o"))
    assert tell(memory, posted(evaluator, stamped(result(), 5))).older == 1
    assert tell(memory, posted(evaluator, stamped(result(), 4))).older == 1
    assert tell(memory, posted(evaluator, stamped(result(), 6), source=SERVED)).new == 1
    assert ("read", "Observation/o") in pending(memory)  # the sender knows which of the two it is


def pending(database: Database) -> dict[tuple[str, str], int]:
    with database.read() as connection:
        return {(row.kind, row.what): row.next_at for row in connection.execute(p.select())}


def test_patients_and_medications_that_were_never_told_of_are_asked_for(memory: Database, evaluator: Evaluator) -> None:
    order = {"resourceType": "MedicationRequest", "id": "m", "subject": {"reference": "Patient/p"},
             "medicationReference": {"reference": "Medication/q"}}  # fmt: skip
    tell(memory, posted(evaluator, order))
    assert pending(memory) == {}  # there is no server to ask
    tell(memory, posted(evaluator, {**order, "status": "active"}, source=SERVED))
    assert pending(memory).keys() == {("read", "Patient/p"), ("read", "Medication/q")}


def claimed_by(connection: Any, holder: str, now: int, until: int, *names: str) -> list[sources.Pending]:
    return sources.claim(connection, holder=holder, now=now, until=until, sources=names or ["ehr"], most=5)


def test_what_is_asked_for_while_it_is_fetched_is_fetched_again(database: Database) -> None:
    row = sources.Pending(source="ehr", subscription="", kind="search", what="", since=50, next_at=10)
    with database.write() as connection:
        sources.fetch(connection, [row])
        (claimed,) = claimed_by(connection, "a.1", 10, 100)
        assert claimed_by(connection, "b.1", 10, 100) == []
        assert claimed_by(connection, "b.2", 10**9, 10**9 + 1, "other") == []
        sources.fetch(connection, [sources.Pending(**{**row_of(row), "since": 60, "next_at": 5})])
        assert claimed_by(connection, "b.3", 20, 100) == []  # it is still being fetched
        sources.done(connection, claimed, 30)
        (again,) = claimed_by(connection, "b.4", 30, 100)
        assert (again.asked, again.since, again.attempts) == (2, 50, 1)
        sources.done(connection, again, 30)
        assert claimed_by(connection, "b.5", 10**9, 10**9 + 1) == []


def test_who_has_lost_what_is_to_be_fetched_ends_nothing(database: Database) -> None:
    row = sources.Pending(source="ehr", subscription="", kind="read", what="Patient/p", next_at=10)
    with database.write() as connection:
        sources.fetch(connection, [row])
        (late,) = claimed_by(connection, "a.1", 10, 100)
        (other,) = claimed_by(connection, "b.1", 100, 200)
        sources.done(connection, late, 110)
        sources.later(connection, late, 10**6)
        assert claimed_by(connection, "a.2", 150, 200) == []
        sources.later(connection, other, 160)
        (again,) = claimed_by(connection, "a.3", 160, 200)
        assert again.attempts == 3


def row_of(row: sources.Pending) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def test_several_processes_may_receive_at_once(place: Path | str, evaluator: Evaluator) -> None:
    """Two databases on one place: the same resources, in different versions, at the same time."""
    databases = [Database(place), Database(place)]
    schema.upgrade(databases[0])
    failures: list[Exception] = []
    receivers = [Receiver(one, lambda: 1, failed=failures.append) for one in databases]
    for one in receivers:
        one.start()
    done = [
        receivers[(number + version) % 2].submit(posted(evaluator, stamped(result(f"o{number}", "p"), version)))
        for version in range(1, 6)
        for number in range(40)
    ]
    wait(done, 60)
    for one in receivers:
        one.close()
    assert [one.exception() for one in done if one.exception()] == []
    rows = held(databases[0], *(("Observation", f"o{n}") for n in range(40)))
    assert {row.version for row in rows} == {"5"}
    for database in databases:
        database.close()
