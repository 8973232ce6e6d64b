"""Delivering the letters of one lane: claim, hand to the dispatcher, settle. At least once, ordered by patient.

What was refused for good is parked and told; everything else is tried again, with growing pauses or when the other side
asks to. While a target does not answer at all it rests as a whole, so that a thousand letters do not call in turn.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import structlog

from engine.integration.backoff import Backoff
from engine.integration.deliver import Dispatcher, Outcome
from engine.integration.meter import Meter
from engine.store import Database, outbox
from engine.store.outbox import Delivery

LEASE_MS = 180_000  # longer than any delivery takes
GIVES_UP_MS = 7 * 86_400_000  # a letter that an answering target never takes

log = structlog.get_logger("endplate.integration")


class Lane:
    """The letters of a lane, for several threads. `name` is unlike that of any other process; `now` in ms."""

    def __init__(
        self,
        lane: str,
        database: Database,
        dispatcher: Dispatcher,
        *,
        name: str,
        now: Callable[[], int],
        meter: Meter | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.lane = lane
        self._database = database
        self._dispatcher = dispatcher
        self._name = name
        self._now = now
        self._meter = meter or Meter()
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self._claims = itertools.count()
        self._resting: dict[str, tuple[int, int]] = {}  # target -> (times that it did not answer, until when it rests)

    def step(self) -> bool:
        """One delivery, whatever comes of it; False: there is nothing to do now. Raises StoreError."""
        now, holder = self._now(), f"{self._name}.{self.lane}.{next(self._claims)}"
        resting = self._rest(now)
        if self.lane in resting:
            return False
        taken = self._database.run(
            lambda connection: outbox.claim(
                connection, self.lane, holder=holder, now=now, until=now + LEASE_MS, most=1, resting=resting
            ),
            durable=False,
        )
        for delivery in taken:
            self._settle(delivery, self._outcome(delivery))
        return bool(taken)

    def _outcome(self, delivery: Delivery) -> Outcome:
        try:
            return self._dispatcher(delivery)
        except Exception as error:  # whatever it is, the letter is kept
            self._meter.failed("deliver")
            return Outcome("again", f"a defect of Endplate, or a wrong setting ({type(error).__name__})")

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        """Writes down what came of it. If that fails it is delivered again: at least once."""
        now, state = self._now(), outcome.state
        self._heard(delivery, outcome, now)
        if state == "again" and not outcome.down and now - delivery.at > GIVES_UP_MS:
            state = "dead"
        again = now + self._backoff.pause(delivery.attempts, outcome.after)
        self._database.run(
            lambda connection: outbox.finish(connection, delivery, now=now, note=outcome.error)
            if state == "done"
            else outbox.bury(connection, delivery, now=now, error=outcome.error)
            if state == "dead"
            else outbox.fail(connection, delivery, again=again, error=outcome.error),
            durable=False,
        )
        self._meter.delivered(self.lane, state)
        if state == "dead":
            log.error("a delivery is parked: see `endplate deliveries list`", lane=self.lane, reason=outcome.error)
        elif state == "again":
            tried = delivery.attempts + 1
            log.warning("a delivery is tried again", lane=self.lane, reason=outcome.error, attempts=tried)

    def _heard(self, delivery: Delivery, outcome: Outcome, now: int) -> None:
        with self._lock:
            if not outcome.down:
                whole = "/".join(delivery.target.split("/")[:2])  # a handshake speaks for its subscription
                for target in {delivery.target, delivery.target if outcome.error else whole}:
                    self._resting.pop(target, None)
            else:
                times, until = self._resting.get(delivery.target, (0, 0))
                if until <= now:  # threads that were under way together count once
                    until = now + self._backoff.pause(times, outcome.after)
                    self._resting[delivery.target] = times + 1, until

    def _rest(self, now: int) -> list[str]:
        with self._lock:
            return [target for target, (_, until) in self._resting.items() if until > now]
