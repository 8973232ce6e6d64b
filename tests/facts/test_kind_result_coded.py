"""Kinds `result`, `coded`, `recorded` and `event`."""

from __future__ import annotations

import pytest
from result_kit import ago, dec, diagnosis, one, references, result

from engine.facts.kinds.coded import CodedFact
from engine.facts.kinds.event import EventFact
from engine.facts.kinds.recorded import RecordedFact
from engine.facts.kinds.result import ResultFact
from engine.facts.options import After, Since
from engine.model.fact import Evidence, Fact, Reason
from engine.model.record import Quantity

FOG = ResultFact(name="fog", title="Fog", concepts=("fog",))
RECENT = ResultFact(name="fog-recent", concepts=("fog",), within=5)
SWAYING = ResultFact(name="fog-swaying", concepts=("fog",), component="swaying")
EITHER = ResultFact(name="either", concepts=("fog", "haze"))
REFUTED = Fact("disease", "refuted", None, (Evidence("Condition/r", "disease refuted"),), ago(10))
AFTER = After(fact="disease", value="refuted")


def start(day: int | None) -> Fact:
    return Fact("start", "present", None, (Evidence("MedicationRequest/s", "drug active"),),
        None if day is None else ago(day))


# ---- result


def test_the_newest_day_decides() -> None:
    fact = one(FOG, result("fog", 9, "present"), result("fog", 2, "absent", reference="Observation/new"))
    assert (fact.value, fact.since, fact.shown) == ("absent", ago(2), "Fog absent (2025-05-30)")
    assert references(fact) == {"Observation/new"}


def test_a_result_without_meaning_does_not_hide_an_older_one() -> None:
    assert one(FOG, result("fog", 9, "present"), result("fog", 0, "normal"), result("fog", 0)).value == "present"


def test_an_undated_result_is_read_only_without_a_dated_one() -> None:
    assert one(FOG, result("fog", None, "present")).value == "present"
    assert one(FOG, result("fog", None, "present")).since is None
    assert one(FOG, result("fog", None, "present"), result("fog", 900, "absent")).value == "absent"


def test_a_day_that_contradicts_itself_is_unknown_and_names_both() -> None:
    fact = one(FOG, result("fog", 0, "present"), result("fog", 0, "absent"), result("fog", 9, "present"))
    assert (fact.value, fact.reason) == ("unknown", Reason.CONFLICTING)
    assert len(fact.evidence) == 2
    assert one(FOG, result("fog", 9, "present"), result("fog", 9, "absent"),
        result("fog", 0, "present")).value == "present"
    assert one(FOG, result("fog", None, "present"), result("fog", None, "absent")).reason == Reason.CONFLICTING


def test_it_holds_since_the_first_present_after_the_last_absent() -> None:
    days = [(20, "present"), (15, "absent"), (9, "present"), (4, "present"), (2, "present")]
    fact = one(FOG, *(result("fog", day, word, reference=f"Observation/{day}") for day, word in days))
    assert fact.since == ago(9)
    assert references(fact) == {"Observation/9", "Observation/2"}


@pytest.mark.parametrize(("day", "value", "reason"), [
    (5, "present", None), (6, "unknown", Reason.OUT_OF_DATE), (None, "unknown", Reason.NOT_USABLE),
    (0, "present", None),
])
def test_a_window_includes_its_last_day_and_nothing_undated(day: int | None, value: str, reason: Reason | None) -> None:
    fact = one(RECENT, result("fog", day, "present"))
    assert (fact.value, fact.reason, len(fact.evidence)) == (value, reason, 1)


def test_nothing_recorded_and_nothing_readable_are_told_apart() -> None:
    assert one(FOG).reason == Reason.NOTHING_RECORDED
    assert one(FOG, result("fog", 0, "normal")).reason == Reason.NOT_USABLE
    assert one(FOG, result("fog", 0, "present", preliminary=True)).reason == Reason.NOTHING_RECORDED


def test_of_several_concepts_one_present_is_enough_and_one_absent_too() -> None:
    assert one(EITHER, result("fog", 9, "present"), result("haze", 0, "absent")).value == "present"
    assert one(EITHER, result("haze", 0, "absent")).value == "absent"
    conflict = (result("fog", 0, "present"), result("fog", 0, "absent"))
    assert one(EITHER, *conflict, result("haze", 9, "absent")).value == "absent"
    assert one(EITHER, *conflict).reason == Reason.CONFLICTING


@pytest.mark.parametrize(("stated", "value"), [
    ([(0, "present", True)], "present"), ([(0, "present", False)], "absent"), ([(0, "absent", None)], "absent"),
    ([(5, "present", True), (0, "present", None)], "present"), ([(5, "present", True), (0, "present", False)],
    "absent"),
    ([(5, "present", True), (0, "absent", None)], "absent"), ([(0, "present", None)], "unknown"),
    ([(5, "present", True), (5, "present", False), (0, "present", None)], "present"),
    ([(5, "absent", True), (0, "present", None)], "unknown"),
    ([(None, "present", True), (0, "present", None)], "unknown"), ([(None, "present", True)], "present"),
])
def test_a_component_is_read_on_the_newest_day_whose_present_result_states_it(
    stated: list[tuple[int | None, str, bool | None]], value: str
) -> None:
    found = [
        result("fog", day, word, parts={} if swaying is None else {"swaying": swaying}) for day, word, swaying in stated
    ]
    assert one(SWAYING, *found).value == value


def test_only_the_present_encounter_counts_if_it_is_asked_for() -> None:
    now = ResultFact(name="now", concepts=("fog",), encounter="current")
    other = result("fog", 0, "absent")
    assert one(now, other).reason == Reason.NOTHING_RECORDED
    assert one(now, other, result("fog", 9, "present", current_encounter=True)).value == "present"


@pytest.mark.parametrize(("day", "value"), [(9, "present"), (10, "unknown"), (11, "unknown"), (None, "unknown")])
def test_a_refutation_silences_what_it_judged(day: int | None, value: str) -> None:
    fact = one(ResultFact(name="open", concepts=("fog",), after=AFTER), result("fog", day, "present"), given=[REFUTED])
    assert fact.value == value
    assert "Condition/r" in references(fact)


def test_without_a_refutation_all_count() -> None:
    opened = ResultFact(name="open", concepts=("fog",), after=AFTER)
    for other in (Fact("disease", "confirmed", None, (), ago(0)), Fact("disease", "unknown", Reason.CONFLICTING)):
        fact = one(opened, result("fog", None, "present"), given=[other])
        assert fact.value == "present"
        assert len(fact.evidence) == 1
    undated = Fact("disease", "refuted", None, REFUTED.evidence)
    assert one(opened, result("fog", 900, "present"), given=[undated]).value == "present"
    assert one(opened, result("fog", None, "present"), given=[undated]).value == "unknown"


def test_the_text_of_a_fact_fills_in_value_date_and_test() -> None:
    shown = ResultFact(name="either", concepts=("fog", "haze"), shown="{test} {value} on {date}")
    assert one(shown, result("haze", 2, "present")).shown == "haze present on 2025-05-30"
    assert one(shown, result("haze", None, "present")).shown == "haze present on unknown date"


# ---- coded

STAGE = CodedFact(name="stage", concepts=("stage",), codes=("V", "IV", "I"))


def test_the_newest_code_decides_and_on_one_day_the_more_alarming() -> None:
    assert one(STAGE, result("stage", 9, "V"), result("stage", 1, "I"), result("stage", 1, "IV")).value == "IV"
    assert one(STAGE, result("stage", 1, "V"), result("stage", None, "I")).value == "V"


def test_a_code_that_is_not_listed_is_not_readable_unless_otherwise_takes_it() -> None:
    assert one(STAGE, result("stage", 9, "I"), result("stage", 0, "VI")).value == "I"
    assert one(STAGE, result("stage", 0, "VI")).reason == Reason.NOT_USABLE
    other = CodedFact(name="stage", concepts=("stage",), codes=("V",), otherwise="other")
    fact = one(other, result("stage", 9, "V"), result("stage", 0, "VI"))
    assert (fact.value, len(fact.evidence)) == ("other", 1)
    assert other.values() == {"stage": ("V", "other")}


def test_the_strongest_ever_counts_undated_ones_too() -> None:
    ever = CodedFact(name="stage", concepts=("stage",), codes=("V", "IV"), otherwise="other", pick="any")
    assert one(ever, result("stage", None, "V"), result("stage", 0, "I")).value == "V"
    assert one(ever, result("stage", 900, "IV"), result("stage", 0, "I")).value == "IV"


@pytest.mark.parametrize(("day", "value"), [(7, "V"), (8, "unknown"), (None, "unknown")])
def test_a_code_is_read_only_in_its_window(day: int | None, value: str) -> None:
    assert one(CodedFact(name="s", concepts=("stage",), codes=("V",), within=7),
        result("stage", day, "V")).value == value


# ---- recorded


def test_any_entry_of_usable_status_is_recorded_whatever_it_says() -> None:
    done = RecordedFact(name="done", concepts=("fog", "fade"))
    assert one(done, result("fog", None, done_only=True)).value == "present"
    assert one(done, result("fade", 0, 10, "")).value == "present"
    assert one(done, result("fog", 0, "present", preliminary=True)).value == "unknown"
    found = [result("fog", day, reference=f"Observation/{day}") for day in (3, 9, 5)]
    fact = one(done, *found)
    assert (fact.since, references(fact)) == (ago(9), {"Observation/3", "Observation/9"})


def test_usable_asks_for_what_the_concept_needs_and_for_nothing_else() -> None:
    done = RecordedFact(name="done", concepts=("fade", "jitter"), usable=True)
    assert one(done, result("fade", 0, 12, "%")).reason == Reason.NOT_USABLE
    assert one(done, result("fade", 0, 12, "%", parts={"hz": Quantity(dec(3), "Hz")})).value == "present"
    assert one(done, result("fade", 0, 10, "%", parts={"hz": Quantity(dec(3), "Hz")})).value == "unknown"
    assert one(done, result("jitter", 0, "unclear")).value == "present"


def test_conditions_count_as_recorded_only_if_asked_for_and_in_any_state() -> None:
    entry = diagnosis("disease", "refuted", 5)
    assert one(RecordedFact(name="entry", concepts=("disease",)), entry).value == "unknown"
    fact = one(RecordedFact(name="entry", concepts=("disease",), conditions=True), entry)
    assert (fact.value, fact.since, fact.evidence[0].said) == ("present", ago(5), "disease refuted")


# ---- event

SIGN = EventFact(name="sign", concepts=("disease", "fog", "antibody", "enzyme"))


def test_a_condition_is_an_event_only_while_its_newest_entries_confirm_it() -> None:
    confirmed = diagnosis("disease", "confirmed", 9)
    assert one(SIGN, confirmed).value == "present"
    for later in ("refuted", "suspected"):
        assert one(SIGN, confirmed, diagnosis("disease", later, 0)).value == "unknown"
    assert one(SIGN, confirmed, diagnosis("disease", "refuted", 9)).value == "unknown"
    assert one(SIGN, diagnosis("disease", "refuted", 9), diagnosis("disease", "confirmed", 0)).value == "present"


def test_a_disputed_result_is_an_event_only_where_the_definition_says_so() -> None:
    both = (result("fog", 1, "present"), result("fog", 1, "absent"))
    assert one(SIGN, *both).value == "unknown"
    assert one(EventFact(name="sign", concepts=("fog",), disputed=("fog",)), *both).value == "present"


def test_a_positive_result_is_an_event_that_no_later_absence_takes_back() -> None:
    assert one(SIGN, result("fog", 9, "present"), result("fog", 0, "absent")).value == "present"
    assert one(SIGN, result("antibody", 9, 5, "nmol/L")).value == "present"
    assert one(SIGN, result("enzyme", 9, 90, "U/L", high=50)).value == "present"
    for other in (diagnosis("disease", "suspected", 0), result("fog", 0, "absent"), result("enzyme", 0, flag="N")):
        assert one(SIGN, other).reason == Reason.NOTHING_RECORDED


def test_an_undated_event_counts_only_if_asked_for() -> None:
    assert one(SIGN, result("fog", None, "present")).reason == Reason.NOT_USABLE
    assert one(EventFact(name="sign", concepts=("fog",), undated=True),
        result("fog", None, "present")).value == "present"


def test_a_condition_is_dated_by_its_onset_or_by_its_record() -> None:
    entry = diagnosis("disease", "confirmed", 2, onset=ago(40))
    assert one(SIGN, entry).since == ago(40)
    acute = EventFact(name="acute", concepts=("disease",), dated_by="recorded", within=3)
    assert one(acute, entry).since == ago(2)
    assert one(acute, diagnosis("disease", "confirmed", 3)).value == "present"
    assert one(acute, diagnosis("disease", "confirmed", 4)).reason == Reason.OUT_OF_DATE
    assert one(acute, diagnosis("disease", "confirmed", None, onset=ago(0))).reason == Reason.NOT_USABLE


@pytest.mark.parametrize(("day", "value"), [(10, "present"), (9, "present"), (11, "unknown"), (None, "unknown")])
def test_since_counts_from_the_day_on_which_the_other_fact_begins(day: int | None, value: str) -> None:
    since = EventFact(name="sign", concepts=("fog",), since=Since(fact="start", dated="required"))
    fact = one(since, result("fog", day, "present"), given=[start(10)])
    assert fact.value == value
    assert "MedicationRequest/s" in references(fact)
    assert one(since, result("fog", 0, "present"), given=[start(None)]).value == "unknown"
    assert one(since, result("fog", 0, "present")).value == "unknown"


def test_an_event_rests_on_the_newest_of_each_concept_and_on_the_first() -> None:
    found = [result("fog", day, "present", reference=f"Observation/{day}") for day in (9, 7, 5)]
    fact = one(SIGN, *found, result("enzyme", 6, flag="H", reference="Observation/e"))
    assert fact.since == ago(9)
    assert references(fact) == {"Observation/9", "Observation/5", "Observation/e"}


@pytest.mark.parametrize(("day", "value"), [(9, "present"), (10, "unknown")])
def test_evidence_later_than_a_refutation_is_an_event(day: int, value: str) -> None:
    reopened = EventFact(name="reopened", concepts=("fog",), after=AFTER)
    assert one(reopened, result("fog", day, "present"), given=[REFUTED]).value == value
