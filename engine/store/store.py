"""What the service remembers, each call a transaction of its own. Safe to use from several threads and processes.

It holds the pseudonymous identifiers of findings, users, encounters, comments, and evaluations for a limited time: the
database is patient data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import Connection

from engine.model.figure import Figure
from engine.store import cards, figures, names, pages, retention, schema, tenants
from engine.store.answered import Answered, answered
from engine.store.database import CONNECTIONS, Database
from engine.store.model import Acknowledged, Given, Kept, Shown

PURGE_EVERY = 5_000  # writes
_T = TypeVar("_T")


class Store:
    """In a file, in PostgreSQL (`postgresql://...`) or in memory (None); upgraded when it is opened.

    Raises StoreError if it cannot be opened, was made by a later version, or is that of another `tenant`. So does every
    method if it fails. Cards,
    pages and used names of the last moments may be lost with the power; feedback and keys not.
    """

    def __init__(
        self, place: Path | str | None = None, *, connections: int = CONNECTIONS, tenant: str = ""
    ) -> None:
        self.database = Database(place, connections=connections)
        self.closed = False
        self._counting = threading.Lock()
        self._writes = 0
        self._answered: Answered | None = None
        try:
            schema.upgrade(self.database)
            tenants.take(self.database, tenant)
        except BaseException:
            self.database.close()
            raise

    # -- cards and feedback

    def show(self, rows: Iterable[Shown]) -> None:
        """Remembers cards; those of a repeated call are the same."""
        self.remember(rows, ())

    def remember(
        self, shown: Iterable[Shown], kept: Iterable[Kept], counted: Mapping[Figure, int] = MappingProxyType({})
    ) -> None:
        """Remembers cards and pages, of one call or of many, and adds to figures, in one transaction."""
        all_shown, all_kept = list(shown), list(kept)

        def work(connection: Connection) -> None:
            cards.show(connection, all_shown)
            pages.keep(connection, all_kept)
            figures.count(connection, counted)
            if self._answered is not None:
                self._answered.show(all_shown)

        self._write(work)

    def give(self, rows: Iterable[Given]) -> None:
        """Remembers feedback. The same feedback again changes nothing; a card that nobody knows is no error."""
        given = list(rows)

        def work(connection: Connection) -> None:
            cards.give(connection, given)
            if (known := self._answered) is not None:
                shown = [row for one in given for row in cards.shown(connection, one.card, one.client)]
                known.give([one.card for one in given], shown)
                self._answered = None if known.is_full else known

        self._write(work, durable=True)

    def shown(self, card: str, client: str) -> list[Shown]:
        """What stood on a card."""
        with self.database.read() as connection:
            return cards.shown(connection, card, client)

    def acknowledged(self, findings: Collection[str], client: str) -> list[Acknowledged]:
        """What users of a client did with findings, the newest first."""
        if self._answered is not None and not self.closed:
            findings = self._answered.among(findings)
        if not findings:
            return []
        with self.database.read() as connection:
            return cards.acknowledged(connection, findings, client)

    def alone(self) -> None:
        """From now on no other process gives feedback to this store: what nobody has acknowledged is not looked for."""
        with self.database.read() as connection:
            self._answered = answered(connection)

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
        self.closed = True
        self.database.close()

    def _write(self, work: Callable[[Connection], _T], *, durable: bool = False) -> _T:
        with self._counting:
            self._writes += 1
        return self.database.run(work, durable=durable)
