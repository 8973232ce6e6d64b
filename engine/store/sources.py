"""How far sources have been heard, and what has to be fetched from them. Each function works in a given transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, select, tuple_, update
from sqlalchemy.sql.dml import Insert

from engine.store.statements import inserting, put
from engine.store.tables import pending_fetch as p
from engine.store.tables import source_state as s

Key = tuple[str, str]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `source_state`."""

    source: str
    subscription: str
    last_number: int = 0
    last_heard: int = 0
    status: str = ""

    @property
    def key(self) -> Key:
        return (self.source, self.subscription)


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `pending_fetch`. `claimed_by` is who has it."""

    source: str
    subscription: str
    kind: str
    what: str
    patient: str = ""
    asked: int = 1
    attempts: int = 0
    since: int = 0
    next_at: int = 0
    claimed_by: str = ""
    claimed_until: int = 0


_KEY = ("source", "subscription", "kind", "what")
_HEARD = (
    select(*(s.c[name] for name in Heard.__struct_fields__))
    .where(tuple_(s.c.source, s.c.subscription).in_(bindparam("names", expanding=True)))
    .order_by(s.c.source, s.c.subscription)
    .with_for_update()
)
_DUE = (
    select(*(p.c[name] for name in Pending.__struct_fields__))
    .where(
        p.c.next_at <= bindparam("now"),
        p.c.claimed_until <= bindparam("now"),
        p.c.source.in_(bindparam("sources", expanding=True)),
    )
    .order_by(p.c.next_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_THIS = [p.c[name] == bindparam(f"this_{name}") for name in _KEY]
_HELD = [*_THIS, p.c.claimed_by == bindparam("holder")]
_CLAIM = update(p).where(*_THIS).values(
    claimed_by=bindparam("holder"), claimed_until=bindparam("until"), attempts=bindparam("tried")
)  # fmt: skip
_LATER = update(p).where(*_HELD).values(next_at=bindparam("later"), claimed_by="", claimed_until=0)
_DONE = delete(p).where(*_HELD, p.c.asked == bindparam("known"))
_AGAIN = _LATER.values(attempts=0)
_FILLED = delete(p).where(*_THIS)


def heard(connection: Connection, keys: Iterable[Key]) -> dict[Key, Heard]:
    """Rows by (source, subscription), locked."""
    names = sorted(set(keys))
    found = connection.execute(_HEARD, {"names": names}).mappings() if names else ()
    return {row.key: row for row in (Heard(**one) for one in found)}


def hear(connection: Connection, rows: Iterable[Heard]) -> None:
    """Writes rows."""
    put(connection, s, [msgspec.structs.asdict(row) for row in sorted(rows, key=lambda row: row.key)])


def fetch(connection: Connection, rows: Iterable[Pending]) -> None:
    """Something has to be fetched; if it waits already it does so for both."""
    wanted = {_name(row): row for row in rows}
    if wanted:
        nobody = {"claimed_by": "", "claimed_until": 0}
        ordered = [msgspec.structs.asdict(wanted[name]) | nobody for name in sorted(wanted)]
        connection.execute(_fetch(connection.dialect.name), ordered)


def filled(connection: Connection, rows: Iterable[Pending]) -> None:
    """What was to be fetched has come by itself."""
    names = [_this(row) for row in rows]
    if names:
        connection.execute(_FILLED, names)


def claim(
    connection: Connection, *, holder: str, now: int, until: int, sources: Sequence[str], most: int
) -> list[Pending]:
    """Takes what is due and what nobody has. `attempts` counts this one."""
    found = connection.execute(_DUE, {"now": now, "sources": list(sources), "most": most}).mappings().all()
    rows = [
        msgspec.structs.replace(row, attempts=row.attempts + 1, claimed_by=holder, claimed_until=until)
        for row in (Pending(**one) for one in found)
    ]
    for row in rows:
        connection.execute(_CLAIM, _this(row) | {"holder": holder, "until": until, "tried": row.attempts})
    return rows


def done(connection: Connection, row: Pending, now: int) -> None:
    """It was fetched. If it was asked for again meanwhile, it is due again. Nothing, if somebody else has it now."""
    this = _this(row) | {"holder": row.claimed_by}
    if not connection.execute(_DONE, this | {"known": row.asked}).rowcount:
        connection.execute(_AGAIN, this | {"later": now})


def later(connection: Connection, row: Pending, at: int) -> None:
    """Puts it off. Nothing, if somebody else has it now."""
    connection.execute(_LATER, _this(row) | {"holder": row.claimed_by, "later": at})


def _name(row: Pending) -> tuple[str, str, str, str]:
    return (row.source, row.subscription, row.kind, row.what)


def _this(row: Pending) -> dict[str, str | int]:
    return {f"this_{name}": value for name, value in zip(_KEY, _name(row), strict=True)}


@cache
def _fetch(dialect: str) -> Insert:
    insert = inserting(p, dialect)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={
            "asked": p.c.asked + 1,
            "since": case((new.since < p.c.since, new.since), else_=p.c.since),
            "next_at": case((new.next_at < p.c.next_at, new.next_at), else_=p.c.next_at),
        },
    )
