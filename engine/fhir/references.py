"""References as written, taken apart: which resource they name, by URL, by type and id, or by an identifier."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from engine.fhir.elements import Json, obj, objects, text

Identifier = tuple[str, str]
ID = r"[A-Za-z0-9\-.]{1,64}"
"""The pattern of an id (FHIR R4, "Data types", id)."""


class Target(msgspec.Struct, frozen=True):
    """What a reference names. `url`: absolute, without scheme and version; `key`: "Type/id"; `contained`: an id."""

    url: str = ""
    key: str = ""
    contained: str = ""
    identifier: Identifier | None = None

    @property
    def type(self) -> str:
        return self.key.partition("/")[0]


NOTHING = Target()


def target_of(reference: str) -> Target:
    """Takes the string of a Reference apart; NOTHING if it names nothing."""
    reference = reference.strip()
    if reference[:1] == "#":
        return Target(contained=reference[1:])
    if reference[:4].lower() == "urn:":
        return Target(url=reference.lower())
    reference = reference.partition("#")[0]
    if "?" in reference:
        return _searched(reference)
    reference = reference.partition("/_history")[0].rstrip("/")
    scheme, separator, rest = reference.partition("://")
    if separator:
        return Target(url=rest, key=tail_of(rest))
    key = tail_of(scheme.lstrip("/"))
    return Target(key=key) if key else Target(url=reference) if reference else NOTHING


def patient_key(said: str) -> str:
    """The key of a patient as somebody names them: "Patient/x" of that, of the id alone, or of an address that ends so.

    "" if nobody is named; what is none of these stays as it is, such as the name of one who is known by an identifier.
    """
    said = said.strip()
    if not said or "?" in said or "#" in said:
        return said
    return target_of(said).key or said if "/" in said else f"Patient/{said}"


def searched(identifier: str) -> str:
    """The name of a patient of whom nothing is known but an identifier ("system|value")."""
    return f"Patient?identifier={identifier}"


def tail_of(path: str) -> str:
    """The "Type/id" at the end of a path; "" if it does not end so."""
    parts = path.rsplit("/", 2)
    if len(parts) < 2:
        return ""
    kind, identity = parts[-2], parts[-1]
    return f"{kind}/{identity}" if identity and kind[:1].isupper() and kind.isalpha() else ""


def identifier_of(value: object) -> Identifier | None:
    """(system, value) of an Identifier; None if one of the two is missing."""
    identifier = obj(value)
    system, number = text(identifier.get("system")), text(identifier.get("value"))
    return (system, number) if system and number else None


def identifiers_of(resource: Json) -> list[Identifier]:
    """All complete identifiers of a resource."""
    return [found for one in objects(resource.get("identifier")) if (found := identifier_of(one))]


def _searched(reference: str) -> Target:
    """A conditional reference: `Patient?identifier=system|value`; other searches name nothing."""
    kind, _, query = reference.partition("?")
    for part in query.split("&"):
        name, _, value = part.partition("=")
        system, bar, number = unquote(value).partition("|")
        if name == "identifier" and bar and system and number:
            return Target(key=f"{tail_of('/' + kind + '/x').partition('/')[0] or kind}/", identifier=(system, number))
    return NOTHING
