"""`endplate serve` is killed at random moments of a stream of changes: nothing that was acknowledged is lost.

Whoever sends repeats what was not acknowledged. At the end, what is remembered, what the sink holds and what a
subscriber was told are those of a batch over the resources that stand. ENDPLATE_SOAK=1: 300 kills on each database, or
ENDPLATE_KILLS.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
import pytest
from decide_kit import example
from kill_kit import Ledger, Sender, Update, update_of
from served_kit import Served, claimed, comes, waiting
from sink_server import SinkServer, sinking
from stream_kit import event
from subscriber_server import Subscriber, subscribed
from subscription_kit import four

from engine.evaluation import Evaluator
from engine.fhir.decode import Document, decode
from engine.fhir.grouping import KINDS
from engine.fhir.record import Scope, read_records
from engine.integration.decide import digest
from engine.integration.rendering import Rules, issue_of
from engine.outputs.needs import fact_resources
from engine.store import Database, findings, resources
from engine.store.findings import Change
from engine.views import seen

Json = dict[str, Any]
SOAK = bool(os.environ.get("ENDPLATE_SOAK"))
KILLS = int(os.environ.get("ENDPLATE_KILLS", "300" if SOAK else "6"))
PATIENTS = (
    ("achr-false-positive", "fluoroquinolone-in-mg", "ordinary-patient"),
    ("quinine-in-overlap", "contradictory-day", "kennedy-disease"),
    ("cervical-myelopathy", "wrong-units", "als-ms-overlap"),
)
PAUSE_S = 0.1  # at most, between two changes of a sender
TAKES_OVER_S = 15  # for what waits to be done after a start, whatever a killed process had taken
STANDING = ("identifier", "severity", "display", "evidence", "missing")
Standing = dict[str, set[tuple[str, ...]]]


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    with sinking() as sink:
        yield sink


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    with subscribed() as subscriber:
        yield subscriber


def killed(served: Served, chance: random.Random) -> None:
    """Started, and killed while it starts or while it works."""
    if chance.random() < 0.15:
        served.server.launch()
        time.sleep(chance.random())
    else:
        served.server.start(90)
        time.sleep(chance.choice((0.0, 0.2, 0.8, 2.0)) * chance.random())
    served.server.kill()


@pytest.mark.soak
def test_killed_at_any_moment_it_loses_nothing_and_tells_nothing_twice(
    tmp_path: Path, evaluator: Evaluator, sink: SinkServer, subscriber: Subscriber, address: str
) -> None:
    chance = random.Random(int(os.environ.get("ENDPLATE_SEED", "1")))
    settings = {"sinks": [{"name": "ehr", "url": sink.url}], "subscribers": [subscriber.url], "audit": "true"}
    served = Served(tmp_path / "served", address, **settings)
    served.server.start(90)
    endpoint = {"endpoint": f"{subscriber.url}/in"}
    subscription = served.subscribe(four(channel=endpoint))
    assert comes(lambda: subscriber.told)
    ledger, database = Ledger(sink, subscriber), Database(served.place)
    senders = [Sender(served.port, list(names), seed, PAUSE_S) for seed, names in enumerate(PATIENTS)]
    try:
        for sender in senders:
            sender.start()
        time.sleep(0.5)
        served.server.kill()
        for _ in range(1, KILLS):
            killed(served, chance)
            ledger.read()
            assert all(sender.is_alive() for sender in senders), [sender.fault for sender in senders]
        served.server.start(90)
        for sender in senders:
            sender.ended.set()
        for sender in senders:
            sender.join(60)
        assert not any(sender.is_alive() or sender.fault for sender in senders)
        assert comes(lambda: waiting(database) == (0, 0), TAKES_OVER_S), waiting(database)
        assert served.get(f"Subscription/{subscription}")["status"] == "active"
    finally:
        for sender in senders:
            sender.ended.set()
        served.server.kill()
    ledger.read()

    final = [one for sender in senders for one in sender.final.values()]
    nothing_is_lost(database, final)
    assert standing(database) == batch(evaluator, final)
    told_as_remembered(database, evaluator, ledger)
    nothing_is_missing_in_the_trail(tmp_path / "served" / "audit", sum(sender.acknowledged for sender in senders))
    database.close()


def nothing_is_missing_in_the_trail(folder: Path, acknowledged: int) -> None:
    """Whatever was acknowledged has its line, though the process was killed at once."""
    lines = [json.loads(line) for path in folder.iterdir() for line in path.read_text("utf-8").splitlines()]
    kinds = Counter(line["subtype"][0]["code"].partition("/")[0] for line in lines)
    assert kinds["received"] >= acknowledged
    assert kinds["decided"]


def test_what_a_killed_process_had_taken_is_done_by_the_next_one_within_seconds(
    tmp_path: Path, sink: SinkServer, address: str
) -> None:
    """Its claims would hold for minutes. Only a source sends here, so nobody is trusted, and the start says so."""
    killed = threading.Event()

    def hangs(handler: Any) -> None:
        killed.wait(60)
        handler.close_connection = True

    served = Served(tmp_path / "served", address, sinks=[{"name": "ehr", "url": sink.url}], trusted_clients=[])
    sink.always = hangs
    served.server.start(90)
    database = Database(served.place)
    try:
        sending = threading.Thread(target=send, args=(served, killed))
        sending.start()
        assert comes(lambda: holds_both(served, database), every=0.001)
        served.server.kill()
        killed.set()
        sink.always = None
        sending.join(60)
        assert all(claimed(database))
        served.server.start(90)
        assert comes(lambda: waiting(database) == (0, 0), TAKES_OVER_S), waiting(database)
        assert "no client is trusted" in (served.server.folder / "log").read_text("utf-8")
        told = {update_of(one.body).identifier for one in sink.asked}
        assert told == {change.identifier for change in latest(database)}
    finally:
        killed.set()
        served.server.kill()
        database.close()


def holds_both(served: Served, database: Database) -> bool:
    """Stops it where it has taken patients and letters; elsewhere it goes on."""
    if not all(claimed(database)):
        return False
    os.kill(served.server.pid, signal.SIGSTOP)
    time.sleep(0.05)  # what the database had been told before
    if not all(claimed(database)):
        os.kill(served.server.pid, signal.SIGCONT)
        return False
    return True


def send(served: Served, ended: threading.Event) -> None:
    """Many patients, until the service is no more."""
    for number in range(200):
        try:
            if not ended.is_set():
                people = [example(PATIENTS[0][0], f"{number}-{part}-") for part in range(16)]
                entries = [{"resource": one} for person in people for one in person]
                served.tell({"resourceType": "Bundle", "type": "collection", "entry": entries})
        except httpx2.TransportError:
            return


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of an empty database; "" = a file."""
    if request.param == "sqlite":
        yield ""
        return
    server, name = request.getfixturevalue("postgres"), f"killed_{time.time_ns()}"
    yield server.create(name)
    server.drop(name)


def nothing_is_lost(database: Database, final: list[Json]) -> None:
    """Of every resource the version that was acknowledged last stands."""
    final = [one for one in final if one["resourceType"] in KINDS]
    keys = [(one["resourceType"], one["id"]) for one in final]
    with database.read() as connection:
        held = resources.held(connection, keys)
    assert held.keys() == set(keys)
    for one in final:
        row = held[one["resourceType"], one["id"]]
        assert (row.version, row.deleted) == (one["meta"]["versionId"], 0)


def batch(evaluator: Evaluator, final: list[Json]) -> Standing:
    """Patient -> findings, as a batch over these resources answers."""
    documents = [Document(decode(event(one).raw), "final") for one in final]
    found: Standing = {}
    today = datetime.now(UTC).date()
    for record in read_records(documents, evaluator.ruleset.terminology, Scope(as_of=today), []):
        evaluation = seen(evaluator.evaluate(record), "subscription")
        told = {(f.identifier, f.severity, f.display, f.evidence_hash, digest(f)) for f in evaluation.findings}
        if told:
            found[evaluation.patient] = told
    assert found
    return found


def standing(database: Database) -> Standing:
    found: Standing = {}
    for change in latest(database):
        if change.stands:
            found.setdefault(change.patient, set()).add(tuple(getattr(change, name) for name in STANDING))
    return found


def latest(database: Database) -> list[Change]:
    with database.read() as connection:
        return findings.search(connection, limit=10_000)


def told_as_remembered(database: Database, evaluator: Evaluator, ledger: Ledger) -> None:
    """Each finding is one resource of the sink, of which no version came before an older one; each version of a finding
    is one event of the subscriber, under one number, and in order for each patient."""
    rules = Rules(evaluator.ruleset.info, fact_resources(evaluator.ruleset), "urn:endplate")
    assert ledger.faults == []
    changes = latest(database)
    assert ledger.updates.keys() == {change.identifier for change in changes}
    every: list[Update] = []
    for change in changes:
        with database.read() as connection:
            history = [findings.at(connection, change.identifier, n) for n in range(1, change.version + 1)]
        versions = [update_of(issue_of(one, rules, "R4")) for one in history if one is not None]
        assert len(versions) == change.version
        every += versions
        in_order(ledger.updates[change.identifier], versions)
    assert sorted(ledger.events) == list(range(1, len(every) + 1))
    assert all(len(told) == 1 for told in ledger.events.values())
    told_of = [told for number in sorted(ledger.events) for told in ledger.events[number]]
    assert sorted(told_of, key=repr) == sorted(every, key=repr)
    for numbers in ledger.order.values():
        assert numbers == sorted(numbers)


def in_order(told: list[Update], versions: list[Update]) -> None:
    """Each version came, and none after a later one; the same one may come again.

    A finding that comes back as it was is told in the same words as before.
    """
    assert [one for one, _ in groupby(told)] == [one for one, _ in groupby(versions)]
