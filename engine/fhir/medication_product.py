"""Which of the rules' drugs a medication holds, by code, by ingredient, and only then by name.

Order of search: the codings of the order or of its Medication; the ingredients of that Medication; where no code is
known, the names (text, display, local code, identifier). A code that is known to mean no drug of ours ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import msgspec

from engine.fhir.elements import Codings, Json, codings, obj, objects, text, words
from engine.fhir.medication_amount import UNKNOWN_STRENGTH, Strength, strength_of
from engine.terminology.content import Drug
from engine.terminology.terminology import Terminology

Resolve = Callable[[object], Json | None]
"""A Reference element -> the resource that it names, None = it is not there."""

_DEEPEST = 1  # an ingredient may be a Medication; its own ingredients are codes
_MANY = 2  # more ingredients than this: some of them may be minor
_MOST = 50  # ingredients that are looked at
_REMEMBERED = 8192  # products that orders name themselves
_FEW = 20  # codings and names of one that is remembered


class Product(msgspec.Struct, frozen=True):
    """The drugs of one medication, with what the source says of its strength and dose form."""

    drugs: tuple[Drug, ...] = ()
    strength: Strength = UNKNOWN_STRENGTH
    route: str = ""  # from the dose form of the Medication or from the name of the product
    named: frozenset[str] = frozenset()  # ingredients that no code states, only a name
    unmapped: tuple[str, ...] = ()  # the code systems whose codes no table knows
    dangling: bool = False  # the Medication that the order names is not there
    misspelt: bool = False  # no drug, but a code of our own systems


class _Sighting(msgspec.Struct, frozen=True):
    """What one CodeableConcept, Medication or ingredient says: its codings, its words, and the parts below it."""

    coded: Codings
    names: list[str]
    parts: Sequence[_Sighting] = ()
    ratios: Sequence[object] = ()
    form: object = None


_Found = tuple[Drug, bool]  # a drug, and whether only a name states it


def read_product(concept: object, reference: object, home: Json, terminology: Terminology, resolve: Resolve) -> Product:
    """The product of an order. `concept` is its CodeableConcept, `reference` its Reference (either may be missing),
    `home` the order itself, whose contained resources the reference may mean."""
    if not reference:
        coded, names = codings(concept), tuple(_names(concept))
        alone = _alone if len(coded) + len(names) <= _FEW else _alone.__wrapped__
        return alone(terminology, coded, names)
    medication = referred(reference, home, resolve)
    logical = obj(obj(reference).get("identifier"))      # a logical reference: the code of the product, or its name
    number = text(logical.get("value"))
    coded = (*codings(concept), *([(text(logical.get("system")), number)] if number else ()))
    sightings = [_Sighting(coded, [*_names(concept), number])]
    if medication is not None:
        sightings.append(_of_medication(medication, medication if "contained" in medication else home, resolve, 0))
    sightings[0].names.append(text(obj(reference).get("display")))
    return _seen(sightings, terminology, dangling=medication is None)


@lru_cache(maxsize=_REMEMBERED)
def _alone(terminology: Terminology, coded: Codings, names: tuple[str, ...]) -> Product:
    """The product that an order names itself; remembered, because real orders repeat the same few."""
    return _seen([_Sighting(coded, list(names))], terminology, dangling=False)


def _seen(sightings: list[_Sighting], terminology: Terminology, *, dangling: bool) -> Product:
    for sighting in sightings:
        found = _by_code(sighting, terminology)
        if found is not None:
            return _product(found, sightings, terminology, dangling)
    return _product(_by_name(sightings, terminology), sightings, terminology, dangling)


def _product(found: list[_Found], sightings: list[_Sighting], terminology: Terminology, dangling: bool) -> Product:
    drugs = _merged([drug for drug, _ in found])
    if not drugs:
        return Product(dangling=dangling, misspelt=any(terminology.misspelt(s.coded) for s in _all(sightings)))
    named = frozenset(drug.ingredient for drug, by_name in found if by_name)
    unmapped = {system for s in _all(sightings) for system, _ in s.coded if system} if named else set()
    names = [name for sighting in sightings for name in sighting.names if name]
    strength = UNKNOWN_STRENGTH
    if len(drugs) == 1:
        stated = [drug.strength for drug, _ in found if drug.strength]
        strength = strength_of([*names, *stated], _ratios(sightings, drugs[0], terminology), terminology.unit)
    forms = [sighting.form for sighting in sightings if sighting.form]
    route = next((route for form in forms if (route := route_of(form, terminology))), "")
    route = route or terminology.code("route", [("", name) for name in names])
    return Product(drugs, strength, route, named, tuple(sorted(unmapped)), dangling)


def route_of(concept: object, terminology: Terminology) -> str:
    """The route that a CodeableConcept (a route or a dose form) means by code, else in words; "" = not known."""
    coded = codings(concept)
    return terminology.code(
        "route", [*coded, *(("", said) for said in words(concept)), *(("", code) for _, code in coded)]
    )


# ---------------------------------------------------------------- what the source says


def _of_medication(medication: Json, home: Json, resolve: Resolve, depth: int) -> _Sighting:
    code = medication.get("code")
    identifiers = [text(identifier.get("value")) for identifier in objects(medication.get("identifier"))]
    ingredients = [
        _of_ingredient(ingredient, home, resolve, depth)
        for ingredient in objects(medication.get("ingredient"))[:_MOST]
        if ingredient.get("isActive") is not False
    ]
    form = medication.get("form") or medication.get("doseForm")
    return _Sighting(codings(code), [*_names(code), *identifiers], ingredients, (), form)


def _of_ingredient(ingredient: Json, home: Json, resolve: Resolve, depth: int) -> _Sighting:
    """R4: itemCodeableConcept | itemReference; R5: item with concept | reference."""
    item = obj(ingredient.get("item"))
    concept = ingredient.get("itemCodeableConcept") or item.get("concept")
    reference = ingredient.get("itemReference") or item.get("reference")
    keys = ("strength", "strengthRatio", "strengthQuantity")
    ratios = [ingredient[key] for key in keys if ingredient.get(key)]
    parts = []
    if reference and depth < _DEEPEST:
        below = referred(reference, home, resolve)
        if below is not None:
            parts = [_of_medication(below, home, resolve, depth + 1)]
    return _Sighting(codings(concept), [*_names(concept), text(obj(reference).get("display"))], parts, ratios)


def referred(reference: object, home: Json, resolve: Resolve) -> Json | None:
    """The resource behind a Reference: contained in `home`, or elsewhere."""
    if not reference:
        return None
    target = text(reference) or text(obj(reference).get("reference"))
    if target.startswith("#"):
        contained = objects(home.get("contained"))
        return next((resource for resource in contained if resource.get("id") == target[1:]), None)
    return resolve(reference)


def _names(concept: object) -> list[str]:
    """Text, displays, and the codes themselves, which may be a local system's name of the drug."""
    return [*words(concept), *(code for _, code in codings(concept))]


# ---------------------------------------------------------------- drugs


def _by_code(sighting: _Sighting, terminology: Terminology) -> list[_Found] | None:
    """The drugs that codes state; [] = the codes are known and mean none of ours; None = no code is known. Beside an
    ingredient with a known code, one without is found by name."""
    found = terminology.drugs(sighting.coded)
    if found:
        return [(drug, False) for drug in found]
    if terminology.known(sighting.coded):
        return []
    below = [(part, _by_code(part, terminology)) for part in sighting.parts]
    if all(drugs is None for _, drugs in below):
        return None
    return [
        (_minor(drug, len(below), terminology), by_name)
        for part, drugs in below
        for drug, by_name in (_by_name([part], terminology) if drugs is None else drugs)
    ]


def _by_name(sightings: Sequence[_Sighting], terminology: Terminology) -> list[_Found]:
    """The drugs that any name of the product gives, else the names of its ingredients."""
    found = [(drug, True) for s in sightings for name in s.names for drug in terminology.drugs_named(name)]
    if found:
        return found
    return [
        (_minor(drug, len(sighting.parts), terminology), True)
        for sighting in sightings
        for part in sighting.parts
        for drug, _ in _by_name([part], terminology)
    ]


def _minor(drug: Drug, ingredients: int, terminology: Terminology) -> Drug:
    if ingredients > _MANY and drug.ingredient in terminology.minor_of_many:
        return Drug(drug.ingredient, drug.route, minor=True)
    return drug


def _merged(found: list[Drug]) -> tuple[Drug, ...]:
    """One drug per ingredient, without those that anything calls minor; a stated route before none."""
    minor = {drug.ingredient for drug in found if drug.minor}
    merged: dict[str, Drug] = {}
    for drug in found:
        old = merged.get(drug.ingredient)
        if drug.ingredient not in minor and (old is None or (not old.route and drug.route)):
            merged[drug.ingredient] = drug
    return tuple(merged.values())


def _ratios(sightings: Sequence[_Sighting], drug: Drug, terminology: Terminology) -> list[object]:
    """The strength ratios of the ingredient that is this drug (or of the only ingredient)."""
    return [
        ratio
        for sighting in sightings
        for part in sighting.parts
        if len(sighting.parts) == 1 or drug.ingredient in {d.ingredient for d, _ in _by_code(part, terminology) or ()}
        for ratio in part.ratios
    ]


def _all(sightings: Sequence[_Sighting]) -> Iterator[_Sighting]:
    for sighting in sightings:
        yield sighting
        yield from _all(sighting.parts)
