"""References to what a finding rests on, as FHIR `Reference`."""

from __future__ import annotations

import re

from engine.outputs.markdown import plain

Reference = dict[str, object]
_UNNAMED = re.compile(r"([A-Za-z]+)/_\d+")
_IDENTIFIED = re.compile(r"([A-Za-z]+)\?identifier=([^|]*)\|(.+)", re.DOTALL)


def reference(name: str) -> Reference:
    """The Reference of a resource that a record names, without control characters.

    A resource without an id can only be described; a patient who is known by an identifier alone is named by it.
    """
    name = plain(name)
    if found := _UNNAMED.fullmatch(name):
        return {"type": found[1], "display": f"{found[1]} without an id"}
    if found := _IDENTIFIED.fullmatch(name):
        identifier = {"system": found[2], "value": found[3]} if found[2] else {"value": found[3]}
        return {"type": found[1], "identifier": identifier}
    return {"reference": name}
