"""Patients who are to be decided on. Each function works in the transaction that it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, func, select, update
from sqlalchemy.sql.dml import Insert

from engine.store.statements import inserting, put
from engine.store.tables import resource as t
from engine.store.tables import sweep as s
from engine.store.tables import work as w

DEATHS = 3  # of processes that were deciding on a patient, before the patient rests
REST_MS = 4_000  # for each of these deaths


class Claim(msgspec.Struct, frozen=True):
    """A patient who is being decided on by the holder, for as long as nobody else has taken them."""

    patient: str
    dirty: int
    attempts: int
    holder: str


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """How far everybody has been marked for a `cause`, such as a date; `patient` is the last one."""

    cause: str
    patient: str = ""
    done: int = 0
    at: int = 0


_DUE = (
    select(w.c.patient, w.c.dirty, w.c.attempts)
    .where(w.c.available_at <= bindparam("now"), w.c.claimed_until <= bindparam("now"))
    .order_by(w.c.available_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(w)
    .where(w.c.patient.in_(bindparam("patients", expanding=True)))
    .values(claimed_by=bindparam("holder"), claimed_until=bindparam("until"))
)
_HELD = (w.c.patient == bindparam("whose")) & (w.c.claimed_by == bindparam("holder"))
_DONE = delete(w).where(_HELD, w.c.dirty == bindparam("counted"))
_FREE = update(w).where(_HELD).values(claimed_by="", claimed_until=0, attempts=0)
_PARK = update(w).where(_HELD).values(
    claimed_by="", claimed_until=0, attempts=w.c.attempts + 1, available_at=bindparam("again")
)  # fmt: skip
_OLDEST = select(func.count(), func.min(w.c.available_at)).where(w.c.available_at <= bindparam("now"))
_PARKED = select(func.count()).select_from(w).where(w.c.attempts > 0)
_NEXT = (
    select(t.c.patient)
    .where(t.c.patient > bindparam("after"))
    .distinct()
    .order_by(t.c.patient)
    .limit(bindparam("most"))
)
_SWEEP = select(*(s.c[name] for name in Sweep.__struct_fields__)).where(s.c.name == bindparam("named"))


def mark(connection: Connection, patients: Iterable[str], at: int) -> int:
    """Something of these patients has changed; how many they are. One who waits for a later time comes now."""
    rows = [
        {"patient": patient, "dirty": 1, "available_at": at, "claimed_by": "", "claimed_until": 0}
        for patient in sorted(set(patients))  # in one order everywhere: nobody waits for each other
    ]
    if rows:
        connection.execute(_mark(connection.dialect.name), rows)
    return len(rows)


@cache
def _mark(dialect: str) -> Insert:
    insert = inserting(w, dialect)
    new = insert.excluded.available_at
    return insert.on_conflict_do_update(
        index_elements=["patient"],
        set_={
            "dirty": w.c.dirty + 1,
            "available_at": case((new < w.c.available_at, new), else_=w.c.available_at),
        },
    )


def claim(connection: Connection, *, holder: str, now: int, until: int, most: int) -> list[Claim]:
    """Takes patients who are due and whom nobody has, those who have waited longest first.

    One with whom something went wrong before is taken alone: whatever it does again costs no other.
    """
    due = connection.execute(_DUE, {"now": now, "most": most}).all()
    found = due[:1] if due and due[0].attempts else [row for row in due if not row.attempts]
    if found:
        connection.execute(_CLAIM, {"patients": sorted(row.patient for row in found), "holder": holder, "until": until})
    return [Claim(row.patient, row.dirty, row.attempts, holder) for row in found]


def done(connection: Connection, claim: Claim) -> bool:
    """Ends a claim: what was decided may be written now. False: somebody else has the patient, who decides anew.

    Where something has changed since the claim the patient stays due.
    """
    whose = {"whose": claim.patient, "holder": claim.holder}
    if connection.execute(_DONE, {**whose, "counted": claim.dirty}).rowcount:
        return True
    return connection.execute(_FREE, whose).rowcount > 0


def park(connection: Connection, claim: Claim, again: int) -> None:
    """Ends a claim that came to nothing: not before `again`, unless something of the patient changes."""
    connection.execute(_PARK, {"whose": claim.patient, "holder": claim.holder, "again": again})


def bereave(connection: Connection, holder: str, now: int) -> int:
    """Frees the patients whom a process had claimed that died; how many.

    If it happens time and again it may be their record that kills: after some deaths they rest, longer each time,
    unless something of them changes.
    """
    died = w.c.attempts + 1
    freed = update(w).where(w.c.claimed_by.startswith(f"{holder}.", autoescape=True)).values(
        claimed_by="", claimed_until=0, attempts=died,
        available_at=case((died < DEATHS, w.c.available_at), else_=now + REST_MS * died),
    )  # fmt: skip
    return connection.execute(freed).rowcount


def waiting(connection: Connection, now: int) -> tuple[int, int, int]:
    """(how many are due, milliseconds for which the oldest has been due, how many have failed)."""
    count, oldest = connection.execute(_OLDEST, {"now": now}).one()
    return count, max(now - oldest, 0) if oldest is not None else 0, connection.execute(_PARKED).scalar_one()


def swept(connection: Connection, name: str) -> Sweep | None:
    """How far a sweep is; None: there was none."""
    row = connection.execute(_SWEEP, {"named": name}).mappings().first()
    return Sweep(**row) if row else None


def begin_sweep(connection: Connection, name: str, cause: str, at: int) -> None:
    """From the first patient on, all are to be marked."""
    put(connection, s, [{"name": name, "cause": cause, "patient": "", "done": 0, "at": at}])


def sweep(connection: Connection, name: str, at: int, most: int) -> int:
    """Marks the next patients of a sweep that has begun; how many. 0: all are marked."""
    so_far = connection.execute(_SWEEP.with_for_update(), {"named": name}).mappings().first()
    if so_far is None or so_far["done"]:
        return 0
    patients: Collection[str] = connection.execute(_NEXT, {"after": so_far["patient"], "most": most}).scalars().all()
    mark(connection, patients, at)
    last = max(patients, default=so_far["patient"])
    row = {"name": name, "cause": so_far["cause"], "patient": last, "done": int(not patients), "at": so_far["at"]}
    put(connection, s, [row])
    return len(patients)
