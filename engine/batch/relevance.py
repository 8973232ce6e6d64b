"""Whom no rule can concern: decided from codes alone, before anything else of a resource is read.

An issue can fire only if one of its anchors holds (engine/rules/anchors.py), and an anchor can hold only if the record
has a concept or an ingredient that its fact reads. Concepts that are not `common` count as well, because the quality of
their data is a finding of its own. What else is odd enough to be told (a code that looks relevant and is unknown, a
drug that only its name states) counts too. A record with none of these has no findings, whatever else it says.
"""

from __future__ import annotations

import msgspec

from engine.batch.drift import Alikes
from engine.batch.subjects import Reference
from engine.errors import InputError
from engine.facts.base import ORDER
from engine.facts.definition import Definition
from engine.fhir.answers import RESPONSE, is_ours
from engine.fhir.decode import decode
from engine.fhir.elements import EMPTY, codings
from engine.fhir.grouping import CARRIERS, KINDS, MEDICATION_KINDS, SUPPORT_KINDS
from engine.fhir.lookup import Lookup
from engine.fhir.medication_product import read_product
from engine.fhir.record import declares_complete
from engine.rules.program import Issue
from engine.rules.ruleset import Ruleset

_REMEMBERED = 20_000
_LONGEST = 1_000                           # bytes of an element that is remembered
_NESTED = frozenset({"Bundle", "Parameters", ""})


class _Component(msgspec.Struct, gc=False):
    code: msgspec.Raw = msgspec.Raw()


class _Resource(msgspec.Struct, gc=False):
    resourceType: str = ""                             # noqa: N815
    id: str = ""
    code: msgspec.Raw = msgspec.Raw()
    component: list[_Component] = []
    contained: msgspec.Raw = msgspec.Raw()
    subject: Reference | None = None
    patient: Reference | None = None
    medicationCodeableConcept: msgspec.Raw = msgspec.Raw()   # noqa: N815
    medicationReference: msgspec.Raw = msgspec.Raw()         # noqa: N815
    medication: msgspec.Raw = msgspec.Raw()
    vaccineCode: msgspec.Raw = msgspec.Raw()                 # noqa: N815
    administeredProduct: msgspec.Raw = msgspec.Raw()         # noqa: N815
    questionnaire: msgspec.Raw = msgspec.Raw()


class _Entry(msgspec.Struct, gc=False):
    resource: _Resource
    fullUrl: str = ""                                  # noqa: N815


class _Bundle(msgspec.Struct, gc=False):
    resourceType: str                                  # noqa: N815
    entry: list[_Entry]
    meta: msgspec.Raw = msgspec.Raw()


class Relevance:
    """What in a resource may concern a rule, remembered by the bytes of its codes."""

    def __init__(self, ruleset: Ruleset, lookup: Lookup, alikes: Alikes | None = None) -> None:
        self._lookup = lookup
        self._alikes = alikes
        self._terminology = ruleset.terminology
        self.concepts, self.drugs = _rare(ruleset)
        self._codes: dict[str, dict[bytes, bool]] = {carrier: {} for carrier in CARRIERS.values()}
        self._of_kind = {kind: self._codes[carrier] for kind, carrier in CARRIERS.items()}
        self._products: dict[bytes, bool] = {}
        self._decode_bundle = msgspec.json.Decoder(_Bundle).decode
        self._decode = msgspec.json.Decoder(_Resource).decode

    def code(self, carrier: str, raw: bytes) -> bool:
        """Whether the code of a resource or component may concern a rule. `raw`: a CodeableConcept as JSON."""
        codes = self._codes[carrier]
        found = codes.get(raw)
        if found is None:
            known = self._lookup.known(carrier, codings(_decoded(raw)))
            found = known.named or known.suspicious or any(one.concept in self.concepts for one in known.meanings)
            found = found or self.looks_alike(carrier, raw)
            if len(raw) <= _LONGEST:
                _room(codes)[raw] = found
        return found

    def looks_alike(self, carrier: str, raw: bytes) -> bool:
        """Whether a code means nothing and looks as if it should; it is read so that it is counted."""
        return self._alikes is not None and bool(self._alikes.of(carrier, raw))

    def product(self, raw: bytes) -> bool:
        """Whether a drug may concern a rule. `raw`: the CodeableConcept of an order as JSON."""
        found = self._products.get(raw)
        if found is None:
            product = read_product(_decoded(raw), None, EMPTY, self._terminology, lambda _: None)
            ours = any(drug.ingredient in self.drugs for drug in product.drugs)
            found = bool(product.named) or product.misspelt or ours
            if len(raw) <= _LONGEST:
                _room(self._products)[raw] = found
        return found

    def bundle(self, raw: bytes) -> str:
        """The patient ("Patient/x") of a Bundle that concerns no rule; "" = it has to be read.

        Only of a plain Bundle: one Patient, whose data all the rest is, nothing contained or nested, and no word of
        its own on how complete it is.
        """
        try:
            bundle = self._decode_bundle(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        if bundle.resourceType != "Bundle" or (bundle.meta and declares_complete(_decoded(bundle.meta), self._lookup)):
            return ""
        patients = [entry for entry in bundle.entry if entry.resource.resourceType == "Patient"]
        if len(patients) != 1 or not patients[0].resource.id:
            return ""
        own = f"Patient/{patients[0].resource.id}"
        url = patients[0].fullUrl
        if url and not url.endswith(own) and not url.startswith("urn:uuid:"):
            return ""
        owners = (own, url)
        of_kind = self._of_kind
        for entry in bundle.entry:
            resource = entry.resource
            kind = resource.resourceType
            if (
                (codes := of_kind.get(kind)) is not None
                and not resource.component
                and not resource.contained
                and (subject := resource.subject) is not None
                and subject.reference in owners
                and codes.get(bytes(resource.code)) is False
            ):
                continue                       # as most do: plain, and its code is known to mean nothing
            if kind in SUPPORT_KINDS and not resource.contained:
                continue
            if kind in _NESTED or (kind in KINDS and self._concerns(resource, kind, owners)):
                return ""
        return own

    def order(self, raw: bytes) -> tuple[str, str, str, bool]:
        """(type, id, subject, whether it may concern a rule) of a medication entry; "" = it has to be read in full."""
        try:
            resource = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "", "", "", True
        subject = resource.subject or resource.patient
        concerns = self._concerns(resource, resource.resourceType, ())
        return resource.resourceType, resource.id, subject.reference if subject else "", concerns

    def _concerns(self, resource: _Resource, kind: str, owners: tuple[str, ...]) -> bool:
        if resource.contained:
            return True
        if kind == RESPONSE:
            return is_ours(_decoded(resource.questionnaire), self._terminology)
        carrier = CARRIERS.get(kind)
        subject = resource.subject or resource.patient
        if owners and (carrier or kind in MEDICATION_KINDS) and (subject is None or subject.reference not in owners):
            return True
        if carrier:
            if resource.code and self.code(carrier, bytes(resource.code)):
                return True
            return any(part.code and self.code(carrier, bytes(part.code)) for part in resource.component)
        if kind not in MEDICATION_KINDS:
            return False
        if resource.medicationReference or resource.medication or resource.administeredProduct:
            return True
        concept = resource.vaccineCode if kind == "Immunization" else resource.medicationCodeableConcept
        return bool(concept) and self.product(bytes(concept))


def _rare(ruleset: Ruleset) -> tuple[frozenset[str], frozenset[str]]:
    """Concepts and ingredients that can make anybody relevant."""
    base, terminology = ruleset.facts, ruleset.terminology
    ingredients = terminology.ingredients
    named = base.touched_concepts() | {
        entry.meaning.concept for codes in ruleset.content.entries.values() for rows in codes.values() for entry in rows
    }
    common = {name for name, concept in base.tables.concepts.items() if concept.common}
    concepts, drugs = set(named - common), set[str]()
    giver = {name: definition for definition in base.definitions for name in definition.values()}
    for rule in (*ruleset.program.patient, *ruleset.program.order):
        for anchor in rule.anchors if isinstance(rule, Issue) else ():
            reads, takes = _read_by(anchor.fact, giver)
            if not reads and not takes:
                if not anchor.values <= ingredients:   # a fact of the patient or the record: anybody may be relevant
                    return frozenset(named), ingredients
                takes = set(anchor.values)
            concepts |= reads
            drugs |= takes
    for name, concept in base.tables.concepts.items():
        if concept.computed is not None and name in concepts:   # made of two, of which one is enough to look for
            concepts.add(concept.computed.source)
    return frozenset(concepts), frozenset(drugs)


def _read_by(fact: str, giver: dict[str, Definition]) -> tuple[set[str], set[str]]:
    """Concepts and ingredients that a fact may rest on, those of the facts that it follows or needs included."""
    concepts, drugs = set[str](), set[str]()
    seen, stack = set[str](), [fact]
    while stack:
        name = stack.pop()
        definition = giver.get(name)
        if name in seen or definition is None:
            continue
        seen.add(name)
        drugs |= definition.drugs()
        if not (definition.name.startswith(ORDER) and definition.drugs()):   # of an order of one of its drugs
            concepts |= definition.reads()
        stack += [*definition.follows(), *definition.needs()]
    return concepts, drugs


def _decoded(raw: bytes | msgspec.Raw) -> object:
    try:
        return decode(bytes(raw))
    except InputError:
        return None


def _room(memory: dict[bytes, bool]) -> dict[bytes, bool]:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    return memory
