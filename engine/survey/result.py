"""What a survey says, as frozen values: the JSON output is these, encoded. Nothing in it belongs to one patient."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.survey.reach import Blind


class Code(msgspec.Struct, frozen=True):
    """A code that was met. `display`: as the feed writes it, where enough patients have it."""

    system: str
    code: str
    display: str
    entries: int


class Unit(msgspec.Struct, frozen=True):
    """A unit of a concept's results; `understood`: the concept can be read in it."""

    unit: str
    entries: int
    understood: bool


class ConceptSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A concept that was met. `more`: further codes or units that are not listed."""

    concept: str
    title: str
    entries: int
    undated: int = 0
    carriers: Mapping[str, int] = {}
    codes: tuple[Code, ...] = ()
    more: int = 0
    numbers: int = 0
    without_range: int = 0                 # numbers with neither a flag nor limits
    units: tuple[Unit, ...] = ()


class DrugSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A drug that was met: orders, statements and products that hold it; `by_name`: those whose codes nobody knows."""

    drug: str
    entries: int
    by_name: int = 0
    codes: tuple[Code, ...] = ()
    more: int = 0


class SystemSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A code system that no table knows. `like`: the known one that it may be."""

    system: str
    entries: int
    codes: int                             # different codes, those that were compared
    like: str = ""
    why: str = ""


class CodeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A code that looks relevant and means nothing to the rules."""

    code: Code
    carriers: tuple[str, ...]
    why: str
    concepts: tuple[str, ...] = ()


class KindSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of one type of resource that concern a rule, and what they lack."""

    resource: str
    entries: int                           # of this type in the feed
    relevant: int
    undated: int
    without_status: int
    not_used: int                          # by their status


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of site.yaml. `values`: what it would say; an empty one is for a person to fill in."""

    section: str                           # systems, codes, units, ranges
    values: Mapping[str, str]
    entries: int
    why: str
    example: str = ""


class Hidden(msgspec.Struct, frozen=True, kw_only=True):
    """What is not shown, because it was met in too few patients or because there was no room: how many of each."""

    rare: Mapping[str, int]
    more: Mapping[str, int]


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rules can see on a feed."""

    ruleset: str
    version: str
    hash: str
    sources: tuple[str, ...]
    site: tuple[str, ...]                  # value sets and site files in use
    files: int
    documents: int
    resources: Mapping[str, int]
    patients: int                          # Patient resources
    fewest: int                            # patients in whom what is the feed's own must be met to be shown
    concepts: tuple[ConceptSeen, ...]
    unmet: int                             # concepts that were not met
    drugs: tuple[DrugSeen, ...]
    systems: tuple[SystemSeen, ...]
    codes: tuple[CodeSeen, ...]
    units: tuple[Proposal, ...]
    kinds: tuple[KindSeen, ...]
    textual: Mapping[str, int]             # kind of resource -> entries whose code is only a text
    worded: Mapping[str, int]              # concept -> entries that only their text names
    blind: tuple[Blind, ...]
    opened: tuple[str, ...]                # of these, the rules that could fire if every proposal were accepted
    rules: int
    proposals: tuple[Proposal, ...]
    problems: Mapping[str, int]
    hidden: Hidden
