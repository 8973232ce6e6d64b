"""A small made-up ruleset of result facts, and short ways to build records for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from engine.facts.concept import Computed, Concept, Needs
from engine.facts.definition import Band, Definition
from engine.facts.view import Tables, View
from engine.model.fact import UNKNOWN, Fact, Reason
from engine.model.record import Diagnosis, Medication, Person, Quantity, Record, Result

AS_OF = date(2025, 6, 1)


def ago(days: int) -> date:
    return AS_OF - timedelta(days=days)


def dec(value: str | float) -> Decimal:
    return Decimal(str(value))


CONCEPTS = {
    concept.name: concept
    for concept in (
        Concept(name="fog"),
        Concept(name="haze"),
        Concept(name="metal", reading="yes-no"),
        Concept(name="stage"),
        Concept(
            name="pull", title="Pull", unit="cm[H2O]", also={"kPa": dec("10.19716"), "mbar": dec("1.01972")},
            plausible=(dec(0), dec(300)), absolute=True, zero_not_done=True, worse="lower", preliminary=True,
            time_critical=True,
        ),
        Concept(name="share", unit="%", plausible=(dec(1), dec(200)), zero_not_done=True, worse="lower"),
        Concept(name="litres", unit="L", also={"mL": dec("0.001")}, plausible=(dec(0), dec(10)), zero_not_done=True),
        Concept(name="weight", unit="kg", plausible=(dec(1), dec(400)), worse="lower"),
        Concept(
            name="breath", unit="mL/kg", plausible=(dec(0), dec(120)), zero_not_done=True, worse="lower",
            computed=Computed(source="litres", per="weight", within=365, factor=dec(1000)),
        ),
        Concept(
            name="enzyme", title="Enzyme", unit="U/L", also={"ukat/L": dec(60)}, plausible=(dec(0), dec(20000)),
            reading="own-range",
        ),
        Concept(name="pigment", reading="own-range"),
        Concept(name="salt", reading="own-range", worse="lower"),
        Concept(
            name="antibody", unit="nmol/L", also={"pmol/L": dec("0.001")}, plausible=(dec(0), dec(5000)),
            reading="titre", positive_from=dec("0.5"), negative_to=dec("0.02"), time_critical=True,
        ),
        Concept(name="cell-assay", reading="yes-no", never_low=True),
        Concept(name="other-assay", reading="yes-no"),
        Concept(
            name="fade", unit="%", plausible=(dec(0), dec(100)), absolute=True, time_critical=True,
            needs=Needs(component="hz", at_least=dec(2), at_most=dec(5), borderline=dec(10), unit="Hz"),
        ),
        Concept(name="jitter", reading="coded"),
        Concept(name="up", reading="sign"),
        Concept(name="down", reading="sign"),
        Concept(name="needle"),
        Concept(name="spots"),
        Concept(name="attacks"),
    )
}

TABLES = Tables(
    concepts=CONCEPTS,
    classes={
        "limb-region": frozenset({"arm", "leg"}),
        "topical-route": frozenset({"drops"}),
        "face": frozenset({"smile", "blink"}),
    },
    muscles={
        "push": ("n1", frozenset({"r1", "r2"})),
        "grip": ("n2", frozenset({"r2", "r3"})),
        "turn": ("n3", frozenset({"r4"})),
        "twin": ("n3", frozenset({"r5"})),
    },
    regions=("head", "arm", "trunk", "leg"),
    parameters={"limb-muscles": 2},
)


def bands(*tests: tuple[str, str, float]) -> tuple[Band, ...]:
    return tuple(Band(value, test, dec(limit),
        f"{value}-limit") for value, test, limit in tests)  # type: ignore[arg-type]


_numbers = iter(range(1, 10**9))


def result(concept: str, day: int | None = 0, value: Any = None, unit: str = "", **more: Any) -> Result:
    """A result `day` days before AS_OF; a number becomes a quantity, a word an answer."""
    cmp = more.pop("cmp", "")
    high, low = more.pop("high", None), more.pop("low", None)
    if isinstance(value, str):
        more["answer"] = value
    elif value is not None:
        more["quantity"] = Quantity(dec(value), unit, cmp)
    for name, limit in (("high", high), ("low", low)):
        if limit is not None:
            more[name] = limit if isinstance(limit, Quantity) else Quantity(dec(limit))
    more.setdefault("reference", f"Observation/{next(_numbers)}")
    return Result(concept=concept, day=None if day is None else ago(day), **more)


def diagnosis(concept: str, certainty: str, recorded: int | None = 0, **more: Any) -> Diagnosis:
    more.setdefault("reference", f"Condition/{next(_numbers)}")
    day = None if recorded is None else ago(recorded)
    return Diagnosis(concept=concept, certainty=certainty, recorded=day, **more)  # type: ignore[arg-type]


def medication(ingredient: str, status: str, **more: Any) -> Medication:
    more.setdefault("reference", f"MedicationRequest/{next(_numbers)}")
    return Medication(ingredient=ingredient, status=status, **more)  # type: ignore[arg-type]


def record(*entries: Result | Diagnosis | Medication, complete: bool = False, **more: Any) -> Record:
    results: dict[str, list[Result]] = {}
    diagnoses: dict[str, list[Diagnosis]] = {}
    for entry in entries:
        if isinstance(entry, Result):
            results.setdefault(entry.concept, []).append(entry)
        elif isinstance(entry, Diagnosis):
            diagnoses.setdefault(entry.concept, []).append(entry)
    return Record(
        person=Person(reference="Patient/p"),
        as_of=AS_OF,
        complete=complete,
        results={name: tuple(found) for name, found in results.items()},
        diagnoses={name: tuple(found) for name, found in diagnoses.items()},
        medications=tuple(entry for entry in entries if isinstance(entry, Medication)),
        **more,
    )


def facts(of: Record, definitions: Iterable[Definition], given: Mapping[str, Fact] | None = None) -> dict[str, Fact]:
    """All facts of the definitions, computed on demand; what is nowhere defined is unknown."""
    known = dict(given or {})
    by_name = {name: definition for definition in definitions for name in definition.values()}
    done: set[str] = set()

    def fact(name: str) -> Fact:
        definition = by_name.get(name)
        if definition is not None and definition.name not in done:
            done.add(definition.name)
            known.update({one.name: one for one in definition.compute(view)})
        return known.get(name, Fact(name, UNKNOWN, Reason.NOTHING_RECORDED))

    view = View(of, TABLES, fact)
    return {name: fact(name) for name in by_name}


def one(definition: Definition, *entries: Result | Diagnosis | Medication, given: Sequence[Fact] = (),
    **more: Any) -> Fact:
    """The fact of a definition that is no family."""
    return facts(record(*entries, **more), [definition], {fact.name: fact for fact in given})[definition.name]


def view_of(*entries: Result | Diagnosis | Medication, **more: Any) -> View:
    return View(record(*entries, **more), TABLES, lambda name: Fact(name, UNKNOWN, Reason.NOTHING_RECORDED))


def reduced(of: Record, references: Iterable[str]) -> Record:
    """The record with nothing but the entries of these references."""
    keep = set(references)
    return Record(
        person=of.person,
        as_of=of.as_of,
        complete=of.complete,
        results={
            name: kept for name, found in of.results.items() if (kept := tuple(r for r in found if r.reference in keep))
        },
        diagnoses={
            name: kept
            for name, found in of.diagnoses.items()
            if (kept := tuple(d for d in found if d.reference in keep))
        },
        medications=tuple(m for m in of.medications if m.reference in keep),
    )


def references(fact: Fact) -> set[str]:
    return {one.reference for one in fact.evidence}
