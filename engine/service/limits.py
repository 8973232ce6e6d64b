"""How many requests a client may send: a bucket for each that fills again; the number of buckets is bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

MOST = 10_000
BURST_SECONDS = 2


class RateLimit:
    """`rate` requests a second on average, twice as many at once; 0 is no limit. `clock` gives seconds."""

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was

    def wait(self, name: str) -> float:
        """Takes one request; 0 if it may go on, else the seconds until the next may."""
        if not self._rate:
            return 0.0
        now, most = self._clock(), float(self._rate * BURST_SECONDS)
        with self._lock:
            left, then = self._buckets.pop(name, (most, now))
            left = min(most, left + max(now - then, 0) * self._rate)  # a clock may be set back
            may = left >= 1
            self._buckets[name] = (left - 1 if may else left, now)
            if len(self._buckets) > MOST:
                self._buckets.popitem(last=False)
        return 0.0 if may else (1 - left) / self._rate
