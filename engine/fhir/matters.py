"""What of a single resource has to be remembered so that a later reading finds all that it would have found.

Whoever keeps resources one by one (engine.integration) asks here whether one can matter to the rules at all, whose it
is, and what it refers to that others refer to as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from engine.fhir.elements import EMPTY, Json, obj, objects, text
from engine.fhir.grouping import KINDS, MEDICATION_KINDS, Group
from engine.fhir.lookup import Lookup
from engine.fhir.medications import product_of
from engine.fhir.references import identifier_of, identifiers_of, searched, target_of

SHARED = ("Medication", "Organization")
"""Resources that belong to nobody, and that those of many patients refer to."""

_REFERENCE = re.compile(rb'(?:Medication|Organization)\\?/[^"#/\\?|]+')


class Owner(msgspec.Struct, frozen=True):
    """Whose a resource is. `patient`: as the reader names patients ("Patient/x"), "" = nobody's. `identifier`
    ("system|value"): it belongs to the one patient who has that, if there is one."""

    patient: str = ""
    identifier: str = ""


NOBODY = Owner()


def matters(resource: Json, lookup: Lookup) -> bool:
    """Whether the reader would find anything in a resource, whatever it stands beside."""
    kind = resource.get("resourceType")
    if kind not in KINDS:
        return False
    group = Group(lookup, [])
    group.add(resource, "")
    if not any(entry.resource is not EMPTY for entry in group.entries):
        return False
    return kind not in MEDICATION_KINDS or _has_a_drug(resource, kind, lookup)


def owner_of(resource: Json) -> Owner:
    """Whose it is, by its subject alone: a reference, else an identifier, else a Patient that it contains."""
    kind = text(resource.get("resourceType"))
    own = f"{kind}/{text(resource.get('id'))}"
    if kind in SHARED:
        return NOBODY
    if kind == "Patient":
        return Owner(own)
    subject = obj(resource.get("subject") or resource.get("patient"))
    string = text(subject.get("reference"))
    identifier = identifier_of(subject.get("identifier"))
    if string[:1] == "#":
        contained = objects(resource.get("contained"))
        held = next((one for one in contained if one.get("id") == string[1:]), EMPTY)
        if held.get("resourceType") != "Patient":
            return NOBODY
        identifier = next(iter(identifiers_of(held)), None)
        return Owner(f"{own}{string}", "|".join(identifier) if identifier else "")
    if string:
        target = target_of(string)
        if target.type != "Patient" and (target.type or target.identifier):
            return NOBODY
        if target.identifier is None and (found := target.key or target.url):
            return Owner(found)
        identifier = target.identifier or identifier
    if identifier is None:
        return NOBODY
    named = "|".join(identifier)
    return Owner(searched(named), named)


def shared_in(raw: bytes) -> Iterator[str]:
    """What is shared by patients ("Medication/x", "Organization/y") and named in the bytes of a resource."""
    for found in _REFERENCE.findall(raw):
        yield found.replace(b"\\/", b"/").decode("utf-8", "replace")


def _has_a_drug(resource: Json, kind: str, lookup: Lookup) -> bool:
    """Whether a medication entry can hold a drug of the rules, or a code that has to be told as wrong."""
    elsewhere: list[object] = []
    product = product_of(resource, kind, lookup.terminology, elsewhere.append)
    return bool(product.drugs) or product.misspelt or bool(elsewhere)
