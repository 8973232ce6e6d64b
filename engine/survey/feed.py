"""Every resource of the sources of a batch, one by one, with the patient to whom it belongs; nothing is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.batch.pieces import documents_of, lines_of
from engine.batch.plan import parts
from engine.batch.sources import Listing
from engine.errors import InputError
from engine.fhir.bundle import DEEPEST
from engine.fhir.decode import decode
from engine.fhir.elements import obj, text
from engine.fhir.grouping import CARRIERS, MEDICATION_KINDS, SUPPORT_KINDS
from engine.fhir.references import target_of
from engine.model.problem import Problem

Raw = msgspec.Raw
_NOTHING = (b"", b"null")
_KINDS = frozenset(CARRIERS) | MEDICATION_KINDS | SUPPORT_KINDS
_encode = msgspec.json.Encoder(decimal_format="number").encode
_list = msgspec.json.Decoder(list[Raw]).decode


class Resource(msgspec.Struct):
    """What the survey reads of a resource, each element as its bytes: no wrong type stops it."""

    resourceType: Raw = Raw()              # noqa: N815 - FHIR's names
    id: Raw = Raw()
    status: Raw = Raw()
    code: Raw = Raw()
    component: Raw = Raw()
    contained: Raw = Raw()
    subject: Raw = Raw()
    patient: Raw = Raw()
    entry: Raw = Raw()
    parameter: Raw = Raw()
    part: Raw = Raw()
    resource: Raw = Raw()                  # of an entry of a Bundle or a parameter
    fullUrl: Raw = Raw()                   # noqa: N815
    medicationCodeableConcept: Raw = Raw()  # noqa: N815
    medicationReference: Raw = Raw()       # noqa: N815
    medication: Raw = Raw()
    vaccineCode: Raw = Raw()               # noqa: N815
    administeredProduct: Raw = Raw()       # noqa: N815
    ingredient: Raw = Raw()
    identifier: Raw = Raw()
    valueQuantity: Raw = Raw()             # noqa: N815
    referenceRange: Raw = Raw()            # noqa: N815
    interpretation: Raw = Raw()
    verificationStatus: Raw = Raw()        # noqa: N815
    adherence: Raw = Raw()
    taken: Raw = Raw()
    effectiveDateTime: Raw = Raw()         # noqa: N815
    effectivePeriod: Raw = Raw()           # noqa: N815
    effectiveInstant: Raw = Raw()          # noqa: N815
    onsetDateTime: Raw = Raw()             # noqa: N815
    onsetPeriod: Raw = Raw()               # noqa: N815
    recordedDate: Raw = Raw()              # noqa: N815
    assertedDate: Raw = Raw()              # noqa: N815
    dateRecorded: Raw = Raw()              # noqa: N815
    performedDateTime: Raw = Raw()         # noqa: N815
    performedPeriod: Raw = Raw()           # noqa: N815
    occurrenceDateTime: Raw = Raw()        # noqa: N815
    occurrencePeriod: Raw = Raw()          # noqa: N815
    authoredOn: Raw = Raw()                # noqa: N815
    effectiveDosePeriod: Raw = Raw()       # noqa: N815
    dispenseRequest: Raw = Raw()           # noqa: N815
    whenHandedOver: Raw = Raw()            # noqa: N815
    dosageInstruction: Raw = Raw()         # noqa: N815
    dosage: Raw = Raw()


_resource = msgspec.json.Decoder(Resource).decode


def given(element: Raw) -> bool:
    """Whether an element is there."""
    return bytes(element) not in _NOTHING


def value(element: Raw) -> Any:
    """An element, decoded; None if it is not there."""
    return decode(bytes(element)) if given(element) else None


class Feed:
    """A walk over sources; afterwards it knows what it met."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self.documents = 0
        self.patients = 0                  # Patient resources
        self.kinds: Counter[str] = Counter()
        self.problems = Counter(found.code for found in listing.problems)

    def resources(self) -> Iterator[tuple[str, Resource, int]]:
        """(type, resource, a number for its patient; 0 = not stated) of everything that can be read."""
        sources = self._listing.sources
        for part in parts(sources):
            for piece in part:
                source = sources[piece.source]
                if source.deleted:
                    continue
                for found in lines_of(source, piece) if piece.lines else documents_of(source):
                    if isinstance(found, Problem):
                        self.problems[found.code] += 1
                        continue
                    self.documents += 1
                    content = found[1]
                    if isinstance(content, bytes):
                        yield from self._line(content)
                    else:
                        yield from self._decoded(content.content)

    def _line(self, line: bytes) -> Iterator[tuple[str, Resource, int]]:
        try:
            resource = _resource(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                yield from self._decoded(decode(line))
            except InputError:
                self.problems["not-json"] += 1
        else:
            yield from self._inside(resource, "", {}, 0)

    def _decoded(self, content: object) -> Iterator[tuple[str, Resource, int]]:
        for one in content if isinstance(content, list) else [content]:
            try:
                resource = _resource(_encode(one))
            except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
                self.problems["not-an-object"] += 1
            else:
                yield from self._inside(resource, "", {}, 0)

    def _inside(
        self, resource: Resource, owner: str, urls: dict[str, str], depth: int
    ) -> Iterator[tuple[str, Resource, int]]:
        """The resource and those within it. `owner`: whose it is if it does not say; `urls`: fullUrl -> Patient/x."""
        kind = text(_plain(resource.resourceType))
        if depth > DEEPEST:
            self.problems["too-deep"] += 1
            return
        if kind in ("Bundle", "Parameters"):
            entries = list(_entries(resource.entry if kind == "Bundle" else resource.parameter))
            held = [(entry, _resource(entry.resource)) for entry in entries if _is_object(entry.resource)]
            patients = {
                text(_plain(entry.fullUrl)): f"Patient/{text(_plain(one.id))}"
                for entry, one in held
                if text(_plain(one.resourceType)) == "Patient"
            }
            for _, one in held:
                yield from self._inside(one, "", patients, depth + 1)
            return
        if not kind:
            self.problems["no-resource-type"] += 1
            return
        self.kinds[kind if kind in _KINDS else "other"] += 1
        if kind == "Patient":
            self.patients += 1
            return
        owner = _owner(resource, urls) or owner
        yield kind, resource, hash(owner) if owner else 0
        for raw in _items(resource.contained):
            one = _resource(raw)
            if text(_plain(one.resourceType)) not in ("Patient", ""):
                yield from self._inside(one, owner, urls, depth + 1)


def _entries(element: Raw, depth: int = 0) -> Iterator[Resource]:
    """The entries of a Bundle, or the parameters of a Parameters with their parts."""
    for raw in _items(element):
        entry = _resource(raw)
        yield entry
        if given(entry.part) and depth < DEEPEST:
            yield from _entries(entry.part, depth + 1)


def _owner(resource: Resource, urls: dict[str, str]) -> str:
    """The patient whom a resource names, in one spelling."""
    named = resource.subject if given(resource.subject) else resource.patient
    reference = obj(_plain(named)).get("reference") if given(named) else None
    if not isinstance(reference, str):
        return ""
    return urls.get(reference) or target_of(reference).key or reference


def _items(element: Raw) -> list[bytes]:
    """The objects of a list as bytes."""
    if not given(element):
        return []
    try:
        return [bytes(one) for one in _list(element) if _is_object(one)]
    except msgspec.MsgspecError:
        return [bytes(element)] if _is_object(element) else []


def _is_object(element: Raw) -> bool:
    return bytes(element).lstrip()[:1] == b"{"


def _plain(element: Raw) -> Any:
    """An element as standard JSON has it; None if it is none."""
    try:
        return msgspec.json.decode(element) if given(element) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
