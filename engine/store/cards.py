"""Cards that were shown, and what users did with them. Each function works in the transaction that it is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, or_, select

from engine.store.model import Acknowledged, Given, Shown
from engine.store.statements import add, put
from engine.store.tables import feedback as f
from engine.store.tables import shown as s

DAY = 86_400
REMEMBERED = 400 * DAY  # what was acknowledged: longer than the longest silence
UNANSWERED = 30 * DAY  # cards on which no feedback came
_ANSWERED = exists().where(f.c.client == s.c.client, f.c.card == s.c.card)
_SHOWN = select(*(s.c[name] for name in Shown.__struct_fields__)).where(
    s.c.client == bindparam("client"), s.c.card == bindparam("card")
)
_ACKNOWLEDGED = (
    select(
        s.c.finding, s.c.evidence, s.c.issue, s.c.severity, s.c.user, s.c.encounter,
        f.c.outcome, f.c.stamped, f.c.system, f.c.code, f.c.comment, f.c.at,
    )
    .join_from(s, f, (f.c.client == s.c.client) & (f.c.card == s.c.card))
    # SQLite would look through all cards of the client: `client || ''` leaves it the index of findings
    .where(s.c.finding.in_(bindparam("findings", expanding=True)), s.c.client + "" == bindparam("client"))
    .order_by(f.c.at.desc())
)  # fmt: skip


def show(connection: Connection, rows: Iterable[Shown]) -> None:
    """Remembers cards; those of a repeated call are the same."""
    put(connection, s, [msgspec.structs.asdict(row) for row in rows])


def give(connection: Connection, rows: Iterable[Given]) -> None:
    """Remembers feedback. The same feedback again changes nothing; a card that nobody knows is no error."""
    add(connection, f, [msgspec.structs.asdict(row) | {"suggestions": " ".join(row.suggestions)} for row in rows])


def shown(connection: Connection, card: str, client: str) -> list[Shown]:
    """What stood on a card."""
    found = connection.execute(_SHOWN, {"client": client, "card": card})
    return [Shown(**row) for row in found.mappings()]


def acknowledged(connection: Connection, findings: Collection[str], client: str) -> list[Acknowledged]:
    """What users of a client did with findings, the newest first."""
    if not findings:
        return []
    found = connection.execute(_ACKNOWLEDGED, {"findings": list(findings), "client": client})
    return [Acknowledged(**row) for row in found.mappings()]


def forget(connection: Connection, now: int) -> int:
    """Forgets what nothing is silent for any more; how many rows."""
    too_old = s.c.at < now - REMEMBERED - UNANSWERED
    gone = connection.execute(delete(f).where(f.c.at < now - REMEMBERED)).rowcount
    return gone + connection.execute(delete(s).where(s.c.at < now - UNANSWERED, or_(too_old, ~_ANSWERED))).rowcount
