"""Figures: how often something happened on a day. Nothing of a patient."""

from __future__ import annotations

import msgspec

SENT = "sent"  # the name of what is evaluated because something was sent, and not because a hook asked


class Figure(msgspec.Struct, frozen=True):
    """What is counted, for a `day` (YYYY-MM-DD): `what` of a `name`, how it ended, and a detail.

    evaluation  of a hook, or of what was sent     cards, no-cards; decided
    card        of a rule                          critical, warning, info
    silenced    of a rule: kept back, because a user has acknowledged it
    problem     of who sent the data               code of the problem
    differs     of a rule: the backends disagreed
    message     of a source                        taken, refused, full, failed      kind of message
    fetch       of a source                        fetched, not-fetched, silent ...
    change      of findings that are told          new, changed, withdrawn
    delivery    of a lane                          done, again, dead
    """

    day: str
    what: str
    name: str
    outcome: str = ""
    detail: str = ""


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What users did with the cards of a rule: how many of them ended with this outcome and reason.

    `issue` is "" for cards that are not known, or no longer.
    """

    issue: str
    outcome: str
    code: str
    number: int


class Letters(msgspec.Struct, frozen=True, kw_only=True):
    """What a target is still to be told: how much waits, since when (ms), and how much was refused."""

    target: str
    pending: int = 0
    since: int = 0
    dead: int = 0


class Fetches(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be fetched from a source, and how often some of it was tried."""

    source: str
    number: int
    attempts: int


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """When a subscription of a source was last heard (ms; 0: never), and what the source says of it."""

    source: str
    subscription: str
    last_heard: int = 0
    status: str = ""
