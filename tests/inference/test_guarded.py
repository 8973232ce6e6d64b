"""The worker process of the durable backend: really killed, really hung."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from house_alarm import HOUSE

from engine.errors import BackendError
from engine.inference.backends import Both
from engine.inference.guarded import MAX_OPEN, GuardedDurable
from engine.inference.plain import PlainBackend
from engine.inference.port import Inference

pytestmark = pytest.mark.durable

FIRE = {"smoke": "seen", "heat": "present", "cooking": "absent"}
RIGHT = PlainBackend(HOUSE).infer(FIRE)


@pytest.fixture
def guarded() -> Iterator[GuardedDurable]:
    backend = GuardedDurable(HOUSE, timeout=0.3)
    yield backend
    backend.close()


def answer_in_the_end(backend: Both | GuardedDurable, values: Mapping[str, str] = FIRE) -> Inference:
    """The first answer of the successor."""
    for _ in range(500):
        try:
            inference = backend.infer(values)
        except BackendError:
            time.sleep(0.02)
            continue
        if not inference.notes:
            return inference
        time.sleep(0.02)
    raise AssertionError("the worker did not come back")


def pid_of(backend: GuardedDurable) -> int:
    assert backend.pid is not None
    return backend.pid


def test_it_answers_as_the_plain_backend_for_patients_and_orders(guarded: GuardedDurable) -> None:
    plain = PlainBackend(HOUSE)
    assert pid_of(guarded) != os.getpid()
    for values in (FIRE, {}, {"smoke": "smelt"}):
        assert guarded.infer(values) == plain.infer(values)
    order = {"fire": "absent", "order.water": "much"}
    assert guarded.infer(order, "order") == plain.infer(order, "order")


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_dies_takes_nothing_with_it(guarded: GuardedDurable, death: signal.Signals) -> None:
    both, first = Both(PlainBackend(HOUSE), guarded), pid_of(guarded)
    assert both.infer(FIRE).notes == ()
    os.kill(first, death)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

    inference = both.infer(FIRE)

    assert inference.conclusions == RIGHT.conclusions
    assert inference.notes == (
        f"the process of the durable backend ended (signal {death.value}); a new one is being started",
    )
    assert answer_in_the_end(both) == RIGHT
    assert pid_of(guarded) != first


def test_a_worker_that_hangs_is_killed_in_time(guarded: GuardedDurable) -> None:
    both, first = Both(PlainBackend(HOUSE), guarded), pid_of(guarded)
    os.kill(first, signal.SIGSTOP)
    began = time.monotonic()

    inference = both.infer(FIRE)

    assert 0.25 < time.monotonic() - began < 2
    assert inference.conclusions == RIGHT.conclusions
    assert inference.notes == ("the durable backend gave no answer within 0.3 s and was stopped",)
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert answer_in_the_end(both) == RIGHT


def test_nobody_waits_while_the_successor_starts(guarded: GuardedDurable) -> None:
    os.kill(pid_of(guarded), signal.SIGSTOP)
    with pytest.raises(BackendError, match="no answer within"):
        guarded.infer(FIRE)
    began = time.monotonic()
    with pytest.raises(BackendError, match="is starting"):
        guarded.infer(FIRE)
    assert time.monotonic() - began < 0.1
    assert answer_in_the_end(guarded) == RIGHT


def test_a_successor_that_dies_while_it_starts_is_replaced(guarded: GuardedDurable) -> None:
    os.kill(pid_of(guarded), signal.SIGKILL)
    with pytest.raises(BackendError, match="ended"):
        guarded.infer(FIRE)
    assert guarded._successor is not None
    guarded._successor.process.kill()
    guarded._successor.process.wait()
    with pytest.raises(BackendError, match="ended"):
        guarded.infer(FIRE)
    assert answer_in_the_end(guarded) == RIGHT


def test_while_no_process_can_be_started_the_plain_answer_stands(
    guarded: GuardedDurable, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, first = Both(PlainBackend(HOUSE), guarded), pid_of(guarded)
    with monkeypatch.context() as machine:
        machine.setattr(sys, "executable", "/nowhere/python")
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        for why in (r"ended \(signal 9\)", "cannot be started", "cannot be started"):
            inference = both.infer(FIRE)
            assert inference.conclusions == RIGHT.conclusions
            [note] = inference.notes
            assert re.search(why, note)
    assert answer_in_the_end(both) == RIGHT


def test_a_successor_that_hangs_while_it_starts_is_replaced(
    guarded: GuardedDurable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.inference.guarded.START_TIMEOUT", 0.2)
    os.kill(pid_of(guarded), signal.SIGKILL)
    with pytest.raises(BackendError):
        guarded.infer(FIRE)
    assert guarded._successor is not None
    hung = guarded._successor.process
    hung.send_signal(signal.SIGSTOP)
    monkeypatch.setattr("engine.inference.guarded.START_TIMEOUT", 30.0)
    assert answer_in_the_end(guarded) == RIGHT
    assert hung.wait(10) == -signal.SIGKILL and pid_of(guarded) != hung.pid


def test_without_a_successor_a_worker_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = GuardedDurable(HOUSE, max_calls=2)
    first = pid_of(guarded)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert [guarded.infer(FIRE) for _ in range(5)] == [RIGHT] * 5
    assert pid_of(guarded) == first
    guarded.close()


def test_an_answer_that_was_not_waited_for_is_not_taken_for_the_next_one(guarded: GuardedDurable) -> None:
    first = pid_of(guarded)
    assert guarded._worker is not None

    def interrupted(patience: float) -> None:
        raise KeyboardInterrupt

    guarded._worker._receive = interrupted            # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        guarded.infer(FIRE)
    assert answer_in_the_end(guarded, {}) == PlainBackend(HOUSE).infer({})
    assert pid_of(guarded) != first


def test_an_answer_to_another_question_is_refused(guarded: GuardedDurable) -> None:
    assert guarded._worker is not None
    stray = msgspec.msgpack.encode((99, {"smoke": "absent"}, "patient"))
    guarded._worker.connection.send_bytes(stray)
    with pytest.raises(BackendError, match="another question"):
        guarded.infer(FIRE)
    assert answer_in_the_end(guarded) == RIGHT


def test_a_worker_retires_after_its_calls_without_a_gap() -> None:
    guarded = GuardedDurable(HOUSE, max_calls=20)
    workers = set()
    for _ in range(600):
        assert guarded.infer(FIRE) == RIGHT           # never an error
        workers.add(guarded.pid)
        if len(workers) == 3:
            break
        time.sleep(0.01)
    guarded.close()
    assert len(workers) == 3


def test_the_worker_goes_with_its_connection() -> None:
    guarded = GuardedDurable(HOUSE)
    assert guarded._worker is not None
    guarded._worker.connection.close()
    assert guarded._worker.process.wait(5) == 0
    guarded.close()


def test_a_closed_backend_says_so() -> None:
    guarded = GuardedDurable(HOUSE)
    guarded.close()
    with pytest.raises(BackendError, match="closed"):
        guarded.infer(FIRE)
    assert guarded.pid is None
    guarded.close()


def test_a_worker_without_the_engine_reports_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "durable_rules_engine.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BackendError, match=r"install `endplate\[durable\]`"):
        GuardedDurable(HOUSE)


KINDS: list[dict[str, str]] = [FIRE, {}, {"smoke": "smelt"}, {"heat": "absent", "smoke": "absent"}]


def test_questions_may_be_open_together_and_each_gets_its_own_answer(guarded: GuardedDurable) -> None:
    plain = PlainBackend(HOUSE)
    answers = [guarded.ask(values) for values in KINDS]
    assert [answer() for answer in reversed(answers)] == [plain.infer(values) for values in reversed(KINDS)]


def test_an_answer_that_nobody_waits_for_is_dropped(guarded: GuardedDurable) -> None:
    first = pid_of(guarded)
    for _ in range(3 * MAX_OPEN):                       # more than may be open
        guarded.ask(FIRE)
    assert guarded.infer({}) == PlainBackend(HOUSE).infer({})
    assert pid_of(guarded) == first


def test_a_worker_that_dies_leaves_none_of_its_questions_open(guarded: GuardedDurable) -> None:
    os.kill(pid_of(guarded), signal.SIGSTOP)
    answers = [guarded.ask(values) for values in KINDS]
    os.kill(pid_of(guarded), signal.SIGKILL)
    for answer in answers:
        with pytest.raises(BackendError, match=r"ended \(signal 9\)"):
            answer()
    assert answer_in_the_end(guarded) == RIGHT


def test_a_worker_answers_what_it_was_asked_before_it_retires() -> None:
    guarded = GuardedDurable(HOUSE, max_calls=1)
    first, answer = pid_of(guarded), guarded.ask(FIRE)
    for _ in range(600):
        assert guarded.infer({}) == PlainBackend(HOUSE).infer({})
        if pid_of(guarded) != first:
            break
        time.sleep(0.01)
    assert pid_of(guarded) != first
    assert answer() == RIGHT
    guarded.close()


def test_a_question_that_is_open_when_the_backend_is_closed_has_no_answer() -> None:
    guarded = GuardedDurable(HOUSE)
    answer = guarded.ask(FIRE)
    guarded.close()
    with pytest.raises(BackendError, match="closed"):
        answer()


def test_threads_get_their_own_answers(guarded: GuardedDurable) -> None:
    plain, wrong = PlainBackend(HOUSE), []

    def asking(values: dict[str, str]) -> None:
        for _ in range(50):
            answer, other = guarded.ask(values), guarded.ask({})
            if answer() != plain.infer(values) or other() != plain.infer({}):
                wrong.append(values)

    threads = [threading.Thread(target=asking, args=[values]) for values in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
