"""Rows of the store. Times are whole seconds since 1970, UTC."""

from __future__ import annotations

import msgspec


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One finding on one card; a card of several findings has several rows.

    `finding` is the identifier, `evidence` the evidence hash; `client` is the issuer of the call's token, `user` and
    `encounter` are of its context; `evaluation` is the id of the evaluation, `patient` the key that its record has.
    """

    card: str
    finding: str
    evidence: str
    issue: str
    severity: str
    client: str
    user: str
    encounter: str
    evaluation: str
    at: int
    patient: str = ""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """Feedback on one card, as it came. `stamped` is the client's own time, as written."""

    card: str
    client: str
    outcome: str
    stamped: str
    system: str
    code: str
    comment: str
    suggestions: tuple[str, ...]
    at: int


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that a user accepted or overrode, as it was when it was shown."""

    finding: str
    evidence: str
    issue: str
    severity: str
    user: str
    encounter: str
    outcome: str
    stamped: str
    system: str
    code: str
    comment: str
    at: int  # when the feedback came


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a patient's evaluation, made `at`, to be had under its id `until` then."""

    id: str
    content: bytes
    until: int
    patient: str
    at: int
