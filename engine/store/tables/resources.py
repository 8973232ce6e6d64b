"""What hospitals sent: resources in their newest version, what they refer to, and how far each source has been heard.

Times are milliseconds since 1970, UTC, but for `updated`: microseconds, as senders write them.
"""

from __future__ import annotations

from sqlalchemy import Index, Table, TypedColumns

from engine.store.tables.base import content, key, metadata, number, words


class ResourceColumns(TypedColumns):
    """The newest version of a resource. Without content it was deleted, or nothing in it matters to the rules.

    `identifier` ("system|value"): it is of the one patient who has that; `patient` is who that is as far as is known.
    """

    type = key()
    id = key()
    source = words()  # who sent this version
    patient = words()
    identifier = words()
    version = words()
    updated = number()
    content = content()
    deleted = number()  # 1: it was
    at = number()
    subscription = words()  # of the number
    number = number()  # of the event; 0: none


class ReferenceColumns(TypedColumns):
    """A resource refers to one that is shared by patients, such as a Medication."""

    target = key()  # "Type/id"
    type = key()
    id = key()
    patient = words()


class IdentifierColumns(TypedColumns):
    """A patient has an identifier ("system|value")."""

    identifier = key()
    patient = key()


class SourceStateColumns(TypedColumns):
    """How far a source, or one subscription of it, has been heard."""

    source = key()
    subscription = key()
    last_number = number()
    last_heard = number()
    status = words()


class PendingFetchColumns(TypedColumns):
    """Something has to be fetched: `read` ("Type/id"), `events` ("3-7"), `search` ("" or "Type"), `status` ("")."""

    source = key()
    subscription = key()
    kind = key()
    what = key()
    patient = words()
    asked = number()  # how often: what is asked for meanwhile is not forgotten with what was fetched
    attempts = number()
    since = number()  # what a search looks for is later than that; 0: not known
    next_at = number()
    claimed_by = words(server_default="")
    claimed_until = number(server_default="0")


resource = Table("resource", metadata, ResourceColumns, sqlite_with_rowid=False)
reference = Table("reference", metadata, ReferenceColumns, sqlite_with_rowid=False)
identifier = Table("identifier", metadata, IdentifierColumns, sqlite_with_rowid=False)
source_state = Table("source_state", metadata, SourceStateColumns, sqlite_with_rowid=False)
pending_fetch = Table("pending_fetch", metadata, PendingFetchColumns, sqlite_with_rowid=False)

Index("resource_patient", resource.c.patient)
Index("resource_identifier", resource.c.identifier)
Index("resource_at", resource.c.at)
Index("reference_of", reference.c.type, reference.c.id)
Index("reference_patient", reference.c.patient)
Index("identifier_patient", identifier.c.patient)
Index("pending_fetch_next_at", pending_fetch.c.next_at)
Index("pending_fetch_patient", pending_fetch.c.patient)
