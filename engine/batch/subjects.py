"""Whose a resource is, where a reference of the usual form says it: told without reading anything else of it."""

from __future__ import annotations

import re

import msgspec

from engine.fhir.elements import Json, obj, text
from engine.fhir.references import target_of

_PLAIN = re.compile(r"Patient/[^/#?\s]+")


class Reference(msgspec.Struct, gc=False):
    """Of a Reference no more than the string."""

    reference: str = ""


def is_plain(reference: str) -> bool:
    """Whether a reference is a relative one to a Patient, of the usual form."""
    return _PLAIN.fullmatch(reference) is not None


def simple(subject: Reference | None) -> str:
    """The patient's key, if the reference is of a usual form."""
    if subject is None:
        return ""
    reference = subject.reference
    if is_plain(reference):
        return reference
    target = target_of(reference)
    return target.key if target.type == "Patient" and target.identifier is None else ""


def simply_of(resource: Json) -> str:
    """The same of a decoded resource."""
    subject = obj(resource.get("subject") or resource.get("patient"))
    return simple(Reference(text(subject.get("reference"))))
