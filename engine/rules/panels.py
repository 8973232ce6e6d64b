"""What a page of a patient shows beside the findings: criteria side by side, and a map of the body (panels_load.py)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.rules.program import Condition


class Line(msgspec.Struct, frozen=True):
    """One requirement: what it is called, when it holds, and its parts."""

    title: str
    when: Condition
    lines: tuple[Line, ...] = ()


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """One set of criteria. `fact`: the derived fact whose value is their answer."""

    title: str
    fact: str
    note: str = ""
    lines: tuple[Line, ...]


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of sign on the map of the body."""

    short: str
    title: str
    facts: tuple[str, ...]
    sign: str = ""


class Body(msgspec.Struct, frozen=True):
    """The map: regions, rostral to caudal, with what they are called; and the signs that each may have."""

    regions: Mapping[str, str]
    signs: tuple[Sign, ...]


class Panels(msgspec.Struct, frozen=True):
    """What workbench.yaml says; without it, nothing."""

    criteria: tuple[Criteria, ...] = ()
    body: Body | None = None
