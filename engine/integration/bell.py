"""Waking threads that wait for work: no ring is lost between looking for work and beginning to wait."""

from __future__ import annotations

import threading


class Bell:
    """`seen = bell.rings`, look for work, and if there is none `bell.wait(seen, seconds)`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.rings = 0

    def ring(self, threads: int = 1) -> None:
        """Wakes so many of those who wait; who looks for work just now looks again."""
        with self._condition:
            self.rings += 1
            self._condition.notify(threads)

    def wait(self, seen: int, seconds: float) -> None:
        """Until it rings, or has rung since, or the time is over."""
        with self._condition:
            if self.rings == seen:
                self._condition.wait(seconds)
