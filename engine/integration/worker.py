"""The threads that decide and deliver while the service runs, and how they start, wake and stop.

Whoever has stored something rings; what other processes have stored is found by looking every half second. A thread
never ends by an error: it is counted, and the thread goes on after a pause. At the end each finishes what it has begun.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from engine.errors import EndplateError
from engine.integration.bell import Bell
from engine.integration.deciding import Decider
from engine.integration.delivering import Lane
from engine.integration.meter import Meter
from engine.store import Database, StoreError, outbox, work
from engine.store.holders import Holder

LOOK_S = 0.5  # how often work of other processes is looked for
FAILED_S = 1.0
DEAD_S = 1.0  # how often it is looked who has died
SWEEP_S = 1.0  # of everybody some are marked at least so often, and whenever there is nothing else to do
FIGURES_S = 15.0
THREADS = 4  # of each lane
STOP_S = 20.0

log = structlog.get_logger("endplate.integration")


class Workers:
    """`recover` is called about every second (fetching what senders owe); it gives how much it did.

    `name` is the one under which the decider, the lanes and `recover` claim.
    """

    def __init__(
        self,
        database: Database,
        decider: Decider | None,
        lanes: Mapping[str, Lane],
        *,
        name: str,
        now: Callable[[], int],
        meter: Meter | None = None,
        recover: Callable[[], int] | None = None,
        threads: int = THREADS,
        look: float = LOOK_S,
    ) -> None:
        self._database = database
        self._decider = decider
        self._lanes = lanes
        self._holder = Holder(database, name)
        self._now = now
        self._meter = meter or Meter()
        self._recover = recover
        self._number = threads
        self._look = look
        self._stopping = threading.Event()
        self._work = Bell()
        self._letters = {name: Bell() for name in lanes}
        self._chores = Bell()
        self._threads: list[threading.Thread] = []
        self._swept = 0.0

    def start(self) -> None:
        """Starts the threads."""
        try:
            self._holder.begin(self._now())
        except StoreError as error:  # a thread goes on trying
            self._failed("holders", error)
        self._start("holders", self._look_around, self._chores, DEAD_S)
        if self._decider is not None:
            self._start("decide", self._decide, self._work)
        for name, lane in self._lanes.items():
            for _ in range(self._number):
                self._start(f"deliver {name}", lane.step, self._letters[name])
        if self._recover is not None:
            recover = self._recover
            self._start("recover", lambda: recover() > 0, self._chores, FAILED_S)
        self._start("figures", self._figures, self._chores, FIGURES_S)

    def wake(self) -> None:
        """Something was stored: a patient is due."""
        self._work.ring()

    def wake_lane(self, name: str, letters: int = 1) -> None:
        """Something is to be delivered."""
        if name in self._letters:
            self._letters[name].ring(min(letters, self._number))

    def stop(self, seconds: float = STOP_S) -> bool:
        """Lets each thread finish what it has begun; whether all did in time. What was not finished is for others when
        the process ends."""
        self._stopping.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            for bell in (self._work, self._chores, *self._letters.values()):
                bell.ring(len(self._threads))
            thread.join(max(until - time.monotonic(), 0))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended:
            try:
                self._holder.end()
            except StoreError as error:  # others will see that we are gone
                self._failed("holders", error)
        return ended

    # -- threads

    def _start(self, name: str, step: Callable[[], bool], bell: Bell, look: float = 0.0) -> None:
        thread = threading.Thread(target=self._run, args=(name, step, bell, look or self._look), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, name: str, step: Callable[[], bool], bell: Bell, look: float) -> None:
        while not self._stopping.is_set():
            seen = bell.rings
            try:
                busy = step()
            except Exception as error:  # whatever it is, the thread goes on
                self._failed(name, error)
                self._stopping.wait(FAILED_S)
                continue
            if not busy and not self._stopping.is_set():
                bell.wait(seen, look)

    def _failed(self, name: str, error: Exception) -> None:
        self._meter.failed(name.partition(" ")[0])
        reason = str(error) if isinstance(error, EndplateError) else type(error).__name__
        log.error("work failed and is tried again", part=name, reason=reason)

    def _decide(self) -> bool:
        assert self._decider is not None  # noqa: S101 - started only with one
        patients, letters = self._decider.step()
        if letters:
            for name in self._lanes:
                self.wake_lane(name, letters)
        if not patients or time.monotonic() - self._swept > SWEEP_S:
            self._swept = time.monotonic()
            return self._decider.sweep() > 0 or patients > 0
        return True

    def _look_around(self) -> bool:
        if freed := self._holder.look(self._now()):
            log.warning("what a process had taken that is no more is taken over", claims=freed)
            self.wake()
            for name in self._lanes:
                self.wake_lane(name, freed)
        return False

    def _figures(self) -> bool:
        with self._database.read() as connection:
            due, oldest, parked = work.waiting(connection, self._now())
            letters = outbox.waiting(connection, self._now())
        self._meter.waiting(due, oldest, parked, letters)
        return False
