"""Which findings anybody has acknowledged, so that of all others nobody is asked.

A call asks for each of its findings, and nearly always nobody has said anything yet. A process that is alone with its
store knows that by itself. It may take a finding for acknowledged that is not, never the other way round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select

from engine.store.model import Shown
from engine.store.tables import feedback as f
from engine.store.tables import shown as s

MOST = 50_000  # cards, and findings on them; a store with more is asked each time
_ANSWERED = select(f.c.card, s.c.finding).join_from(
    f, s, (f.c.client == s.c.client) & (f.c.card == s.c.card), isouter=True
)


class Answered:
    """Cards on which feedback came, and what stood on them."""

    def __init__(self, rows: Iterable[tuple[str, str | None]]) -> None:
        self._cards: set[str] = set()
        self._findings: set[str] = set()
        for card, finding in rows:
            self._cards.add(card)
            if finding is not None:
                self._findings.add(finding)

    @property
    def is_full(self) -> bool:
        """Whether it would hold too much."""
        return max(len(self._cards), len(self._findings)) > MOST

    def among(self, findings: Iterable[str]) -> list[str]:
        """Those of some findings that may have been acknowledged."""
        return [finding for finding in findings if finding in self._findings]

    def give(self, cards: Collection[str], shown: Iterable[Shown]) -> None:
        """Feedback comes on cards, which may have been `shown` before or not."""
        self._cards.update(cards)
        self.show(shown)

    def show(self, rows: Iterable[Shown]) -> None:
        """Cards are shown; on some of them feedback has come already."""
        self._findings.update(row.finding for row in rows if row.card in self._cards)


def answered(connection: Connection) -> Answered | None:
    """What a store holds; None if that is too much."""
    found = connection.execute(_ANSWERED.limit(MOST + 1)).all()
    return Answered((row.card, row.finding) for row in found) if len(found) <= MOST else None
