"""Findings that were told, in all their versions. Each function works in the transaction that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, select

from engine.store.statements import put as put_rows
from engine.store.tables import delivery as d
from engine.store.tables import finding as f
from engine.store.tables import finding_history as h

Kind = Literal["new", "changed", "withdrawn"]
Status = Literal["preliminary", "entered-in-error", "resolved"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a finding. Times are milliseconds since 1970, UTC.

    A finding that comes back is `new` with the next version. `ruleset` is the part of the content that its rule stands
    in, `evidence` and `missing` are hashes of what was read and of what is missing, `reason` says why it was withdrawn,
    `content` is all of it (`engine.integration.rendering`).
    """

    identifier: str
    version: int
    patient: str
    kind: Kind
    issue: str
    ruleset: str
    severity: str
    display: str
    evidence: str
    missing: str
    status: Status
    reason: str
    content: bytes
    first_at: int
    at: int

    @property
    def stands(self) -> bool:
        return self.status == "preliminary"


_COLUMNS = tuple(h.c[name] for name in Change.__struct_fields__)
_AT = select(*_COLUMNS).where(h.c.identifier == bindparam("named"), h.c.version == bindparam("numbered"))
_LATEST = select(*_COLUMNS).join_from(f, h, (f.c.identifier == h.c.identifier) & (f.c.version == h.c.version))
_OF_PATIENT = _LATEST.where(f.c.patient == bindparam("whose")).order_by(f.c.identifier)
_VERSIONS = select(*_COLUMNS).where(h.c.identifier == bindparam("named")).order_by(h.c.version.desc()).limit(
    bindparam("most")
)  # fmt: skip
_OF_IDENTIFIER = _LATEST.where(f.c.identifier == bindparam("named"))


def put(connection: Connection, changes: Sequence[Change]) -> None:
    """Remembers versions, each of which is the one that stands from now on."""
    rows = [msgspec.structs.asdict(change) for change in changes]
    put_rows(connection, h, rows)
    put_rows(connection, f, [{name: row[name] for name in f.c.keys()} for row in rows])  # noqa: SIM118 - columns


def of_patient(connection: Connection, patient: str) -> list[Change]:
    """The latest version of each finding that a patient has or had."""
    return [Change(**row) for row in connection.execute(_OF_PATIENT, {"whose": patient}).mappings()]


def at(connection: Connection, identifier: str, version: int) -> Change | None:
    """One version; None: there is none, because the patient was purged."""
    row = connection.execute(_AT, {"named": identifier, "numbered": version}).mappings().first()
    return Change(**row) if row else None


def latest(connection: Connection, identifier: str) -> Change | None:
    """The latest version of a finding."""
    row = connection.execute(_OF_IDENTIFIER, {"named": identifier}).mappings().first()
    return Change(**row) if row else None


def versions(connection: Connection, identifier: str, most: int = 500) -> list[Change]:
    """The versions of a finding, the latest first."""
    found = connection.execute(_VERSIONS, {"named": identifier, "most": most})
    return [Change(**row) for row in found.mappings()]


def search(
    connection: Connection,
    *,
    patient: str = "",
    issue: str = "",
    severity: str = "",
    status: str = "",
    since: int = 0,
    after: str = "",
    limit: int = 100,
) -> list[Change]:
    """The latest versions of findings that fit all that is given, by identifier, from `after` on."""
    wanted = {f.c.patient: patient, f.c.issue: issue, f.c.severity: severity, f.c.status: status}
    asked = _LATEST.where(f.c.identifier > after, f.c.at >= since)
    for column, value in wanted.items():
        asked = asked.where(column == value) if value else asked
    return [Change(**row) for row in connection.execute(asked.order_by(f.c.identifier).limit(limit)).mappings()]


def forget_older(connection: Connection, before: int) -> int:
    """Forgets versions of before a time (ms) that another one has replaced, and that nobody is still to be told of."""
    stands = exists().where(f.c.identifier == h.c.identifier, f.c.version == h.c.version)
    waits = exists().where(d.c.identifier == h.c.identifier, d.c.version == h.c.version, d.c.state != "done")
    return connection.execute(delete(h).where(h.c.at < before, ~stands, ~waits)).rowcount
