"""What is to be told to others, at least once each, in the order of each patient and target.

A letter names a version of a finding and holds no copy of it. Of one patient and target only the oldest letter that is
`pending` can be claimed; one that is `dead` (refused, to be looked at) holds up nobody. Each function works in the
transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec
from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from engine.store.tables import delivery as d

State = Literal["pending", "done", "dead"]
DAY = 86_400
DEAD: tuple[State, ...] = ("dead",)
KEPT = 30 * DAY  # for which it is remembered what was delivered
LONGEST = 500  # characters of an error


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be told: a version of a finding, or of a subscription that it lives (handshake, heartbeat).

    `target` is `sink/NAME` or `subscription/ID`; `number` that of the event in its subscription.
    """

    target: str
    kind: str
    patient: str = ""
    identifier: str = ""
    version: int = 0
    number: int = 0

    @property
    def lane(self) -> str:
        """Letters of one lane are delivered by the same threads: each sink has one, all subscriptions share one."""
        return "subscription" if self.target.startswith("subscription/") else self.target


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A letter on its way. `claimed_by` is who has it."""

    seq: int
    lane: str
    target: str
    patient: str
    identifier: str
    version: int
    number: int
    kind: str
    state: State
    attempts: int
    next_at: int
    error: str
    claimed_by: str
    claimed_until: int
    at: int


class Waiting(msgspec.Struct, frozen=True):
    """What a lane holds: letters to be delivered, milliseconds since the oldest of them was put, dead ones."""

    pending: int
    oldest: int
    dead: int


_COLUMNS = tuple(d.c[name] for name in Delivery.__struct_fields__)
_OLDER = d.alias("older")
_BLOCKED = exists().where(
    _OLDER.c.patient == d.c.patient,
    _OLDER.c.target == d.c.target,
    _OLDER.c.state == "pending",
    _OLDER.c.seq < d.c.seq,
)
_DUE = (
    select(*_COLUMNS)
    .where(
        d.c.state == "pending",
        d.c.lane == bindparam("of"),
        d.c.next_at <= bindparam("now"),
        d.c.claimed_until <= bindparam("now"),
        d.c.target.not_in(bindparam("resting", expanding=True)),
        ~_BLOCKED,
    )
    .order_by(d.c.next_at, d.c.seq)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=d)
)
_CLAIM = (
    update(d)
    .where(d.c.seq.in_(bindparam("numbers", expanding=True)))
    .values(claimed_by=bindparam("holder"), claimed_until=bindparam("until"))
)
_HELD = (d.c.seq == bindparam("which")) & (d.c.claimed_by == bindparam("holder"))
_SETTLE = update(d).where(_HELD).values(
    state=bindparam("becomes"), attempts=d.c.attempts + 1, next_at=bindparam("again"), error=bindparam("said"),
    claimed_by="", claimed_until=0,
)  # fmt: skip
_LATER = select(
    exists().where(
        d.c.identifier == bindparam("named"), d.c.target == bindparam("to"), d.c.version > bindparam("than"),
        d.c.state == "done",
    )
)  # fmt: skip
_EVENTS = (
    select(*_COLUMNS)
    .where(d.c.target == bindparam("to"), d.c.number >= bindparam("first"), d.c.number <= bindparam("last"))
    .order_by(d.c.number)
    .limit(bindparam("most"))
)
_WAITING = (
    select(d.c.lane, d.c.state, func.count(), func.min(d.c.at))
    .where(d.c.state.in_(("pending", "dead")))
    .group_by(d.c.lane, d.c.state)
)


def put(connection: Connection, letters: Iterable[Letter], now: int) -> None:
    """Adds letters, in this order."""
    fixed = {"state": "pending", "attempts": 0, "next_at": now, "error": "", "claimed_by": "", "claimed_until": 0}
    rows = [msgspec.structs.asdict(letter) | {"lane": letter.lane, "at": now} | fixed for letter in letters]
    if rows:
        connection.execute(insert(d), rows)


def claim(
    connection: Connection, lane: str, *, holder: str, now: int, until: int, most: int, resting: Collection[str] = ()
) -> list[Delivery]:
    """Takes letters of a lane that are due and that nobody has, but for those to targets that are `resting`."""
    asked = {"of": lane, "now": now, "most": most, "resting": sorted(resting)}
    found = [Delivery(**row) for row in connection.execute(_DUE, asked).mappings()]
    if found:
        connection.execute(_CLAIM, {"numbers": [one.seq for one in found], "holder": holder, "until": until})
    return [msgspec.structs.replace(one, claimed_by=holder, claimed_until=until) for one in found]


def finish(connection: Connection, delivery: Delivery, *, now: int, note: str = "") -> bool:
    """It was delivered. False, here and below: somebody else has it now."""
    return _settled(connection, delivery, "done", now, note)


def fail(connection: Connection, delivery: Delivery, *, again: int, error: str) -> bool:
    """It was not delivered, and is tried again at a time."""
    return _settled(connection, delivery, "pending", again, error)


def bury(connection: Connection, delivery: Delivery, *, now: int, error: str) -> bool:
    """It was refused: somebody has to look at it. Later letters go on."""
    return _settled(connection, delivery, "dead", now, error)


def later_done(connection: Connection, delivery: Delivery) -> bool:
    """Whether the target has a later version of the finding already, which this one must not replace."""
    asked = {"named": delivery.identifier, "to": delivery.target, "than": delivery.version}
    return bool(connection.execute(_LATER, asked).scalar_one())


def events(connection: Connection, target: str, first: int, last: int, most: int = 1000) -> list[Delivery]:
    """The letters of a subscription by the numbers of their events, delivered ones too, as long as they are kept."""
    asked = {"to": target, "first": first, "last": last, "most": most}
    return [Delivery(**row) for row in connection.execute(_EVENTS, asked).mappings()]


def listed(
    connection: Connection, *, states: Collection[State] = DEAD, target: str = "", after: int = 0, most: int = 100
) -> list[Delivery]:
    """Letters in these states, the oldest first, from after a number on."""
    asked = select(*_COLUMNS).where(d.c.state.in_(states), d.c.seq > after).order_by(d.c.seq).limit(most)
    if target:
        asked = asked.where(d.c.target == target)
    return [Delivery(**row) for row in connection.execute(asked).mappings()]


def replay(connection: Connection, *, now: int, target: str = "", numbers: Collection[int] = ()) -> int:
    """Dead letters are to be delivered again: those numbered, those of a target, or all; how many."""
    chosen = update(d).where(d.c.state == "dead")
    if target:
        chosen = chosen.where(d.c.target == target)
    if numbers:
        chosen = chosen.where(d.c.seq.in_(numbers))
    return connection.execute(chosen.values(state="pending", next_at=now, attempts=0, at=now)).rowcount


def waiting(connection: Connection, now: int) -> Mapping[str, Waiting]:
    """What each lane holds; one that holds nothing is left out."""
    found: dict[str, Waiting] = {}
    for lane, state, count, oldest in connection.execute(_WAITING):
        so_far = found.get(lane, Waiting(0, 0, 0))
        found[lane] = (
            Waiting(count, max(now - oldest, 0), so_far.dead)
            if state == "pending"
            else Waiting(so_far.pending, so_far.oldest, count)
        )
    return found


def hurry(connection: Connection, target: str, now: int) -> int:
    """What waits for a target is due now, because it answers again; how many letters."""
    waiting = update(d).where(d.c.target == target, d.c.state == "pending", d.c.next_at > now)
    return connection.execute(waiting.values(next_at=now)).rowcount


def forget_target(connection: Connection, target: str) -> int:
    """Forgets all letters to a target that is no more; how many."""
    return connection.execute(delete(d).where(d.c.target == target)).rowcount


def forget(connection: Connection, now: int) -> int:
    """Forgets what was delivered long ago; how many rows. `now` in seconds. What is dead stays until it is replayed."""
    return connection.execute(delete(d).where(d.c.state == "done", d.c.at < (now - KEPT) * 1000)).rowcount


def _settled(connection: Connection, delivery: Delivery, state: State, again: int, error: str) -> bool:
    values = {
        "which": delivery.seq, "holder": delivery.claimed_by, "becomes": state, "again": again, "said": error[:LONGEST],
    }  # fmt: skip
    return connection.execute(_SETTLE, values).rowcount > 0
