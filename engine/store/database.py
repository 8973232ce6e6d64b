"""A database and its transactions, the same over SQLite and PostgreSQL.

    with database.write() as connection:      one transaction, shared by all who are given the connection
        cards.show(connection, rows)
        pages.keep(connection, kept)
    database.run(lambda connection: ...)      the same, tried again if it lost against another transaction
    with database.read() as connection:       no transaction: each statement sees what was committed when it began

`durable` (the usual): once the block has ended, what it wrote survives a loss of power. Otherwise the last moments may
be lost then, never by the end of the process, and nothing is ever half written. In SQLite a writer holds the whole file
from the beginning (`begin immediate`); in PostgreSQL isolation is read committed, and rows are locked by
`with_for_update`. A thread has one of these at a time; they are not for the event loop.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from engine.store.engines import make_engine, name_of, raw
from engine.store.errors import ConflictError, StoreError, told

ATTEMPTS = 6
CONNECTIONS = 8
_T = TypeVar("_T")


class Database:
    """Safe to use from several threads, and from several processes. `place`: a file, `postgresql://...`, None: memory.

    `limits`: a server ends a statement that takes half a minute. Raises StoreError if the place is none of these, or
    the file cannot be made; a server is not asked yet.
    """

    def __init__(
        self, place: Path | str | None = None, *, connections: int = CONNECTIONS, limits: bool = True
    ) -> None:
        try:
            self._engine = make_engine(place, connections, limits=limits)
        except (OSError, SQLAlchemyError) as error:
            raise StoreError(f"`{place}` cannot be opened as a store: {error}; see `ENDPLATE_DATA`") from None
        self.dialect = self._engine.dialect.name  # `sqlite` or `postgresql`
        self.place = place
        self.name = name_of(self._engine)
        turn = threading.Lock()  # in SQLite one writes at a time, and in memory readers take turns with it
        self._writing = turn if self.dialect == "sqlite" else nullcontext()
        self._reading = turn if place is None else nullcontext()
        self._mine = threading.local()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Raises StoreError."""
        with self._alone("read", self._reading), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Commits at the end, rolls back on any exception. Raises StoreError; ConflictError if another one won."""
        with self._alone("written", self._writing), self._engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                self._begin(connection, durable=durable)
                yield connection

    def run(self, work: Callable[[Connection], _T], *, durable: bool = True) -> _T:
        """What `work` gives, in a transaction of its own; it may be called more than once. Raises StoreError."""
        for attempt in range(ATTEMPTS):
            try:
                with self.write(durable=durable) as connection:
                    return work(connection)
            except ConflictError:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0.5, 1.5) * 0.005 * 2**attempt)  # noqa: S311
        raise AssertionError("unreachable")

    def apart(self) -> Connection:
        """A connection beside those of the pool, for whoever asks to keep and to close. Raises StoreError."""
        with self._alone("read", nullcontext()):
            connection = self._engine.connect()
            connection.detach()
            return connection

    def close(self) -> None:
        """Closes every connection that is not in use."""
        self._engine.dispose()

    def _begin(self, connection: Connection, *, durable: bool) -> None:
        if self.dialect == "postgresql":
            if not durable:
                connection.exec_driver_sql("set local synchronous_commit = off")
            return
        driver = raw(connection)
        if connection.info.get("durable") is not durable:
            driver.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            connection.info["durable"] = durable
        driver.execute("begin immediate")

    @contextmanager
    def _alone(self, doing: str, turn: AbstractContextManager[Any]) -> Iterator[None]:
        """One at a time in a thread, and in its turn; errors are told."""
        if getattr(self._mine, "busy", False):
            raise RuntimeError("a transaction inside another: hand its connection on")
        self._mine.busy = True
        try:
            with turn:
                yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise told(doing, error) from None
        finally:
            self._mine.busy = False
