"""What a dose is: single, daily and course, out of Dosage elements as real systems write them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from engine.fhir.dosage import NO_DOSE, Dose, read_dose
from engine.fhir.medication_amount import UNKNOWN_STRENGTH, Strength, strength_of


def unit(text: str) -> str:
    return {"mg": "mg", "milligram": "mg", "MCG": "ug", "gm": "g"}.get(text, "")


def day(text: object) -> date | None:
    return date.fromisoformat(text) if isinstance(text, str) else None


def dose(*dosages: object, name: str = "", strength: Strength = UNKNOWN_STRENGTH) -> Dose:
    if name:
        strength = strength_of([name], [], unit)
    return read_dose(dosages, strength, unit, day)


def mg(value: float | str, code: str = "mg") -> dict[str, object]:
    return {"value": value, "unit": code, "system": "http://unitsofmeasure.org", "code": code}


def take(value: float | str, code: str = "mg", **rest: object) -> dict[str, object]:
    return {"doseAndRate": [{"doseQuantity": mg(value, code)}], **rest}


def every(frequency: int | None = 1, period: float = 1, unit: str = "d", **rest: object) -> dict[str, object]:
    stated = {} if frequency is None else {"frequency": frequency}
    return {"repeat": {**stated, "period": period, "periodUnit": unit, **rest}}


def daily(timing: object, value: float = 60) -> Decimal | None:
    return dose(take(value, timing=timing)).daily_mg


class TestSingleDose:
    @pytest.mark.parametrize(
        ("value", "code", "mg_"),
        [(60, "mg", "60"), (0.12, "g", "120"), (500, "ug", "0.5"), (Decimal("0.1"), "mg", "0.1"), (1, "gm", "1000")],
    )
    def test_a_mass_is_read_in_mg_exactly(self, value: object, code: str, mg_: str) -> None:
        assert dose(take(value, code)).single_mg == Decimal(mg_)  # type: ignore[arg-type]

    def test_floats_are_read_as_they_are_written(self) -> None:
        three = dose(*(take(0.1, timing=every()) for _ in range(3)))
        assert three.daily_mg == Decimal("0.3")

    @pytest.mark.parametrize("code", ["mg/m2", "{drop}", "[IU]", "UNIT", "mmol", "mL", "TAB", "1", "mg/h"])
    def test_what_is_no_known_mass_of_the_drug_is_unknown(self, code: str) -> None:
        assert dose(take(2, code, timing=every())) == NO_DOSE

    @pytest.mark.parametrize("quantity", [{"value": 60}, mg(0), mg(-60), mg("much"), {**mg(60), "comparator": "<"}, 60])
    def test_a_quantity_without_unit_or_with_an_impossible_value_is_unknown(self, quantity: object) -> None:
        assert dose({"doseAndRate": [{"doseQuantity": quantity}], "timing": every()}) == NO_DOSE

    def test_the_code_decides_and_the_text_is_display(self) -> None:
        assert dose({"doseQuantity": {"value": 1, "unit": "milligram", "code": "g"}}).single_mg == 1000

    def test_a_missing_code_or_a_concept_number_is_read_from_the_text(self) -> None:
        assert dose({"doseQuantity": {"value": 10, "unit": "milligram"}}).single_mg == 10
        assert dose({"doseQuantity": {"value": 10, "unit": "mg", "code": "258684004"}}).single_mg == 10

    def test_a_range_allows_its_upper_end(self) -> None:
        assert dose({"doseAndRate": [{"doseRange": {"low": mg(60), "high": mg(120)}}]}).single_mg == 120
        assert dose({"doseAndRate": [{"doseRange": {"low": mg(60)}}]}).single_mg is None

    def test_the_largest_of_several_dosages_is_the_single_dose(self) -> None:
        assert dose(take(60), take(90)).single_mg == 90
        assert dose(take(60), take(2, "mL")).single_mg is None

    def test_ordered_and_calculated_dose_are_one_dose(self) -> None:
        both = [{"doseQuantity": mg(1, "mg/kg")}, {"doseQuantity": mg(70)}]
        read = dose({"doseAndRate": both, "timing": every()})
        assert (read.single_mg, read.daily_mg, read.per_kg) == (70, 70, {"single-mg": 1, "daily-mg": 1})
        contradicting = [{"doseQuantity": mg(60)}, {"doseQuantity": mg(70)}]
        assert dose({"doseAndRate": contradicting}).single_mg is None

    def test_the_older_form_without_dose_and_rate(self) -> None:
        assert dose({"doseQuantity": mg(60), "timing": every(4)}).daily_mg == 240

    def test_the_maximum_of_one_administration_counts(self) -> None:
        assert dose({"maxDosePerAdministration": mg(120)}).single_mg == 120
        assert dose(take(200, maxDosePerAdministration=mg(120))).single_mg == 120


class TestTabletsAndMillilitres:
    PRODUCT = "pyridostigmine bromide 60 MG Oral Tablet"

    @pytest.mark.parametrize("code", ["TAB", "{tablet}", "{tbl}", "tablets", "Tabletten", "CAP"])
    def test_tablets_times_the_strength_in_the_name(self, code: str) -> None:
        assert dose(take(2, code, timing=every(4)), name=self.PRODUCT).daily_mg == 480

    def test_a_number_without_a_form_is_not_a_tablet(self) -> None:
        assert dose({"doseAndRate": [{"doseQuantity": {"value": 1}}]}, name=self.PRODUCT).single_mg is None
        assert dose(take(1, "mL"), name=self.PRODUCT).single_mg is None

    def test_millilitres_times_the_concentration(self) -> None:
        assert dose(take(5, "mL"), name="2 ML midazolam 1 MG/ML Injection").single_mg == 5
        assert dose(take(1, "TAB"), name="midazolam 2 MG/ML Oral Solution").single_mg is None
        assert dose(take(0.4, "L"), name="immune globulin 100 MG/ML Injection").single_mg == 40000

    @pytest.mark.parametrize(
        ("name", "per_unit", "per_ml"),
        [
            ("metoprolol 24 HR 100 MG Extended Release Oral Tablet", 100, None),
            ("levothyroxine 0.5 MCG tablet", "0.0005", None),
            ("Mestinon 60mg Tabletten", 60, None),
            ("Prednison 2,5 mg", "2.5", None),
            ("paracetamol 120 mg/5 mL oral suspension", None, 24),
            ("ciprofloxacin 0.003 MG/MG Ophthalmic Ointment", None, None),
            ("fentanyl 0.075 MG/HR Transdermal System", None, None),
            ("dextromethorphan 20 MG / quinidine 10 MG Oral Capsule", None, None),
            ("co-codamol 8/500 mg", None, None),
            ("prednisone 5-10 mg", None, None),
            ("immune globulin 1,000 mg", None, None),
            ("penicillin 250000 UNT/ML", None, None),
            ("carmustine 100 mg/m2", None, None),
            ("Kalymin 60 N", None, None),
            ("prednisone 60 mg daily", None, None),
            ("prednisone 20 mg t.i.d.", None, None),
            ("", None, None),
        ],
    )
    def test_the_strength_of_a_name(self, name: str, per_unit: object, per_ml: object) -> None:
        read = strength_of([name], [], unit)
        expected = [None if value is None else Decimal(str(value)) for value in (per_unit, per_ml)]
        assert [read.per_unit, read.per_ml] == expected

    def test_names_that_disagree_leave_the_strength_unknown(self) -> None:
        assert strength_of([self.PRODUCT, "pyridostigmine"], [], unit).per_unit == 60
        assert strength_of([self.PRODUCT, "Mestinon 180 MG"], [], unit) == UNKNOWN_STRENGTH
        assert strength_of([self.PRODUCT, "12 MG/ML"], [], unit) == UNKNOWN_STRENGTH

    def test_the_strength_of_an_ingredient(self) -> None:
        tablet = {"numerator": mg(60), "denominator": mg(1, "{tablet}")}
        solution = {"numerator": mg(1, "g"), "denominator": mg(50, "mL")}
        assert strength_of([], [tablet], unit).per_unit == 60
        assert strength_of([], [solution], unit).per_ml == 20
        assert strength_of([], [mg(60)], unit).per_unit == 60
        assert strength_of([self.PRODUCT], [{"numerator": mg(30), "denominator": mg(1, "1")}], unit) == UNKNOWN_STRENGTH


class TestDailyDose:
    @pytest.mark.parametrize(
        ("timing", "mg_"),
        [
            (every(4), 240),
            (every(1, 6, "h"), 240),
            (every(1, 7, "d"), Decimal(60) / 7),
            (every(1, 2, "wk"), Decimal(60) / 14),
            (every(None, 8, "h"), 180),
            (every(2, frequencyMax=3), 180),
            ({"repeat": {"frequency": 1, "period": 4, "periodMax": 6, "periodUnit": "h"}}, 360),
            ({"repeat": {"timeOfDay": ["08:00:00", "18:00:00"]}}, 120),
            ({"repeat": {"when": ["MORN", "NOON", "EVE"]}}, 180),
            (every(3, when=["PC"]), 180),
            (every(1, when=["MORN"]), 60),
            (every(1, 1, "wk", timeOfDay=["08:00:00"]), Decimal(60) / 7),
            (every(2, timeOfDay=["08:00:00", "20:00:00"]), 120),
            ({"event": ["2025-06-01T08:00:00Z", "2025-06-01T20:00:00Z", "2025-06-02"]}, 120),
            ({"repeat": {"count": 1}}, 60),
            ({"code": {"coding": [{"code": "ONCE"}]}}, 60),
        ],
    )
    def test_the_doses_of_a_day(self, timing: object, mg_: object) -> None:
        read = daily(timing)
        assert read is not None
        assert round(read, 20) == round(Decimal(mg_), 20)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("code", "mg_"),
        [
            ("QD", 60), ("DAILY", 60), ("AM", 60), ("PM", 60), ("HS", 60), ("BID", 120), ("TID", 180), ("QID", 240),
            ("Q4H", 360), ("Q6H", 240), ("Q 8H", 180), ("Q12H", 120), ("Q48H", 30), ("QOD", 30), ("Q6H:PRN", 240),
            ("b.i.d.", 120),
        ],
    )  # fmt: skip
    def test_timing_codes(self, code: str, mg_: int) -> None:
        assert daily({"code": {"coding": [{"system": "anything", "code": code}]}}) == mg_
        assert daily({"code": {"text": code}}) == mg_

    @pytest.mark.parametrize(
        "timing",
        [
            None,
            {},
            {"code": {"coding": [{"code": "PRN"}]}},
            {"code": {"coding": [{"code": "ASDIR"}]}},
            {"code": {"coding": [{"code": "Q0H"}]}},
            {"repeat": {"frequency": 3}},
            {"repeat": {"duration": 6, "durationUnit": "h"}},
            {"repeat": {"count": 14}},
            {"repeat": {"when": ["AC"]}},
            {"repeat": {"when": ["MORN", "EVE"], "frequency": 1, "period": 1, "periodUnit": "d"}},
            {"repeat": {"timeOfDay": ["08:00:00", "18:00:00"], "frequency": 1, "period": 1, "periodUnit": "d"}},
            {"repeat": {"dayOfWeek": ["someday"], "frequency": 1, "period": 1, "periodUnit": "d"}},
            {"repeat": {"frequency": 0, "period": 1, "periodUnit": "d"}},
            {"repeat": {"frequency": 1, "period": 1, "periodUnit": "lunation"}},
            {"code": {"text": "BID"}, "repeat": {"frequency": 3, "period": 1, "periodUnit": "d"}},
        ],
    )
    def test_what_leaves_the_number_of_doses_open_leaves_the_day_open(self, timing: object) -> None:
        read = dose(take(60, timing=timing))
        assert (read.single_mg, read.daily_mg) == (60, None)

    def test_as_needed_without_timing_is_unknown_and_with_timing_is_its_most(self) -> None:
        assert dose(take(60, asNeededBoolean=True)).daily_mg is None
        assert dose(take(60, asNeededBoolean=True, timing=every(1, 4, "h"))).daily_mg == 360

    def test_the_maximum_of_a_period_is_the_day_or_caps_it(self) -> None:
        most = {"numerator": mg(240), "denominator": mg(1, "d")}
        assert dose(take(60, asNeededBoolean=True, maxDosePerPeriod=most)).daily_mg == 240
        assert dose(take(60, timing=every(1, 4, "h"), maxDosePerPeriod=most)).daily_mg == 240
        assert dose(take(30, timing=every(4), maxDosePerPeriod=[most])).daily_mg == 120
        hours = {"numerator": mg(480), "denominator": mg(48, "h")}
        assert dose({"maxDosePerPeriod": [hours, {"numerator": mg(2, "g"), "denominator": mg(1, "d")}]}).daily_mg == 240

    def test_an_amount_per_day_needs_no_timing(self) -> None:
        assert dose(take(60, "mg/d")).daily_mg == 60
        assert dose(take(2, "mg/kg/d")).per_kg == {"daily-mg": 2}


class TestPerBodyWeight:
    def test_doses_per_kg_stand_apart(self) -> None:
        read = dose(take("0.4", "g/kg", timing=every(boundsDuration=mg(5, "d"))))
        assert (read.single_mg, read.daily_mg, read.course_g) == (None, None, None)
        assert read.per_kg == {"single-mg": 400, "daily-mg": 400, "course-g": 2}

    def test_a_day_partly_per_kg_is_unknown(self) -> None:
        mixed = dose(take(60, timing=every()), take(1, "mg/kg", timing=every()))
        assert (mixed.daily_mg, mixed.per_kg) == (None, {})


class TestCourse:
    def test_days_times_the_daily_dose(self) -> None:
        assert dose(take(40, "g", timing=every(boundsDuration=mg(5, "d")))).course_g == 200
        assert dose(take(40, "g", timing=every(boundsDuration=mg(1, "wk")))).course_g == 280
        assert dose(take(40, "g", timing=every(boundsRange={"low": mg(2, "d"), "high": mg(5, "d")}))).course_g == 200

    def test_the_number_of_doses_times_the_dose(self) -> None:
        assert dose(take(40, "g", timing=every(count=5))).course_g == 200
        assert dose(take(40, "g", timing=every(count=3, countMax=5))).course_g == 200
        assert dose(take(40, "g", timing={"event": ["2025-06-01", "2025-06-02"]})).course_g == 80
        assert dose(take(40, "g", timing=every(count=2, boundsDuration=mg(5, "d")))).course_g == 80

    def test_no_length_no_course(self) -> None:
        assert dose(take(40, "g", timing=every())).course_g is None
        assert dose(take(40, "g", timing=every(boundsDuration={"value": 5}))).course_g is None

    def test_the_parts_of_a_course_add_up(self) -> None:
        week = every(boundsDuration=mg(7, "d"))
        assert dose(take(60, timing=week, sequence=1), take(40, timing=week, sequence=2)).course_g == Decimal("0.7")
        assert dose(take(60, timing=week, sequence=1), take(40, timing=every(), sequence=2)).course_g is None


class TestSeveralDosages:
    def test_dosages_of_one_day_add_up_even_if_they_are_numbered(self) -> None:
        assert dose(take(30, timing=every(), sequence=1), take(30, timing=every(), sequence=2)).daily_mg == 60
        assert dose(take(60, timing=every(2)), take(180, timing=every())).daily_mg == 300

    def test_a_taper_counts_its_highest_step(self) -> None:
        def step(value: int, number: int, days: int | None) -> dict[str, object]:
            bounds = {} if days is None else {"boundsDuration": mg(days, "d")}
            return take(value, timing=every(**bounds), sequence=number)

        assert dose(step(60, 1, 7), step(40, 2, 7), step(20, 3, None)).daily_mg == 60

    def test_disjoint_periods_are_not_added(self) -> None:
        def within(value: int, start: str, end: str | None) -> dict[str, object]:
            return take(value, timing=every(boundsPeriod={"start": start, **({"end": end} if end else {})}))

        assert dose(within(60, "2025-01-01", "2025-01-07"), within(40, "2025-01-08", None)).daily_mg == 60
        assert dose(within(60, "2025-01-01", "2025-01-08"), within(40, "2025-01-08", None)).daily_mg == 60
        assert dose(within(60, "2025-01-01", "2025-01-09"), within(40, "2025-01-08", None)).daily_mg == 100
        assert dose(within(60, "2025-01-01", None), within(40, "2025-01-08", None)).daily_mg == 100

    def test_where_the_order_of_the_parts_is_not_told_the_day_is_unknown(self) -> None:
        week, fortnight = every(boundsDuration=mg(7, "d")), every(boundsDuration=mg(14, "d"))
        assert dose(take(60, timing=week), take(40, timing=fortnight)).daily_mg is None
        assert dose(take(60, timing=week), take(40, timing=every())).daily_mg is None
        assert dose(take(60, timing=every(), sequence=1), take(40, timing=week, sequence=2)).daily_mg is None
        assert dose(take(60, timing=week, sequence=1), take(40, timing=fortnight, sequence=1)).daily_mg == 100

    def test_weekdays_are_different_days(self) -> None:
        even, odd = every(dayOfWeek=["mon", "wed", "fri"]), every(dayOfWeek=["tue", "thu", "sat", "sun"])
        assert dose(take(10, timing=even), take(5, timing=odd)).daily_mg == 10
        assert dose(take(10, timing=even), take(5, timing=every())).daily_mg == 15

    def test_one_unknown_part_makes_the_day_unknown(self) -> None:
        assert dose(take(60, timing=every()), {"text": "and one at night"}).daily_mg is None

    def test_a_line_that_only_names_the_route_is_no_part(self) -> None:
        assert dose(take(60, timing=every()), {"route": {"text": "oral"}}).daily_mg == 60
        assert dose({"route": {"text": "oral"}}) == NO_DOSE
