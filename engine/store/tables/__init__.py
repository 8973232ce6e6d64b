"""Every table, the same in SQLite and PostgreSQL; a change needs a migration.

A table that holds anything of a patient has a column `patient`, by which `endplate store purge --patient` finds it.
`KNOWN_BY_CARD` is reached through the cards; `NO_PATIENT` holds nothing of anybody.
"""

from engine.store.tables.base import metadata
from engine.store.tables.cards import feedback, shown
from engine.store.tables.figures import figure
from engine.store.tables.findings import finding, finding_history
from engine.store.tables.holders import holder
from engine.store.tables.names import secret, used
from engine.store.tables.outbox import delivery
from engine.store.tables.owner import owner
from engine.store.tables.pages import page
from engine.store.tables.resources import identifier, pending_fetch, reference, resource, source_state
from engine.store.tables.subscriptions import subscription
from engine.store.tables.work import sweep, work

KNOWN_BY_CARD = frozenset({"feedback"})
NO_PATIENT = frozenset({"used", "secret", "source_state", "holder", "owner", "figure"})

__all__ = [
    "KNOWN_BY_CARD",
    "NO_PATIENT",
    "delivery",
    "feedback",
    "figure",
    "finding",
    "finding_history",
    "holder",
    "identifier",
    "metadata",
    "owner",
    "page",
    "pending_fetch",
    "reference",
    "resource",
    "secret",
    "shown",
    "source_state",
    "subscription",
    "sweep",
    "used",
    "work",
]
