"""A story: one invented patient in compact form (fhir_examples/stories/*.yaml)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.document import load_document


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finding that the story must give, with the least that its reasons must hold."""

    issue: str
    severity: str
    display: str
    because: dict[str, str]                # fact -> value
    rests_on: list[str]                    # resources, without the story's name
    missing: list[str] = []                # facts that must be listed as missing
    order: str = ""                        # the ingredient, for findings about one order


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of `stories/` says."""

    title: str
    story: str
    why: str                               # why the example is there
    says: str                              # what Endplate says, in words
    seed: str                              # which statement of which seed document it tells
    now: str
    patient: dict[str, Any]
    visits: list[dict[str, Any]]
    id: str = ""
    complete: bool = False
    fhir: str = "R4"
    history: list[dict[str, Any]] = []     # ordinary diagnoses: {condition, since}
    drugs: list[dict[str, Any]] = []       # ordinary drugs: {drug, since}
    allergies: list[str] = []
    family: list[dict[str, Any]] = []
    team: list[str] = []
    expect: list[Expected] = []
    derived: dict[str, str] = {}


def load_story(path: Path) -> Story:
    """One story. Raises msgspec.ValidationError, naming the key."""
    content = load_document(path).data
    return msgspec.convert({**content, "id": path.stem}, Story, strict=False)


def load_stories(folder: Path) -> Iterator[Story]:
    """All stories by name."""
    for path in sorted(folder.glob("*.yaml")):
        yield load_story(path)
