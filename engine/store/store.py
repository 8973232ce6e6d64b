"""What the service remembers, each call a transaction of its own. Safe to use from several threads and processes.

It holds the pseudonymous identifiers of findings, users, encounters, comments, and evaluations for a limited time: the
database is patient data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from engine.store import cards, names, pages, retention, schema
from engine.store.database import CONNECTIONS, Database
from engine.store.model import Acknowledged, Given, Kept, Shown

PURGE_EVERY = 5_000  # writes
_T = TypeVar("_T")


class Store:
    """In a file, in PostgreSQL (`postgresql://...`) or in memory (None); upgraded when it is opened.

    Raises StoreError if it cannot be opened, or was made by a later version. So does every method if it fails. Cards,
    pages and used names of the last moments may be lost with the power; feedback and keys not.
    """

    def __init__(self, place: Path | str | None = None, *, connections: int = CONNECTIONS) -> None:
        self.database = Database(place, connections=connections)
        self._counting = threading.Lock()
        self._writes = 0
        try:
            schema.upgrade(self.database)
        except BaseException:
            self.database.close()
            raise

    # -- cards and feedback

    def show(self, rows: Iterable[Shown]) -> None:
        """Remembers cards; those of a repeated call are the same."""
        self.remember(rows, ())

    def remember(self, shown: Iterable[Shown], kept: Iterable[Kept]) -> None:
        """Remembers cards and pages, of one call or of many, in one transaction."""
        all_shown, all_kept = list(shown), list(kept)

        def work(connection: Connection) -> None:
            cards.show(connection, all_shown)
            pages.keep(connection, all_kept)

        self._write(work)

    def give(self, rows: Iterable[Given]) -> None:
        """Remembers feedback. The same feedback again changes nothing; a card that nobody knows is no error."""
        given = list(rows)
        self._write(lambda connection: cards.give(connection, given), durable=True)

    def shown(self, card: str, client: str) -> list[Shown]:
        """What stood on a card."""
        with self.database.read() as connection:
            return cards.shown(connection, card, client)

    def acknowledged(self, findings: Collection[str], client: str) -> list[Acknowledged]:
        """What users of a client did with findings, the newest first."""
        if not findings:
            return []
        with self.database.read() as connection:
            return cards.acknowledged(connection, findings, client)

    # -- pages

    def keep(self, name: str, content: bytes, until: int, patient: str = "", at: int = 0) -> None:
        """Keeps a page until a time."""
        self.remember((), [Kept(id=name, content=content, until=until, patient=patient, at=at)])

    def kept(self, name: str, now: int) -> bytes | None:
        """A page that is still to be had."""
        with self.database.read() as connection:
            return pages.kept(connection, name, now)

    # -- keys and tokens

    def secret(self, name: str) -> bytes:
        """A random key of this store, made once."""
        return self._write(lambda connection: names.secret(connection, name), durable=True)

    def first_time(self, name: str, until: float, now: float) -> bool:
        """Whether a name is used for the first time before it expires, over all processes."""
        return self._write(lambda connection: names.first_time(connection, name, until, now))

    # -- upkeep

    def check(self) -> None:
        """Raises StoreError if it cannot be written."""
        self._write(names.writable)

    def purge(self, now: int) -> int:
        """Forgets what is no longer needed; how many rows."""
        return self._write(lambda connection: retention.forget(connection, now))

    def due(self) -> bool:
        """Whether so much was written that it is time to purge."""
        with self._counting:
            due, self._writes = self._writes >= PURGE_EVERY, self._writes % PURGE_EVERY
        return due

    def close(self) -> None:
        """Closes the connections. A file is whole afterwards, without anything beside it."""
        self.database.close()

    def _write(self, work: Callable[[Connection], _T], *, durable: bool = False) -> _T:
        with self._counting:
            self._writes += 1
        return self.database.run(work, durable=durable)
