"""Drugs in a feed: by code, by name alone, and the codes of products that no table knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from functools import partial

import msgspec

from engine.fhir.elements import EMPTY, Codings, Json, codings, obj, objects, text
from engine.fhir.medication_amount import Strength, amount_of
from engine.fhir.medication_product import Product, read_product
from engine.fhir.medications import is_used
from engine.fhir.references import target_of
from engine.survey.book import DOSE, Book, ProductCode
from engine.survey.feed import Resource, value
from engine.terminology.terminology import Terminology

ANY_STRENGTH = Strength(Fraction(1), Fraction(1))             # with which a dose in tablets is one of a mass
_REMEMBERED = 50_000
_LONGEST = 2_000                           # bytes of an element that is remembered
_MOST_PRODUCTS = 20_000
_MOST_DRUGS = 20                           # that the names of one code give


class Products:
    """Reads what orders and Medications say of their drugs, each different wording once."""

    def __init__(self, book: Book, terminology: Terminology, as_of: date) -> None:
        self._book = book
        self._terminology = terminology
        self._as_of = as_of
        self._products: dict[bytes, tuple[Product, Codings, dict[tuple[str, str], str]]] = {}

    def ordered(self, kind: str, resource: Resource, patient: int) -> None:
        """An order, a statement, a supply or a vaccination."""
        if kind == "Immunization":
            administered = obj(value(resource.administeredProduct))
            concept = value(resource.vaccineCode) or administered.get("concept")
            reference = administered.get("reference")
        else:
            either = obj(value(resource.medication))           # R5
            concept = value(resource.medicationCodeableConcept) or either.get("concept")
            reference = value(resource.medicationReference) or either.get("reference")
        key = target_of(text(obj(reference).get("reference")) or text(reference)).key if reference else ""
        if key:
            self._book.refers(patient, hash(key))
        display = text(obj(reference).get("display"))
        raw = msgspec.json.encode({"concept": concept, "display": display})
        found = self._product(raw, partial(self._read, concept, None, display), patient, 0)
        if found:
            said = {"resourceType": kind, "status": value(resource.status), "taken": value(resource.taken),
                    "adherence": value(resource.adherence)}  # fmt: skip
            self._book.stated(kind, resource, not is_used(said, self._as_of))
        if found or key:
            self._dosed(value(resource.dosageInstruction) or value(resource.dosage), patient)

    def medication(self, resource: Resource, patient: int) -> None:
        """A Medication, which the orders of several patients may refer to."""
        content = {"resourceType": "Medication", "code": value(resource.code), "identifier": value(resource.identifier),
                   "ingredient": value(resource.ingredient)}  # fmt: skip
        identity = hash(f"Medication/{text(value(resource.id))}")
        self._product(msgspec.json.encode(content), partial(self._read, None, content), patient, identity)

    def _dosed(self, dosages: object, patient: int) -> None:
        """The units of doses that no table knows."""
        for dosage in objects(dosages):
            for holder in (dosage, *objects(dosage.get("doseAndRate")), *objects(dosage.get("dose"))):
                dose = obj(holder.get("doseQuantity"))
                written = [said for key in ("unit", "code") if (said := text(dose.get(key)))]
                if written and amount_of(dose | {"value": 1}, ANY_STRENGTH, self._terminology.unit) is None:
                    self._book.units.add((written[0], DOSE), patient)

    def _product(self, raw: bytes, read: Callable[[], Product], patient: int, through: int) -> bool:
        """Counts the drugs of an order or a Medication; returns whether there is any."""
        remembered = self._products.get(raw)
        if remembered is None:
            product = read()
            content = msgspec.json.decode(raw)
            concepts = [content.get("concept"), content.get("code")]
            coded = tuple(dict.fromkeys(one for concept in concepts for one in codings(concept)))
            shown = {key: said for concept in concepts for key, said in displays(concept).items()}
            remembered = product, coded, shown
            if len(raw) <= _LONGEST:
                if len(self._products) >= _REMEMBERED:
                    self._products.clear()
                self._products[raw] = remembered
        product, coded, shown = remembered
        for drug in product.drugs:
            cells = self._book.drug(drug.ingredient)
            cells.count += 1
            cells.by_name += drug.ingredient in product.named
        known = self._terminology.known(coded)
        for one in coded:
            for drug in self._terminology.drugs((one,)):
                canonical = self._terminology.system(one[0]), one[1]
                self._book.drug(drug.ingredient).codes.add(canonical, patient, "", through)
            if not known and one[0]:
                self._unknown_product(one, shown.get(one, ""), product, patient, through)
        return bool(product.drugs)

    def _unknown_product(
        self, coding: tuple[str, str], display: str, product: Product, patient: int, through: int
    ) -> None:
        seen = self._book.products.get(coding)
        if seen is None:
            if len(self._book.products) >= _MOST_PRODUCTS:
                self._book.more["product codes"] += 1
                return
            seen = self._book.products[coding] = ProductCode(self._book.fewest)
        seen.cell.add(patient, display, through)
        if not self._terminology.short_name(coding[0]) and (system := self._book.systems.system(coding[0])) is not None:
            system.add(patient, through)
            seen.same = system.judge(coding[1])[0]
        if len(seen.drugs) < _MOST_DRUGS:
            seen.drugs[tuple(sorted({drug.ingredient for drug in product.drugs}))] += 1
        seen.routes |= {drug.route or product.route for drug in product.drugs}

    def _read(self, concept: object, medication: Json | None, display: str = "") -> Product:
        """The product of a CodeableConcept, or of a Medication."""
        if medication is None:
            reference = {"reference": "", "display": display} if display else None
            return read_product(concept, reference, EMPTY, self._terminology, lambda _: None)
        here = {"reference": "Medication/_"}

        def resolve(wanted: object) -> Json | None:
            return medication if wanted is here else None

        return read_product(None, here, EMPTY, self._terminology, resolve)


def displays(concept: object) -> dict[tuple[str, str], str]:
    """(system, code) -> display of the codings of a CodeableConcept."""
    found: dict[tuple[str, str], str] = {}
    for coding in objects(obj(concept).get("coding")):
        for one in codings({"coding": [coding]}):
            if said := text(coding.get("display")):
                found.setdefault(one, said)
    return found
