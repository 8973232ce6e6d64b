"""The dose of an order out of its Dosage elements (FHIR R4, R5, and the STU3 form without doseAndRate).

single = the largest single dose; daily = the sum over the dosages of one day, at most the stated maximum per period;
course = the total over the stated length or number of doses (clinical specification 1.8).
Of a range the upper end counts: the most that the order allows. Whatever is not certain is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import msgspec

from engine.fhir.medication_amount import MG, MG_PER_KG, Amount, Strength, UnitReader, amount_of, decimal_of
from engine.fhir.medication_timing import NO_SCHEDULE, WEEK, Schedule, duration_days, read_schedule

DayReader = Callable[[object], date | None]
"""A FHIR date as written -> its calendar day."""

_SAYS_SOMETHING = (
    "doseAndRate", "doseQuantity", "doseRange", "dose", "timing", "text", "asNeeded", "asNeededBoolean",
    "asNeededCodeableConcept", "maxDosePerPeriod", "maxDosePerAdministration",
)  # fmt: skip


class Dose(msgspec.Struct, frozen=True):
    """The dose of one order in mg and g, and per kg of body weight under the keys single-mg, daily-mg, course-g."""

    single_mg: Decimal | None = None
    daily_mg: Decimal | None = None
    course_g: Decimal | None = None
    per_kg: Mapping[str, Decimal] = {}


NO_DOSE = Dose()


class _Part(msgspec.Struct, frozen=True):
    """One Dosage element: its amounts by basis (mg, mg/kg), and when it applies beside the others."""

    single: Mapping[str, Fraction]
    daily: Mapping[str, Fraction]
    course: Mapping[str, Fraction]
    schedule: Schedule
    sequence: int | None
    start: date | None
    end: date | None

    @property
    def length(self) -> tuple[Fraction | None, Fraction | None]:
        return self.schedule.days, self.schedule.total


def read_dose(dosages: Iterable[object], strength: Strength, unit: UnitReader, day: DayReader) -> Dose:
    """The dose that all dosages of one order give together. `day` resolves the dates of boundsPeriod."""
    stated = [d for d in dosages if isinstance(d, Mapping) and any(d.get(key) for key in _SAYS_SOMETHING)]
    if not stated or len(stated) > 100:
        return NO_DOSE
    parts = [_part(dosage, strength, unit, day) for dosage in stated]
    absolute, per_weight = _together(parts, MG), _together(parts, MG_PER_KG)
    per_kg = dict(zip(("single-mg", "daily-mg", "course-g"), per_weight, strict=True))
    return Dose(*absolute, {name: value for name, value in per_kg.items() if value is not None})


def _together(parts: Sequence[_Part], basis: str) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """(single mg, daily mg, course g) of all parts; one part that is not known makes the whole unknown."""
    single = [part.single.get(basis) for part in parts]
    course = [part.course.get(basis) for part in parts]
    total = _sum(course)
    return (
        _decimal(None if None in single else max(value for value in single if value is not None)),
        _decimal(_busiest_day(parts, basis)),
        _decimal(None if total is None else total / 1000),
    )


def _part(dosage: Mapping[str, object], strength: Strength, unit: UnitReader, day: DayReader) -> _Part:
    timing = dosage.get("timing")
    schedule = read_schedule(timing, unit) if timing else NO_SCHEDULE
    period = _bounds_period(timing)
    amounts = [_range_or_amount(form, strength, unit) for form in _dose_forms(dosage)]
    most = _largest_per_administration(dosage, strength, unit)
    ceilings = _ceilings(dosage, strength, unit)
    single: dict[str, Fraction] = {}
    daily: dict[str, Fraction] = {}
    course: dict[str, Fraction] = {}
    for basis in {amount.basis for amount in (*amounts, *ceilings) if amount}.union(most):
        dose = _least([_agreed(amounts, basis, daily=False), most.get(basis)])
        most_a_day = [amount.value for amount in ceilings if amount.basis == basis]
        per_day = _least([_agreed(amounts, basis, daily=True), _product(dose, schedule.per_day), *most_a_day])
        length = None if schedule.weekdays else schedule.days
        total = _least([_product(dose, schedule.total), _product(per_day, length)])
        for known, value in ((single, dose), (daily, per_day), (course, total)):
            if value is not None:
                known[basis] = value
    sequence = dosage.get("sequence")
    return _Part(
        single, daily, course, schedule, sequence if isinstance(sequence, int) else None,
        day(period.get("start")), day(period.get("end")),
    )  # fmt: skip


# ---------------------------------------------------------------- the amounts of one dosage


def _dose_forms(dosage: Mapping[str, object]) -> list[object]:
    """Every statement of the dose: doseAndRate (ordered and calculated), or the elements of older and other forms."""
    rates = dosage.get("doseAndRate")
    holders = rates if isinstance(rates, list) else [rates] if rates else [dosage]
    return [
        holder[key]
        for holder in holders
        if isinstance(holder, Mapping)
        for key in ("doseQuantity", "doseRange", "dose")
        if holder.get(key)
    ]


def _range_or_amount(form: object, strength: Strength, unit: UnitReader) -> Amount | None:
    if isinstance(form, Mapping) and ("high" in form or "low" in form):
        return amount_of(form.get("high"), strength, unit)
    return amount_of(form, strength, unit)


def _agreed(amounts: Sequence[Amount | None], basis: str, *, daily: bool) -> Fraction | None:
    """The amount of this basis, if all statements of it agree."""
    values = {amount.value for amount in amounts if amount and amount.basis == basis and amount.daily == daily}
    return values.pop() if len(values) == 1 else None


def _largest_per_administration(
    dosage: Mapping[str, object], strength: Strength, unit: UnitReader
) -> Mapping[str, Fraction]:
    amount = amount_of(dosage.get("maxDosePerAdministration"), strength, unit)
    return {amount.basis: amount.value} if amount and not amount.daily else {}


def _ceilings(dosage: Mapping[str, object], strength: Strength, unit: UnitReader) -> list[Amount]:
    """maxDosePerPeriod (a Ratio, in R5 several) as amounts per day."""
    stated = dosage.get("maxDosePerPeriod")
    found = []
    for ratio in stated if isinstance(stated, list) else [stated]:
        if isinstance(ratio, Mapping):
            amount = amount_of(ratio.get("numerator"), strength, unit)
            days = duration_days(ratio.get("denominator"), unit)
            if amount and days and not amount.daily:
                found.append(Amount(amount.value / days, amount.basis, daily=True))
    return found


def _bounds_period(timing: object) -> Mapping[str, object]:
    repeat = timing.get("repeat") if isinstance(timing, Mapping) else None
    period = repeat.get("boundsPeriod") if isinstance(repeat, Mapping) else None
    return period if isinstance(period, Mapping) else {}


# ---------------------------------------------------------------- several dosages


def _busiest_day(parts: Sequence[_Part], basis: str) -> Fraction | None:
    """The largest sum over the dosages that hold on one day; None if a part or the order of the parts is unclear."""
    if any(basis not in part.daily for part in parts):
        return None
    phases = _phases(parts)
    if phases is None:
        return None
    alike = not any(part.schedule.weekdays for part in parts)  # one day of the week is as good as another
    return max(
        sum((part.daily[basis] for part in phase if weekday in (part.schedule.weekdays or WEEK)), Fraction(0))
        for phase in phases
        for weekday in (WEEK[:1] if alike else WEEK)
    )


def _phases(parts: Sequence[_Part]) -> list[list[_Part]] | None:
    """The sets of dosages that hold at the same time; None if the source does not tell."""
    if len(parts) == 1:
        return [list(parts)]
    dated = [part for part in parts if part.start or part.end]
    if dated:
        free = [part for part in parts if not (part.start or part.end)]
        if any(any(part.length) for part in free):
            return None
        return [[*free, *(p for p in dated if _holds_on(p, start.start or date.min))] for start in dated]
    return _by_sequence(parts)


def _holds_on(part: _Part, day: date) -> bool:
    """Whether the dosage holds on a day; the day on which it ends belongs to the one that follows."""
    start = part.start or date.min
    return start <= day and (part.end is None or day < part.end or day == start)


def _by_sequence(parts: Sequence[_Part]) -> list[list[_Part]] | None:
    """Dosages of one number hold together; a limited number of days or doses comes before the next number. Without
    numbers, and for numbers that nothing limits (one dose written as two lines), all hold together if equally long."""
    if any(part.sequence is None for part in parts):
        return [list(parts)] if len({part.length for part in parts}) == 1 else None
    phases: list[list[_Part]] = [[]]
    for number in sorted({part.sequence for part in parts if part.sequence is not None}):
        group = [part for part in parts if part.sequence == number]
        if phases[-1] and all(any(part.length) for part in phases[-1]):
            phases.append([])
        elif phases[-1] and len({part.length for part in (*phases[-1], *group)}) > 1:
            return None
        phases[-1].extend(group)
    return phases


# ---------------------------------------------------------------- arithmetic with what may be unknown


def _product(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return None if a is None or b is None else a * b


def _least(values: Iterable[Fraction | None]) -> Fraction | None:
    return min((value for value in values if value is not None), default=None)


def _sum(values: Sequence[Fraction | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return sum(known, Fraction(0)) if len(known) == len(values) else None


def _decimal(value: Fraction | None) -> Decimal | None:
    return None if value is None else decimal_of(value)
