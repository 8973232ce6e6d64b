"""ruleset.yaml: what the ruleset is, and the policies that many rules share (rule language, "Policies").

    id: neuromuscular            gates: [{when: {deceased: present}, keep: []}, {when: ..., mute: [care]}]
    version: 1.0.0               adjustments: {comfort-plan: {when: ..., severity: low, display: information}}
    title: ...

A gate mutes the finding, never the fact. Rules name adjustments, which apply in the order in which they are named.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.document import Document
from engine.errors import Fault, Place
from engine.model.finding import DISPLAYS, SEVERITIES
from engine.rules.conditions import Reader
from engine.rules.header import NAME, VERSION
from engine.rules.program import Adjustment, Gate
from engine.rules.shape import Node, quoted
from engine.rules.source import GROUPS
from engine.rules.vocabulary import Vocabulary

LANGUAGE = "1"                                # version of the rule language that this engine reads
KEYS = ("id", "version", "title", "description", "language", "gates", "adjustments")
STEP = "one-step-lower"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a ruleset is called."""

    id: str = ""
    version: str = ""
    title: str = ""
    description: str = ""


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """The policies of a ruleset, with the places where they stand."""

    gates: tuple[Gate, ...] = ()
    adjustments: Mapping[str, Adjustment] = {}
    gate_places: tuple[Place, ...] = ()
    places: Mapping[str, Place] = {}
    sets: frozenset[tuple[str, str]] = frozenset()     # named sets that were used, by fact


def read_identity(document: Document, faults: list[Fault]) -> Identity:
    """Id, version and title of the ruleset."""
    node = Node(document, (), faults)
    if not node.is_mapping("a ruleset"):
        return Identity()
    node.only(KEYS, "a ruleset")
    name, version = node.text("id", required=True), node.text("version", required=True)
    if name and not NAME.fullmatch(name):
        node.fault(f"{quoted(name)} cannot name a ruleset", "use small letters, digits and `-`", ("id",))
    if version and not VERSION.fullmatch(version):
        node.fault(f"{quoted(version)} is no version", "use three numbers, as in 1.0.0", ("version",))
    language = node.text("language")
    if language and language.split(".")[0] != LANGUAGE:
        node.fault(f"the rule language {quoted(language)} is not known", f"this engine reads {LANGUAGE}", ("language",))
    title, description = node.text("title", required=True), node.text("description")
    return Identity(id=name, version=version, title=title, description=description)


def read_policies(document: Document, vocabulary: Vocabulary, faults: list[Fault]) -> Policies:
    """Gates and adjustments, their conditions over all facts."""
    node = Node(document, (), faults)
    if not isinstance(node.value, dict):
        return Policies()
    reader = Reader(document, vocabulary, faults)
    gates = {item.place(): gate for item in node.items("gates", "gates") if (gate := _gate(item, reader))}
    adjustments: dict[str, Adjustment] = {}
    places: dict[str, Place] = {}
    if "adjustments" in node and node.at("adjustments").is_mapping("`adjustments`"):
        for name in node.at("adjustments").value:
            adjustment = _adjustment(node.at("adjustments", name), name, reader)
            if adjustment is not None:
                adjustments[name], places[name] = adjustment, document.key_place(("adjustments", name))
    return Policies(
        gates=tuple(gates.values()),
        adjustments=adjustments,
        gate_places=tuple(gates),
        places=places,
        sets=frozenset(reader.sets),
    )


def _gate(node: Node, reader: Reader) -> Gate | None:
    if not node.is_mapping("a gate"):
        return None
    node.only(("when", "keep", "mute", "why"), "a gate")
    if "when" not in node or ("keep" in node) == ("mute" in node):
        node.fault("a gate has `when` and one of `keep` and `mute`")
        return None
    when = reader.read((*node.path, "when"))
    key = "keep" if "keep" in node else "mute"
    groups = node.texts(key)
    for group in groups:
        if group not in GROUPS:
            node.fault(f"{quoted(group)} is no group", f"use {', '.join(GROUPS)}", (key,))
    if key == "mute" and not groups:
        node.fault("the gate mutes nothing", "name groups", (key,))
    if when is None:
        return None
    why = node.text("why")
    return Gate(when=when, keep=groups, why=why) if key == "keep" else Gate(when=when, mute=groups, why=why)


def _adjustment(node: Node, name: str, reader: Reader) -> Adjustment | None:
    if not node.is_mapping("an adjustment"):
        return None
    node.only(("when", "severity", "display"), "an adjustment")
    severity, display = node.word("severity", (*SEVERITIES, STEP)), node.word("display", DISPLAYS)
    if "when" not in node or not (severity or display):
        node.fault("an adjustment has `when`, and `severity` or `display`")
        return None
    when = reader.read((*node.path, "when"))
    return None if when is None else Adjustment(name=name, when=when, severity=severity, display=display)
