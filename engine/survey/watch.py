"""What one resource after another adds to a survey. Only codes, units and counts are kept, never a value or an id."""

from __future__ import annotations

from datetime import date

import msgspec

from engine.facts.concept import Concept
from engine.facts.quantity import factor_of
from engine.fhir.elements import EMPTY, Json, codings, obj, objects, words
from engine.fhir.grouping import CARRIERS, MEDICATION_KINDS
from engine.fhir.lookup import lookup_for
from engine.fhir.quantities import limits, unit_of
from engine.fhir.statuses import UNUSED, observation_status, procedure_status, verification
from engine.model.record import Quantity
from engine.rules.ruleset import Ruleset
from engine.survey.book import VERIFIED, Book, Unknown
from engine.survey.feed import Resource, given, value
from engine.survey.products import Products, displays
from engine.survey.systems import System
from engine.survey.tally import Cell
from engine.terminology.names import Names

_REMEMBERED = 50_000
_LONGEST = 2_000                           # bytes of an element that is remembered


class _Code(msgspec.Struct):
    """What the code of resources means, remembered by its bytes."""

    concepts: tuple[str, ...] = ()
    known: tuple[tuple[str, Cell | None, str], ...] = ()      # concept, cell of its code, display
    drugs: tuple[tuple[str, Cell | None], ...] = ()
    unknown: tuple[tuple[Unknown, str], ...] = ()
    systems: tuple[System, ...] = ()
    maybe: tuple[str, ...] = ()                               # concepts that it would state, were it known
    worded: tuple[str, ...] = ()                              # concepts that only its words name
    textual: bool = False                                     # it has no coding at all


_NO_CODE = _Code()


class Watch:
    """Looks at resources and keeps the book."""

    def __init__(self, ruleset: Ruleset, names: Names, fewest: int, as_of: date) -> None:
        self._ruleset = ruleset
        self._terminology = ruleset.terminology
        self._lookup = lookup_for(self._terminology)
        self._names = names
        self._codes: dict[tuple[str, bytes], _Code] = {}
        self.book = Book(self._terminology, fewest)
        self._products = Products(self.book, self._terminology, as_of)

    # ------------------------------------------------------------ entrance

    def add(self, kind: str, resource: Resource, patient: int) -> None:
        """One resource."""
        carrier = CARRIERS.get(kind)
        if carrier is not None:
            self._carried(kind, carrier, resource, patient)
        elif kind in MEDICATION_KINDS:
            self._products.ordered(kind, resource, patient)
        elif kind == "Medication":
            self._products.medication(resource, patient)

    # ------------------------------------------------------------ codes

    def _carried(self, kind: str, carrier: str, resource: Resource, patient: int) -> None:
        code = self._coded(carrier, resource.code, patient)
        concepts = list(code.concepts)
        if kind == "Observation":
            self._valued(code, resource, patient)
        for part in objects(value(resource.component)) if given(resource.component) else ():
            raw = msgspec.json.encode(part.get("code"))
            found = self._coded(carrier, msgspec.Raw(raw), patient)
            self._valued(found, _resource_of(part), patient)
            concepts += found.concepts
        if not concepts:
            return
        undated = self.book.stated(kind, resource, _status(kind, resource) == UNUSED)
        for concept in set(concepts):
            self.book.concepts[concept].carriers[carrier] += 1
            self.book.concepts[concept].undated += undated

    def _coded(self, carrier: str, raw: msgspec.Raw, patient: int) -> _Code:
        """What a code means; it is counted."""
        if not given(raw):
            return _NO_CODE
        key = (carrier, bytes(raw))
        found = self._codes.get(key)
        if found is None:
            found = self._find(carrier, value(raw))
            if len(key[1]) <= _LONGEST:
                if len(self._codes) >= _REMEMBERED:
                    self._codes.clear()
                self._codes[key] = found
        self.book.textual[carrier] += found.textual
        for concept in found.worded:
            self.book.worded[concept] += 1
        for concept in found.concepts:
            self.book.concepts[concept].count += 1
        for _, cell, display in found.known:
            if cell is not None:
                cell.add(patient, display)
        for ingredient, cell in found.drugs:
            self.book.drugs[ingredient].count += 1
            if cell is not None:
                cell.add(patient)
        for one, display in found.unknown:
            one.cell.add(patient, display)
        for system in found.systems:
            system.add(patient)
        return found

    def _find(self, carrier: str, concept: object) -> _Code:
        coded = codings(concept)
        shown = displays(concept)
        known = self._lookup.known(carrier, coded)
        code = _Code(textual=not coded)
        if not coded:
            found = (m for said in words(concept) for m in self._names.matches(said, carrier) if m.whole)
            code.worded = tuple(dict.fromkeys(match.concept for match in found))
            return code
        code.concepts = tuple(dict.fromkeys(meaning.concept for meaning in known.meanings))
        for name in code.concepts:
            cells = self.book.concept(name)
            code.known += tuple(
                (name, cells.codes.cell(self._canonical(one)), shown.get(one, ""))
                for one in coded
                if any(m.concept == name for m in self._terminology.concepts(carrier, (one,)))
            )
        if carrier == "procedure":
            code.drugs = tuple(
                (drug.ingredient, self.book.drug(drug.ingredient).codes.cell(self._canonical(one)))
                for one in coded
                for drug in self._terminology.drugs((one,))
            )
        if not code.concepts and not code.drugs and not self._terminology.known(coded):
            for one in coded:
                self._look(carrier, one, shown.get(one, ""), code)
        return code

    def _look(self, carrier: str, coding: tuple[str, str], display: str, code: _Code) -> None:
        """One coding of a code that means nothing: does it look relevant?"""
        system, written = coding
        same: tuple[str, ...] = ()
        family = ""
        unknown: System | None = None
        if self._terminology.short_name(system):
            family = self._terminology.short_name(system) if self._terminology.unrecognised((coding,)) else ""
        else:
            unknown = self.book.systems.system(system)
            if unknown is None:
                self.book.more["systems"] += 1
                return
            code.systems += (unknown,)
            same, family = unknown.judge(written)
        matches = self._names.matches(display, carrier) if display else []
        if not (same or family or matches):
            return
        one = self.book.unknown.get(coding)
        if one is None:
            if len(self.book.unknown) >= _REMEMBERED // 10:
                self.book.more["codes"] += 1
                return
            one = self.book.unknown[coding] = Unknown(written, self.book.fewest)
            one.same, one.family, one.system = same, family, unknown
        one.carriers[carrier] = None
        one.matches |= {(match.concept, carrier): match for match in matches}
        code.unknown += ((one, display),)
        would = ((self._ruleset.content.systems[name].uri, written) for name in same)
        meanings = [meaning for known in would for meaning in self._terminology.concepts(carrier, (known,))]
        named = [match.concept for match in matches if match.whole]
        code.maybe = tuple(dict.fromkeys((*code.maybe, *named, *(meaning.concept for meaning in meanings))))

    def _canonical(self, coding: tuple[str, str]) -> tuple[str, str]:
        return self._terminology.system(coding[0]), coding[1]

    # ------------------------------------------------------------ values, statuses, dates

    def _valued(self, code: _Code, resource: Resource, patient: int) -> None:
        if not (code.concepts or code.maybe):
            return
        quantity = obj(value(resource.valueQuantity)) if given(resource.valueQuantity) else EMPTY
        if not quantity:
            return
        unit = unit_of(quantity, self._terminology)
        ranges = objects(value(resource.referenceRange))
        low, high = limits(ranges, self._terminology, _ignored) if ranges else (None, None)
        stated = given(resource.interpretation) or low is not None or high is not None
        for name in (*code.concepts, *code.maybe):
            concept = self._ruleset.facts.tables.concepts.get(name) or Concept(name=name)
            if concept.unit and (not unit or factor_of(unit, concept) is None):
                self.book.units.add((unit, name), patient)
        for name in code.concepts:
            cells = self.book.concepts[name]
            cells.numbers += 1
            cells.without_range += not stated
            cells.units.add(unit, patient)
            if low is not None or high is not None:
                range_unit = next((limit.unit for limit in (low, high) if limit is not None and limit.unit), unit)
                cells.ranges.add((range_unit, _number(low), _number(high)), patient)


_PARTS = ("valueQuantity", "referenceRange", "interpretation")


def _resource_of(component: Json) -> Resource:
    """A component as the part of an Observation that it is like."""
    raw = msgspec.json.Encoder(decimal_format="number").encode
    return Resource(**{name: msgspec.Raw(raw(component[name])) for name in _PARTS if component.get(name) is not None})




def _status(kind: str, resource: Resource) -> str:
    """UNUSED if the status keeps an entry from counting."""
    if kind in VERIFIED:
        said = {"verificationStatus": value(resource.verificationStatus)}
        return UNUSED if verification(said, _ignored) == "entered-in-error" else ""
    said = {"status": value(resource.status)}
    return procedure_status(said, _ignored)[0] if kind == "Procedure" else observation_status(said, _ignored)


def _number(limit: Quantity | None) -> str:
    return "" if limit is None else str(limit.value)


def _ignored(_code: str, _message: str) -> None:
    """What is odd in a single value is not counted."""
