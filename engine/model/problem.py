"""A problem of the input: what could not be used, where, and why."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """Something in the input that could not be used; it costs its entry and nothing else.

    `code` is a short kebab-case word out of the closed list of engine/fhir/problems.py, `where` names file, line and
    resource (`bundle.json: entry 3: Observation/x`), `message` says what is odd and what was done about it. None of
    them holds patient data beyond the resource's own reference.
    """

    code: str
    where: str
    message: str
