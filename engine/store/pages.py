"""Pages of evaluations, kept for a limited time. Each function works in the transaction that it is given."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from engine.store.model import Kept
from engine.store.statements import put
from engine.store.tables import page as p

MOST_PAGES = 100_000
_KEPT = select(p.c.content).where(p.c.id == bindparam("name"), p.c.until > bindparam("now"))
_BEYOND = select(p.c.id).order_by(p.c.until.desc()).offset(bindparam("most"))


def keep(connection: Connection, rows: Iterable[Kept]) -> None:
    """Keeps pages until their time."""
    put(connection, p, [msgspec.structs.asdict(row) for row in rows])


def kept(connection: Connection, name: str, now: int) -> bytes | None:
    """A page that is still to be had."""
    return connection.execute(_KEPT, {"name": name, "now": now}).scalar()


def forget(connection: Connection, now: int) -> int:
    """Forgets pages whose time is over, and the first to expire where there are too many; how many."""
    over = connection.execute(delete(p).where(p.c.until <= now)).rowcount
    return over + connection.execute(delete(p).where(p.c.id.in_(_BEYOND)), {"most": MOST_PAGES}).rowcount
