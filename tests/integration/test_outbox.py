"""The outbox: letters are claimed once, in the order of each patient and target, and leases pass on."""

from __future__ import annotations

import random
import threading

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.store import Database, outbox, schema
from engine.store.outbox import Delivery, Letter

LANE = "sink/a"


def letter(patient: str = "p", target: str = LANE, **fields: object) -> Letter:
    return Letter(**{"target": target, "kind": "new", "patient": patient, "identifier": "i", "version": 1, **fields})  # type: ignore[arg-type]


def put(database: Database, *letters: Letter, now: int = 0) -> None:
    database.run(lambda connection: outbox.put(connection, letters, now))


def claim(database: Database, *, holder: str = "t", now: int = 1, until: int = 100, most: int = 9, lane: str = LANE,
          resting: tuple[str, ...] = ()) -> list[Delivery]:  # fmt: skip
    return database.run(
        lambda c: outbox.claim(c, lane, holder=holder, now=now, until=until, most=most, resting=resting)
    )


def finish(database: Database, delivery: Delivery) -> bool:
    return database.run(lambda connection: outbox.finish(connection, delivery, now=5))


def test_of_one_patient_and_target_only_the_oldest_can_be_taken(database: Database) -> None:
    put(database, letter(version=1), letter(version=2), letter("q"))
    taken = claim(database)
    assert [(one.patient, one.version) for one in taken] == [("p", 1), ("q", 1)]
    assert claim(database) == []

    assert finish(database, taken[0])
    (second,) = claim(database)
    assert (second.patient, second.version) == ("p", 2)


def test_targets_do_not_wait_for_each_other_and_some_may_rest(database: Database) -> None:
    put(database, letter(target="subscription/1", number=1), letter(target="subscription/2", number=7), letter())
    assert [one.target for one in claim(database, lane="subscription", resting=("subscription/1",))] == [
        "subscription/2"
    ]
    assert [one.target for one in claim(database, lane="subscription")] == ["subscription/1"]
    assert [one.target for one in claim(database)] == [LANE]


def test_a_lease_that_has_ended_passes_to_another_one_and_the_first_holder_settles_nothing(database: Database) -> None:
    put(database, letter())
    (first,) = claim(database, holder="first", until=100)
    assert claim(database, holder="second", now=99) == []
    (second,) = claim(database, holder="second", now=100, until=200)
    assert not finish(database, first)
    assert finish(database, second)


def test_what_failed_comes_again_at_its_time_and_what_is_dead_does_not(database: Database) -> None:
    put(database, letter(version=1), letter(version=2))
    (first,) = claim(database)
    assert database.run(lambda c: outbox.fail(c, first, again=50, error="busy " * 500))
    assert claim(database, now=49) == []
    (again,) = claim(database, now=50)
    assert (again.version, again.attempts, len(again.error)) == (1, 1, outbox.LONGEST)

    assert database.run(lambda c: outbox.bury(c, again, now=51, error="refused"))
    (second,) = claim(database, now=51)
    assert second.version == 2
    with database.read() as connection:
        (dead,) = outbox.listed(connection)
        assert (dead.version, dead.state, dead.error, dead.attempts) == (1, "dead", "refused", 2)
        assert outbox.waiting(connection, 60) == {LANE: outbox.Waiting(1, 60, 1)}
    assert database.run(lambda c: outbox.replay(c, now=70, target="sink/other")) == 0
    assert database.run(lambda c: outbox.replay(c, now=70, target=LANE)) == 1


def test_events_of_a_subscription_are_found_by_their_numbers(database: Database) -> None:
    put(database, *(letter(target="subscription/1", number=number, patient=str(number)) for number in range(1, 6)))
    finish(database, claim(database, lane="subscription")[2])
    with database.read() as connection:
        assert [one.number for one in outbox.events(connection, "subscription/1", 2, 4)] == [2, 3, 4]
    assert database.run(lambda c: outbox.forget_target(c, "subscription/1")) == 5


def test_what_was_delivered_is_forgotten_after_a_month_and_what_was_not_is_kept(database: Database) -> None:
    put(database, letter("done"), letter("dead"), letter("pending"))
    done, dead, _ = claim(database)
    finish(database, done)
    database.run(lambda c: outbox.bury(c, dead, now=5, error=""))
    month = outbox.KEPT
    assert database.run(lambda c: outbox.forget(c, month - 1)) == 0
    assert database.run(lambda c: outbox.forget(c, month + 1)) == 1
    with database.read() as connection:
        assert [one.patient for one in outbox.listed(connection, states=("pending", "dead", "done"))] == [
            "dead",
            "pending",
        ]


def test_many_threads_take_each_letter_once_and_in_order(database: Database) -> None:
    patients, versions = 6, 5
    put(
        database,
        *(letter(f"p{number % patients}", version=1 + number // patients) for number in range(patients * versions)),
    )
    taken: list[tuple[str, int]] = []
    lock = threading.Lock()

    def work(name: str) -> None:
        idle = 0
        while idle < 20:
            found = claim(database, holder=name, most=2)
            idle = idle + 1 if not found else 0
            for one in found:
                with lock:
                    taken.append((one.patient, one.version))
                assert finish(database, one)

    threads = [threading.Thread(target=work, args=[f"w{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(taken) == len(set(taken)) == patients * versions
    for number in range(patients):
        assert [version for patient, version in taken if patient == f"p{number}"] == list(range(1, versions + 1))


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "claim", "done", "again", "dead", "time", "crash"]), st.integers(0, 3)),
    max_size=60,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 99))
def test_whatever_happens_each_patient_is_told_in_order_and_nothing_is_lost(
    steps: list[tuple[str, int]], seed: int
) -> None:
    database, chance = Database(), random.Random(seed)
    schema.upgrade(database)
    now, sent, held = 0, dict.fromkeys("0123", 0), list[Delivery]()
    delivered: list[tuple[str, int]] = []
    for what, which in steps:
        if what == "put":
            sent[str(which)] += 1
            put(database, letter(str(which), version=sent[str(which)]), now=now)
        elif what == "claim":
            held += claim(database, holder=str(chance.random()), now=now, until=now + 3, most=which + 1)
        elif what == "time":
            now += which
        elif what == "crash":
            held.clear()
        elif held:
            one = held.pop(which % len(held))
            if what == "done" and finish(database, one):
                delivered.append((one.patient, one.version))
            elif what in ("again", "dead"):
                with database.write() as connection:
                    if what == "again":
                        outbox.fail(connection, one, again=now + which, error="")
                    else:
                        outbox.bury(connection, one, now=now, error="")
    with database.read() as connection:
        left = outbox.listed(connection, states=("pending", "dead"), most=1000)
    database.close()
    for patient, count in sent.items():
        told = [version for whom, version in delivered if whom == patient]
        assert told == sorted(set(told))
        assert sorted([*told, *(one.version for one in left if one.patient == patient)]) == list(range(1, count + 1))
