"""What the service is about to remember: cards, pages and figures, written many at a time by a thread of its own.

An answer does not wait for the store. What waits is written a moment later; until then it is read from here, and
feedback writes it first, so that nobody who asks this process sees a difference. Where others may read the same store
cards and pages are written at once instead. Figures are written with what waits, or some seconds later.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from engine.model.figure import Figure
from engine.store import Kept, Shown, Store, StoreError

DELAY = 0.2  # seconds until what waits is written
FIGURES = 5.0  # seconds until figures are written with which nothing else waits
AGAIN = 1.0  # seconds until it is tried again
MOST_BYTES = 64 * 1024 * 1024  # of pages that wait

Key = tuple[str, str, str]
_K = TypeVar("_K")
_V = TypeVar("_V")


class Backlog:
    """Before a store. `alone`: nobody else reads it. `failed` is told of each writing that failed, `written` of others.

    While the store cannot be written, what waits is kept and tried again, and nothing is added to it. Safe to use from
    several threads.
    """

    def __init__(
        self,
        store: Store,
        *,
        alone: bool = True,
        failed: Callable[[Exception], None] = lambda _: None,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._alone = alone
        self._failed = failed
        self._written = written
        self._shown: dict[Key, Shown] = {}
        self._pages: dict[str, Kept] = {}
        self._figures: Counter[Figure] = Counter()
        self._bytes = 0
        self._lock = threading.Lock()  # of what waits
        self._turn = threading.Lock()  # of writing
        self._stop = threading.Event()
        self._soon = threading.Event()  # something waits that is not to wait long
        self._thread: threading.Thread | None = None
        self.failing = False

    def add(self, shown: Iterable[Shown], pages: Iterable[Kept] = ()) -> None:
        """Remembers cards and pages. Raises StoreError if that cannot be done, as far as is known by now."""
        shown, pages = list(shown), list(pages)
        if not self._alone:
            self._store.remember(shown, pages)
            self._written()
            return
        size = sum(len(page.content) for page in pages)
        with self._lock:
            if self.failing:
                raise StoreError("the store cannot be written; it is tried again every second")
            if self._bytes + size > MOST_BYTES:
                raise StoreError("the store does not keep up: too much waits to be written")
            self._bytes += size
            self._shown |= {(one.client, one.card, one.finding): one for one in shown}
            self._pages |= {page.id: page for page in pages}
            self._soon.set()
            self._begin()

    def count(self, figures: Mapping[Figure, int]) -> None:
        """Adds to figures. Safe while the store fails: they are few, and wait."""
        with self._lock:
            for figure, number in figures.items():
                self._figures[figure] += number
            self._begin()

    def kept(self, name: str, now: int) -> bytes | None:
        """A page, written or waiting. Raises StoreError."""
        page = self._pages.get(name)
        if page is not None:
            return page.content if page.until > now else None
        return self._store.kept(name, now)

    def flush(self) -> None:
        """Writes what is waiting, now. Raises StoreError; what could not be written goes on waiting."""
        with self._turn:
            with self._lock:
                shown, pages, figures = dict(self._shown), dict(self._pages), self._figures
                self._figures = Counter()
            if not (shown or pages or figures):
                return
            try:
                self._remember(shown, pages, figures)
            except BaseException:
                self.count(figures)
                raise
            with self._lock:
                self.failing = False
                _remove(self._shown, shown)
                _remove(self._pages, pages)
                self._bytes = sum(len(page.content) for page in self._pages.values())
        self._written()

    def close(self) -> None:
        """Writes what is waiting, and ends."""
        self._stop.set()
        self._soon.set()
        if (thread := self._thread) is not None:
            thread.join(10)
        self._try()

    def _remember(self, shown: dict[Key, Shown], pages: dict[str, Kept], figures: Mapping[Figure, int]) -> None:
        try:
            self._store.remember(shown.values(), pages.values(), figures)
        except StoreError as error:
            self.failing = True
            self._failed(error)
            self._store.check()  # if this fails too it is the store, else something that it does not take
            self._one_by_one(shown, pages, figures)

    def _one_by_one(self, shown: dict[Key, Shown], pages: dict[str, Kept], figures: Mapping[Figure, int]) -> None:
        """What the store does not take is lost, and nothing else with it."""
        try:
            self._store.remember((), (), figures)
        except StoreError as error:
            self._failed(error)
        for one in (*shown.values(), *pages.values()):
            try:
                self._store.remember([one] if isinstance(one, Shown) else (), [one] if isinstance(one, Kept) else ())
            except StoreError as error:
                self._failed(error)

    def _try(self) -> None:
        try:
            self.flush()
        except StoreError:
            return  # told already
        except Exception as error:  # whatever it is, the thread goes on
            self.failing = True
            self._failed(error)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="backlog", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Until nothing waits, or there is no store any more."""
        while not self._stop.is_set():
            if self.failing:
                self._stop.wait(AGAIN)
            elif self._soon.wait(FIGURES):
                self._stop.wait(DELAY)
            self._soon.clear()
            self._try()
            with self._lock:
                if self._store.closed or not (self._shown or self._pages or self._figures):
                    self._thread = None
                    return


def _remove(waiting: dict[_K, _V], done: dict[_K, _V]) -> None:
    """Takes out what was written, but for what has been replaced since."""
    for key, value in done.items():
        if waiting.get(key) is value:
            del waiting[key]
