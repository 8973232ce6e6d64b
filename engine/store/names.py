"""Names that may be used once, and keys that are made once. Each function works in the transaction that it is given."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, bindparam, delete, select

from engine.store.statements import add
from engine.store.tables import secret as s
from engine.store.tables import used as u

_EXPIRED = delete(u).where(u.c.name == bindparam("of"), u.c.until <= bindparam("now"))
_SECRET = select(s.c.value).where(s.c.name == bindparam("name"))
_NOTHING = delete(s).where(s.c.name == "")


def first_time(connection: Connection, name: str, until: float, now: float) -> bool:
    """Whether a name is used for the first time before it expires, over all processes."""
    connection.execute(_EXPIRED, {"of": name, "now": int(now)})
    return add(connection, u, [{"name": name, "until": int(until) + 1}]) == 1


def secret(connection: Connection, name: str) -> bytes:
    """A random key of this store, made once."""
    add(connection, s, [{"name": name, "value": secrets.token_bytes(32)}])
    return bytes(connection.execute(_SECRET, {"name": name}).scalar_one())


def writable(connection: Connection) -> None:
    """Writes, and leaves nothing."""
    connection.execute(_NOTHING)


def forget(connection: Connection, now: int) -> int:
    """Forgets names that have expired; how many."""
    return connection.execute(delete(u).where(u.c.until <= now)).rowcount
