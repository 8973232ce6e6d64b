"""The verdict on one rule: fires, does not fire, cannot be decided, or is held back; with the tree behind it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec

from engine.explanation.tree import Node
from engine.model.fact import ABSENT, PRESENT, UNKNOWN
from engine.model.finding import HeldBack, Missing
from engine.rules.info import Source

Verdict = Literal["fires", "does not fire", "undetermined", "held back"]
VERDICTS: Mapping[str, Verdict] = {UNKNOWN: "undetermined", ABSENT: "does not fire", PRESENT: "fires"}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one rule fires, does not fire or is undetermined for one patient (and one order)."""

    rule: str
    version: str
    status: str
    title: str
    patient: str
    as_of: date
    verdict: Verdict
    severity: str = ""
    display: str = ""
    order: str = ""
    tree: tuple[Node, ...] = ()
    held_back_by: tuple[HeldBack, ...] = ()
    missing: tuple[Missing, ...] = ()
    sources: tuple[Source, ...] = ()
