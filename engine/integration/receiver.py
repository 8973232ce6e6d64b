"""Group commit: messages of many connections are written in one durable transaction, and then acknowledged.

A thread takes whatever waits, so that a slow disk makes larger groups and not a longer queue. What cannot be written is
said to have failed, and its sender tells it again; nothing is ever half written.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from sqlalchemy import Connection

from engine.integration.intake import Letter, Taken, take
from engine.store import Database, StoreError, names

WAITING = 2_000  # letters
WAITING_BYTES = 64 * 1024 * 1024
GROUP = 256  # letters of one transaction
GROUP_EVENTS = 2_000
RETRY_SECONDS = 2  # after which a sender may come again


class FullError(Exception):
    """More waits than can be held, or the receiver is stopping: the sender tells it again later."""


class Receiver:
    """Writes letters. `clock`: milliseconds; `taken` is told of each group, `marked` when somebody is to be decided on.

    `told` is told of each group before it is written for good; if it raises, nothing is. It may be told again.

    Safe to use from several threads; `start` before and `close` after use.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        *,
        told: Callable[[Sequence[Letter], Taken], None] = lambda _letters, _taken: None,
        taken: Callable[[Taken], None] = lambda _: None,
        marked: Callable[[], None] = lambda: None,
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._told = told
        self._taken = taken
        self._failed = failed
        self._marked = marked
        self._waiting: deque[tuple[Letter, int, Future[None]]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._open = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to write."""
        with self._changed:
            self._open = True
            self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
            self._thread.start()

    def submit(self, letter: Letter) -> Future[None]:
        """Done when it is durable; StoreError if it could not be written. Raises FullError."""
        size = sum(len(one.content) for one in letter.prepared)
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # who goes away does not stop it
        with self._changed:
            waits = len(self._waiting)
            if not self._open or waits >= WAITING or (waits and self._bytes + size > WAITING_BYTES):
                raise FullError
            self._waiting.append((letter, size, done))
            self._bytes += size
            self._changed.notify()
        return done

    def close(self) -> None:
        """Takes no more, and writes what waits."""
        with self._changed:
            self._open = False
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def waiting(self) -> int:
        """How many letters wait."""
        return len(self._waiting)

    def _run(self) -> None:
        while group := self._group():
            self._write(group)

    def _group(self) -> list[tuple[Letter, Future[None]]]:
        """What waits, in its order; nothing: it is the end."""
        group: list[tuple[Letter, Future[None]]] = []
        events = 0
        with self._changed:
            while not self._waiting and self._open:
                self._changed.wait()
            while self._waiting and len(group) < GROUP and events < GROUP_EVENTS:
                letter, size, done = self._waiting.popleft()
                self._bytes -= size
                events += len(letter.prepared)
                group.append((letter, done))
        return group

    def _write(self, group: list[tuple[Letter, Future[None]]]) -> None:
        letters = [letter for letter, _ in group]
        try:
            taken = self._database.run(lambda connection: self._take(connection, letters))
        except Exception as error:  # whatever it is, the thread goes on
            self._failed(error)
            if len(group) > 1 and self._writable():  # it is one of them: the others do not fail with it
                for one in group:
                    self._write([one])
                return
            for _, done in group:
                done.set_exception(error)
            return
        for _, done in group:
            done.set_result(None)
        self._taken(taken)
        if taken.marked:
            self._marked()

    def _take(self, connection: Connection, letters: Sequence[Letter]) -> Taken:
        taken = take(connection, letters, self._clock())
        self._told(letters, taken)
        return taken

    def _writable(self) -> bool:
        try:
            self._database.run(names.writable)
        except StoreError:
            return False
        return True
