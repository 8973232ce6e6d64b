"""The header of a rule: what people need to judge it. Every rule has the same keys, and none may be missing."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from engine.errors import nearest
from engine.rules.info import Source
from engine.rules.shape import Node, quoted

STATUSES = ("draft", "accepted", "deprecated", "withdrawn")
TEXTS = ("title", "purpose", "use", "misuse", "evidence")
KEYS = ("id", "version", "status", *TEXTS, "sources", "uncomputed")
VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")
NAME = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """draft -> accepted -> deprecated or withdrawn. A withdrawn rule is kept for reference and takes no part.

    `uncomputed`: exceptions that no data can show; the rule book lists them.
    """

    id: str
    version: str
    status: str
    title: str
    purpose: str
    use: str
    misuse: str
    evidence: str
    sources: tuple[Source, ...]
    uncomputed: tuple[str, ...] = ()


def read_header(node: Node, references: Mapping[str, Source] | None) -> Header:
    """The header at the top of a rule's file; faults for what is missing. `references`: the ruleset's bibliography;
    None: it has none, and sources are texts of their own."""
    texts = {key: node.text(key, required=True) for key in TEXTS}
    version = node.text("version", required=True)
    if version and not VERSION.fullmatch(version):
        node.fault(f"{quoted(version)} is no version", "use three numbers, as in 1.0.0", ("version",))
    return Header(
        id=node.text("id", required=True),
        version=version,
        status=node.word("status", STATUSES, required=True),
        sources=_sources(node, references),
        uncomputed=node.texts("uncomputed"),
        **texts,
    )


def _sources(node: Node, references: Mapping[str, Source] | None) -> tuple[Source, ...]:
    if not node.value.get("sources"):
        node.fault("`sources` is missing", "name at least one source of the rule")
        return ()
    sources = []
    for item in node.items("sources", "sources"):
        if isinstance(item.value, dict):
            item.only(("ref", "says"), "a source")
            ref, says = item.text("ref", required=True), item.text("says")
        elif isinstance(item.value, str):
            ref, says = item.value.strip(), ""
        else:
            item.fault("a source is text, or a mapping of `ref` and `says`", "quote a number that is meant as text")
            continue
        if references is not None and ref and ref not in references:
            item.fault(f"{quoted(ref)} is not among the references", nearest(ref, references))
        known = (references or {}).get(ref, Source(ref))
        sources.append(msgspec.structs.replace(known, says=says))
    return tuple(sources)
