"""What a user is about to write (draft orders, new diagnoses): part of a call's context, and so of the record.

Clients leave out what is obvious to them: the type of the Bundle, ids, that an order which is not signed is a draft,
that it is for the patient of the call.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.fhir.elements import EMPTY, Json, obj, objects, text
from engine.fhir.references import patient_key

_ORDERS = frozenset({"MedicationRequest"})
_OF_A_PATIENT = frozenset({"MedicationRequest", "Condition"})


class Drafts(msgspec.Struct, frozen=True):
    """The Bundle in full, and the references ("Type/id") of the resources in it."""

    bundle: Json = EMPTY
    names: frozenset[str] = frozenset()


def read_drafts(bundle: Json, patient: str = "") -> Drafts:
    """Drafts of a Bundle, or of a bare resource; each resource has an id then, and each order a status.

    One that names no subject is for `patient` ("Patient/x", or the id alone); one that names another stays another's.
    """
    bare = text(bundle.get("resourceType")) not in ("", "Bundle")
    entries = list(_entries([{"resource": bundle}] if bare else objects(bundle.get("entry")), patient_key(patient)))
    names = frozenset(f"{text(one['resource']['resourceType'])}/{text(one['resource']['id'])}" for one in entries)
    return Drafts({"resourceType": "Bundle", "type": "collection", "entry": entries}, names)


def _entries(entries: list[Json], patient: str) -> Iterator[Json]:
    for number, entry in enumerate(entries, 1):
        resource = obj(entry.get("resource"))
        if kind := text(resource.get("resourceType")):
            added: Json = {} if text(resource.get("id")) else {"id": f"new-{number}"}
            if kind in _OF_A_PATIENT and patient and "subject" not in resource:
                added["subject"] = {"reference": patient}
            if kind in _ORDERS and not text(resource.get("status")):
                added["status"] = "draft"
            yield {**entry, "resource": {**resource, **added}}
