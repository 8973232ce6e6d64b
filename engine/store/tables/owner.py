"""Whose a store is. Nothing of a patient."""

from __future__ import annotations

from sqlalchemy import Column, Table, TypedColumns

from engine.store.tables.base import NUMBER, metadata, words


class OwnerColumns(TypedColumns):
    """The tenant whose patients these are; one row, or none where no tenant was ever named."""

    number = Column(NUMBER, primary_key=True, nullable=False, autoincrement=False)
    tenant = words()


owner = Table("owner", metadata, OwnerColumns, sqlite_with_rowid=False)
