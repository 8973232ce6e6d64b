"""Any stream of creations, corrections, deletions and repetitions, in any order, ends in the findings of the record."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stream_kit import (
    EHR,
    SERVED,
    Findings,
    Json,
    corrected,
    deletion,
    evaluated,
    event,
    letter,
    posted,
    record_of,
    stamped,
    stands,
)

from engine.evaluation import Evaluator
from engine.fhir.decode import Document, decode
from engine.integration.event import Event
from engine.integration.intake import Letter, take
from engine.store import Database, resources
from engine.store.tables import metadata
from engine.store.tables import work as w

NAMES = ("quinine-in-overlap", "achr-false-positive")
CHANGES = ("another code", "in error", "another value", "younger", "of nobody", "deleted", "none")
changes = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(CHANGES)), max_size=25)


def empty(database: Database) -> None:
    with database.write() as connection:
        for table in metadata.sorted_tables[::-1]:
            connection.execute(table.delete())


def hospital() -> list[Json]:
    return [one for name in NAMES for one in record_of(name)]


def life(record: list[Json], told: list[tuple[int, str]]) -> tuple[list[Event], dict[str, Json]]:
    """Every version that ever was, in its order, and what stands at the end."""
    final: dict[str, Json] = {}
    events: list[Event] = []

    def write(resource: Json) -> None:
        version = stamped(resource, len(events) + 1)
        events.append(event(version))
        final[f"{version['resourceType']}/{version['id']}"] = version

    for one in record:
        write(one)
    for which, how in told:
        one = record[which % len(record)]
        key = f"{one['resourceType']}/{one['id']}"
        if how != "deleted":
            write(corrected(one, how))
        elif key in final and one["resourceType"] != "Patient":
            events.append(deletion(stamped(one, len(events) + 1)))
            del final[key]
    return events, final


class Worker:
    """Evaluates again whoever is marked, and nobody else."""

    def __init__(self, evaluator: Evaluator, database: Database) -> None:
        self.evaluator, self.database = evaluator, database
        self.findings: dict[str, Findings] = {}

    def work(self) -> None:
        with self.database.write() as connection:
            marked = [row.patient for row in connection.execute(w.select())]
            connection.execute(w.delete())
        for patient in marked:
            self.findings[patient] = stands(self.evaluator, self.database, patient)


def tell(database: Database, letters: list[Letter], at: int) -> None:
    database.run(lambda connection: take(connection, letters, at))


def goes_through(evaluator: Evaluator, database: Database, told: list[tuple[int, str]], chance: random.Random) -> None:
    events, final = life(hospital(), told)
    expected = evaluated(evaluator, [Document(decode(event(one).raw), "final") for one in final.values()])
    sent = events + chance.choices(events, k=len(events) // 3)
    chance.shuffle(sent)
    worker = Worker(evaluator, database)
    at = 2_000_000_000_000
    while sent:
        size = chance.choice([1, 2, 5, 40])
        group, sent = sent[:size], sent[size:]
        at += 1
        tell(database, [letter(evaluator, one, source=chance.choice([EHR, SERVED])) for one in group], at)
        if chance.random() < 0.3:
            worker.work()
    worker.work()
    for patient, findings in expected.items():
        assert worker.findings[patient] == findings
    assert any(expected.values())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes, st.randoms(use_true_random=False))
def test_a_stream_ends_in_the_findings_of_the_final_record(
    memory: Database, evaluator: Evaluator, told: list[tuple[int, str]], chance: Any
) -> None:
    empty(memory)
    goes_through(evaluator, memory, told, chance)


def test_and_so_it_does_on_every_database(database: Database, evaluator: Evaluator) -> None:
    for seed in range(3):
        chance = random.Random(seed)
        empty(database)
        told = [(chance.randrange(10_000), chance.choice(CHANGES)) for _ in range(20)]
        goes_through(evaluator, database, told, chance)


def test_in_order_no_version_needs_to_say_when_it_was_written(memory: Database, evaluator: Evaluator) -> None:
    chance = random.Random(7)
    record = hospital()
    final = {(one["resourceType"], one["id"]): one for one in record}
    tell(memory, [posted(evaluator, one) for one in record], 1)
    for at in range(2, 60):
        one = chance.choice(record)
        key, how = (one["resourceType"], one["id"]), chance.choice(CHANGES)
        if how == "deleted" and one["resourceType"] != "Patient":
            tell(memory, [posted(evaluator, b"", "DELETE", "/".join(key))], at)
            final.pop(key, None)
        else:
            final[key] = corrected(one, how)
            tell(memory, [posted(evaluator, final[key], "PUT", "/".join(key))], at)
    expected = evaluated(evaluator, [Document(decode(event(one).raw), "final") for one in final.values()])
    assert any(expected.values())
    for patient, findings in expected.items():
        assert stands(evaluator, memory, patient) == findings


def test_what_no_rule_can_read_is_not_kept_but_its_version_is(memory: Database, evaluator: Evaluator) -> None:
    rate = {"resourceType": "Observation", "id": "r", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}}  # fmt: skip
    tell(memory, [posted(evaluator, stamped(rate, 5)), posted(evaluator, {"resourceType": "Slot", "id": "s"})], 1)
    with memory.read() as connection:
        rows = resources.held(connection, [("Observation", "r"), ("Slot", "s")])
        assert connection.execute(w.select()).all() == []
    assert [(row.content, row.version, row.patient) for row in rows.values()] == [(b"", "5", "Patient/p")]


@pytest.mark.parametrize("first", ["order", "medication"])
def test_a_medication_that_comes_late_marks_the_patients_of_its_orders(
    memory: Database, evaluator: Evaluator, first: str
) -> None:
    record = record_of(NAMES[0])
    medications = [one for one in record if one["resourceType"] == "Medication"]
    others = [one for one in record if one["resourceType"] != "Medication"]
    worker = Worker(evaluator, memory)
    for group in (others, medications) if first == "order" else (medications, others):
        tell(memory, [posted(evaluator, one) for one in group], 1)
        worker.work()
    expected = evaluated(evaluator, [Document(one, "final") for one in record])
    assert worker.findings == expected
