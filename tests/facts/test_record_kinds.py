"""Patient, diagnoses and elapsed time: what stands in the record, at every border."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from result_kit import AS_OF, ago, diagnosis, medication, record, references, result
from ruleset_kit import base

from engine.facts.kinds.elapsed import DAYS_OF
from engine.model.fact import Fact, Reason
from engine.model.record import Person, Quantity, Record


def fact(name: str, *entries: Any, **more: Any) -> Fact:
    of = record(*entries, **more)
    return base().compute(of).get(name) or base().unknown(name, of)


def of_person(name: str, **fields: Any) -> Fact:
    of = Record(person=Person(reference="Patient/p", **fields), as_of=AS_OF)
    return base().compute(of).get(name) or base().unknown(name, of)


# ---- patient


@pytest.mark.parametrize(
    ("coded", "value"), [("male", "male"), ("female", "female"), ("other", "unknown"), ("", "unknown")]
)
def test_sex_is_male_or_female_and_nothing_else_is_known(coded: str, value: str) -> None:
    assert of_person("sex", sex=coded).value == value


def test_a_sex_that_no_rule_reads_is_not_usable_and_none_is_not_recorded() -> None:
    assert of_person("sex", sex="other").reason is Reason.NOT_USABLE
    assert of_person("sex").reason is Reason.NOTHING_RECORDED


def test_death_inactivity_and_completeness_are_present_or_not_recorded() -> None:
    assert of_person("dead", deceased=True).value == "present"
    assert of_person("dead").reason is Reason.NOTHING_RECORDED
    assert of_person("inactive", active=False).value == "present"
    assert fact("complete", complete=True).evidence[0].reference == "Patient/p"
    assert fact("complete").value == "unknown"


# ---- age and durations


@pytest.mark.parametrize(
    ("days", "value"), [(6574, "child"), (6575, "adult"), (16436, "adult"), (16437, "old"), (0, "child"), (-1, "child")]
)
def test_eighteen_years_are_6575_days_and_above_45_begins_on_day_16437(days: int, value: str) -> None:
    found = of_person("age", birth=AS_OF - timedelta(days=days))
    assert found.value == value
    assert references(found) == {"Patient/p"}


def test_without_a_birth_date_the_age_is_unknown() -> None:
    assert of_person("age").reason is Reason.NOTHING_RECORDED


@pytest.mark.parametrize(("days", "value"), [(182, "close"), (183, "apart"), (-182, "close"), (-183, "apart")])
def test_six_months_end_on_day_182_whichever_disease_came_first(days: int, value: str) -> None:
    found = fact("fog-to-haze", diagnosis("fog", "confirmed", 400), diagnosis("haze", "suspected", 400 + days))
    assert found.value == value
    assert len(found.evidence) == 2


def test_a_year_is_twelve_months_of_30_4375_days() -> None:
    assert {"days": 1, "months": Decimal("30.4375"), "years": 12 * Decimal("30.4375")} == DAYS_OF


def test_an_interval_needs_both_dates() -> None:
    assert fact("fog-to-haze", diagnosis("fog", "confirmed", 400)).value == "unknown"
    undated = fact("fog-to-haze", diagnosis("fog", "confirmed", 400), diagnosis("haze", "confirmed", None))
    assert undated.reason is Reason.NOT_USABLE


def test_the_onset_of_a_disease_is_its_earliest_onset_and_refuted_entries_do_not_count() -> None:
    entries = (
        diagnosis("fog", "refuted", 10, onset=ago(500)),
        diagnosis("fog", "confirmed", 20, onset=ago(91)),
        diagnosis("fog", "suspected", 50),
    )
    assert fact("newest-start", *entries).value == "old"
    assert fact("newest-start", entries[0], entries[2]).value == "recent"
    assert fact("newest-start", entries[0]).value == "unknown"


def test_the_newest_of_two_dates_decides_and_one_alone_is_enough() -> None:
    fog = diagnosis("fog", "confirmed", 200)
    drug = medication("calmal", "active", start=ago(90))
    assert fact("newest-start", fog, drug).value == "recent"
    assert fact("newest-start", drug).value == "recent"
    assert fact("newest-start", fog).value == "old"


def test_a_date_given_by_a_result_is_the_newest_one_and_on_one_day_the_earliest() -> None:
    early, late = result("onset-day", 5, date_value=ago(91)), result("onset-day", 5, date_value=ago(2))
    assert fact("symptoms", early, late, result("onset-day", None, date_value=ago(1))).value == "old"
    assert fact("symptoms", early, result("onset-day", 4, date_value=ago(90))).value == "recent"
    assert fact("symptoms", result("onset-day", 4, date_value=date(2031, 1, 1))).reason is Reason.NOT_USABLE


@pytest.mark.parametrize(("start", "value"), [(90, "short"), (91, "long")])
def test_the_first_start_among_what_is_taken_now(start: int, value: str) -> None:
    stopped = medication("wakal", "stopped", start=ago(900), end=ago(800))
    undated = medication("wakal", "active")
    taken = medication("wakal", "active", start=ago(start))
    assert fact("on-wakal", stopped, undated, taken, medication("wakal", "draft", start=ago(700))).value == value
    assert fact("on-wakal", stopped, undated).reason is Reason.NOT_USABLE


def test_an_unusable_result_was_still_done() -> None:
    unusable = result("salt", 3, 2)
    assert fact("salt-done", unusable).value == "recent"
    assert fact("salt-usable", unusable).reason is Reason.NOT_USABLE
    assert fact("salt-usable", unusable, result("salt", 91, 2, "g/L")).value == "old"
    assert fact("salt-done", result("salt", None, 2, "g/L")).reason is Reason.NOT_USABLE
    assert fact("salt-done").reason is Reason.NOTHING_RECORDED


# ---- diagnoses


def test_the_newest_recorded_entry_decides_and_one_without_date_is_the_oldest() -> None:
    refuted, confirmed = diagnosis("fog", "refuted", 10), diagnosis("fog", "confirmed", 11)
    assert fact("plain-fog", refuted, confirmed).value == "refuted"
    assert fact("plain-fog", diagnosis("fog", "refuted", None), confirmed).value == "confirmed"
    assert fact("plain-fog", diagnosis("fog", "suspected", None)).value == "suspected"


def test_the_recorded_date_is_not_compared_with_today() -> None:
    assert fact("plain-fog", diagnosis("fog", "confirmed", 3), diagnosis("fog", "refuted", -5)).value == "refuted"


def test_confirmed_wins_over_suspected_of_one_day_but_refuted_beside_another_is_a_conflict() -> None:
    day = [diagnosis("fog", "suspected", 4), diagnosis("fog", "confirmed", 4)]
    assert fact("plain-fog", *day).value == "confirmed"
    for other in day:
        found = fact("plain-fog", other, diagnosis("fog", "refuted", 4))
        assert (found.value, found.reason) == ("unknown", Reason.CONFLICTING)
        assert len(found.evidence) == 2


def test_of_several_diseases_the_strongest_stands() -> None:
    assert fact("any-disease", diagnosis("fog", "refuted"), diagnosis("haze", "suspected")).value == "suspected"
    assert fact("any-disease", diagnosis("fog", "confirmed"), diagnosis("haze", "suspected")).value == "confirmed"
    conflict = (diagnosis("fog", "refuted", 3), diagnosis("fog", "suspected", 3))
    assert fact("any-disease", *conflict, diagnosis("haze", "refuted")).reason is Reason.CONFLICTING
    assert fact("any-disease", *conflict, diagnosis("haze", "suspected")).value == "suspected"


def test_a_refutation_holds_from_its_newest_statement_and_a_disease_from_its_onset() -> None:
    assert fact("plain-fog", diagnosis("fog", "refuted", 9), diagnosis("fog", "refuted", 99)).since == ago(9)
    assert fact("any-disease", diagnosis("fog", "refuted", 99), diagnosis("haze", "refuted", 9)).since == ago(9)
    entries = (diagnosis("fog", "confirmed", 9), diagnosis("fog", "suspected", 99, onset=ago(150)))
    assert fact("plain-fog", *entries).since == ago(150)
    assert fact("plain-fog", diagnosis("fog", "confirmed", None)).since is None


@pytest.mark.parametrize(("apart", "value"), [(29, "suspected"), (30, "confirmed")])
def test_codes_noted_at_encounters_confirm_nothing_until_they_lie_far_enough_apart(apart: int, value: str) -> None:
    entries = [diagnosis("fog", "confirmed", day, encounter_only=True) for day in (5, 5 + apart)]
    found = fact("fog-diagnosis", *entries)
    assert found.value == value
    assert fact("plain-fog", *entries).value == "confirmed"
    assert len(found.evidence) == 2


@pytest.mark.parametrize(
    ("status", "start", "value"),
    [
        ("active", None, "confirmed"),
        ("completed", 900, "confirmed"),
        ("stopped", None, "confirmed"),
        ("on-hold", 0, "confirmed"),
        ("on-hold", -1, "suspected"),
        ("on-hold", None, "suspected"),
        ("draft", 3, "suspected"),
    ],
)
def test_a_drug_of_the_disease_that_was_ever_given_confirms_it(status: str, start: int | None, value: str) -> None:
    drug = medication("calmol", status, start=None if start is None else ago(start))
    found = fact("fog-diagnosis", diagnosis("fog", "confirmed", 5, encounter_only=True), drug)
    assert found.value == value
    assert (drug.reference in references(found)) == (value == "confirmed")


def test_one_entry_on_the_problem_list_is_enough() -> None:
    entries = (diagnosis("fog", "confirmed", 5, encounter_only=True), diagnosis("fog", "confirmed", 300))
    assert fact("fog-diagnosis", *entries).value == "confirmed"
    assert fact("fog-diagnosis", diagnosis("fog", "confirmed", None, encounter_only=True)).value == "suspected"


def test_an_ended_entry_counts_except_where_only_live_ones_do() -> None:
    ended = diagnosis("haze", "confirmed", 5, ended=True)
    assert fact("any-disease", ended).value == "confirmed"
    assert fact("live-haze", ended).value == "ended"
    assert fact("live-haze", ended, diagnosis("haze", "confirmed", 4)).value == "confirmed"
    assert fact("live-haze", ended, diagnosis("haze", "confirmed", 5)).reason is Reason.CONFLICTING
    assert fact("live-haze", diagnosis("haze", "refuted", 5, ended=True)).value == "refuted"


def test_the_text_of_a_diagnosis_is_filled_in() -> None:
    assert fact("fog-diagnosis", diagnosis("fog", "refuted", 5, written="2025-05")).shown == "fog refuted on 2025-05"


def test_a_result_after_the_start_of_a_drug_is_read_and_one_before_is_not() -> None:
    drug = medication("wakal", "active", start=ago(20))
    assert fact("salt-on-wakal", result("salt", 20, 2.4, "g/L"), drug).value == "low"
    assert fact("salt-on-wakal", result("salt", 21, 2.4, "g/L"), drug).value == "unknown"
    assert fact("salt-on-wakal", result("salt", 21, 2.4, "g/L"), medication("wakal", "active")).value == "low"
    assert fact("salt-on-wakal", result("salt", 20, 2.4, "g/L")).value == "unknown"


def test_nothing_in_a_view_is_rounded() -> None:
    just_below = result("salt", 1, quantity=Quantity(Decimal("2.4999999999999999999999"), "g/L"))
    assert fact("salt", just_below).value == "low"
