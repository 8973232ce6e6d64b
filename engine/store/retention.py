"""Forgetting: what is no longer needed, what is too old, and all that is known of a patient."""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists

from engine.store import cards, figures, findings, names, outbox, pages, resources
from engine.store.tables import feedback as f
from engine.store.tables import metadata
from engine.store.tables import page as p
from engine.store.tables import shown as s

_SAME = (s.c.client == f.c.client) & (s.c.card == f.c.card)


def forget(connection: Connection, now: int) -> int:
    """Forgets what nothing needs any more; how many rows."""
    return sum(room.forget(connection, now) for room in (pages, names, cards, resources, outbox, figures))


def forget_patient(connection: Connection, patient: str) -> int:
    """Forgets a patient in every table; how many rows.

    What may be of any patient goes with it: cards and pages of before they knew theirs, feedback on unknown cards.
    """
    every = [
        delete(table).where(table.c.patient == patient)
        for table in metadata.sorted_tables[::-1]
        if "patient" in table.c
    ]
    unknown = [delete(table).where(table.c.patient == "") for table in (s, p)]
    return sum(connection.execute(one).rowcount for one in (*every, *unknown, delete(f).where(~exists().where(_SAME))))


def forget_older(connection: Connection, before: int) -> int:
    """Forgets cards, feedback, pages and former versions of findings of before a time; how many rows.

    A card with later feedback stays, and so does what stands of a finding, and what is still to be delivered.
    """
    old = (
        delete(f).where(f.c.at < before),
        delete(s).where(s.c.at < before, ~exists().where(_SAME)),
        delete(p).where(p.c.at < before),
    )
    return sum(connection.execute(one).rowcount for one in old) + findings.forget_older(connection, before * 1000)
