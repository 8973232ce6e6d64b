"""What people and outputs need to know of a rule beside its logic."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.errors import Place
from engine.rules.program import Condition


class Source(msgspec.Struct, frozen=True):
    """One source of a rule: a reference key of references.yaml (S0, R12 ...) and what it says, in our own words."""

    ref: str
    says: str = ""
    citation: str = ""                    # of references.yaml
    url: str = ""


class Suggestion(msgspec.Struct, frozen=True):
    """One order that a card may suggest: a symbolic name of orders.yaml, resolved."""

    name: str
    title: str
    resource: str = "ServiceRequest"      # or MedicationRequest
    system: str = ""                      # coding of the order; "" = text only
    code: str = ""
    display: str = ""
    replaces: bool = False                # acts on the order at hand (delete) instead of creating one


class RuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Header and texts of one rule (one file)."""

    id: str
    ruleset: str                          # folder: als-mg-overlap ...
    kind: str                             # issue, derived
    version: str
    status: str                           # draft, accepted, deprecated, withdrawn
    title: str
    purpose: str
    use: str
    misuse: str
    evidence: str
    hash: str                             # content hash of the file
    sources: tuple[Source, ...] = ()
    uncomputed: tuple[str, ...] = ()
    group: str = ""
    category: str = ""                    # v3-ActCode
    summary: str = ""
    advice: tuple[str, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    listed: tuple[tuple[str, Condition], ...] = ()   # literals of `list:` with the fact whose text stands for each
    names: tuple[str, ...] = ()           # derived facts and issue that the file defines
    reads: tuple[str, ...] = ()           # facts read directly
    place: Place = Place("")
    extra: Mapping[str, str] = {}
