"""The durable backend in a process of its own, where a crash or a hang of its C code harms nobody.

The worker is a fresh interpreter that imports only this room and reads the program from an unnamed file. Parent and
worker talk over a socket pair in msgpack; when the parent goes, the worker reads the end of the stream and goes too.
The parent may ask further questions before it waits for an answer.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO
from weakref import ref

import msgspec

from engine.errors import BackendError
from engine.inference.channel import Channel
from engine.inference.durable import DurableBackend
from engine.inference.port import Inference, Part
from engine.rules.program import Conclusions, Program

TIMEOUT = 0.5                             # seconds for one answer; a good one takes milliseconds
START_TIMEOUT = 30.0                      # seconds for a worker to be ready; then it is killed
PATIENCE = 0.1                            # seconds for a process that lost its connection to end
MAX_CALLS = 50_000                        # answers of one worker before a successor takes over
MAX_OPEN = 256                            # questions that one worker may have to answer
_CLOSED = "the durable backend is closed"


class _Question(msgspec.Struct, array_like=True):
    number: int
    values: dict[str, str]
    part: Part


class _Answer(msgspec.Struct, array_like=True):
    """To the question with the same number; number 0: ready for work, or why not."""

    number: int = 0
    conclusions: Conclusions | None = None
    error: str = ""


_ENCODE = msgspec.msgpack.Encoder().encode
_READ_ANSWER = msgspec.msgpack.Decoder(_Answer).decode
_READ_QUESTION = msgspec.msgpack.Decoder(_Question).decode


class GuardedDurable:
    """As `DurableBackend`, contained. Never waits longer than `timeout` for an answer: then it raises BackendError.

    A worker that crashed or hangs is killed and replaced in the background; until its successor is ready every call
    raises at once. After `max_calls` answers a successor takes over. Threads take turns. Close it after use.
    """

    name = "durable"

    def __init__(self, program: Program, *, timeout: float = TIMEOUT, max_calls: int = MAX_CALLS) -> None:
        self._program = tempfile.TemporaryFile()  # noqa: SIM115 - as long as workers are started
        self._program.write(_ENCODE(program))
        self._program.flush()
        self._timeout = timeout
        self._max_calls = max_calls
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._successor: _Worker | None = None
        try:
            self._ready(START_TIMEOUT)
        except BackendError:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """The process id of the worker that answers now; None while there is none."""
        return self._worker.process.pid if self._worker else None

    def infer(self, values: Mapping[str, str], part: Part = "patient") -> Inference:
        return self.ask(values, part)()

    def ask(self, values: Mapping[str, str], part: Part = "patient") -> Callable[[], Inference]:
        """Sends the question; the worker is busy with it while the caller does something else."""
        with self._lock:
            worker = self._ready(0)
            with self._or_replaced(worker):
                asked = worker.ask(values, part, self._timeout)
            if worker.calls >= self._max_calls:
                self._prepare()
        return partial(self._answer, worker, asked)

    def close(self) -> None:
        with self._lock:
            for worker in (self._worker, self._successor):
                if worker is not None:
                    worker.stop(_CLOSED)
            self._worker = self._successor = None
            self._program.close()

    def _answer(self, worker: _Worker, asked: _Asked) -> Inference:
        with self._lock, self._or_replaced(worker):
            answer = worker.answer(asked, self._timeout)
        if answer.conclusions is None:
            raise BackendError(answer.error)
        return Inference(answer.conclusions)

    @contextmanager
    def _or_replaced(self, worker: _Worker) -> Iterator[None]:
        """Whatever stops it, an interruption too, the worker is not used again: its answers would come at odd times."""
        try:
            yield
        except BaseException as cause:
            if self._worker is worker:
                self._worker = None
                worker.stop(str(cause) if isinstance(cause, BackendError) else "the durable backend was interrupted")
                self._prepare()
            raise

    def _prepare(self) -> None:
        """Starts a successor; if that cannot be done now, the next question tries again."""
        with suppress(BackendError):
            self._successor = self._successor or self._started()

    def _started(self) -> _Worker:
        try:
            return _Worker(self._program)
        except OSError as cause:
            raise BackendError(f"the process of the durable backend cannot be started: {cause.strerror}") from cause

    def _ready(self, patience: float) -> _Worker:
        """The worker to ask: the successor as soon as it is ready, else the one at work."""
        if self._program.closed:
            raise BackendError(_CLOSED)
        if self._worker is None and self._successor is None:
            self._successor = self._started()
        try:
            if self._successor is not None and self._successor.is_ready(patience):
                if self._worker is not None:
                    self._worker.retire(self._timeout)
                self._worker, self._successor = self._successor, None
        except BackendError:
            self._discard_successor()
            if self._worker is None:
                raise
        if self._worker is None:
            raise BackendError("the process of the durable backend is starting")
        return self._worker

    def _discard_successor(self) -> None:
        if self._successor is not None:
            self._successor.stop(_CLOSED)
        self._successor = None


class _Asked:
    """A question that was sent, and its answer as soon as that was read."""

    __slots__ = ("__weakref__", "answer")

    def __init__(self) -> None:
        self.answer: _Answer | None = None


class _Worker:
    """One process and the connection to it. It answers in the order in which it is asked.

    Raises OSError if no process can be started.
    """

    def __init__(self, program: IO[bytes]) -> None:
        self.calls = 0
        self._answered = 0
        self._open: deque[ref[_Asked]] = deque()      # not answered yet; whoever forgot a question gets no answer
        self._over = ""                               # why it answers no more
        ours, theirs = socket.socketpair()
        self.connection = Channel(ours)
        files = theirs.fileno(), program.fileno()
        command = "from engine.inference.guarded import serve; serve({}, {})".format(*files)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and a fixed text
                [sys.executable, "-c", command], pass_fds=files, env=environment, stdin=subprocess.DEVNULL
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._late = threading.Timer(START_TIMEOUT, self.process.kill)  # one that hangs would never be replaced
        self._late.daemon = True
        self._late.start()

    def is_ready(self, patience: float) -> bool:
        """Whether it has reported for work, waiting `patience` seconds. Raises BackendError if it cannot work."""
        answer = self._receive(patience)
        if answer is not None and answer.error:
            raise BackendError(answer.error)
        if answer is not None:
            self._late.cancel()
        return answer is not None

    def ask(self, values: Mapping[str, str], part: Part, patience: float) -> _Asked:
        """Sends a question. `patience`: seconds for each step. Raises BackendError if it cannot be sent."""
        while len(self._open) >= MAX_OPEN:
            self._read(patience)
        asked = _Asked()
        self.calls += 1
        question = _Question(self.calls, values if isinstance(values, dict) else dict(values), part)
        try:
            sent = self.connection.send_bytes(_ENCODE(question), patience)
        except (EOFError, OSError) as cause:
            raise self._gone() from cause
        if not sent:
            raise BackendError(f"the durable backend took no question within {patience:g} s and was stopped")
        self._open.append(ref(asked))
        return asked

    def answer(self, asked: _Asked, patience: float) -> _Answer:
        """Waits for the answer to a question, and for those before it, each for `patience` seconds."""
        while asked.answer is None:
            if self._over:
                raise BackendError(self._over)
            self._read(patience)
        return asked.answer

    def retire(self, patience: float) -> None:
        """Stops it when it has answered what it was asked."""
        with suppress(BackendError):
            while self._open:
                self._read(patience)
        self.stop("the process of the durable backend was replaced")

    def stop(self, why: str) -> None:
        self._over = why
        self._late.cancel()
        self.process.kill()
        self.process.wait()
        self.connection.close()

    def _read(self, patience: float) -> None:
        """The next answer, for the question that waits longest."""
        answer = self._receive(patience)
        if answer is None:
            raise BackendError(f"the durable backend gave no answer within {patience:g} s and was stopped")
        self._answered += 1
        if answer.number != self._answered:
            raise BackendError("the durable backend answered another question and was stopped")
        if (asked := self._open.popleft()()) is not None:
            asked.answer = answer

    def _receive(self, patience: float) -> _Answer | None:
        try:
            message = self.connection.recv_bytes(patience)
            return None if message is None else _READ_ANSWER(message)
        except (EOFError, OSError, msgspec.MsgspecError) as cause:
            raise self._gone() from cause

    def _gone(self) -> BackendError:
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return BackendError("the process of the durable backend lost its connection and was stopped")
        why = f"signal {-status}" if status < 0 else f"exit status {status}"
        return BackendError(f"the process of the durable backend ended ({why}); a new one is being started")


def serve(connected: int, program: int) -> None:
    """The life of a worker: read the program, report, then answer questions until the parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # the parent decides about an interruption
    content = os.pread(program, os.fstat(program).st_size, 0)
    with suppress(EOFError, OSError), socket.socket(fileno=connected) as end:
        _serve(Channel(end), msgspec.msgpack.decode(content, type=Program))


def _serve(connection: Channel, program: Program) -> None:
    try:
        backend = DurableBackend(program)
    except BackendError as failure:
        connection.send_bytes(_ENCODE(_Answer(error=str(failure))))
        return
    connection.send_bytes(_ENCODE(_Answer()))
    while (message := connection.recv_bytes()) is not None:
        question = _READ_QUESTION(message)
        try:
            answer = _Answer(question.number, backend.infer(question.values, question.part).conclusions)
        except BackendError as failure:
            answer = _Answer(question.number, error=str(failure))
        connection.send_bytes(_ENCODE(answer))
