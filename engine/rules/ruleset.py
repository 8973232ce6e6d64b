"""A ruleset: everything that evaluation, explanation, outputs and the docs need to know of a folder of rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec

from engine.facts.base import FactBase, FactInfo
from engine.rules.info import RuleInfo
from engine.rules.panels import Panels
from engine.rules.program import Program
from engine.terminology.content import Content
from engine.terminology.terminology import Terminology


class Ruleset(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A ruleset that was accepted. It is one msgspec value, so the cache stores it as it is."""

    id: str
    version: str
    title: str
    hash: str                                     # of all content, the start of a SHA-256 in hex
    program: Program
    facts: FactBase
    content: Content                              # of the terminology
    info: Mapping[str, RuleInfo]                  # fact or issue -> header and texts of its rule
    chain: Mapping[str, tuple[str, ...]]          # fact, derived fact or issue -> the rules that read it
    description: str = ""
    panels: Panels = Panels()                     # what a page of a patient shows beside the findings

    @cached_property
    def terminology(self) -> Terminology:
        return Terminology(self.content)

    @cached_property
    def fact_info(self) -> Mapping[str, FactInfo]:
        """Every base fact with all that is said of it."""
        return self.facts.info()

    def title_of(self, name: str) -> str:
        """What a fact, derived fact or issue is called."""
        if name in self.info:
            return self.info[name].title
        return self.fact_info[name].title if name in self.fact_info else name
