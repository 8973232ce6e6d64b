"""Who is alive of those that claim work: what a dead process has claimed is free at once.

A process holds something that goes when it goes, however it ends: in SQLite the lock of a file beside the database
(flock), in PostgreSQL an advisory lock of a connection of its own. Its name stands in the table `holder`; whoever finds
that it holds nothing any more frees its claims. Of whom nothing is known (their file is gone; a database in memory)
nothing is freed: the time of their claims ends by itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

from sqlalchemy import Connection, bindparam, delete, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from engine.store.database import Database
from engine.store.errors import told
from engine.store.statements import put
from engine.store.tables import delivery, holder, pending_fetch, work
from engine.store.work import bereave

State = Literal["alive", "dead", "unknown"]
_OTHERS = select(holder.c.name).where(holder.c.name != bindparam("mine")).order_by(holder.c.name)
_FORGET = delete(holder).where(holder.c.name == bindparam("whose"))
_HOLD = text("select pg_advisory_lock(:key)")
_TRY = text("select pg_try_advisory_lock(:key)")
_LEAVE = text("select pg_advisory_unlock(:key)")


class Holder:
    """One process that claims work, under a `name` that no other has, without points. Not for several threads at once.

    Every method raises StoreError.
    """

    def __init__(self, database: Database, name: str) -> None:
        self.name = name
        self._database = database
        self._known = False  # to others
        self._grip: _Grip | None = None
        if database.dialect == "postgresql":
            self._grip = _Lock(database, name)
        elif isinstance(database.place, Path):
            self._grip = _File(database.place, name)

    def begin(self, now: int) -> None:
        """From now on (ms) it is seen to live; before it claims anything."""
        if self._grip is not None:
            self._known = False
            if not self._grip.held():
                self._grip.take()
            row = {"name": self.name, "at": now}
            self._database.run(lambda connection: put(connection, holder, [row]))
            self._known = True

    def look(self, now: int) -> int:
        """Frees what dead ones have claimed; how many claims. To be called each second or so."""
        if self._grip is None:
            return 0
        if not (self._grip.held() and self._known):  # the server was away: others may have thought that we are dead
            self.begin(now)
        with self._database.read() as connection:
            others = connection.execute(_OTHERS, {"mine": self.name}).scalars().all()
        return sum(self._buried(self._grip, other, now) for other in others)

    def end(self) -> None:
        """It claims nothing any more: what it has not finished is for others."""
        if self._grip is not None:
            self._database.run(lambda connection: free(connection, self.name))
            self._known = False
            self._grip.leave()

    def _buried(self, grip: _Grip, name: str, now: int) -> int:
        with grip.state_of(name) as state:
            if state == "alive":
                return 0
            if state == "dead":
                return self._database.run(lambda connection: free(connection, name, died=now))
            self._database.run(lambda connection: connection.execute(_FORGET, {"whose": name}))
            return 0


def free(connection: Connection, name: str, *, died: int | None = None) -> int:
    """Whatever a holder has claimed can be claimed by others, and the holder is no more; how many claims.

    `died`: when (ms) it was found dead; what it was doing then may be why.
    """
    freed = bereave(connection, name, died) if died is not None else 0
    for table in (work, delivery, pending_fetch) if died is None else (delivery, pending_fetch):
        theirs = update(table).where(table.c.claimed_by.startswith(f"{name}.", autoescape=True))
        if table is delivery:
            theirs = theirs.where(delivery.c.state == "pending")  # there are many others
        freed += connection.execute(theirs.values(claimed_by="", claimed_until=0)).rowcount
    connection.execute(_FORGET, {"whose": name})
    return freed


class _Grip(Protocol):
    """What a process holds. `state_of`: whether another one lives; while the block lasts a dead one is ours alone."""

    def take(self) -> None: ...

    def held(self) -> bool: ...

    def leave(self) -> None: ...

    @contextmanager
    def state_of(self, name: str) -> Iterator[State]: ...


class _File:
    """The lock of a file beside the database. No other program of ours inherits it."""

    def __init__(self, place: Path, name: str) -> None:
        self._place = place
        self._name = name
        self._handle = -1

    def take(self) -> None:
        self._handle = os.open(self._path(self._name), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def held(self) -> bool:
        return self._handle >= 0

    def leave(self) -> None:
        if self._handle >= 0:
            self._path(self._name).unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1

    @contextmanager
    def state_of(self, name: str) -> Iterator[State]:
        path = self._path(name)
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            yield "unknown"
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield "alive"
        else:
            yield "dead"
            path.unlink(missing_ok=True)
        finally:
            os.close(handle)

    def _path(self, name: str) -> Path:
        return self._place.with_name(f"{self._place.name}.{name}.lock")


class _Lock:
    """An advisory lock of a session: the server drops it with the connection."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._connection: Connection | None = None

    def take(self) -> None:
        self._connection = self._database.apart()
        with self._telling():
            self._connection.execute(_HOLD, _key(self._name))

    def held(self) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.execute(select(1))
        except SQLAlchemyError:
            self.leave()
            return False
        return True

    def leave(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None

    @contextmanager
    def state_of(self, name: str) -> Iterator[State]:
        assert self._connection is not None  # noqa: S101 - it is held
        with self._telling():
            taken = self._connection.execute(_TRY, _key(name)).scalar_one()
        try:
            yield "dead" if taken else "alive"
        finally:
            if taken:
                with self._telling():
                    self._connection.execute(_LEAVE, _key(name))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            self.leave()
            raise told("asked", error) from None


def _key(name: str) -> dict[str, int]:
    """The number of an advisory lock."""
    digest = hashlib.sha256(f"endplate holder {name}".encode()).digest()
    return {"key": int.from_bytes(digest[:8], "big", signed=True)}
