"""Who wants to be told of findings, and the numbers of what they are told. Each function works in the transaction that
it is given.

An event gets its number in the transaction that changes the finding: nothing is numbered that did not happen, and
nothing happens that is not numbered. While a subscription is `requested` or in `error` events are numbered too, and
wait; in `off` they are not.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from engine.store import outbox
from engine.store.findings import Change
from engine.store.outbox import Letter
from engine.store.tables import subscription as s

Status = Literal["requested", "active", "error", "off"]
Form = Literal["R4", "R4B", "R5"]
Payload = Literal["empty", "id-only", "full-resource"]
IN_ERROR = 7 * 86_400_000  # after which a subscription in error is ended
_LANES = ("", "/handshake", "/heartbeat")


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription. `form`: the version of FHIR in which it was asked for and is answered; `headers`: name and
    value of each header that goes with a notification, which nobody is shown again.

    Filters are tuples of which one must fit, empty = any; `patient` is `Patient/x`. `most`: events in a notification.
    `heartbeat` and `timeout` are seconds, 0 = none. `number` is that of the last event, `error` a code of why it is in
    error, `failing_at` since when nothing arrives, `heard_at` when something was sent last, `revision` its version.
    """

    id: str
    client: str
    form: Form
    status: Status
    endpoint: str
    content: Payload
    mime: str = "application/fhir+json"
    headers: tuple[tuple[str, str], ...] = ()
    heartbeat: int = 0
    timeout: int = 0
    most: int = 0
    severities: tuple[str, ...] = ()
    rulesets: tuple[str, ...] = ()
    issues: tuple[str, ...] = ()
    patient: str = ""
    reason: str = ""
    ends_at: int = 0
    number: int = 0
    error: str = ""
    failing_at: int = 0
    heard_at: int = 0
    changed_at: int = 0
    revision: int = 1

    @property
    def target(self) -> str:
        """The target of its letters."""
        return f"subscription/{self.id}"

    def fits(self, change: Change) -> bool:
        """Whether it is to be told of a change."""
        return (
            self.patient in ("", change.patient)
            and (not self.severities or change.severity in self.severities)
            and (not self.rulesets or change.ruleset in self.rulesets)
            and (not self.issues or change.issue in self.issues)
        )


_LISTS = ("severities", "rulesets", "issues")
_COLUMNS = tuple(s.c[name] for name in Subscription.__struct_fields__)
_ONE = select(*_COLUMNS).where(s.c.id == bindparam("named"))
_OF_CLIENT = select(*_COLUMNS).where(s.c.client == bindparam("of")).order_by(s.c.id)
_COUNT = select(func.count()).where(s.c.client == bindparam("of"))
_LISTENING = (
    select(*_COLUMNS)
    .where(s.c.status != "off", s.c.patient.in_(("", bindparam("whose"))))
    .order_by(s.c.id)  # locked in one order everywhere
    .with_for_update()
)
_NEXT = update(s).where(s.c.id == bindparam("named")).values(number=s.c.number + 1).returning(s.c.number)
_SET = [name for name in Subscription.__struct_fields__ if name not in ("id", "client", "number")]
_REPLACE = update(s).where(s.c.id == bindparam("named")).values({name: bindparam(f"new_{name}") for name in _SET})
_MOVE = (
    update(s)
    .where(s.c.id == bindparam("named"), s.c.revision == bindparam("seen"))
    .values(
        status=bindparam("becomes"), error=bindparam("why"), failing_at=0, changed_at=bindparam("now"),
        heard_at=bindparam("now"), revision=s.c.revision + 1,
    )
)  # fmt: skip
_HEARD = update(s).where(s.c.id == bindparam("named")).values(failing_at=0, heard_at=bindparam("now"))
_FAILING = (
    update(s).where(s.c.id == bindparam("named"), s.c.failing_at == 0).values(failing_at=bindparam("now"))
)  # fmt: skip
_BEATS = (
    update(s)
    .where(s.c.status == "active", s.c.heartbeat > 0, s.c.heard_at + s.c.heartbeat * 1000 <= bindparam("now"))
    .values(heard_at=bindparam("now"))
    .returning(s.c.id)
)
_OVER = (
    update(s)
    .where(
        s.c.status != "off",
        or_(
            (s.c.ends_at > 0) & (s.c.ends_at <= bindparam("now")),
            (s.c.status == "error") & (s.c.changed_at <= bindparam("long_ago")),
        ),
    )
    .values(status="off", changed_at=bindparam("now"), revision=s.c.revision + 1)
    .returning(s.c.id)
)


def add(connection: Connection, subscription: Subscription, now: int) -> None:
    """A new subscription, whose endpoint is asked whether it is there."""
    connection.execute(insert(s), [_row(subscription)])
    shake(connection, subscription.target, now)


def get(connection: Connection, identity: str) -> Subscription | None:
    """One subscription, of whichever client."""
    row = connection.execute(_ONE, {"named": identity}).mappings().first()
    return _read(row) if row else None


def of_client(connection: Connection, client: str) -> list[Subscription]:
    """All subscriptions of a client, by their ids."""
    return [_read(row) for row in connection.execute(_OF_CLIENT, {"of": client}).mappings()]


def count(connection: Connection, client: str) -> int:
    """How many subscriptions a client has."""
    return int(connection.execute(_COUNT, {"of": client}).scalar_one())


def replace(connection: Connection, subscription: Subscription, now: int) -> None:
    """What its client asks for from now on, with the status that it has now. Its numbers go on."""
    row = _row(subscription)
    connection.execute(_REPLACE, {"named": subscription.id, **{f"new_{name}": row[name] for name in _SET}})
    if subscription.status == "requested":
        shake(connection, subscription.target, now)
    elif subscription.status == "off":
        _forget_letters(connection, subscription.target)


def remove(connection: Connection, identity: str) -> None:
    """Forgets a subscription with all that it was to be told."""
    connection.execute(delete(s).where(s.c.id == identity))
    _forget_letters(connection, f"subscription/{identity}")


def shake(connection: Connection, target: str, now: int) -> None:
    """The endpoint is to be asked whether it is there."""
    outbox.put(connection, [Letter(target=f"{target}/handshake", kind="handshake")], now)


def matching(connection: Connection, change: Change) -> list[tuple[str, int]]:
    """The subscriptions that are to be told of a change, each with the number of this event in it."""
    listening = [_read(row) for row in connection.execute(_LISTENING, {"whose": change.patient}).mappings()]
    return [
        (one.id, int(connection.execute(_NEXT, {"named": one.id}).scalar_one()))
        for one in listening
        if one.fits(change)
    ]


def move(connection: Connection, subscription: Subscription, status: Status, *, now: int, error: str = "") -> bool:
    """It has another status now. False: somebody changed it since it was read, and nothing was done."""
    values = {"named": subscription.id, "seen": subscription.revision, "becomes": status, "why": error, "now": now}
    moved = connection.execute(_MOVE, values).rowcount > 0
    if moved and status == "active":
        outbox.hurry(connection, subscription.target, now)
    return moved


def heard(connection: Connection, identity: str, now: int) -> None:
    """Something arrived at its endpoint."""
    connection.execute(_HEARD, {"named": identity, "now": now})


def failing(connection: Connection, identity: str, now: int) -> None:
    """Something did not arrive."""
    connection.execute(_FAILING, {"named": identity, "now": now})


def beat(connection: Connection, now: int) -> int:
    """Puts a heartbeat for each subscription that was not sent anything for its period; how many."""
    due = connection.execute(_BEATS, {"now": now}).scalars().all()
    letters = [Letter(target=f"subscription/{one}/heartbeat", kind="heartbeat") for one in sorted(due)]
    outbox.put(connection, letters, now)
    return len(due)


def end(connection: Connection, now: int) -> int:
    """Ends subscriptions whose end has come, or that were in error for long; how many."""
    over = connection.execute(_OVER, {"now": now, "long_ago": now - IN_ERROR}).scalars().all()
    for one in sorted(over):
        _forget_letters(connection, f"subscription/{one}")
    return len(over)


def identity_of(target: str) -> str:
    """The id of the subscription that a letter is for."""
    return target.split("/")[1]


def _forget_letters(connection: Connection, target: str) -> None:
    for lane in _LANES:
        outbox.forget_target(connection, target + lane)


def _row(subscription: Subscription) -> dict[str, object]:
    row = msgspec.structs.asdict(subscription)
    row["headers"] = msgspec.json.encode(subscription.headers).decode()
    return row | {name: " ".join(row[name]) for name in _LISTS}


def _read(row: object) -> Subscription:
    found = dict(row)  # type: ignore[call-overload]
    found["headers"] = msgspec.json.decode(found["headers"], type=tuple[tuple[str, str], ...])
    return Subscription(**found | {name: tuple(found[name].split()) for name in _LISTS})
