"""Where the work of a call is done: at once if it is small, in a thread if it is large or may wait for others.

The interpreter computes in one thread at a time. Evaluations of a few milliseconds in several threads only interrupt
each other, and each ends as late as the last; handing one to a thread and back costs a tenth of it. So the event loop
does small ones itself, one after another in the order in which they came, and looks at the network in between: whose
request comes in two pieces does not wait for two rounds of the others. What waits for another process (the durable
backend) comes in two parts, and others have their turn between them. A process that shares its store has to wait for
it, and leaves that to threads.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from anyio import CapacityLimiter, Lock, to_thread

SMALL = 64 * 1024  # bytes of a body; its evaluation takes milliseconds
_T = TypeVar("_T")


class Lanes:
    """`threads`: how many there are at most; `alone`: the process does not share its store."""

    def __init__(self, threads: int, *, alone: bool = True) -> None:
        self._limiter = CapacityLimiter(threads)
        self._small = SMALL if alone else -1
        self._turns: WeakKeyDictionary[AbstractEventLoop, Lock] = WeakKeyDictionary()

    async def direct(self, work: Callable[[], _T], size: int = 0) -> _T:
        """Does work that waits for nobody, for a body of `size` bytes; 0: it is next to nothing."""
        if size > self._small:
            return await self.beside(work)
        if not size:
            return work()
        async with self._turns.setdefault(get_running_loop(), Lock()):  # taking it lets the event loop go round once
            return work()

    async def beside(self, work: Callable[[], _T]) -> _T:
        """Does work that may take long, or wait."""
        return await to_thread.run_sync(work, limiter=self._limiter)
