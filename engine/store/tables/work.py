"""Patients of whom something has changed and who are to be decided on. Times are milliseconds since 1970, UTC."""

from __future__ import annotations

from sqlalchemy import Index, Table, TypedColumns

from engine.store.tables.base import key, metadata, number, words


class WorkColumns(TypedColumns):
    """One patient. `dirty` counts changes: who has decided on some of them leaves the later ones."""

    patient = key()
    dirty = number()
    available_at = number()
    claimed_by = words()
    claimed_until = number()
    attempts = number(server_default="0")  # that failed


class SweepColumns(TypedColumns):
    """All patients are to be decided on again, one after another: `patient` is the last one that was marked."""

    name = key()
    cause = words()  # such as the date
    patient = words()
    done = number()  # 1: all were marked
    at = number()


work = Table("work", metadata, WorkColumns, sqlite_with_rowid=False)
sweep = Table("sweep", metadata, SweepColumns, sqlite_with_rowid=False)

Index("work_available_at", work.c.available_at)
