"""A ruleset: everything that evaluation, explanation, outputs and the docs need to know of a folder of rules.

`load_ruleset` reads the folder, checks it and refuses it as a whole if anything is wrong; with `cache_dir` the compiled
form is kept under the hash of all content, and a start from it reads no YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from engine.facts.base import FactBase, FactInfo
from engine.rules import cache
from engine.rules.files import bundled, content_hash
from engine.rules.info import RuleInfo
from engine.rules.program import Program
from engine.terminology.content import Content
from engine.terminology.terminology import Terminology

BASE = "urn:endplate"


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


def load_ruleset(
    folder: Path | None = None,
    *,
    extra_valuesets: Sequence[Path] = (),
    cache_dir: Path | None = None,
    base: str = BASE,
    with_vignettes: bool = False,
) -> Ruleset:
    """The ruleset in `folder` (default: the one that comes with the package).

    `extra_valuesets`: folders of a site's own value sets; `base`: the start of the URIs of local code systems;
    `cache_dir`: where compiled rulesets are kept, None for nowhere; `with_vignettes`: check also that vignettes fire
    and silence every issue (`endplate rules check`). Raises RulesetError with every fault found.
    """
    folder = bundled() if folder is None else folder
    content = content_hash((folder, *extra_valuesets), base)
    key = f"{content}-{cache.fingerprint()}"
    if cache_dir is not None and not with_vignettes and (stored := cache.read(cache_dir, key, Ruleset)) is not None:
        return stored
    from engine.rules.build import build  # noqa: PLC0415 - reading YAML costs half a second, a start from the cache none

    ruleset = build(folder, extra_valuesets, base, content, with_vignettes=with_vignettes)
    if cache_dir is not None:
        cache.write(cache_dir, key, ruleset)
    return ruleset
