"""Dosage arithmetic against a calendar that is simply walked through, and against input that means nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fhir.dosage import read_dose
from engine.fhir.medication_amount import UNKNOWN_STRENGTH, number, strength_of

FIRST = date(2025, 1, 6)  # a Monday
HORIZON = 7 * 24  # hours; every period below divides it
WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def unit(text: str) -> str:
    return text if text in ("mg", "g", "ug", "mg/kg") else ""


def day(text: object) -> date | None:
    return date.fromisoformat(text) if isinstance(text, str) and len(text) == 10 else None


def take(value: object, repeat: Mapping[str, object], code: str = "mg") -> dict[str, object]:
    return {"doseAndRate": [{"doseQuantity": {"value": value, "code": code}}], "timing": {"repeat": repeat}}


masses = st.decimals("0.001", "5000", places=3)
factors = {"g": 1000, "mg": 1, "ug": Decimal("0.001")}


@settings(max_examples=60)
@given(masses, st.sampled_from(sorted(factors)), st.integers(1, 6), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24, 168]))
def test_the_daily_dose_is_what_a_week_of_doses_gives_in_seven_days(
    mass: Decimal, code: str, frequency: int, hours: int
) -> None:
    given_in_a_week = sum(
        mass * factors[code] for hour in range(HORIZON) if hour % hours == 0 for _ in range(frequency)
    )
    stated: dict[str, object] = {"frequency": frequency, "period": hours, "periodUnit": "h"}
    read = read_dose([take(mass, stated, code)], UNKNOWN_STRENGTH, unit, day).daily_mg
    assert read is not None
    assert abs(read - given_in_a_week / 7) < Decimal("1e-20")


@st.composite
def dated(draw: st.DrawFn) -> list[tuple[Decimal, int, int, int | None]]:
    """(mg, doses a day, first day, day after the last) of a few dosages."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, 20))
        last = draw(st.one_of(st.none(), st.integers(first + 1, first + 12)))
        parts.append((draw(masses), draw(st.integers(1, 4)), first, last))
    return parts


@settings(max_examples=80)
@given(dated())
def test_dated_dosages_give_the_heaviest_day_of_the_calendar(
    parts: list[tuple[Decimal, int, int, int | None]],
) -> None:
    heaviest = max(
        sum(mass * times for mass, times, first, last in parts if first <= on and (last is None or on < last))
        for on in range(40)
    )
    dosages = [
        take(
            mass,
            {
                "frequency": times, "period": 1, "periodUnit": "d",
                "boundsPeriod": {
                    "start": (FIRST + timedelta(first)).isoformat(),
                    **({} if last is None else {"end": (FIRST + timedelta(last)).isoformat()}),
                },
            },
        )
        for mass, times, first, last in parts
    ]  # fmt: skip
    assert read_dose(dosages, UNKNOWN_STRENGTH, unit, day).daily_mg == heaviest


@settings(max_examples=60)
@given(st.lists(st.tuples(masses, st.integers(1, 3), st.sets(st.sampled_from(WEEK))), min_size=1, max_size=4))
def test_weekday_dosages_give_the_heaviest_weekday(parts: list[tuple[Decimal, int, set[str]]]) -> None:
    heaviest = max(sum(mass * times for mass, times, days in parts if not days or name in days) for name in WEEK)
    dosages = [
        take(mass, {"frequency": times, "period": 1, "periodUnit": "d", "dayOfWeek": sorted(days)})
        for mass, times, days in parts
    ]
    assert read_dose(dosages, UNKNOWN_STRENGTH, unit, day).daily_mg == heaviest


@settings(max_examples=60)
@given(st.lists(st.tuples(masses, st.integers(1, 4), st.integers(1, 30)), min_size=1, max_size=4))
def test_a_course_is_all_its_doses_counted_one_by_one(parts: list[tuple[Decimal, int, int]]) -> None:
    total = sum(mass for mass, times, days in parts for _ in range(times * days)) / 1000
    daily = {"period": 1, "periodUnit": "d"}
    dosages = [
        {
            **take(mass, {**daily, "frequency": times, "boundsDuration": {"value": length, "code": "d"}}),
            "sequence": index,
        }
        for index, (mass, times, length) in enumerate(parts)
    ]
    read = read_dose(dosages, UNKNOWN_STRENGTH, unit, day)
    assert read.course_g == total
    assert read.daily_mg == max(mass * times for mass, times, _ in parts)  # one after the other


@settings(max_examples=60)
@given(st.integers(1, 999), st.integers(0, 99), st.sampled_from(["MG", "mg", " mg", "G", "MCG"]), st.integers(1, 8))
def test_tablets_times_the_strength_that_the_name_states(whole: int, part: int, code: str, tablets: int) -> None:
    name = f"substance {whole}.{part:02d}{code} Oral Tablet"
    factor = {"MG": Fraction(1), "G": Fraction(1000), "MCG": Fraction(1, 1000)}[code.strip().upper()]
    strength = strength_of([name], [], unit)
    dosage = {"doseAndRate": [{"doseQuantity": {"value": tablets, "code": "{tablet}"}}]}
    expected = tablets * (Fraction(whole) + Fraction(part, 100)) * factor
    assert Fraction(read_dose([dosage], strength, unit, day).single_mg or 0) == expected


KEYS = [
    "doseAndRate", "doseQuantity", "doseRange", "dose", "value", "code", "unit", "timing", "repeat", "frequency",
    "frequencyMax", "period", "periodUnit", "boundsDuration", "boundsPeriod", "boundsRange", "start", "end", "high",
    "low", "count", "countMax", "dayOfWeek", "timeOfDay", "when", "event", "coding", "text", "asNeeded",
    "maxDosePerPeriod", "numerator", "denominator", "sequence", "route",
]  # fmt: skip
WORDS = ["mg", "g/kg", "d", "h", "BID", "MORN", "mon", "60", "Q0H", "2025-01-01", "", "\0", "1e999999999", "mg/kg/kg"]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(max_size=5),
    st.decimals(), st.sampled_from([10**400, Decimal("1e-999999"), Decimal("9e999999"), -0.0, 1e308]),
)  # fmt: skip
soup = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=150)
@given(st.lists(soup, max_size=4))
def test_nothing_raises_and_every_dose_is_positive(dosages: list[Any]) -> None:
    read = read_dose(dosages, strength_of(["60 mg tablet"], dosages, unit), unit, day)
    for value in (read.single_mg, read.daily_mg, read.course_g, *read.per_kg.values()):
        assert value is None or value > 0


@given(scalars)
def test_a_number_is_exact_or_nothing(value: object) -> None:
    read = number(value)
    if read is not None and isinstance(value, int | Decimal):
        assert read == Fraction(value)


@given(st.text(max_size=200))
def test_any_name_has_a_strength_or_none(name: str) -> None:
    read = strength_of([name], [], unit)
    assert all(value is None or value >= 0 for value in (read.per_unit, read.per_ml))
