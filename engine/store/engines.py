"""How each database is connected: SQLite as a file or in memory, PostgreSQL by psycopg.

Nothing begins by itself: outside a transaction each statement stands alone, and `Database` begins what it needs.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool, StaticPool

from engine.store.errors import StoreError

WAIT = 5  # seconds for another writer, a free connection, a server to answer
_LIMITS = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"


def make_engine(place: Path | str | None, connections: int, *, limits: bool) -> Engine:
    """An engine for a file, an address `postgresql://...`, or memory (None). Raises StoreError for another address."""
    if isinstance(place, str):
        return _postgresql(_address(place), connections, _LIMITS if limits else "")
    return _memory() if place is None else _file(place, connections)


def name_of(engine: Engine) -> str:
    """The database as messages name it: without user and password, wherever in the address they stand."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return url.database or "memory"
    return str(URL.create("postgresql", host=url.host, port=url.port, database=url.database))


def raw(connection: Connection) -> sqlite3.Connection:
    """The connection of the driver, in SQLite."""
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def _memory() -> Engine:
    """One connection that all threads share, one after another."""
    return create_engine(
        "sqlite://",
        poolclass=StaticPool,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )


def _file(path: Path, connections: int) -> Engine:
    """Readable by its owner alone, in WAL mode: readers and one writer do not wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT,
        hide_parameters=True,
        connect_args={"timeout": WAIT, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def settle(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma secure_delete = on")  # what is forgotten is overwritten

    return engine


def _postgresql(url: URL, connections: int, options: str) -> Engine:
    """At most so many connections; each is tried before use, so that a restarted server is no error."""
    given = dict(url.query)
    usual = {"connect_timeout": str(WAIT), "application_name": "endplate", "options": options}
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=WAIT,
            pool_pre_ping=True,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            connect_args={key: value for key, value in usual.items() if key not in given},
        )
    except ModuleNotFoundError:
        raise StoreError("PostgreSQL needs psycopg: install `endplate[postgresql]`") from None


def _address(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StoreError("`ENDPLATE_DATABASE` is no address: write `postgresql://user@host/database`") from None
    if "@" in (url.host or ""):
        raise StoreError("`ENDPLATE_DATABASE`: an `@` in a password is written `%40`; better use `PGPASSWORD`")
    if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise StoreError(
            f"`ENDPLATE_DATABASE` names `{url.drivername}`: write `postgresql://user@host/database`, or leave it empty "
            "for SQLite"
        )
    return url
