"""Compact facts of orders, supplies and vaccinations as FHIR resources in their primary encoding."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from engine.errors import InputError
from engine.fhir.compose_parts import CompactFact, as_json, coded, exact, preferred, quantity, refuse_unknown, written
from engine.fhir.elements import Json
from engine.fhir.medication_amount import positive
from engine.terminology.terminology import Terminology

_ALWAYS = ("r", "id", "c", "status", "start", "end")
_DOSED = (*_ALWAYS, "minor", "route", "reason", "single_mg", "daily_mg", "dose_mg_day", "total_g")
_KEYS = {
    "MedicationRequest": (*_DOSED, "doNotPerform", "initial", "course"),
    "MedicationStatement": _DOSED,
    "MedicationDispense": tuple(key for key in _DOSED if key != "reason"),
    "Immunization": ("r", "id", "c", "status", "start", "route"),
    "Procedure": _ALWAYS,
}
_COURSE_DAYS = 5  # over which a total is spread when nothing else states the daily dose
_STATUS = {"Immunization": "completed", "MedicationDispense": "completed", "Procedure": "completed"}


def order(fact: CompactFact, terminology: Terminology) -> Json:
    """A MedicationRequest, MedicationStatement, MedicationDispense, Immunization, or a Procedure that is a therapy;
    without subject and id, which the bundle adds."""
    kind = str(fact["r"])
    refuse_unknown(fact, _KEYS[kind])
    drug = coded(preferred(terminology, fact["c"], "medication"), str(fact["c"]).replace("-", " "))
    resource: Json = {"resourceType": kind, "status": fact.get("status", _STATUS.get(kind, "active"))}
    if kind == "MedicationRequest":
        resource["intent"] = "order"
    if kind == "Immunization":
        resource["vaccineCode"] = drug
    elif kind == "Procedure":
        resource["code"] = drug
    elif fact.get("minor"):
        resource |= _mixture(drug)
    else:
        resource["medicationCodeableConcept"] = drug
    if fact.get("doNotPerform"):
        resource["doNotPerform"] = True
    if fact.get("initial"):
        resource["category"] = [coded(preferred(terminology, "initiation", "therapy-phase"))]
    if fact.get("course"):
        resource["courseOfTherapyType"] = coded(preferred(terminology, fact["course"], "course"))
    if fact.get("reason"):
        resource["reasonCode"] = [coded(preferred(terminology, fact["reason"], "order-reason"))]
    dosage = _dosage(fact, terminology)
    _add_times(resource, dosage, fact, kind)
    if dosage and kind == "Immunization":
        resource |= dosage
    elif dosage:
        resource["dosage" if kind == "MedicationStatement" else "dosageInstruction"] = [dosage]
    return resource


def _mixture(drug: Json) -> Json:
    """A product in which the drug is one of several ingredients and a minor one."""
    others = [{"itemCodeableConcept": {"text": text}} for text in ("first other ingredient", "second other ingredient")]
    medication = {"resourceType": "Medication", "id": "mixture", "ingredient": [{"itemCodeableConcept": drug}, *others]}
    return {"contained": [medication], "medicationReference": {"reference": "#mixture"}}


def _add_times(resource: Json, dosage: Json, fact: CompactFact, kind: str) -> None:
    """The start and the end where this kind of resource states them."""
    start = written(fact["start"]) if fact.get("start") is not None else ""
    end = written(fact["end"]) if fact.get("end") is not None else ""
    period = {key: value for key, value in (("start", start), ("end", end)) if value}
    if kind == "MedicationRequest" and end:
        dosage.setdefault("timing", {}).setdefault("repeat", {})["boundsPeriod"] = period
    elif kind == "MedicationDispense":
        if start:
            resource["whenHandedOver"] = start
        if end:
            resource["daysSupply"] = quantity(_days_between(start, end), "d")
    elif period:
        name = {"Procedure": "performed", "MedicationStatement": "effective"}.get(kind, "occurrence")
        if kind == "MedicationRequest":
            resource["authoredOn"] = start
        elif end:
            resource[f"{name}Period"] = period
        else:
            resource[f"{name}DateTime"] = start


def _days_between(start: str, end: str) -> int:
    try:
        return (date.fromisoformat(end) - date.fromisoformat(start)).days
    except ValueError:
        raise InputError(f"a supply from `{start}` to `{end}` has no length: write both as YYYY-MM-DD") from None


def _dosage(fact: CompactFact, terminology: Terminology) -> Json:
    """One Dosage: the single dose as often as the daily dose needs it, over the days that the total needs."""
    dosage: Json = {}
    if fact.get("route"):
        dosage["route"] = coded(preferred(terminology, fact["route"], "route"), str(fact["route"]))
    single, daily, total = (
        _amount(fact, "single_mg"),
        _amount(fact, "daily_mg", "dose_mg_day"),
        _amount(fact, "total_g"),
    )
    days: Fraction | None = None
    if total is not None:
        days = total * 1000 / daily if daily else Fraction(_COURSE_DAYS)
        daily = daily or total * 1000 / days
    dose = single or daily
    if dose is None:
        return dosage
    if daily is not None:
        times = daily / dose
        repeat: Json = {"frequency": times.numerator, "period": times.denominator, "periodUnit": "d"}
        if days is not None:
            repeat["boundsDuration"] = quantity(as_json(days), "d")
        dosage["timing"] = {"repeat": repeat}
    in_grams = total is not None
    stated = quantity(as_json(dose / 1000), "g") if in_grams else quantity(as_json(dose), "mg")
    return {**dosage, "doseAndRate": [{"doseQuantity": stated}]}


def _amount(fact: CompactFact, *keys: str) -> Fraction | None:
    for key in keys:
        if fact.get(key) is not None:
            value = positive(exact(fact[key]))
            if value is None:
                raise InputError(f"`{key}: {fact[key]}` is no dose: it must be above zero")
            return value
    return None
