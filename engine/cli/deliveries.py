"""`endplate deliveries`: what waits to be told to others, what they refused, and sending that again.

Nothing of a patient is shown but the identifier of the finding, which is a hash.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection

from engine.cli.common import write
from engine.cli.store import existing
from engine.errors import InputError
from engine.store import outbox
from engine.store.outbox import Delivery, State

AT_ONCE = 1000


def show(target: str, *, pending: bool, limit: int) -> None:
    """How many there are of each lane, and a line for each that was refused, or that waits, the oldest first."""
    states: tuple[State, ...] = ("pending", "dead") if pending else ("dead",)
    now = _now()
    with existing() as database, database.read() as connection:
        held = outbox.waiting(connection, now)
        found = outbox.listed(connection, states=states, target=target, most=limit)
    for lane, waiting in sorted(held.items()):
        write(f"{lane}: {waiting.pending} to be delivered, {waiting.dead} refused")
    if not held:
        write("nothing waits and nothing was refused")
    for one in found:
        write(_line(one))


def replay(target: str, numbers: Iterable[int], *, everything: bool) -> None:
    """Refused deliveries are to be delivered again. Raises InputError unless it is said which."""
    chosen = sorted(set(numbers))
    if not (chosen or target or everything):
        raise InputError("say which: numbers of `endplate deliveries list`, `--target sink/NAME`, or `--all`")

    def work(connection: Connection) -> int:
        some = [chosen[at : at + AT_ONCE] for at in range(0, len(chosen), AT_ONCE)] or [[]]
        return sum(outbox.replay(connection, now=_now(), target=target, numbers=part) for part in some)

    with existing() as database:
        count = database.run(work)
    write(f"{count} to be delivered again")


def _line(one: Delivery) -> str:
    since = datetime.fromtimestamp(one.at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    state = "refused" if one.state == "dead" else "waits"
    what = f"{one.kind} {one.identifier[:12]} version {one.version}" if one.identifier else one.kind
    error = f": {one.error}" if one.error else ""
    return f"{one.seq:>8}  {since}  {state}  {one.target}  {what}, tried {one.attempts} times{error}"


def _now() -> int:
    return int(time.time() * 1000)
