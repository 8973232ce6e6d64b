"""What operators ask: how often something happened on which day, what users did with cards, what waits.

Each function works in the transaction that it is given; nothing here is of a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.sql.dml import Insert

from engine.model.figure import Answers, Fetches, Figure, Letters, Voice
from engine.store.statements import inserting
from engine.store.tables import delivery as d
from engine.store.tables import feedback as f
from engine.store.tables import figure as t
from engine.store.tables import pending_fetch as p
from engine.store.tables import shown as s
from engine.store.tables import source_state as h

DAY = 86_400
KEPT = 400 * DAY


_KEY = tuple(Figure.__struct_fields__)
_SINCE = select(*(t.c[name] for name in _KEY), t.c.number).where(t.c.day >= bindparam("first")).order_by(*t.primary_key)
_FIRST = select(func.min(t.c.day))
_NEWEST = (
    select(
        f.c.client, f.c.card, f.c.outcome, f.c.code,
        func.row_number()
        .over(partition_by=(f.c.client, f.c.card), order_by=(f.c.at.desc(), f.c.stamped.desc(), f.c.outcome))
        .label("place"),
    )
    .where(f.c.at >= bindparam("since"))
    .subquery()
)  # fmt: skip
_ISSUE = func.coalesce(s.c.issue, "")
_ANSWERS = (
    select(_ISSUE, _NEWEST.c.outcome, _NEWEST.c.code, func.count())
    .join_from(_NEWEST, s, (s.c.client == _NEWEST.c.client) & (s.c.card == _NEWEST.c.card), isouter=True)
    .where(_NEWEST.c.place == 1)
    .group_by(_ISSUE, _NEWEST.c.outcome, _NEWEST.c.code)
    .order_by(_ISSUE, _NEWEST.c.outcome, _NEWEST.c.code)
)
_LETTERS = (
    select(d.c.target, d.c.state, func.count(), func.min(d.c.at))
    .where(d.c.state.in_(("pending", "dead")))
    .group_by(d.c.target, d.c.state)
)
_FETCHES = select(p.c.source, func.count(), func.max(p.c.attempts)).group_by(p.c.source).order_by(p.c.source)
_HEARD = select(*(h.c[name] for name in Voice.__struct_fields__)).order_by(h.c.source, h.c.subscription)


def count(connection: Connection, figures: Mapping[Figure, int]) -> None:
    """Adds to figures, in one order everywhere: nobody waits for each other."""
    rows = [
        msgspec.structs.asdict(figure) | {"number": figures[figure]} for figure in sorted(figures, key=_sorted)
    ]
    if rows:
        connection.execute(_count(connection.dialect.name), rows)


def since(connection: Connection, first: str) -> dict[Figure, int]:
    """The figures from a day on."""
    found = connection.execute(_SINCE, {"first": first})
    return {Figure(*row[:-1]): row.number for row in found}


def first_day(connection: Connection) -> str:
    """The first day of which there are figures; "": there are none."""
    return connection.execute(_FIRST).scalar_one() or ""


def answers(connection: Connection, since: int) -> list[Answers]:
    """What users did with cards since a time (s); of a card the last answer counts."""
    found = connection.execute(_ANSWERS, {"since": since})
    names = Answers.__struct_fields__
    return [Answers(**dict(zip(names, row, strict=True))) for row in found]


def letters(connection: Connection) -> list[Letters]:
    """What waits and what was refused, by target."""
    found: dict[str, Letters] = {}
    for target, state, number, oldest in connection.execute(_LETTERS):
        so_far = found.get(target, Letters(target=target))
        news = {"pending": number, "since": oldest} if state == "pending" else {"dead": number}
        found[target] = msgspec.structs.replace(so_far, **news)
    return [found[target] for target in sorted(found)]


def fetches(connection: Connection) -> list[Fetches]:
    """What has to be fetched, by source."""
    return [Fetches(source=row[0], number=row[1], attempts=row[2]) for row in connection.execute(_FETCHES)]


def heard(connection: Connection) -> list[Voice]:
    """When each subscription of each source was heard."""
    return [Voice(**row) for row in connection.execute(_HEARD).mappings()]


def forget(connection: Connection, now: int) -> int:
    """Forgets figures of long ago; how many rows. `now` in seconds."""
    before = datetime.fromtimestamp(max(now - KEPT, 0), UTC).date().isoformat()
    return connection.execute(delete(t).where(t.c.day < before)).rowcount


def _sorted(figure: Figure) -> tuple[str, ...]:
    return msgspec.structs.astuple(figure)


@cache
def _count(dialect: str) -> Insert:
    insert = inserting(t, dialect)
    return insert.on_conflict_do_update(
        index_elements=list(_KEY), set_={"number": t.c.number + insert.excluded.number}
    )
