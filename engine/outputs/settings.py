"""The base of the URIs that outputs name: code systems, rules, identifiers."""

from __future__ import annotations

BASE = "urn:endplate"


def uri(base: str, *parts: str) -> str:
    """`urn:endplate:rule:x`, or `https://example.org/endplate/rule/x` where the base is an address."""
    return (":" if base.startswith("urn:") else "/").join((base.rstrip("/:"), *parts))
