"""A store in SQLite: one file, or in memory. Safe to use from several threads, and from several processes on one file.

It holds the pseudonymous identifiers of findings, users, encounters, comments, and evaluations for a limited time: the
file is patient data. The next database takes the place of this class.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.errors import EndplateError
from engine.store.model import Acknowledged, Given, Shown

VERSION = 1
DAY = 86_400
REMEMBERED = 400 * DAY  # what was acknowledged: longer than the longest silence
UNANSWERED = 30 * DAY  # cards on which no feedback came
MOST_PAGES = 100_000
PURGE_EVERY = 5_000  # writes

_SCHEMA = """
create table if not exists shown (
    card text not null, finding text not null, evidence text not null, issue text not null, severity text not null,
    client text not null, user text not null, encounter text not null, evaluation text not null, at integer not null,
    primary key (client, card, finding)
) without rowid;
create index if not exists shown_finding on shown (finding, client);
create index if not exists shown_at on shown (at);
create table if not exists feedback (
    card text not null, client text not null, outcome text not null, stamped text not null, system text not null,
    code text not null, comment text not null, suggestions text not null, at integer not null,
    primary key (client, card, outcome, stamped)
) without rowid;
create table if not exists page (
    id text primary key, content blob not null, until integer not null
) without rowid;
create index if not exists page_until on page (until);
create table if not exists used (name text primary key, until integer not null) without rowid;
create table if not exists secret (name text primary key, value blob not null) without rowid;
"""
_ACKNOWLEDGED = """
select s.finding, s.evidence, s.issue, s.severity, s.user, s.encounter, f.outcome, f.stamped, f.system, f.code,
       f.comment, f.at
from shown s join feedback f on f.client = s.client and f.card = s.card
where s.client = ? and s.finding in ({places}) order by f.at desc
"""


class StoreError(EndplateError):
    """The store cannot be read or written."""


class Store:
    """Raises StoreError if the file cannot be opened, or was made by a later version."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writes = 0
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.touch(mode=0o600)
            name = ":memory:" if path is None else str(path)
            self._db = sqlite3.connect(name, timeout=5, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            found = self._db.execute("pragma user_version").fetchone()[0]
            if found > VERSION:
                raise StoreError(f"`{name}` was made by a later version of Endplate: use that one, or another folder")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"pragma user_version = {VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"`{path}` cannot be opened as a store: {error}; set `ENDPLATE_DATA`") from None

    # -- cards and feedback

    def show(self, rows: Iterable[Shown]) -> None:
        """Remembers cards; those of a repeated call are the same."""
        with self._writing() as db:
            db.executemany(
                "insert or replace into shown values (?,?,?,?,?,?,?,?,?,?)", [msgspec.structs.astuple(r) for r in rows]
            )

    def give(self, rows: Iterable[Given]) -> None:
        """Remembers feedback. The same feedback again changes nothing; a card that nobody knows is no error."""
        with self._writing() as db:
            db.executemany(
                "insert or ignore into feedback values (?,?,?,?,?,?,?,?,?)",
                [
                    (r.card, r.client, r.outcome, r.stamped, r.system, r.code, r.comment, " ".join(r.suggestions), r.at)
                    for r in rows
                ],
            )

    def shown(self, card: str, client: str) -> list[Shown]:
        """What stood on a card."""
        with self._reading() as db:
            rows = db.execute(
                "select card, finding, evidence, issue, severity, client, user, encounter, evaluation, at "
                "from shown where client = ? and card = ?",
                (client, card),
            ).fetchall()
        return [Shown(**dict(zip(Shown.__struct_fields__, row, strict=True))) for row in rows]

    def acknowledged(self, findings: Collection[str], client: str) -> list[Acknowledged]:
        """What users of a client did with findings, the newest first."""
        if not findings:
            return []
        places = ",".join("?" * len(findings))
        with self._reading() as db:
            rows = db.execute(_ACKNOWLEDGED.format(places=places), (client, *findings)).fetchall()
        return [Acknowledged(**dict(zip(Acknowledged.__struct_fields__, row, strict=True))) for row in rows]

    # -- pages

    def keep(self, name: str, content: bytes, until: int) -> None:
        """Keeps a page until a time."""
        with self._writing() as db:
            db.execute("insert or replace into page values (?,?,?)", (name, content, until))

    def kept(self, name: str, now: int) -> bytes | None:
        """A page that is still to be had."""
        with self._reading() as db:
            row = db.execute("select content from page where id = ? and until > ?", (name, now)).fetchone()
        return row[0] if row else None

    # -- keys and tokens

    def secret(self, name: str) -> bytes:
        """A random key of this store, made once."""
        with self._writing() as db:
            db.execute("insert or ignore into secret values (?,?)", (name, secrets.token_bytes(32)))
            return bytes(db.execute("select value from secret where name = ?", (name,)).fetchone()[0])

    def first_time(self, name: str, until: float, now: float) -> bool:
        """Whether a name is used for the first time before it expires, over all processes."""
        with self._writing() as db:
            db.execute("delete from used where name = ? and until <= ?", (name, int(now)))
            return db.execute("insert or ignore into used values (?,?)", (name, int(until) + 1)).rowcount == 1

    # -- upkeep

    def check(self) -> None:
        """Raises StoreError if it cannot be written."""
        with self._writing() as db:
            db.execute("delete from secret where name = ''")

    def purge(self, now: int) -> None:
        """Forgets what is no longer needed."""
        with self._writing() as db:
            db.execute("delete from page where until <= ?", (now,))
            db.execute(
                "delete from page where id in (select id from page order by until desc limit -1 offset ?)",
                (MOST_PAGES,),
            )
            db.execute("delete from used where until <= ?", (now,))
            db.execute("delete from feedback where at < ?", (now - REMEMBERED,))
            db.execute(
                "delete from shown where at < ? and (at < ? or not exists "
                "(select 1 from feedback f where f.client = shown.client and f.card = shown.card))",
                (now - UNANSWERED, now - REMEMBERED - UNANSWERED),
            )

    def due(self) -> bool:
        """Whether so much was written that it is time to purge."""
        due, self._writes = self._writes >= PURGE_EVERY, self._writes % PURGE_EVERY
        return due

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise StoreError(f"the store cannot be read: {error}") from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._lock:
            self._writes += 1
            try:
                self._db.execute("begin immediate")
                yield self._db
                self._db.execute("commit")
            except sqlite3.Error as error:
                if self._db_open():
                    self._db.execute("rollback")
                raise StoreError(f"the store cannot be written: {error}") from None

    def _db_open(self) -> bool:
        try:
            return self._db.in_transaction
        except sqlite3.Error:
            return False
