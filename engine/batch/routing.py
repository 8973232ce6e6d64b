"""To whom a single resource of a bulk export belongs, found with as little reading as it takes.

A line is decoded by a narrow typed reader first: its type, its codes, its subject. What means nothing to the rules ends
there, as a version that may supersede another one. What the narrow reader refuses (a wrong type, a subject that is no
plain reference, a code without a coding) is read in full; `engine.fhir` then decides as it does everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from engine.batch.meanings import NOTHING, RARE, TO_READ
from engine.batch.sentinel import with_a_patient
from engine.batch.spill import GONE, IDENTIFIERS, PARKED, PATIENT, SHARED, Named, Row, Spill
from engine.batch.subjects import Reference, simple, simply_of
from engine.batch.tools import Tools
from engine.batch.wants import SHARED_KINDS, Wants
from engine.fhir.answers import RESPONSE, is_ours
from engine.fhir.bundle import parts_of
from engine.fhir.decode import decode
from engine.fhir.elements import EMPTY, Json, obj, objects, text
from engine.fhir.grouping import CARRIERS, KINDS, MEDICATION_KINDS, SUPPORT_KINDS, Group
from engine.fhir.problems import problem
from engine.fhir.references import identifier_of, identifiers_of, target_of
from engine.fhir.subjects import patients_of
from engine.model.problem import Problem

NESTED = frozenset({"", "Bundle", "Parameters", "OperationOutcome"})


class _Component(msgspec.Struct, gc=False):
    code: msgspec.Raw = msgspec.Raw()


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


class Router:
    """Sorts single resources into compartments: a kind of row, and the partition of its key. `odd` is told problems,
    each with the file in which it is."""

    def __init__(self, tools: Tools, spill: Spill, odd: Callable[[Problem, str], None]) -> None:
        self._lookup = tools.meanings.lookup
        self._relevance = tools.relevance
        self._meanings = tools.meanings
        self._partition = tools.setup.partition
        self._files = tools.names
        self._put = spill.put
        self._tell = odd
        self._decode = msgspec.json.Decoder(_Head).decode
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self.wants = Wants(tools.setup, spill)
        self.given = self.kept = self.parked = 0

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
        if not patient or means is TO_READ or head.contained:
            return self.content(raw, file, seq, suffix)
        key = f"{kind}/{head.id}" if head.id else ""
        if means is not NOTHING:
            self._keep(Row(patient, file, seq, suffix, raw, key, rare=means is RARE))
        elif key:
            meta = head.meta or _Meta()
            gone = Row(patient, file, seq, suffix, b"", key, meta.versionId, meta.lastUpdated, rare=False)
            self._put(PATIENT, self._partition(patient), gone)
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
        elif kind in SHARED_KINDS:
            self._shared(row)
        elif entry.resource is not EMPTY:
            self._owned(resource, group, row)
        elif kind in CARRIERS and row.key and (patient := simply_of(resource)):
            version, updated = text(meta.get("versionId")), text(meta.get("lastUpdated"))
            gone = msgspec.structs.replace(row, patient=patient, raw=b"", version=version, updated=updated, rare=False)
            self._put(PATIENT, self._partition(patient), gone)

    def deletions(self, bundle: Json, file: int, seq: int, suffix: str) -> None:
        """A Bundle of a manifest's `deleted`: what the export no longer holds."""
        for number, resource, _, deleted in parts_of(bundle, lambda _code, _message: None):
            if deleted:
                meta = obj(resource.get("meta"))
                key = f"{resource['resourceType']}/{resource['id']}"
                updated = text(meta.get("lastUpdated"))
                self._put(GONE, 0, Row("", file, seq, f"{suffix}: entry {number}", b"", key, "", updated))

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
        self._put(PATIENT, self._partition(name), msgspec.structs.replace(row, patient=name))

    def there(self, name: str, resource: Json) -> None:
        """Notes that a patient is given, and by which identifiers others may refer to it."""
        self.given += 1
        for system, value in identifiers_of(resource):
            identifier = f"{system}|{value}"
            self._put(IDENTIFIERS, self._partition(identifier), Named(identifier, name))

    def _shared(self, row: Row) -> None:
        if row.key:
            self._put(SHARED, self._partition(row.key), row)

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
            self._put(PARKED, self._partition(named), parked)
        elif own:
            self._keep(msgspec.structs.replace(row, patient=own))
        else:
            self._nobodys(resource, row)

    def _keep(self, row: Row) -> None:
        self.kept += 1
        partition = self._partition(row.patient)
        self._put(PATIENT, partition, row)
        self.wants.note(row.raw, partition)

    def _nobodys(self, resource: Json, row: Row) -> None:
        """Says why it belongs to nobody."""
        problems: list[Problem] = []
        group = with_a_patient(self._lookup, problems)
        group.add(resource, self._files[row.file] + row.suffix)
        patients_of(group)
        for found in problems:
            self._odd(found, row.file)

    def _odd(self, found: Problem, file: int) -> None:
        self._tell(found, self._files[file])
