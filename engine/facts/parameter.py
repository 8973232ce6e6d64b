"""The numbers of a ruleset (parameters.yaml): each with its unit, meaning, source and date."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One clinical number. `unit` "" = not stated."""

    name: str
    value: int | Decimal
    unit: str = ""
    meaning: str = ""
    source: str = ""
    note: str = ""
    since: str = ""                       # the day on which the value was set in this ruleset
