"""To whom a single resource of a bulk export belongs, found with as little reading as it takes.

A line is decoded by a narrow typed reader first: its type, its codes, its subject. What means nothing to the rules ends
there, as a version that may supersede another one. What the narrow reader refuses (a wrong type, a subject that is no
plain reference, a code without a coding) is read in full; `engine.fhir` then decides as it does everywhere else.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Protocol

import msgspec

from engine.batch.relevance import Relevance
from engine.batch.spill import GONE, IDENTIFIERS, PARKED, PATIENT, SHARED, WANTED, Named, Row, Want
from engine.fhir.bundle import parts_of
from engine.fhir.decode import decode
from engine.fhir.elements import EMPTY, Codings, Json, obj, objects, text
from engine.fhir.grouping import CARRIERS, MEDICATION_KINDS, SUPPORT_KINDS, Group
from engine.fhir.lookup import Lookup
from engine.fhir.problems import problem
from engine.fhir.references import identifier_of, identifiers_of, target_of
from engine.fhir.subjects import patients_of
from engine.model.problem import Problem

_REFERENCE = re.compile(rb'(?:Medication|Organization)\\?/[^"#/\\?|]+')
_PLAIN = re.compile(r"Patient/[^/#?\s]+")
_SHARED = ("Medication", "Organization")
_KINDS = frozenset(CARRIERS) | MEDICATION_KINDS | SUPPORT_KINDS
_SENTINEL = {"resourceType": "Patient", "id": "_"}      # an id that no Patient can have


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []


class _Component(msgspec.Struct):
    code: _Concept | None = None


class _Reference(msgspec.Struct):
    reference: str = ""


class _Meta(msgspec.Struct):
    versionId: str = ""      # noqa: N815
    lastUpdated: str = ""    # noqa: N815


class _Head(msgspec.Struct):
    """What decides about a resource."""

    resourceType: str = ""   # noqa: N815
    id: str = ""
    code: _Concept | None = None
    subject: _Reference | None = None
    patient: _Reference | None = None
    component: list[_Component] = []
    contained: msgspec.Raw = msgspec.Raw()
    meta: _Meta | None = None


class Sink(Protocol):
    """Where rows and problems go."""

    def put(self, kind: str, number: int, row: Row | Want | Named) -> None: ...

    def odd(self, found: Problem, file: str) -> None: ...


class Router:
    """Sorts single resources into compartments: a kind of row, and the partition of its key."""

    def __init__(
        self, lookup: Lookup, relevance: Relevance, partitions: int, sink: Sink, files: list[str]
    ) -> None:
        self._lookup = lookup
        self._relevance = relevance
        self._partitions = partitions
        self._sink = sink
        self._files = files
        self._decode = msgspec.json.Decoder(_Head).decode
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self._wanted: set[tuple[str, int]] = set()
        self.given = self.kept = self.wants = self.parked = 0

    # ------------------------------------------------------------ entrances

    def line(self, raw: bytes, file: int, seq: int, suffix: str) -> object:
        """One line. What is no single resource comes back decoded, else None. Raises InputError: it is no JSON."""
        try:
            head = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._content(raw, file, seq, suffix)
        kind = head.resourceType
        carrier = CARRIERS.get(kind)
        if carrier is None:
            if kind in MEDICATION_KINDS and self._order(raw, file, seq, suffix):
                return None
            if kind in _KINDS or not kind or kind in ("Bundle", "Parameters", "OperationOutcome"):
                return self._content(raw, file, seq, suffix)
            return None
        patient = _simple(head.subject or head.patient)
        if not patient or (head.code is not None and not head.code.coding) or head.contained:
            return self._content(raw, file, seq, suffix)
        row = Row(patient, file, seq, suffix, raw, f"{kind}/{head.id}" if head.id else "")
        if (meanings := self._means(carrier, head)) is not None:
            self._keep(row if meanings & self._relevance.concepts else msgspec.structs.replace(row, rare=False))
        elif row.key:
            meta = head.meta or _Meta()
            gone = msgspec.structs.replace(row, raw=b"", version=meta.versionId, updated=meta.lastUpdated, rare=False)
            self._sink.put(PATIENT, self.partition(patient), gone)
        return None

    def resource(self, resource: Json, raw: bytes, file: int, seq: int, suffix: str) -> None:
        """One decoded resource that is no Bundle; `raw` may be empty."""
        kind = text(resource.get("resourceType"))
        where = self._files[file] + suffix
        if kind == "OperationOutcome":
            if any(text(issue.get("severity")) in ("error", "fatal") for issue in objects(resource.get("issue"))):
                self._odd(problem("failed-query", where, "is an error that stands where data should"), file)
            return
        if kind and kind not in _KINDS:
            return
        problems: list[Problem] = []
        group = Group(self._lookup, problems)
        group.add(resource, where)
        for found in problems:
            self._odd(found, file)
        if not group.entries:
            return
        entry = group.entries[0]
        meta = obj(resource.get("meta"))
        row = Row("", file, seq, suffix, raw or self._encode(resource), entry.key)
        if kind == "Patient":
            self._patient(resource, row)
        elif kind in _SHARED:
            self._shared(row)
        elif entry.resource is not EMPTY:
            self._owned(resource, group, row)
        elif kind in CARRIERS and row.key and (patient := _named_plainly(resource)):
            version, updated = text(meta.get("versionId")), text(meta.get("lastUpdated"))
            gone = msgspec.structs.replace(row, patient=patient, raw=b"", version=version, updated=updated, rare=False)
            self._sink.put(PATIENT, self.partition(patient), gone)

    def deletions(self, bundle: Json, file: int, seq: int, suffix: str) -> None:
        """A Bundle of a manifest's `deleted`: what the export no longer holds."""
        for number, resource, _, deleted in parts_of(bundle, lambda _code, _message: None):
            if deleted:
                meta = obj(resource.get("meta"))
                key = f"{resource['resourceType']}/{resource['id']}"
                self._sink.put(GONE, 0, Row("", file, seq, f"{suffix}: entry {number}", b"", key, "",
                                         text(meta.get("lastUpdated"))))

    def partition(self, key: str) -> int:
        """The partition of a key: the same in every process."""
        return zlib.crc32(key.encode("utf-8", "replace")) % self._partitions

    # ------------------------------------------------------------ one resource

    def _content(self, raw: bytes, file: int, seq: int, suffix: str) -> object:
        content = decode(raw)
        if not isinstance(content, dict) or content.get("resourceType") in ("Bundle", "Parameters"):
            return content
        self.resource(content, raw, file, seq, suffix)
        return None

    def _means(self, carrier: str, head: _Head) -> frozenset[str] | None:
        """The concepts of a resource; None if it means nothing. What must be read for another reason is rare."""
        concepts: set[str] = set()
        kept = False
        for code in (head.code, *(part.code for part in head.component)):
            if code is None:
                continue
            known = self._lookup.known(carrier, _codings(code))
            concepts.update(one.concept for one in known.meanings)
            odd = (known.named or known.suspicious) if code is head.code else not code.coding
            if odd:
                return self._relevance.concepts
            kept = kept or bool(known.meanings)
        return frozenset(concepts) if kept else None

    def _order(self, raw: bytes, file: int, seq: int, suffix: str) -> bool:
        """A medication entry whose drug concerns no rule is kept unread; False: it has to be read."""
        kind, identity, subject, concerns = self._relevance.order(raw)
        patient = "" if concerns or not identity else _simple(_Reference(subject))
        if patient:
            self._keep(Row(patient, file, seq, suffix, raw, f"{kind}/{identity}", rare=False))
        return bool(patient)

    def _patient(self, resource: Json, row: Row) -> None:
        self.given += 1
        name = row.key or f"Patient/_{row.file}-{row.seq}{row.suffix}"
        self._sink.put(PATIENT, self.partition(name), msgspec.structs.replace(row, patient=name, rare=False))
        for system, value in identifiers_of(resource):
            identifier = f"{system}|{value}"
            self._sink.put(IDENTIFIERS, self.partition(identifier), Named(identifier, name))

    def _shared(self, row: Row) -> None:
        if row.key:
            self._sink.put(SHARED, self.partition(row.key), row)

    def _owned(self, resource: Json, group: Group, row: Row) -> None:
        """A resource of somebody: by reference, by identifier, or by a Patient inside it."""
        subject = obj(resource.get("subject") or resource.get("patient"))
        string = text(subject.get("reference"))
        identifier = identifier_of(subject.get("identifier"))
        own = ""
        if string[:1] == "#":
            held = group.contained(string[1:], group.entries[0]) or EMPTY
            identifier = next(iter(identifiers_of(held)), None)
            own = f"{group.entries[0].reference}{string}" if held.get("resourceType") == "Patient" else ""
        elif string:
            target = target_of(string)
            identifier = target.identifier or identifier
            own = "" if target.identifier or target.type not in ("Patient", "") else target.key or target.url
        if own and string[:1] != "#":
            self._keep(msgspec.structs.replace(row, patient=own))
        elif identifier is not None:
            named = f"{identifier[0]}|{identifier[1]}"
            self.parked += 1
            parked = msgspec.structs.replace(row, patient=own, version=named)
            self._sink.put(PARKED, self.partition(named), parked)
        elif own:
            self._keep(msgspec.structs.replace(row, patient=own))
        else:
            self._nobodys(resource, row)

    def _keep(self, row: Row) -> None:
        self.kept += 1
        partition = self.partition(row.patient)
        self._sink.put(PATIENT, partition, row)
        self.want(row.raw, partition)

    def want(self, raw: bytes, partition: int) -> None:
        """Notes what a resource of a partition refers to and that may stand anywhere."""
        for key in references(raw):
            if (key, partition) not in self._wanted:
                self._wanted.add((key, partition))
                self.wants += 1
                self._sink.put(WANTED, self.partition(key), Want(key, partition))
                if len(self._wanted) > 200_000:
                    self._wanted.clear()

    def _nobodys(self, resource: Json, row: Row) -> None:
        """Says why it belongs to nobody."""
        problems: list[Problem] = []
        group = with_a_patient(self._lookup, problems)
        group.add(resource, self._files[row.file] + row.suffix)
        patients_of(group)
        for found in problems:
            self._odd(found, row.file)

    def _odd(self, found: Problem, file: int) -> None:
        self._sink.odd(found, self._files[file])


def references(raw: bytes) -> Iterator[str]:
    """What is shared by patients ("Medication/x", "Organization/y") and named in the bytes of a resource."""
    for found in _REFERENCE.findall(raw):
        yield found.replace(b"\\/", b"/").decode("utf-8", "replace")


def with_a_patient(lookup: Lookup, problems: list[Problem]) -> Group:
    """A group in which the patients are given, though none of them stands in it: names that lead nowhere are odd."""
    group = Group(lookup, problems)
    group.add(_SENTINEL, "")
    return group


def is_sentinel(reference: str) -> bool:
    """Whether a patient is the one that `with_a_patient` put there."""
    return reference == "Patient/_"


def _codings(concept: _Concept) -> Codings:
    return tuple([(one.system, code) for one in concept.coding if (code := one.code.strip())])


def _simple(subject: _Reference | None) -> str:
    """The patient's key, if the reference is of a usual form."""
    if subject is None:
        return ""
    reference = subject.reference
    if _PLAIN.fullmatch(reference):
        return reference
    target = target_of(reference)
    return target.key if target.type == "Patient" and target.identifier is None else ""


def _named_plainly(resource: Json) -> str:
    subject = obj(resource.get("subject") or resource.get("patient"))
    return _simple(_Reference(text(subject.get("reference"))))
