"""What only a SQLite file needs: being copied while it is in use, being looked through, being cut short."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection

from engine.store.database import Database
from engine.store.engines import raw
from engine.store.errors import StoreError

HOW_TO_DUMP = "pg_dump --format=custom --file={path} DATABASE"


def backup(database: Database, path: Path) -> None:
    """A whole copy of the moment, readable by its owner alone, while others read and write (SQLite's backup API).

    Raises StoreError if there is something at the path, the copy cannot be written, or it is not a SQLite file.
    """
    if database.dialect != "sqlite":
        raise StoreError(f"PostgreSQL has its own backup: `{HOW_TO_DUMP.format(path=path)}`")
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        if path.exists():
            raise StoreError(f"there is something at `{path}`: name another file")
        unfinished.touch(mode=0o600, exist_ok=False)
        try:
            with closing(sqlite3.connect(unfinished)) as copy:
                with database.read() as connection:
                    raw(connection).backup(copy)
                if copy.execute("pragma integrity_check").fetchall() != [("ok",)]:
                    raise StoreError(f"the copy of `{database.name}` is damaged: run `endplate store check`")
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"`{path}` cannot be written as a backup: {error}") from None


def damage(connection: Connection) -> list[str]:
    """What is wrong with the file, in SQLite's words, which name tables and pages."""
    if connection.dialect.name != "sqlite":
        return []
    return [line for line in connection.exec_driver_sql("pragma integrity_check").scalars() if line != "ok"]


def cut(database: Database) -> None:
    """Leaves nothing of deleted rows in the write-ahead log, unless somebody is still reading it."""
    if database.dialect == "sqlite":
        with database.read() as connection:
            connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
