"""`endplate store`: what those who run the service do with its database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.cli.common import write
from engine.errors import InputError
from engine.fhir.references import patient_key
from engine.settings import read_settings
from engine.store import Database, StoreError, files, names, retention, schema, tenants

DAY = 86_400


def upgrade() -> None:
    """Brings the database to the version of this program, or makes it."""
    with closing(Database(read_settings().store, limits=False)) as database:
        done = schema.upgrade(database)
    write(f"{database.name}: {'upgraded to' if done else 'has'} version {schema.REVISION}")


def check() -> None:
    """Says what is in the database. Raises StoreError if it is damaged, old, altered, or cannot be written."""
    with existing() as database:
        with database.read() as connection:
            wrong = files.damage(connection) or schema.differences(connection)
            if wrong:
                raise StoreError(f"`{database.name}` is not as version {schema.REVISION} made it: {'; '.join(wrong)}")
            counts = schema.counts(connection)
        database.run(names.writable)
    write(f"{database.name}: {database.dialect}, version {schema.REVISION}, can be written")
    for name, count in counts.items():
        write(f"  {name:<12} {count:>10}")


def purge(patient: str, older_than: int | None) -> None:
    """Forgets a patient, or what came before so many days, or what nothing needs any more."""
    if patient and older_than is not None:
        raise InputError("`--patient` and `--older-than` are two purges: give one of them")
    now = int(time.time())
    with existing() as database:
        if patient:
            count = database.run(lambda connection: retention.forget_patient(connection, patient_key(patient)))
        elif older_than is not None:
            count = database.run(lambda connection: retention.forget_older(connection, now - older_than * DAY))
        else:
            count = database.run(lambda connection: retention.forget(connection, now))
        files.cut(database)
    write(f"{count} rows forgotten")


def backup(path: Path) -> None:
    """Copies the SQLite file while the service runs."""
    with existing() as database:
        files.backup(database, path)
    write(f"{database.name}: copied to {path}")


@contextmanager
def existing() -> Iterator[Database]:
    """The database of the settings, at the version of this program and of its tenant. Raises StoreError."""
    settings = read_settings()
    place = settings.store
    if isinstance(place, Path) and not place.is_file():
        raise StoreError(f"there is no store at `{place}`: set `ENDPLATE_DATA` or `ENDPLATE_DATABASE`")
    with closing(Database(place, limits=False)) as database:
        schema.current(database)
        tenants.check(database, settings.tenant)
        yield database
