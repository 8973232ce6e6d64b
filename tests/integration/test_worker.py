"""The threads behind the service: low latency, shared work, a bad patient, a store that fails, an orderly end."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from decide_kit import STEADY, Hospital, example
from sink_server import SinkServer, sinking, slow

from engine.client.http import Patience
from engine.evaluation import Evaluator
from engine.integration.backoff import Backoff
from engine.integration.bell import Bell
from engine.integration.deciding import LEASE_MS, Decider
from engine.integration.deliver import Outcome, Sink, Target
from engine.integration.delivering import Lane
from engine.integration.meter import Meter
from engine.integration.rendering import Rules
from engine.integration.worker import Workers
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.outputs.needs import fact_resources
from engine.rules.load import load_ruleset
from engine.store import Database, StoreError, outbox, work
from engine.store.outbox import Delivery

Json = dict[str, Any]
DAY = date(2026, 4, 20)
ACHR = "achr-false-positive-achr-binding-1"


class Noted(Meter):
    def __init__(self) -> None:
        self.failures: list[str] = []
        self.outcomes: list[str] = []

    def failed(self, part: str) -> None:
        self.failures.append(part)

    def delivered(self, lane: str, outcome: str) -> None:
        self.outcomes.append(outcome)


class Brittle(Evaluator):
    """Fails for patients of a name, as a defect would."""

    def evaluate(self, record: Record, missing: Any = "listed") -> Evaluation:
        if "bad" in record.person.reference:
            raise ZeroDivisionError("of a patient whom nobody may see")
        return super().evaluate(record, missing)


def milliseconds() -> int:
    return int(time.time() * 1000)


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def due(database: Database) -> int:
    with database.read() as connection:
        return work.waiting(connection, milliseconds() + 10**9)[0]


@pytest.fixture
def hospital(database: Database, evaluator: Evaluator) -> Hospital:
    found = Hospital(database, evaluator, day=DAY)
    found.now = milliseconds()
    return found


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    with sinking() as server:
        yield server


@pytest.fixture
def running(hospital: Hospital) -> Iterator[Callable[..., Workers]]:
    """Starts workers, and stops them at the end."""
    started: list[Workers] = []

    def start(
        dispatcher: Callable[[Delivery], Outcome] | None = None, meter: Meter | None = None, **given: Any
    ) -> Workers:
        decider = Decider(
            hospital.database, lambda: nullcontext(hospital.evaluator), name="one", today=lambda: DAY,
            now=milliseconds, sinks=["ehr"], meter=meter, backoff=Backoff(first=60_000),
        )  # fmt: skip
        lanes = {}
        if dispatcher is not None:
            lanes["sink/ehr"] = Lane(
                "sink/ehr", hospital.database, dispatcher, name="one", now=milliseconds, meter=meter,
                backoff=Backoff(first=20, most=100),
            )  # fmt: skip
        started.append(
            Workers(hospital.database, decider, lanes, name="one", now=milliseconds, meter=meter, **given)
        )
        started[-1].start()
        return started[-1]

    yield start
    for workers in started:
        assert workers.stop(20)


@pytest.fixture
def ehr(hospital: Hospital, evaluator: Evaluator, sink: SinkServer) -> Iterator[Sink]:
    rules = Rules(evaluator.ruleset.info, fact_resources(evaluator.ruleset), "urn:endplate")
    patience = Patience(attempts=1, connect=1.0, read=0.5, answer=1.0)
    one = Sink(Target(name="ehr", url=sink.url), hospital.database, lambda: rules, patience=patience)
    yield one
    one.close()


def test_from_an_event_to_the_sink_takes_a_moment(
    hospital: Hospital, sink: SinkServer, ehr: Sink, running: Callable[..., Workers]
) -> None:
    workers = running(ehr, look=30.0)  # nothing is found by looking
    record = example("achr-false-positive")
    lab = next(one for one in record if one["id"] == ACHR)
    hospital.send(*(one for one in record if one is not lab))
    workers.wake()
    until(lambda: due(hospital.database) == 0)

    took = []
    for number in range(30):
        count = len(sink.asked)
        begun = time.perf_counter()
        hospital.send({**lab, "status": "entered-in-error"} if number % 2 else lab)
        workers.wake()
        while len(sink.asked) == count:
            assert time.perf_counter() - begun < 10
            time.sleep(0.001)
        took.append(time.perf_counter() - begun)

    assert statistics.median(took) < 0.1


def test_work_of_other_processes_is_found_by_looking(
    hospital: Hospital, sink: SinkServer, ehr: Sink, running: Callable[..., Workers]
) -> None:
    running(ehr, look=0.05)
    hospital.send(*example("achr-false-positive"))
    until(lambda: bool(sink.kept))


def test_a_bad_patient_is_parked_alone_counted_and_comes_back_when_something_changes(
    hospital: Hospital, running: Callable[..., Workers], capsys: pytest.CaptureFixture[str]
) -> None:
    meter = Noted()
    hospital.evaluator = Brittle(hospital.evaluator.ruleset)
    running(None, meter, look=0.05)
    hospital.send(*example("achr-false-positive", "bad-"), *example("als-then-mg"))
    until(lambda: len(hospital.latest()) == 1 and meter.failures == ["decide"])

    with hospital.database.read() as connection:
        assert work.waiting(connection, milliseconds() + 10**9)[2] == 1
    assert "nobody may see" not in capsys.readouterr().out
    hospital.now = milliseconds()
    hospital.send({"resourceType": "Patient", "id": "bad-achr-false-positive"})
    until(lambda: meter.failures == ["decide", "decide"])


def test_a_failing_patient_is_tried_less_and_less_often(hospital: Hospital) -> None:
    hospital.evaluator = Brittle(hospital.evaluator.ruleset)
    hospital.send(*example("achr-false-positive", "bad-"))
    decider = hospital.decider()
    tries = 0
    for _ in range(600):
        hospital.now += 1000
        tries += decider.step()[0]
    assert tries == 10  # after 1, 2, 4 ... seconds


def test_the_threads_outlive_a_store_that_fails(
    hospital: Hospital, sink: SinkServer, ehr: Sink, running: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Noted()
    real = hospital.database.run
    broken = threading.Event()
    broken.set()

    def run(*given: Any, **options: Any) -> Any:
        if broken.is_set():
            raise StoreError("the store cannot be written: disk full")
        return real(*given, **options)

    monkeypatch.setattr(hospital.database, "run", run)
    running(ehr, meter, look=0.05)
    hospital.send(*example("achr-false-positive"))
    until(lambda: {"decide", "deliver"} <= set(meter.failures))
    broken.clear()
    until(lambda: bool(sink.kept))


def test_whoever_stops_finishes_what_was_begun(hospital: Hospital, running: Callable[..., Workers]) -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []

    def dispatcher(delivery: Delivery) -> Outcome:
        begun.set()
        go.wait(10)
        done.append(delivery.seq)
        return Outcome("done")

    workers = running(dispatcher, look=0.05)
    hospital.send(*example("achr-false-positive"))
    assert begun.wait(30)
    assert not workers.stop(0.2)
    go.set()
    assert workers.stop(10)
    assert [letter.state for letter in hospital.letters()] == ["done"]
    assert len(done) == 1


def test_a_sink_that_hangs_does_not_keep_from_deciding(
    hospital: Hospital, sink: SinkServer, ehr: Sink, running: Callable[..., Workers]
) -> None:
    sink.always = slow(0.7)
    running(ehr, look=0.05)
    hospital.send(*example("achr-false-positive"), *example("als-then-mg"), *example("fluoroquinolone-in-mg"))
    until(lambda: len(hospital.latest()) == 4, 5)
    sink.always = None
    until(lambda: [letter.state for letter in hospital.letters()] == ["done"] * 4)


def test_a_dispatcher_that_fails_is_tried_again(hospital: Hospital, running: Callable[..., Workers]) -> None:
    tries: list[int] = []

    def dispatcher(delivery: Delivery) -> Outcome:
        tries.append(delivery.attempts)
        if len(tries) < 3:
            raise ZeroDivisionError
        return Outcome("done")

    meter = Noted()
    running(dispatcher, meter, look=0.02)
    hospital.send(*example("achr-false-positive"))
    until(lambda: meter.outcomes == ["again", "again", "done"])
    assert tries == [0, 1, 2]


def test_a_lost_claim_writes_nothing(hospital: Hospital) -> None:
    """Another one took the patient over in the meantime: what is decided late would be older."""
    hospital.send(*example("achr-false-positive"))

    class Late(Evaluator):
        def evaluate(self, record: Record, missing: Any = "listed") -> Evaluation:
            hospital.now += LEASE_MS + 1
            hospital.evaluator = Evaluator(self.ruleset)
            assert hospital.decider("other").step() == (1, 1)
            return super().evaluate(record, missing)

    hospital.evaluator = Late(hospital.evaluator.ruleset)
    assert hospital.decider("late").step() == (1, 0)
    assert [change.version for change in hospital.history()] == [1]
    assert len(hospital.letters()) == 1


def test_what_changes_while_a_patient_is_decided_on_is_decided_on_next(hospital: Hospital) -> None:
    record = example("achr-false-positive")
    lab = next(one for one in record if one["id"] == ACHR)
    hospital.send(*record)
    ruleset = hospital.evaluator.ruleset

    class Meanwhile(Evaluator):
        def evaluate(self, record: Record, missing: Any = "listed") -> Evaluation:
            if not hospital.latest():
                hospital.send({**lab, "status": "entered-in-error"})
            return super().evaluate(record, missing)

    hospital.evaluator = Meanwhile(ruleset)
    decider = hospital.decider()
    assert decider.step() == (1, 1)
    assert decider.step() == (1, 1)
    assert decider.step() == (0, 0)
    assert [change.kind for change in hospital.history()] == ["new", "withdrawn"]


def test_no_ring_is_lost_between_looking_and_waiting() -> None:
    bell = Bell()
    seen = bell.rings
    bell.ring()
    begun = time.monotonic()
    bell.wait(seen, 5)
    assert time.monotonic() - begun < 1


def test_pauses_double_up_to_a_longest_one_and_what_is_asked_for_is_heeded() -> None:
    backoff = Backoff(first=1000, most=60_000, chance=lambda: 1.0)
    assert [backoff.pause(number) for number in (0, 1, 2, 6, 10_000)] == [1000, 2000, 4000, 60_000, 60_000]
    assert backoff.pause(0, 120.5) == 120_500
    assert backoff.pause(0, 10**9) == 86_400_000
    assert Backoff(first=1000, chance=lambda: 0.0).pause(0) == 500


PATIENTS = 24


def _share(place: Path | str, name: str, results: Any) -> None:
    """One process: decides until nothing has come for a while."""
    database = Database(place)
    evaluator = Evaluator(load_ruleset())
    decided = []

    class Slow(Decider):
        def _decided(self, claim: work.Claim) -> Any:
            decided.append(claim.patient)
            time.sleep(0.002)
            return super()._decided(claim)

    decider = Slow(
        database, lambda: nullcontext(evaluator), name=name, today=lambda: DAY, now=milliseconds, sinks=["ehr"]
    )
    idle = 0
    while idle < 10:
        try:
            idle = 0 if decider.step()[0] else idle + 1
        except StoreError as error:
            results.put((name, str(error)))
            return
        time.sleep(0.01)
    database.close()
    results.put((name, decided))


def test_two_processes_share_the_work_and_decide_on_nobody_twice(hospital: Hospital, place: Path | str) -> None:
    for number in range(PATIENTS):
        hospital.send(*example("achr-false-positive", f"{number}-"))
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_share, args=(place, name, results)) for name in ("a", "b")]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)

    everybody = [*found["a"], *found["b"]]
    assert sorted(everybody) == sorted({f"Patient/{number}-achr-false-positive" for number in range(PATIENTS)})
    assert [change.version for change in hospital.latest()] == [1] * PATIENTS
    assert len(hospital.letters()) == PATIENTS


def test_sinks_of_the_settings_are_told_and_a_subscription_too(hospital: Hospital) -> None:
    hospital.sinks = ("ehr", "archive")
    hospital.send(*example("achr-false-positive"))
    hospital.now += 1
    decider = hospital.decider(matching=lambda connection, change: [("s1", 7)] if change.severity == "moderate" else [])
    assert decider.step() == (1, 3)
    told = [(letter.target, letter.lane, letter.number) for letter in hospital.letters()]
    assert told == [
        ("sink/ehr", "sink/ehr", 0),
        ("sink/archive", "sink/archive", 0),
        ("subscription/s1", "subscription", 7),
    ]
    with hospital.database.read() as connection:
        assert outbox.waiting(connection, hospital.now + 5)["subscription"] == outbox.Waiting(1, 5, 0)


def test_what_cannot_be_written_for_one_patient_costs_only_that_one(hospital: Hospital) -> None:
    hospital.send(*example("achr-false-positive"), *example("als-then-mg"))
    hospital.now += 1

    def matching(connection: Any, change: Any) -> list[tuple[str, int]]:
        if change.patient == "Patient/als-then-mg":
            raise StoreError("the store cannot be written: odd")
        return []

    assert hospital.decider(matching=matching).step() == (2, 1)
    assert [change.patient for change in hospital.latest()] == ["Patient/achr-false-positive"]
    with hospital.database.read() as connection:
        assert work.waiting(connection, hospital.now + 10**6)[2] == 1
    assert STEADY.pause(0) == 1000
