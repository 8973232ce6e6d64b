"""Placeholders in the texts of rules: `{fact}`, `{a | b}`, `{list}`, `{missing}`, and `{parameter}`.

Facts are filled in for each finding; parameters are the same for all, so they are filled in when the ruleset is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
CODE_OR_PATH = re.compile(
    r"[a-z]+://|\burn:[a-z]|\b[0-9]{3,7}-[0-9]\b|\b[0-9]{6,18}\b|\b[A-Z][a-z]+([A-Z][a-z]+)*\.[a-z]+", re.ASCII
)
"""A URI, a code of LOINC or SNOMED CT, a path into a resource: what rules never hold."""
LISTS = ("list", "missing")
LONGEST = 139                                 # CDS Hooks 2.0.1: a summary has fewer than 140 characters


def names(text: str) -> Iterator[str]:
    """Every name in the placeholders of a text."""
    for inside in PLACEHOLDER.findall(text):
        yield from (name.strip() for name in inside.split("|"))


def shortest(text: str) -> int:
    """The length of a text when every placeholder is cut to one character."""
    return len(PLACEHOLDER.sub("…", text))


def number(value: object) -> str:
    """A parameter as a text shows it."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def with_parameters(text: str, parameters: Mapping[str, str]) -> str:
    """The text with its parameters filled in; other placeholders stay."""
    return PLACEHOLDER.sub(lambda match: parameters.get(match[1].strip(), match[0]), text)
