"""Orders, statements, supplies, vaccinations and plasma exchanges as `Medication`, one per active ingredient.

Rules: clinical specification 1.2 and 1.8. Status is read first; what was never given or is forbidden gives nothing. R4
and R5 forms are read alike. Nothing here raises on odd input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Literal

import msgspec

from engine.fhir.dates import as_written, resolve_day
from engine.fhir.dosage import NO_DOSE, read_dose
from engine.fhir.elements import Codings, Json, code_words, codings, flag, obj, objects, text
from engine.fhir.medication_product import Product, Resolve, read_product, referred, route_of
from engine.fhir.medication_timing import duration_days
from engine.fhir.problems import Note
from engine.model.record import Medication, MedicationStatus
from engine.terminology.terminology import Terminology

_ORDER_STATUS: Mapping[str, MedicationStatus] = {
    "": "active", "active": "active", "on-hold": "on-hold", "draft": "draft", "completed": "completed",
    "stopped": "stopped", "ended": "completed",
}  # fmt: skip
_STATUS: Mapping[str, Mapping[str, MedicationStatus]] = {
    "MedicationRequest": _ORDER_STATUS,
    "MedicationStatement": _ORDER_STATUS,
    "MedicationDispense": _ORDER_STATUS,
    "MedicationAdministration": {
        "in-progress": "active", "on-hold": "on-hold", "completed": "completed", "stopped": "stopped",
    },
    "Immunization": {"completed": "completed"},
    "Procedure": {
        "preparation": "draft", "in-progress": "active", "on-hold": "on-hold", "completed": "completed",
        "stopped": "stopped",
    },
}  # fmt: skip
# R5 MedicationStatement.adherence, whose codes begin like this; anything else (not-taking, unknown) is not used
_ADHERENCE: Mapping[str, MedicationStatus] = {"taking": "active", "on-hold": "on-hold", "stopped": "stopped"}
_NOT_GIVEN = ("doNotPerform", "notGiven", "notDone", "wasNotGiven", "wasNotTaken")
_PROPOSED = frozenset({"proposal", "plan", "option"})
_PARENTERAL = frozenset({"iv", "im", "sc", "parenteral"})
# statuses of FHIR that are not used; any other word is odd
_UNUSED = frozenset({
    "cancelled", "entered-in-error", "unknown", "intended", "not-taken", "preparation", "in-progress", "declined",
    "not-done", "aborted", "suspended", "draft", "active",
})  # fmt: skip
_ODD: Literal["odd"] = "odd"
_LONGEST_SUPPLY = 3660  # days
_LAST_YEAR = 9000  # of the calendar, so that a supply ends within it

_Day = Callable[[object], date | None]


class _Times(msgspec.Struct, frozen=True):
    start: date | None = None
    end: date | None = None
    written: str = ""


def read_medications(
    resource: Json, terminology: Terminology, as_of: date, resolve: Resolve, problems: Note
) -> tuple[Medication, ...]:
    """The medications of one resource; () for a status that is not used, a prohibition, or no drug of the rules.

    A MedicationRequest whose intent is proposal, plan or option is no order that anybody acts on and gives nothing
    either, unless it is a draft, or a report of what is taken (vendors write self-reported medication as a plan).

    `resolve` finds a Medication or a Condition by its Reference element; contained ones are found here. `problems` gets
    `drug-by-name` (no code is known: the name decided) and `dangling-reference` (the Medication is not there).
    """
    kind = text(resource.get("resourceType"))
    status = _status(resource, kind, as_of)
    if status is None or any(flag(resource.get(key)) for key in _NOT_GIVEN):
        return ()
    if kind == "MedicationRequest" and status != "draft" and _is_only_proposed(resource):
        return ()
    product = product_of(resource, kind, terminology, resolve)
    if product.dangling:
        problems("dangling-reference", "the medication of this order is not in the data; only its own words were read")
    if not product.drugs:
        if product.misspelt:
            problems("unrecognised-code", "has a code of Endplate's own systems that stands in no table")
        return ()
    if status == _ODD:
        problems("unknown-status", "has a status that is not known and was not used")
        return ()
    if product.named:
        systems = ", ".join(f"`{text(system)[:120]}`" for system in product.unmapped[:5])
        hint = f"map its code of {systems}" if systems else "it has no code with a code system"
        problems("drug-by-name", f"the drug was found by its name, since no code is known; {hint}")

    def day(written: object) -> date | None:
        return resolve_day(written, as_of)

    def noted_day(written: object) -> date | None:
        found = day(written)
        if written is not None and found is None:
            problems("unreadable-date", "has a date that cannot be read; it counts as undated")
        return found

    dosages = objects(resource.get("dosageInstruction") or resource.get("dosage"))
    times = _times(resource, kind, dosages, noted_day, terminology)
    # the dose of a product of several drugs belongs to none of them alone
    dose = read_dose(dosages, product.strength, terminology.unit, day) if len(product.drugs) == 1 else NO_DOSE
    phases = _phase_codings(resource)
    route = _route([*dosages, resource], terminology)
    reason = _reason(resource, terminology, resolve)
    return tuple(
        Medication(
            ingredient=drug.ingredient,
            reference=f"{kind}/{text(resource.get('id'))}",
            status=status,
            supply=kind != "MedicationRequest",
            start=times.start,
            end=times.end,
            written=times.written,
            route=route or drug.route or product.route,
            reason=reason,
            initiation="initiation" in {terminology.code("therapy-phase", [coding]) for coding in phases},
            course=terminology.code("course", phases),
            single_mg=dose.single_mg,
            daily_mg=dose.daily_mg,
            course_g=dose.course_g,
            per_kg=dose.per_kg,
            found_by_name=drug.ingredient in product.named,
        )
        for drug in product.drugs
    )


def is_used(resource: Json, as_of: date) -> bool:
    """Whether the status of a medication entry lets it count."""
    return _status(resource, text(resource.get("resourceType")), as_of) not in (None, _ODD)


def _status(resource: Json, kind: str, as_of: date) -> MedicationStatus | Literal["odd"] | None:
    """The status as the rules know it; None = the resource is not used; odd = FHIR does not know it."""
    said = sorted(code_words(resource.get("status"))) or [""]
    if text(resource.get("taken")) == "n":  # STU3 MedicationStatement
        return None
    if said == ["recorded"] and kind == "MedicationStatement":  # R5: the adherence says more, else the period does
        adherence = sorted(code_words(obj(resource.get("adherence")).get("code")))
        if adherence:
            return next((status for start, status in _ADHERENCE.items() if adherence[0].startswith(start)), None)
        end = resolve_day(obj(resource.get("effectivePeriod")).get("end"), as_of)
        return "completed" if end and end < as_of else "active"
    known = _STATUS.get(kind)
    if known is None:
        return None
    return known.get(said[0]) or (None if said[0] in _UNUSED or not said[0] else _ODD) if len(said) == 1 else _ODD


def _is_only_proposed(resource: Json) -> bool:
    reported = flag(resource.get("reportedBoolean")) or flag(resource.get("reported"))
    return bool(_PROPOSED & code_words(resource.get("intent"))) and not (reported or resource.get("reportedReference"))


def product_of(resource: Json, kind: str, terminology: Terminology, resolve: Resolve) -> Product:
    """What a medication entry holds, of whatever kind of resource it is."""
    if kind == "Procedure":
        # a procedure is a drug by its code alone
        found = terminology.drugs(codings(resource.get("code")))
        return Product(tuple(drug for drug in found if not drug.minor))
    if kind == "Immunization":
        given = obj(resource.get("administeredProduct"))
        concept = resource.get("vaccineCode") or given.get("concept")
        return read_product(concept, given.get("reference"), resource, terminology, resolve)
    either = obj(resource.get("medication"))  # R5
    concept = resource.get("medicationCodeableConcept") or either.get("concept")
    reference = resource.get("medicationReference") or either.get("reference")
    return read_product(concept, reference, resource, terminology, resolve)


# ---------------------------------------------------------------- when


def _times(resource: Json, kind: str, dosages: list[Json], day: _Day, terminology: Terminology) -> _Times:
    if kind == "MedicationRequest":
        return _order_times(resource, dosages, day)
    if kind == "MedicationDispense":
        start = _moment(resource.get("whenHandedOver"), day)
        supplied = duration_days(resource.get("daysSupply"), terminology.unit)
        if start.start is None or supplied is None or supplied > _LONGEST_SUPPLY or start.start.year > _LAST_YEAR:
            return start
        return _Times(start.start, start.start + timedelta(days=int(supplied)), start.written)
    for name in ("effective", "performed", "occurrence", "occurence"):  # R5 spells the last one so
        if period := obj(resource.get(f"{name}Period")) or _bounds({"timing": resource.get(f"{name}Timing")}):
            return _period(period, day)
        if moment := resource.get(f"{name}DateTime"):
            return _moment(moment, day)
    return _Times()


def _order_times(resource: Json, dosages: list[Json], day: _Day) -> _Times:
    """The period of the dosages (all of them together), else of R5 effectiveDosePeriod, else of the dispense request;
    the start is at last the date on which the order was written."""
    bounds = [_period(period, day) for dosage in dosages if (period := _bounds(dosage))]
    known = sorted((times for times in bounds if times.start), key=lambda times: times.start or date.min)
    ends = [times.end for times in bounds]
    together = _Times(
        known[0].start if known else None,
        max(end for end in ends if end) if ends and None not in ends else None,
        known[0].written if known else "",
    )
    dispense = obj(resource.get("dispenseRequest"))
    others = [
        _period(obj(resource.get("effectiveDosePeriod")), day),
        _period(obj(dispense.get("validityPeriod")), day),
        _moment(resource.get("authoredOn"), day),
    ]
    first = next((times for times in (together, *others) if times.start), _Times())
    end = next((times.end for times in (together, *others) if times.end), None)
    return _Times(first.start, end, first.written)


def _bounds(dosage: Json) -> Json:
    return obj(obj(obj(dosage.get("timing")).get("repeat")).get("boundsPeriod"))


def _period(period: Json, day: _Day) -> _Times:
    start = _moment(period.get("start"), day)
    return _Times(start.start, day(period.get("end")), start.written)


def _moment(written: object, day: _Day) -> _Times:
    start = day(written)
    return _Times(start, None, as_written(written)) if start else _Times()


# ---------------------------------------------------------------- how and why


def _route(holders: list[Json], terminology: Terminology) -> str:
    """The route of all dosages; different injections are parenteral, otherwise different routes are not one."""
    routes = {route for holder in holders if holder.get("route") and (route := route_of(holder["route"], terminology))}
    if len(routes) > 1:
        return "parenteral" if routes <= _PARENTERAL else ""
    return next(iter(routes), "")


def _phase_codings(resource: Json) -> Codings:
    return (*codings(resource.get("category")), *codings(resource.get("courseOfTherapyType")))


def _reason(resource: Json, terminology: Terminology, resolve: Resolve) -> str:
    """The reason out of reasonCode, R5 reason, or the code of a Condition that one of the two refers to."""
    either = objects(resource.get("reason"))
    stated = (*codings(resource.get("reasonCode")), *codings([reason.get("concept") for reason in either]))
    reason = terminology.code("order-reason", stated)
    if reason:
        return reason
    references = [*objects(resource.get("reasonReference")), *(obj(r.get("reference")) for r in either)]
    for reference in references:
        condition = referred(reference, resource, resolve)
        if condition is not None and (reason := terminology.code("order-reason", codings(condition.get("code")))):
            return reason
    return ""
