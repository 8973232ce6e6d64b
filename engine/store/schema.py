"""The version of a database: upgrading it by migrations, and refusing one that is too new or too old.

Alembic is imported when there is something to upgrade, and not before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, inspect, select

from engine.store.database import Database
from engine.store.errors import StoreError
from engine.store.tables import metadata

_FOLDER = Path(__file__).parent / "migrations"
REVISIONS = tuple(sorted(path.name[1:5] for path in (_FOLDER / "versions").glob("r[0-9]*.py")))
REVISION = REVISIONS[-1]  # of this program
_LEGACY = 1  # `user_version` of SQLite files of before migrations; since then it is 2, which older versions refuse
_TAKEN_OVER = 2
_LOCK = 0x656E64706C617465  # "endplate", the advisory lock of those who upgrade
_ONE = threading.Lock()  # Alembic's context is one for the process


def revision(database: Database) -> str:
    """The last migration of a database; empty: none. Raises StoreError if it is none, or a later version made it."""
    try:
        with database.read() as connection:
            found = _revision(connection)
    except StoreError as error:
        setting = "ENDPLATE_DATA" if database.dialect == "sqlite" else "ENDPLATE_DATABASE"
        raise StoreError(f"`{database.name}` cannot be opened as a store: {error}; see `{setting}`") from None
    if found not in ("", *REVISIONS):
        raise StoreError(
            f"`{database.name}` was made by a later version of Endplate: use that one, or another folder or database"
        )
    return found


def upgrade(database: Database) -> bool:
    """Brings a database to the version of this program, once over all processes; whether there was anything to do.

    Raises StoreError if it cannot be upgraded, or was made by a later version: nothing has changed then.
    """
    if database.place is None:
        return _made(database)
    if revision(database) == REVISION:
        return False
    with _ONE, _migrating(database) as connection:
        if _revision(connection) == REVISION:  # another process was first
            return False
        _migrate(connection)
        if database.dialect == "sqlite":
            connection.exec_driver_sql(f"pragma user_version = {_TAKEN_OVER}")
        return True


def current(database: Database) -> None:
    """Raises StoreError unless a database has the version of this program."""
    if database.place is not None and (found := revision(database)) != REVISION:
        raise StoreError(
            f"`{database.name}` has version `{found or 'none'}` and needs `{REVISION}`: run `endplate store upgrade`"
        )


def differences(connection: Connection) -> list[str]:
    """How tables differ from those of this program, such as `add_index shown_at`: what would have to be done.

    Further tables and indexes of a site are no difference.
    """
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    found = compare_metadata(MigrationContext.configure(connection), metadata)
    steps = [one[0] if isinstance(one, list) else one for one in found]
    return [_words(step) for step in steps if step[0] not in ("remove_table", "remove_index")]


def counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    every = {table.name: select(func.count()).select_from(table) for table in metadata.sorted_tables}
    return {name: connection.execute(every[name]).scalar_one() for name in sorted(every)}


def _words(step: tuple[Any, ...]) -> str:
    names = [getattr(part, "name", part) for part in step]
    return " ".join(name for name in names if isinstance(name, str))


def _made(database: Database) -> bool:
    """Memory is always new: it gets the tables as the migrations leave them."""
    with database.write() as connection:
        metadata.create_all(connection)
    return True


@contextmanager
def _migrating(database: Database) -> Iterator[Connection]:
    try:
        with database.write() as connection:
            if database.dialect == "postgresql":
                connection.exec_driver_sql("set local lock_timeout = 0; set local statement_timeout = 0")
                connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
            yield connection
    except StoreError as error:
        if "InsufficientPrivilege" in str(error):
            raise StoreError(
                f"`{database.name}` has to be upgraded and this user may not: run `endplate store upgrade` as its owner"
            ) from None
        raise


def _revision(connection: Connection) -> str:
    if inspect(connection).has_table("alembic_version"):
        found = connection.exec_driver_sql("select version_num from alembic_version").scalars().all()
        return ", ".join(found)
    if connection.dialect.name == "sqlite":
        version = connection.exec_driver_sql("pragma user_version").scalar_one()
        return f"version {version}" if version > _LEGACY else ""
    return ""


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
