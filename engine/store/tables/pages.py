"""Pages of evaluations. Times are whole seconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Index, Table, TypedColumns

from engine.store.tables.base import content, key, metadata, number, words


class PageColumns(TypedColumns):
    """An evaluation as its page shows it."""

    id = key()
    content = content()
    until = number()
    patient = words(server_default="")  # empty: of before 0002, and `at` is 0
    at = number(server_default="0")


page = Table("page", metadata, PageColumns, sqlite_with_rowid=False)

Index("page_until", page.c.until)
Index("page_patient", page.c.patient)
