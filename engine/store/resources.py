"""Resources that hospitals sent. Each function works in the transaction that it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, select, tuple_, update

from engine.fhir.decode import Document, decode
from engine.fhir.matters import shared_in
from engine.store.errors import ConflictError
from engine.store.statements import add, put
from engine.store.tables import identifier as i
from engine.store.tables import reference as r
from engine.store.tables import resource as t

DAY = 86_400
REORDERED = 30 * DAY  # how late a version may come after a newer one
AT_ONCE = 500  # keys of one statement
_LOCK = 0x7265736F75726365  # "resource"
Key = tuple[str, str]
_T = TypeVar("_T")


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table `resource`, which says what the fields mean."""

    type: str
    id: str
    source: str
    patient: str
    identifier: str = ""
    version: str = ""
    updated: int = 0
    subscription: str = ""
    number: int = 0
    content: bytes = b""
    deleted: int = 0
    at: int = 0

    @property
    def key(self) -> Key:
        return (self.type, self.id)


_FIELDS = Held.__struct_fields__
# SQLite finds a list of pairs by the key only if it may look for types and ids apart; the pairs alone are a scan.
_NAMED = and_(
    t.c.type.in_(bindparam("types", expanding=True)),
    t.c.id.in_(bindparam("ids", expanding=True)),
    tuple_(t.c.type, t.c.id).in_(bindparam("names", expanding=True)),
)
_HELD = (
    select(*(t.c[name] for name in _FIELDS))
    .where(_NAMED)
    .order_by(t.c.type, t.c.id)
    .with_for_update()
)
_OF_IDENTIFIERS = (
    select(*(t.c[name] for name in _FIELDS))
    .where(t.c.identifier.in_(bindparam("found", expanding=True)))
    .order_by(t.c.type, t.c.id)
    .with_for_update()
)
_OF_PATIENT = select(t.c.type, t.c.id, t.c.content).where(t.c.patient == bindparam("whose")).order_by(t.c.type, t.c.id)
_SHARED = select(t.c.type, t.c.id, t.c.content).where(_NAMED)
_KNOWN = _SHARED.with_only_columns(t.c.type, t.c.id)
_OWNERS = select(i.c.identifier, i.c.patient).where(i.c.identifier.in_(bindparam("found", expanding=True)))
_IDENTIFIERS = select(i.c.patient, i.c.identifier).where(i.c.patient.in_(bindparam("whose", expanding=True)))
_NOT_IDENTIFIED = delete(i).where(i.c.patient == bindparam("whose"))
_REFERRING = select(r.c.type, r.c.id, r.c.patient).where(r.c.target.in_(bindparam("targets", expanding=True)))
_NOT_REFERRING = delete(r).where(r.c.type == bindparam("kind"), r.c.id == bindparam("name"))
_MOVED = (
    update(t).where(t.c.type == bindparam("kind"), t.c.id == bindparam("name")).values(patient=bindparam("whose"))
)
_MOVED_TOO = (
    update(r).where(r.c.type == bindparam("kind"), r.c.id == bindparam("name")).values(patient=bindparam("whose"))
)


def lock(connection: Connection, *, alone: bool) -> None:
    """In PostgreSQL: `alone` waits for the others, who wait for it.

    Who belongs to whom is decided from rows that another process may be about to write: patients with their
    identifiers and shared resources are written alone, what refers to them beside each other.
    """
    if connection.dialect.name == "postgresql":
        kind = "" if alone else "_shared"
        connection.exec_driver_sql(f"select pg_advisory_xact_lock{kind}({_LOCK})")


def held(connection: Connection, keys: Iterable[Key]) -> dict[Key, Held]:
    """Rows by (type, id), locked."""
    found: dict[Key, Held] = {}
    for some in _chunks(sorted(set(keys))):
        rows = connection.execute(_HELD, _named(some)).mappings()
        found |= {(row["type"], row["id"]): Held(**row) for row in rows}
    return found


def write(connection: Connection, new: Sequence[Held], changed: Sequence[Held]) -> None:
    """Inserts rows that were not there, and replaces others. Raises ConflictError if another process was first."""
    rows = [msgspec.structs.asdict(row) for row in sorted(new, key=lambda row: row.key)]
    if add(connection, t, rows) != len(rows):
        raise ConflictError("the store cannot be written: another process wrote the same resource")
    put(connection, t, [msgspec.structs.asdict(row) for row in changed])


def refer(connection: Connection, rows: Collection[Held]) -> None:
    """Remembers what the rows refer to, in place of what they referred to."""
    known = [{"kind": row.type, "name": row.id} for row in rows]
    if known:
        connection.execute(_NOT_REFERRING, known)
    targets = [
        {"target": target, "type": row.type, "id": row.id, "patient": row.patient}
        for row in rows
        for target in sorted(set(shared_in(row.content)))
    ]
    put(connection, r, targets)


def referring(connection: Connection, targets: Collection[str]) -> set[str]:
    """The patients of the resources that refer to shared ones ("Medication/x"), directly or through another one."""
    patients, seen, asked = set[str](), set[str](), set(targets)
    while asked:
        seen |= asked
        found = set[str]()
        for some in _chunks(sorted(asked)):
            for kind, name, patient in connection.execute(_REFERRING, {"targets": some}):
                if patient:
                    patients.add(patient)
                else:
                    found.add(f"{kind}/{name}")
        asked = found - seen
    return patients


def identify(connection: Connection, patients: dict[str, Collection[str]]) -> set[str]:
    """Sets the identifiers that patients have; those that somebody has gained or lost."""
    before: set[Key] = set()
    for some in _chunks(sorted(patients)):
        before |= {(row[0], row[1]) for row in connection.execute(_IDENTIFIERS, {"whose": some})}
    after = {(patient, one) for patient, theirs in patients.items() for one in theirs}
    lost = sorted({patient for patient, _ in before - after})
    if lost:
        connection.execute(_NOT_IDENTIFIED, [{"whose": patient} for patient in lost])
    add(connection, i, [{"identifier": one, "patient": patient} for patient, one in sorted(after)])
    return {one for _, one in before ^ after}


def owners(connection: Connection, identifiers: Iterable[str]) -> dict[str, str]:
    """Identifier -> the one patient whose it is; "" = two have it; one that nobody has is left out."""
    found: dict[str, str] = {}
    for some in _chunks(sorted(set(identifiers))):
        for one, patient in connection.execute(_OWNERS, {"found": some}):
            found[one] = "" if one in found else patient
    return found


def of_identifiers(connection: Connection, identifiers: Iterable[str]) -> list[Held]:
    """The rows that belong to whoever has one of these."""
    return [
        Held(**row)
        for some in _chunks(sorted(set(identifiers)))
        for row in connection.execute(_OF_IDENTIFIERS, {"found": some}).mappings()
    ]


def move(connection: Connection, rows: Sequence[Held]) -> None:
    """Gives rows to the patients that they name now."""
    moved = [{"kind": row.type, "name": row.id, "whose": row.patient} for row in rows]
    if moved:
        connection.execute(_MOVED, moved)
        connection.execute(_MOVED_TOO, moved)


def documents(connection: Connection, patient: str) -> list[Document]:
    """All that is known of a patient, with what it shares with others, as `engine.fhir.read_records` takes it."""
    rows = [(f"{kind}/{name}", content) for kind, name, content in connection.execute(_OF_PATIENT, {"whose": patient})]
    found = [(key, content) for key, content in rows if content]
    seen, asked = set[str](), {target for _, content in found for target in shared_in(content)}
    while asked:
        seen |= asked
        names = [tuple(key.split("/", 1)) for key in sorted(asked)]
        asked = set()
        for some in _chunks(names):
            for kind, name, content in connection.execute(_SHARED, _named(some)):
                if content:
                    found.append((f"{kind}/{name}", content))
                    asked |= set(shared_in(content)) - seen
    return [Document(decode(content), f"store: {key}") for key, content in found]


def known(connection: Connection, keys: Iterable[Key]) -> set[Key]:
    """Which of the resources were ever told of, deleted ones too."""
    return {(row[0], row[1]) for some in _chunks(sorted(keys)) for row in connection.execute(_KNOWN, _named(some))}


def forget(connection: Connection, now: int) -> int:
    """Forgets versions without content that no older one can come after any more; how many rows. `now` in seconds."""
    return connection.execute(delete(t).where(t.c.at < (now - REORDERED) * 1000, t.c.content == b"")).rowcount


def _named(keys: Sequence[Sequence[str]]) -> dict[str, Sequence[object]]:
    """What stands for `_NAMED`."""
    return {"types": sorted({key[0] for key in keys}), "ids": [key[1] for key in keys], "names": keys}


def _chunks(found: Sequence[_T]) -> Iterator[list[_T]]:
    rest: Any = iter(found)
    while some := list(islice(rest, AT_ONCE)):
        yield some
