"""How often something happened on a day. Nothing of a patient."""

from __future__ import annotations

from sqlalchemy import Table, TypedColumns

from engine.store.tables.base import key, metadata, number


class FigureColumns(TypedColumns):
    """One figure of one day; `engine.model.figure` says what the columns mean."""

    day = key()
    what = key()
    name = key()
    outcome = key()
    detail = key()
    number = number()


figure = Table("figure", metadata, FigureColumns, sqlite_with_rowid=False)
