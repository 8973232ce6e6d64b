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
from engine.fhir.answers import RESPONSE, is_ours
from engine.fhir.bundle import parts_of
from engine.fhir.decode import decode
from engine.fhir.elements import EMPTY, Codings, Json, obj, objects, text
from engine.fhir.grouping import CARRIERS, KINDS, MEDICATION_KINDS, SUPPORT_KINDS, Group
from engine.fhir.lookup import Lookup
from engine.fhir.problems import problem
from engine.fhir.references import identifier_of, identifiers_of, target_of
from engine.fhir.subjects import patients_of
from engine.model.problem import Problem

_REFERENCE = re.compile(rb'[MO](?:edication|rganization)\\?/[^"#/\\?|]+')
_PLAIN = re.compile(r"Patient/[^/#?\s]+")
_SHARED = ("Medication", "Organization")
NESTED = frozenset({"", "Bundle", "Parameters", "OperationOutcome"})
_NOTHING, _COMMON, _RARE, _TO_READ = "nothing", "common", "rare", "to read"
_REMEMBERED, _LONGEST = 20_000, 1_000     # codes of resources that are remembered; bytes of the longest ones
_SENTINEL = {"resourceType": "Patient", "id": "_"}      # an id that no Patient can have


class _Coding(msgspec.Struct, gc=False):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct, gc=False):
    coding: list[_Coding] = []


class _Component(msgspec.Struct, gc=False):
    code: msgspec.Raw = msgspec.Raw()


class Reference(msgspec.Struct, gc=False):
    """Of a Reference no more than the string."""

    reference: str = ""


class _Meta(msgspec.Struct, gc=False):
    versionId: str = ""      # noqa: N815
    lastUpdated: str = ""    # noqa: N815


class _Head(msgspec.Struct, gc=False):
    """What decides about a resource."""

    resourceType: str = ""   # noqa: N815
    id: str = ""
    code: msgspec.Raw = msgspec.Raw()
    subject: Reference | None = None
    patient: Reference | None = None
    component: list[_Component] = []
    contained: msgspec.Raw = msgspec.Raw()
    meta: _Meta | None = None
    questionnaire: str = ""


class Sink(Protocol):
    """Where rows and problems go."""

    def put(self, kind: str, number: int, row: Row | Want | Named) -> None: ...

    def odd(self, found: Problem, file: str) -> None: ...


class Meanings:
    """What the codes of a resource and of its components, as JSON, mean to the rules; remembered by their bytes."""

    def __init__(self, lookup: Lookup, relevance: Relevance) -> None:
        self.lookup = lookup
        self._relevance = relevance
        self._concept = msgspec.json.Decoder(_Concept | None).decode
        self._meant: dict[str, dict[tuple[bytes, ...], str]] = {carrier: {} for carrier in CARRIERS.values()}

    def of(self, carrier: str, codes: tuple[bytes, ...]) -> str:
        """Nothing, something common, something rare; or the resource has to be read in full to know."""
        memory = self._meant[carrier]
        found = memory.get(codes)
        if found is None:
            found = self._looked_up(carrier, codes)
            if sum(map(len, codes)) <= _LONGEST:
                if len(memory) >= _REMEMBERED:
                    memory.clear()
                memory[codes] = found
        return found

    def can_wait(self, carrier: str, codes: tuple[bytes, ...]) -> bool:
        """Whether no rule is concerned by a resource of these codes alone."""
        return self.of(carrier, codes) in (_NOTHING, _COMMON)

    def _looked_up(self, carrier: str, codes: tuple[bytes, ...]) -> str:
        try:
            found = self._meaning(carrier, [self._concept(code) if code else None for code in codes])
            alike = (self._relevance.looks_alike(carrier, code) for code in codes if code)
            if found in (_NOTHING, _COMMON) and any(alike):
                found = _RARE
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = _TO_READ
        return found

    def _meaning(self, carrier: str, concepts: list[_Concept | None]) -> str:
        own = concepts[0]
        if own is not None and not own.coding:
            return _TO_READ
        found = _NOTHING
        for concept in concepts:
            if concept is None:
                continue
            known = self.lookup.known(carrier, _codings(concept))
            if (known.named or known.suspicious) if concept is own else not concept.coding:
                return _RARE                   # it has to be read for another reason than its meaning
            if known.meanings and found is _NOTHING:
                found = _COMMON
            if any(one.concept in self._relevance.concepts for one in known.meanings):
                found = _RARE
        return found


class Router:
    """Sorts single resources into compartments: a kind of row, and the partition of its key."""

    def __init__(
        self, meanings: Meanings, relevance: Relevance, partitions: int, sink: Sink, files: list[str]
    ) -> None:
        self._lookup = meanings.lookup
        self._relevance = relevance
        self._meanings = meanings
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
            return self.content(raw, file, seq, suffix)
        kind = head.resourceType
        carrier = CARRIERS.get(kind)
        if carrier is None:
            if kind in MEDICATION_KINDS and self._order(raw, file, seq, suffix):
                return None
            if kind == RESPONSE and not is_ours(head.questionnaire, self._lookup.terminology):
                return None
            if kind in KINDS or kind in NESTED:
                return self.content(raw, file, seq, suffix)
            return None
        patient = simple(head.subject or head.patient)
        codes = (bytes(head.code), *(bytes(part.code) for part in head.component))
        means = self._meanings.of(carrier, codes)
        if not patient or means is _TO_READ or head.contained:
            return self.content(raw, file, seq, suffix)
        key = f"{kind}/{head.id}" if head.id else ""
        if means is not _NOTHING:
            self._keep(Row(patient, file, seq, suffix, raw, key, rare=means is _RARE))
        elif key:
            meta = head.meta or _Meta()
            gone = Row(patient, file, seq, suffix, b"", key, meta.versionId, meta.lastUpdated, rare=False)
            self._sink.put(PATIENT, self.partition(patient), gone)
        return None

    def content(self, raw: bytes, file: int, seq: int, suffix: str) -> object:
        """The same of a line that is read in full."""
        content = decode(raw)
        if not isinstance(content, dict) or content.get("resourceType") in ("Bundle", "Parameters"):
            return content
        self.resource(content, raw, file, seq, suffix)
        return None

    def resource(self, resource: Json, raw: bytes, file: int, seq: int, suffix: str) -> None:
        """One decoded resource that is no Bundle; `raw` may be empty."""
        kind = text(resource.get("resourceType"))
        where = self._files[file] + suffix
        if kind == "OperationOutcome":
            if any(text(issue.get("severity")) in ("error", "fatal") for issue in objects(resource.get("issue"))):
                self._odd(problem("failed-query", where, "is an error that stands where data should"), file)
            return
        if kind and kind not in KINDS:
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
        rare = kind not in SUPPORT_KINDS       # an encounter by itself concerns no rule
        row = Row("", file, seq, suffix, raw or self._encode(resource), entry.key, rare=rare)
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

    def _order(self, raw: bytes, file: int, seq: int, suffix: str) -> bool:
        """A medication entry whose drug concerns no rule is kept unread; False: it has to be read."""
        kind, identity, subject, concerns = self._relevance.order(raw)
        patient = "" if concerns or not identity else simple(Reference(subject))
        if patient:
            self._keep(Row(patient, file, seq, suffix, raw, f"{kind}/{identity}", rare=False))
        return bool(patient)

    def _patient(self, resource: Json, row: Row) -> None:
        name = row.key or f"Patient/_{row.file}-{row.seq}{row.suffix}"
        self.there(name, resource)
        self._sink.put(PATIENT, self.partition(name), msgspec.structs.replace(row, patient=name))

    def there(self, name: str, resource: Json) -> None:
        """Notes that a patient is given, and by which identifiers others may refer to it."""
        self.given += 1
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


def _named_plainly(resource: Json) -> str:
    subject = obj(resource.get("subject") or resource.get("patient"))
    return simple(Reference(text(subject.get("reference"))))
