"""Who claims work. Nothing of a patient. Times are milliseconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Table, TypedColumns

from engine.store.tables.base import key, metadata, number


class HolderColumns(TypedColumns):
    """A process that claims work; what it claims is `claimed_by` its name, a point and more."""

    name = key()
    at = number()  # since when


holder = Table("holder", metadata, HolderColumns, sqlite_with_rowid=False)
