"""The durable backend in a process of its own, where a crash or a hang of its C code harms nobody.

The worker is a fresh interpreter that imports only this room and reads the program from an unnamed file. Parent and
worker talk over a socket pair in msgpack; when the parent goes, the worker reads the end of the stream and goes too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import IO

import msgspec

from engine.errors import BackendError
from engine.inference.durable import DurableBackend
from engine.inference.port import Inference, Part
from engine.rules.program import Conclusions, Program

TIMEOUT = 0.5                             # seconds for one answer; a good one takes milliseconds
START_TIMEOUT = 30.0                      # seconds for the first worker to be ready
PATIENCE = 0.1                            # seconds for a process that lost its connection to end
MAX_CALLS = 50_000                        # answers of one worker before a successor takes over


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
    """As `DurableBackend`, contained. Never waits longer than `timeout`: without an answer it raises BackendError.

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
        with self._lock:
            worker = self._ready(0)
            try:
                answer = worker.ask(values, part, self._timeout)
            except BaseException:                 # also an interruption: its answer would be taken for the next one's
                self._worker = None
                worker.stop()
                self._successor = self._successor or _Worker(self._program)
                raise
            if worker.calls >= self._max_calls and self._successor is None:
                self._successor = _Worker(self._program)
        if answer.conclusions is None:
            raise BackendError(answer.error)
        return Inference(answer.conclusions)

    def close(self) -> None:
        with self._lock:
            for worker in (self._worker, self._successor):
                if worker is not None:
                    worker.stop()
            self._worker = self._successor = None
            self._program.close()

    def _ready(self, patience: float) -> _Worker:
        """The worker to ask: the successor as soon as it is ready, else the one at work."""
        if self._program.closed:
            raise BackendError("the durable backend is closed")
        if self._worker is None and self._successor is None:
            self._successor = _Worker(self._program)
        try:
            if self._successor is not None and self._successor.is_ready(patience):
                if self._worker is not None:
                    self._worker.stop()
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
            self._successor.stop()
        self._successor = None


class _Worker:
    """One process and the connection to it."""

    def __init__(self, program: IO[bytes]) -> None:
        self.calls = 0
        self.connection, theirs = Pipe()
        files = theirs.fileno(), program.fileno()
        command = "from engine.inference.guarded import serve; serve({}, {})".format(*files)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and a fixed text
            [sys.executable, "-c", command], pass_fds=files, env=environment, stdin=subprocess.DEVNULL
        )
        theirs.close()

    def is_ready(self, patience: float) -> bool:
        """Whether it has reported for work, waiting `patience` seconds. Raises BackendError if it cannot work."""
        answer = self._receive(patience)
        if answer is not None and answer.error:
            raise BackendError(answer.error)
        return answer is not None

    def ask(self, values: Mapping[str, str], part: Part, patience: float) -> _Answer:
        self.calls += 1
        try:
            self.connection.send_bytes(_ENCODE(_Question(self.calls, dict(values), part)))
        except OSError as cause:
            raise self._gone() from cause
        answer = self._receive(patience)
        if answer is None:
            raise BackendError(f"the durable backend gave no answer within {patience:g} s and was stopped")
        if answer.number != self.calls:
            raise BackendError("the durable backend answered another question and was stopped")
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()

    def _receive(self, patience: float) -> _Answer | None:
        try:
            return _READ_ANSWER(self.connection.recv_bytes()) if self.connection.poll(patience) else None
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
    with suppress(EOFError, OSError), Connection(connected) as connection:
        _answer(connection, msgspec.msgpack.decode(content, type=Program))


def _answer(connection: Connection, program: Program) -> None:
    try:
        backend = DurableBackend(program)
    except BackendError as failure:
        connection.send_bytes(_ENCODE(_Answer(error=str(failure))))
        return
    connection.send_bytes(_ENCODE(_Answer()))
    while True:
        question = _READ_QUESTION(connection.recv_bytes())
        try:
            answer = _Answer(question.number, backend.infer(question.values, question.part).conclusions)
        except BackendError as failure:
            answer = _Answer(question.number, error=str(failure))
        connection.send_bytes(_ENCODE(answer))
