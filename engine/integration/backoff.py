"""After how long something is tried again: twice as long each time, with some chance in it, up to a longest pause."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Milliseconds. `chance` gives numbers from 0 to 1: whoever failed together does not come back together."""

    first: int = 1_000
    most: int = 600_000
    chance: Callable[[], float] = random.random

    def pause(self, attempts: int, after: float | None = None) -> int:
        """After so many earlier attempts; `after` (seconds) is what the other side asks for, of at most a day."""
        usual = min(self.first * 2 ** min(attempts, 30), self.most)
        asked = int(min(after, 86_400.0) * 1000) if after is not None else 0
        return max(int(usual * (0.5 + self.chance() / 2)), asked)
