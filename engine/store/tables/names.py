"""Names that may be used once, and keys. Nothing of a patient. Times are whole seconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Table, TypedColumns

from engine.store.tables.base import content, key, metadata, number


class UsedColumns(TypedColumns):
    """A name that may be used once before it expires, such as that of a token."""

    name = key()
    until = number()


class SecretColumns(TypedColumns):
    """A random key of this store."""

    name = key()
    value = content()


used = Table("used", metadata, UsedColumns, sqlite_with_rowid=False)
secret = Table("secret", metadata, SecretColumns, sqlite_with_rowid=False)
