"""Codes that look relevant and that no table knows: how often they are met, in bounded memory and without patient data.

A code looks relevant if it is one that the value sets have under another system or a new member of a reported family
(`Terminology.unrecognised`), if its display is a name of a concept, or if a drug is known by its name alone. A feed
whose local codes were renamed or never mapped shows here first: the rules that rest on them only fall silent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import Place
from engine.fhir.elements import Codings, Json, codings, items, obj, objects, text, words
from engine.fhir.grouping import CARRIERS, MEDICATION_KINDS
from engine.rules.ruleset import Ruleset
from engine.terminology.names import Names
from engine.terminology.rows import CARRIERS as CARRIER_NAMES
from engine.terminology.rows import Row

CODE, NAME, DRUG = "a known code or family, in another system", "the name of a concept", "the name of a drug"
PRODUCT = "medication"
FEWEST = 2                                 # patients in whom a code must be met to be shown
MOST_SHOWN = 200
_MOST = 5_000                              # different codes of one part; of all of them ten times as many
_LONGEST = 120                             # characters of a system or a code that is shown
_REMEMBERED, _LONGEST_RAW = 20_000, 1_000
_encode = msgspec.json.Encoder(decimal_format="number").encode
_PRODUCTS = MEDICATION_KINDS | {"Medication"}
_FURTHER = frozenset({"component", "medication", "vaccineCode"})    # where a second code may stand
_NOTHING: tuple[Alike, ...] = ()


class Alike(msgspec.Struct, frozen=True, order=True):
    """An unknown code and why it looks relevant; `like`: the concepts or drugs of that name."""

    carrier: str
    system: str
    code: str
    why: str
    like: tuple[str, ...] = ()


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """How often one was met in a part. `patients`: hashes of the first few, to know whether there are enough."""

    alike: Alike
    entries: int
    patients: tuple[int, ...]


class Alikes:
    """Says of a CodeableConcept which unknown codes of it look relevant; remembered by its bytes."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._terminology = ruleset.terminology
        self._names = _names(ruleset)
        self._found: dict[tuple[str, bytes], tuple[Alike, ...]] = {}
        self._plain: dict[tuple[object, ...], bool] = {}

    def of(self, carrier: str, raw: bytes) -> tuple[Alike, ...]:
        """`raw`: the CodeableConcept as JSON; `carrier`: as the terminology has it, or `medication`."""
        key = (carrier, raw)
        found = self._found.get(key)
        if found is None:
            found = self._look(carrier, _decoded(raw))
            if len(raw) <= _LONGEST_RAW:
                if len(self._found) >= _REMEMBERED:
                    self._found.clear()
                self._found[key] = found
        return found

    def is_plain(self, kind: str, resource: Json) -> bool:
        """Whether a resource has one code and nothing alike, as most have; told without encoding anything."""
        carrier, held = CARRIERS.get(kind), "code"
        if carrier is None:
            if kind not in MEDICATION_KINDS:
                return kind not in _PRODUCTS
            carrier, held = PRODUCT, "medicationCodeableConcept"
        try:
            concept = resource[held]
            if not _FURTHER.isdisjoint(resource) or "concept" in concept:
                return False
            (one,) = concept["coding"]
            key = kind, one["system"], one["code"], one.get("display"), concept.get("text")
            found = self._plain.get(key)
        except (KeyError, TypeError, ValueError):
            return False
        if found is None:
            if len(self._plain) >= _REMEMBERED:
                self._plain.clear()
            found = self._plain[key] = not self._look(carrier, concept)
        return found

    def _look(self, carrier: str, concept: object) -> tuple[Alike, ...]:
        coded = codings(concept)
        if not coded or self._terminology.known(coded):
            return _NOTHING
        shown = {(text(one.get("system")), text(one.get("code"))): text(one.get("display"))
                 for one in objects(obj(concept).get("coding"))}  # fmt: skip
        if carrier == PRODUCT:
            return tuple(self._products(concept, coded))
        return tuple(
            Alike(carrier, system[:_LONGEST], code[:_LONGEST], why, like)
            for system, code in coded
            for why, like in self._why(carrier, system, code, shown.get((system, code), ""))
        )

    def _why(self, carrier: str, system: str, code: str, display: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        named = [match.concept for match in self._names.matches(display, carrier) if match.whole] if display else []
        if self._terminology.unrecognised(((system, code),)):
            yield CODE, tuple(sorted(named))
        elif named and not self._terminology.short_name(system):
            yield NAME, tuple(sorted(named))

    def _products(self, concept: object, coded: Codings) -> Iterator[Alike]:
        drugs = {drug.ingredient for said in words(concept) for drug in self._terminology.drugs_named(said)}
        if drugs:
            for system, code in coded:
                yield Alike(PRODUCT, system[:_LONGEST], code[:_LONGEST], DRUG, tuple(sorted(drugs)))


class Met:
    """What one part met."""

    def __init__(self, alikes: Alikes) -> None:
        self._alikes = alikes
        self._found: dict[Alike, tuple[int, tuple[int, ...]]] = {}

    def resource(self, resource: Json, patient: str) -> None:
        """One resource of a patient, decoded."""
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or self._alikes.is_plain(kind, resource):
            return
        for carrier, concept in _concepts(kind, resource):
            self._add(self._alikes.of(carrier, _encode(concept)), patient)

    def raw(self, raw: bytes, patient: str) -> None:
        """The same, as JSON."""
        self.resource(obj(_decoded(raw)), patient)

    def bundle(self, bundle: Json) -> None:
        """All of a Bundle: it is of its one Patient, or each resource of its own subject."""
        resources = [obj(entry.get("resource")) for entry in objects(bundle.get("entry"))]
        patients = [text(one.get("id")) for one in resources if one.get("resourceType") == "Patient"]
        owner = f"Patient/{patients[0]}" if len(patients) == 1 else ""
        for resource in resources:
            subject = obj(resource.get("subject") or resource.get("patient"))
            self.resource(resource, owner or text(subject.get("reference")))

    def _add(self, alikes: Iterable[Alike], patient: str) -> None:
        for alike in alikes:
            entries, patients = self._found.get(alike, (0, ()))
            if not entries and len(self._found) >= _MOST:
                return
            self._found[alike] = entries + 1, _with(patients, zlib.crc32(patient.encode("utf-8", "replace")))

    def found(self) -> Iterator[Unknown]:
        """For the results of the part."""
        for alike, (entries, patients) in sorted(self._found.items()):
            yield Unknown(alike, entries, patients)


class Book:
    """What all parts met, brought together."""

    def __init__(self) -> None:
        self._found: dict[Alike, tuple[int, tuple[int, ...]]] = {}

    def add(self, unknown: Unknown) -> None:
        """What one part met of a code."""
        entries, patients = self._found.get(unknown.alike, (0, ()))
        if entries or len(self._found) < 10 * _MOST:
            for patient in unknown.patients:
                patients = _with(patients, patient)
            self._found[unknown.alike] = entries + unknown.entries, patients

    def summary(self) -> dict[str, Any]:
        """The most frequent codes of enough patients; `rare` and `more`: how many codes are not shown, because too few
        patients have them or because there are too many."""
        enough = [(alike, entries) for alike, (entries, patients) in self._found.items() if len(patients) >= FEWEST]
        ranked = sorted(enough, key=lambda item: (-item[1], item[0]))
        return {
            "codes": [{**msgspec.to_builtins(alike), "entries": entries} for alike, entries in ranked[:MOST_SHOWN]],
            "rare": len(self._found) - len(enough),
            "more": max(len(ranked) - MOST_SHOWN, 0),
        }


def _with(patients: tuple[int, ...], patient: int) -> tuple[int, ...]:
    return patients if len(patients) >= FEWEST or patient in patients else tuple(sorted((*patients, patient)))


def _concepts(kind: str, resource: Json) -> Iterator[tuple[str, object]]:
    """What names the thing that a resource is about, with its carrier."""
    if carrier := CARRIERS.get(kind):
        if code := resource.get("code"):
            yield carrier, code
        for part in objects(items(resource.get("component"))) if "component" in resource else ():
            if code := part.get("code"):
                yield carrier, code
    elif kind in _PRODUCTS:
        medication = resource.get("medication")
        for concept in (
            resource.get("medicationCodeableConcept"),
            resource.get("vaccineCode"),
            medication.get("concept") if isinstance(medication, dict) else None,
            resource.get("code") if kind == "Medication" else None,
        ):
            if concept:
                yield PRODUCT, concept


def _names(ruleset: Ruleset) -> Names:
    """The names of concepts: their titles, and the displays of the codes that are written for them."""
    content = ruleset.content
    place = Place(str(Path(ruleset.id)))
    carriers = {
        (entry.meaning.concept, carrier)
        for entry in chain.from_iterable(rows for codes in content.entries.values() for rows in codes.values())
        if not entry.exclude
        for carrier in entry.carriers
    }
    shown = {
        (concept, carrier): coding.display
        for carrier in CARRIER_NAMES
        for concept, coding in content.preferred.get(carrier, {}).items()
    }
    rows = [
        Row("concept", place, {"concept": concept, "carriers": carrier, "use": "",
                               "display": shown.get((concept, carrier), "")})
        for concept, carrier in sorted(carriers)
    ]  # fmt: skip
    return Names(rows, {name: concept.title for name, concept in ruleset.facts.tables.concepts.items()})


def _decoded(raw: bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
