"""Kinds `quantity`, `change`, `contradicted` and `own-range`."""

from __future__ import annotations

from typing import Any

import pytest
from result_kit import ago, bands, dec, one, references, result

from engine.facts.kinds.change import ChangeFact
from engine.facts.kinds.contradicted import ContradictedFact
from engine.facts.kinds.own_range import OwnRangeFact
from engine.facts.kinds.quantity import QuantityFact
from engine.facts.options import Since
from engine.model.fact import Evidence, Fact, Reason
from engine.model.record import Result

LOW = bands(("low", "below", 50), ("reduced", "below", 60))
SHARE = QuantityFact(name="share", title="Share", concepts=("share",), bands=LOW, otherwise="fine")
FRESH = QuantityFact(
    name="pull", concepts=("pull",), bands=bands(("critical", "below", 30), ("low", "below", 40)), otherwise="fine",
    pick="worst-fresh", worst_of=1, within=3,
)
STALE = QuantityFact(
    name="stale", concepts=("pull",), bands=bands(("critical", "below", 30)), otherwise="fine", older_than=3, within=90
)


def share(day: int | None, value: float, cmp: str = "", **more: Any) -> Result:
    return result("share", day, value, "%", cmp=cmp, **more)


def pull(day: int | None, value: float, cmp: str = "", **more: Any) -> Result:
    return result("pull", day, value, "cm[H2O]", cmp=cmp, **more)


def start(day: int | None, value: str = "present") -> Fact:
    return Fact("start", value, None, (Evidence("MedicationRequest/s", "drug"),), None if day is None else ago(day))


# ---- quantity


def test_the_newest_usable_number_decides() -> None:
    fact = one(SHARE, share(9, 45), share(2, 55, reference="Observation/new"), share(0, 4600), result("share", 0, 45))
    assert (fact.value, fact.since, fact.shown) == ("reduced", ago(2), "Share 55 % (2025-05-30)")
    assert references(fact) == {"Observation/new"}


def test_on_one_day_the_worse_end_decides_whatever_the_order() -> None:
    for pair in ((share(1, 45), share(1, 70)), (share(1, 70), share(1, 45))):
        assert one(SHARE, *pair).value == "low"
    good = QuantityFact(name="good", concepts=("share",), bands=bands(("good", "at_least", 60)), otherwise="poor")
    assert one(good, share(1, 45), share(1, 70)).value == "poor"
    high = QuantityFact(name="high", concepts=("enzyme",), bands=bands(("high", "above", 100)))
    assert one(high, result("enzyme", 1, 99, "U/L"), result("enzyme", 1, 101, "U/L")).value == "high"


@pytest.mark.parametrize(("value", "cmp", "expected"), [
    (49.9, "", "low"), (50, "", "reduced"), (60, "", "fine"), (50, "<", "low"), (51, "<", "reduced"),
    (61, "<", "unknown"),
    (60, ">", "fine"), (59, ">", "unknown"), (60, ">=", "fine"), (50, "<=", "reduced"),
])
def test_a_comparator_gives_only_what_is_certain(value: float, cmp: str, expected: str) -> None:
    fact = one(SHARE, share(0, value, cmp))
    assert fact.value == expected
    assert fact.reason == (Reason.NOT_USABLE if expected == "unknown" else None)
    assert len(fact.evidence) == 1


def test_an_undecided_number_never_hides_a_decided_one() -> None:
    assert one(SHARE, share(0, 45, ">"), share(0, 48)).value == "low"
    assert one(SHARE, share(0, 45, ">"), share(9, 48)).value == "low"
    assert one(SHARE, share(0, 45, ">"), share(9, 70)).value == "fine"
    assert one(FRESH, pull(0, 20, ">"), pull(0, 28)).value == "critical"
    assert one(FRESH, pull(0, 20, ">"), pull(3, 28)).value == "critical"
    assert one(FRESH, pull(0, 20, ">"), pull(4, 28)).reason == Reason.NOT_USABLE


@pytest.mark.parametrize(("found", "expected", "resting"), [
    ([(0, 60, "<"), (9, 45, "")], "low", 1),          # below 60 says nothing of 50, where the older one decides
    ([(0, 60, "<"), (9, 55, "")], "reduced", 2),      # not below 50 by the older one, below 60 by the newer one
    ([(0, 60, "<"), (9, 70, "")], "reduced", 2),
    ([(0, 55, ">"), (9, 45, "")], "reduced", 2),      # above 55: the older one decides only on 60
    ([(0, 60, ">"), (9, 45, "")], "fine", 1),
    ([(0, 55, ">"), (9, 70, "")], "fine", 2),
    ([(0, 55, ">"), (5, 50, ">="), (9, 45, "")], "reduced", 2),
    ([(0, 60, "<"), (None, 45, "")], "reduced", 1),   # a dated one wins
])
def test_each_limit_is_a_question_that_the_newest_number_answers_which_decides_it(
    found: list[tuple[int | None, float, str]], expected: str, resting: int
) -> None:
    fact = one(SHARE, *(share(day, value, cmp) for day, value, cmp in found))
    assert (fact.value, len(fact.evidence)) == (expected, resting)
    results = [share(day, value, cmp, reference=f"Observation/{i}") for i, (day, value, cmp) in enumerate(found)]
    rests = references(one(SHARE, *results))
    assert one(SHARE, *(result for result in results if result.reference in rests)).value == expected


def test_each_limit_is_a_question_of_its_own_among_fresh_numbers() -> None:
    assert one(FRESH, pull(2, 40, "<"), pull(3, 15)).value == "critical"
    assert one(FRESH, pull(0, 40, "<"), pull(3, 15)).value == "critical"
    assert one(FRESH, pull(0, 40, "<"), pull(3, 35)).value == "low"
    assert one(FRESH, pull(0, 40, "<"), pull(4, 15)).value == "low"


def test_a_negative_pressure_is_read_by_its_magnitude() -> None:
    assert one(FRESH, pull(0, -28)).value == "critical"
    assert one(FRESH, pull(0, -40, "<")).value == "fine"
    assert one(FRESH, pull(0, -30, ">")).value == "critical"


@pytest.mark.parametrize(("found", "expected"), [
    ([(0, 60), (1, 28)], "critical"), ([(0, 60), (2, 28)], "fine"), ([(2, 60), (3, 28)], "fine"), ([(3, 28)],
    "critical"),
    ([(4, 28)], "unknown"), ([(None, 28)], "unknown"), ([(1, 35), (0, 38)], "low"), ([(2, 35), (2, 28)], "critical"),
])
def test_worst_fresh_is_the_worst_of_today_and_yesterday_else_the_newest(
    found: list[tuple[int | None, float]], expected: str
) -> None:
    assert one(FRESH, *(pull(day, value) for day, value in found)).value == expected


@pytest.mark.parametrize(("found", "expected"), [
    ([(4, 28)], "critical"), ([(3, 28)], "unknown"), ([(90, 28)], "critical"), ([(91, 28)], "unknown"),
    ([(10, 28), (0, 45)], "unknown"), ([(10, 28), (4, 45)], "fine"), ([(10, 28), (None, 45)], "critical"),
    ([(None, 28)], "unknown"),
])
def test_a_stale_number_is_the_newest_of_all_and_older(found: list[tuple[int | None, float]], expected: str) -> None:
    assert one(STALE, *(pull(day, value) for day, value in found)).value == expected


def test_an_unusable_newer_number_makes_nothing_stale_fresh() -> None:
    assert one(STALE, pull(10, 28), result("pull", 0, 45)).value == "critical"
    assert one(STALE, pull(10, 28), pull(0, 0)).value == "critical"
    assert one(STALE, pull(10, 28), pull(0, 10, ">")).value == "unknown"


@pytest.mark.parametrize(("day", "expected"), [(5, "low"), (6, "unknown"), (None, "unknown")])
def test_a_number_is_read_only_in_its_window(day: int | None, expected: str) -> None:
    fact = one(QuantityFact(name="s", concepts=("share",), bands=LOW, within=5), share(day, 45))
    assert fact.value == expected
    assert fact.reason == {5: None, 6: Reason.OUT_OF_DATE, None: Reason.NOT_USABLE}[day]


@pytest.mark.parametrize(("given", "day", "expected"), [
    (start(10), 10, "low"), (start(10), 11, "unknown"), (start(10), None, "unknown"), (start(None), 900, "low"),
    (start(None), None, "unknown"), (start(10, "absent"), 0, "unknown"), (start(10, "unknown"), 0, "unknown"),
])
def test_since_another_fact(given: Fact, day: int | None, expected: str) -> None:
    fact = one(QuantityFact(name="s", concepts=("share",), bands=LOW, since=Since(fact="start")), share(day, 45),
        given=[given])
    assert fact.value == expected
    if expected != "unknown":
        assert "MedicationRequest/s" in references(fact)


def test_the_highest_ever_counts_undated_ones_and_is_open_where_one_may_be_higher() -> None:
    highest = QuantityFact(
        name="h", concepts=("share",), bands=bands(("over-100", "at_least", 100), ("over-60", "at_least", 60)),
        pick="highest",
    )
    assert one(highest, share(None, 70), share(0, 20)).value == "over-60"
    assert one(highest, share(0, 60, "<")).value == "normal"
    assert one(highest, share(0, 60)).value == "over-60"
    assert one(highest, share(0, 65), share(0, 50, ">")).value == "over-60"
    assert one(highest, share(0, 20), share(0, 50, ">")).reason == Reason.NOT_USABLE


def test_only_positive_titres_count_where_they_are_asked_for() -> None:
    titre = QuantityFact(
        name="t", concepts=("antibody",), bands=bands(("ordinary", "at_least", 1)), otherwise="low", pick="highest",
        reading="positive",
    )
    assert one(titre, result("antibody", 0, 0.6, "nmol/L", high=0.4),
        result("antibody", 0, 3, "nmol/L", flag="NEG")).value == "low"
    assert one(titre, result("antibody", 0, 0.8, "nmol/L", cmp=">", flag="POS")).reason == Reason.NOT_USABLE
    assert one(titre, result("antibody", 0, 45, "[arb]", high=10)).reason == Reason.NOT_USABLE


def test_multiples_of_the_upper_limit_come_from_the_newest_result_that_has_one() -> None:
    times = QuantityFact(
        name="x", concepts=("enzyme", "pigment"), bands=bands(("over-5", "above", 5), ("over-3", "above", 3)),
        measure="times-upper-limit", shown="{test} {times}",
    )
    fact = one(times, result("enzyme", 2, 204, "U/L", high=40), result("enzyme", 0, 30, "U/L"))
    assert (fact.value, fact.shown) == ("over-5", "Enzyme 5.1 times the upper limit")
    assert one(times, result("enzyme", 0, 200, "U/L", high=40)).value == "over-3"
    assert one(times, result("enzyme", 0, 120, "U/L", high=40)).value == "normal"
    assert one(times, result("enzyme", 0, 200, "U/L", high=40, cmp=">")).value == "over-5"
    worse = one(times, result("enzyme", 0, 10, "U/L", high=40), result("pigment", 9, 4, "mg/dL", high=1))
    assert (worse.value, len(worse.evidence)) == ("over-3", 2)


def test_a_computed_number_rests_on_both_of_its_sources() -> None:
    breath = QuantityFact(name="b", concepts=("breath",), bands=bands(("critical", "below", 20)), otherwise="fine")
    volume, weight = result("litres", 1, 1, "L"), result("weight", 100, 60, "kg")
    fact = one(breath, volume, weight)
    assert (fact.value, fact.since, fact.shown) == ("critical", ago(1), "b 16.67 mL/kg (2025-05-31)")
    assert references(fact) == {volume.reference, weight.reference}
    assert one(breath, volume, weight, result("breath", 1, 35, "mL/kg")).value == "critical"
    assert one(breath, volume, weight, result("breath", 0, 35, "mL/kg")).value == "fine"


@pytest.mark.parametrize(("litres", "weights", "expected"), [
    ((1.2, ""), [(9, 90, ">")], "critical"),                    # less than 13.4 mL/kg
    ((1.2, ""), [(9, 60, "<")], "fine"),                        # more than 20: not below it
    ((1.2, ""), [(9, 61, "<")], "unknown"),
    ((1.2, ""), [(9, 70, "<"), (20, 80, "")], "critical"),      # more than 17 leaves it open, the older weight does not
    ((1.2, ""), [(9, 70, "<"), (20, 50, "")], "fine"),
    ((1.2, ""), [(9, 60, "<"), (20, 80, "")], "fine"),          # the newest weight decides
    ((1.2, "<"), [(9, 60, ">=")], "critical"),
    ((1.2, "<"), [(9, 90, "<")], "unknown"),                    # a quotient of two open ends that pull apart
    ((1.2, "<"), [(9, 90, "<"), (20, 90, "")], "critical"),
    ((1.2, ""), [(366, 90, ">")], "unknown"),
])
def test_a_number_per_weight_takes_the_comparator_of_the_weight(
    litres: tuple[float, str], weights: list[tuple[int, float, str]], expected: str
) -> None:
    breath = QuantityFact(name="b", concepts=("breath",), bands=bands(("critical", "below", 20)), otherwise="fine")
    found = [result("weight", day, value, "kg", cmp=cmp) for day, value, cmp in weights]
    assert one(breath, result("litres", 1, litres[0], "L", cmp=litres[1]), *found).value == expected


# ---- change

DROP = ChangeFact(name="drop", concept="share", within=120, over=92, points=dec(15))
FALL = ChangeFact(name="fall", concept="share", to="worst-fresh", worst_of=1, within=3, over=90, percent=dec(30))


@pytest.mark.parametrize(("before", "now", "expected"), [
    ([(92, 75)], (0, 60), "present"), ([(93, 75)], (0, 60), "unknown"), ([(50, 74)], (0, 60), "absent"),
    ([(1, 75)], (0, 60), "present"), ([(0, 75)], (0, 60), "unknown"), ([(80, 75), (40, 62)], (0, 60), "present"),
    ([(130, 75)], (120, 60), "present"), ([(131, 75)], (121, 60), "unknown"), ([(None, 75)], (0, 60), "unknown"),
])
def test_a_drop_is_measured_against_the_best_earlier_value_in_reach(
    before: list[tuple[int | None, float]], now: tuple[int, float], expected: str
) -> None:
    assert one(DROP, *(share(day, value) for day, value in before), share(*now)).value == expected


@pytest.mark.parametrize(("found", "expected"), [
    ([(90, 100), (0, 70)], "present"), ([(90, 100), (0, 70.1)], "absent"), ([(91, 100), (0, 70)], "unknown"),
    ([(50, 100), (1, 70), (0, 90)], "present"), ([(50, 100), (2, 70), (0, 90)], "absent"), ([(50, 100), (4, 70)],
    "unknown"),
    ([(1, 100), (0, 70)], "present"),
])
def test_a_fall_is_a_share_of_the_earlier_value(found: list[tuple[int, float]], expected: str) -> None:
    assert one(FALL, *(share(day, value) for day, value in found)).value == expected


def test_numbers_with_a_comparator_are_left_out_of_a_comparison() -> None:
    assert one(FALL, share(50, 100, ">"), share(0, 70)).value == "unknown"
    assert one(FALL, share(50, 100), share(0, 70, "<")).value == "unknown"
    fact = one(FALL, share(50, 100), share(40, 90), share(0, 70))
    assert (fact.shown, len(fact.evidence)) == ("fall from 100 % to 70 % (2025-06-01)", 2)


def test_a_change_asks_for_percent_or_points() -> None:
    assert not DROP.check()
    assert ChangeFact(name="x", concept="share", over=9).check() == ("needs either `percent` or `points`",)


# ---- contradicted

LEAK = ContradictedFact(
    name="leak", concept="pull", below=dec(30), worst_of=1, within=3,
    contradicted_by={"breath": dec(30), "share": dec(60)},
)


def breath(day: int, value: float, cmp: str = "") -> Result:
    return result("breath", day, value, "mL/kg", cmp=cmp)


def test_the_newest_weight_that_decides_says_whether_a_number_per_weight_contradicts() -> None:
    def leak(*weights: tuple[float, str]) -> str:
        scales = [result("weight", day, value, "kg", cmp=cmp) for day, (value, cmp) in enumerate(weights)]
        return one(LEAK, pull(0, 28), result("litres", 0, 2, "L"), *scales).value

    assert leak((60, "<")) == "present"
    assert leak((70, ">"), (60, "")) == "absent"
    assert leak((60, ">"), (50, "")) == "present"


@pytest.mark.parametrize(("found", "expected"), [
    ([pull(0, 28), breath(0, 30)], "present"), ([pull(0, 28), breath(0, 29)], "absent"), ([pull(0, 28), breath(1, 30)],
    "absent"),
    ([pull(0, 28), share(0, 60)], "present"), ([pull(0, 28), share(0, 59)], "absent"), ([pull(0, 28),
    share(0, 60, ">")], "present"),
    ([pull(0, 28), breath(0, 30, "<")], "absent"), ([pull(0, 30), breath(0, 30)], "unknown"), ([pull(4, 28),
    breath(4, 30)], "unknown"),
    ([pull(0, 28), pull(1, 20), breath(0, 30)], "absent"), ([pull(0, 28), pull(1, 20), breath(0, 30), breath(1, 30)],
    "present"),
    ([pull(0, 35), pull(2, 28), breath(2, 30)], "unknown"), ([pull(3, 28), breath(3, 30)], "present"),
])
def test_low_numbers_are_contradicted_by_a_good_test_of_each_of_their_days(found: list[Result], expected: str) -> None:
    assert one(LEAK, *found).value == expected


# ---- own-range

SALT = OwnRangeFact(name="salt", concepts=("salt",))
PIGMENT = OwnRangeFact(name="pigment", concepts=("pigment",))


def test_the_newest_result_with_a_flag_or_a_range_decides() -> None:
    fact = one(SALT, result("salt", 5, flag="L", reference="Observation/l"), result("salt", 0, 60, "mmol/L"))
    assert (fact.value, fact.shown, references(fact)) == ("low", "salt low (2025-05-27)", {"Observation/l"})
    assert one(SALT, result("salt", 0, 60, "mmol/L")).reason == Reason.NOT_USABLE


def test_on_one_day_the_end_that_is_worse_for_the_concept_decides() -> None:
    for flags, salt, pigment in ((("H", "L"), "low", "high"), (("N", "L"), "low", "normal"), (("H", "N"),
        "normal", "high")):
        assert one(SALT, *(result("salt", 0, flag=flag) for flag in flags)).value == salt
        assert one(PIGMENT, *(result("pigment", 0, flag=flag) for flag in flags)).value == pigment


@pytest.mark.parametrize(("day", "expected"), [(5, "low"), (6, "unknown"), (None, "unknown")])
def test_an_own_range_is_read_only_in_its_window(day: int | None, expected: str) -> None:
    assert one(OwnRangeFact(name="s", concepts=("salt",), within=5), result("salt", day, flag="L")).value == expected


def test_flag_or_limit_passes_over_a_result_that_has_neither() -> None:
    limit = OwnRangeFact(name="p", concepts=("pigment",), flag_or_limit=True)
    assert one(limit, result("pigment", 5, flag="H"), result("pigment", 0, flag="L")).value == "high"
    assert limit.values() == {"p": ("high", "normal")}
