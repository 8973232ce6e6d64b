"""Kinds `site-result` and `site-count`."""

from __future__ import annotations

from typing import Any

import pytest
from result_kit import TABLES, dec, facts, one, record, references, result

from engine.facts.kinds.site_count import SiteCountFact
from engine.facts.kinds.site_result import SiteResultFact
from engine.model.fact import Fact, Reason
from engine.model.record import Quantity, Result

WHERE = {"muscle": TABLES.classes["face"], "hurt": False}
FACE = SiteResultFact(name="face", concept="fade", above=dec(10), where=WHERE, loose=True)
OTHER = SiteResultFact(name="other", concept="fade", above=dec(10), where=WHERE, loose=True, negate=True)
CODES = {"abnormal": "abnormal", "normal": "normal"}
SOUND = SiteResultFact(name="sound", concept="jitter", codes=CODES, where={"hurt": False})
UNSOUND = SiteResultFact(name="unsound", concept="jitter", codes=CODES, where={"hurt": False}, negate=True)
WEAK = SiteResultFact(
    name="weak", concept="jitter", codes=CODES, where={"weak": True}, loose=True, rank=("normal", "abnormal")
)
SPOTS = SiteCountFact(name="spots", concept="spots", sites=("here", "there"))


def fade(day: int | None, value: float, muscle: str, cmp: str = "", hz: float | None = 3, **parts: bool) -> Result:
    stated = {} if hz is None else {"hz": Quantity(dec(hz), "Hz")}
    return result("fade", day, value, "%", cmp=cmp, muscle=muscle, parts={**stated, **parts})


def jitter(day: int | None, word: str, muscle: str, **parts: bool) -> Result:
    return result("jitter", day, word, muscle=muscle, parts=parts)


def both(*found: Result) -> tuple[str, str]:
    computed = facts(record(*found), [FACE, OTHER])
    return computed["face"].value, computed["other"].value


@pytest.mark.parametrize(("value", "cmp", "expected"), [
    (12, "", "abnormal"), (-12, "", "abnormal"), (9, "", "normal"), (10, "", "unknown"), (10, ">", "abnormal"),
    (10, "<", "normal"), (9, ">", "unknown"), (11, "<", "unknown"),
])
def test_a_number_above_the_limit_is_abnormal_and_the_limit_itself_is_borderline(
    value: float, cmp: str, expected: str
) -> None:
    assert one(FACE, fade(0, value, "smile", cmp)).value == expected


def test_a_later_normal_test_stands_for_its_own_muscle_only() -> None:
    assert both(fade(9, 20, "smile"), fade(1, 5, "smile")) == ("normal", "unknown")
    assert both(fade(9, 20, "smile"), fade(1, 5, "blink")) == ("abnormal", "unknown")
    assert both(fade(9, 20, "smile"), fade(1, 5, "push")) == ("abnormal", "normal")


def test_where_and_its_negation_share_the_muscles_out() -> None:
    assert both(fade(0, 20, "smile")) == ("abnormal", "unknown")
    assert both(fade(0, 20, "smile", hurt=True)) == ("unknown", "abnormal")
    assert both(fade(0, 20, "push")) == ("unknown", "abnormal")
    assert both(fade(0, 20, "")) == ("unknown", "abnormal")


def test_the_newest_test_of_a_muscle_says_whether_it_is_kept() -> None:
    assert both(fade(9, 20, "smile"), fade(1, 20, "smile", hurt=True)) == ("unknown", "abnormal")
    assert both(fade(9, 20, "smile", hurt=True), fade(1, 20, "smile")) == ("abnormal", "unknown")


def test_unreadable_and_undated_tests_give_way() -> None:
    assert both(fade(9, 20, "smile"), fade(1, 5, "smile", hz=None)) == ("abnormal", "unknown")
    assert both(fade(9, 20, "smile"), fade(1, 8, "smile", ">")) == ("abnormal", "unknown")
    assert both(fade(9, 20, "smile"), fade(None, 5, "smile")) == ("abnormal", "unknown")
    assert one(FACE, fade(0, 20, "smile", hz=None)).reason == Reason.NOT_USABLE
    assert one(FACE, fade(0, 20, "push")).reason == Reason.NOTHING_RECORDED


def test_tests_of_an_unknown_muscle_never_supersede_each_other() -> None:
    assert both(fade(9, 20, ""), fade(1, 5, "")) == ("unknown", "abnormal")


def test_on_one_day_the_more_alarming_finding_of_a_muscle_stands() -> None:
    assert both(fade(1, 20, "smile"), fade(1, 5, "smile")) == ("abnormal", "unknown")
    assert one(WEAK, jitter(1, "normal", "push", weak=True), jitter(1, "abnormal", "push")).value == "abnormal"


def test_a_component_that_is_not_stated_is_neither_unless_loose() -> None:
    for test, sound, unsound in (
        (jitter(0, "abnormal", "push", hurt=False), "abnormal", "unknown"),
        (jitter(0, "abnormal", "push"), "unknown", "abnormal"),
        (jitter(0, "abnormal", "push", hurt=True), "unknown", "abnormal"),
    ):
        computed = facts(record(test), [SOUND, UNSOUND])
        assert (computed["sound"].value, computed["unsound"].value) == (sound, unsound)
    assert one(WEAK, jitter(0, "abnormal", "push")).value == "unknown"


def test_the_rank_says_which_muscle_wins() -> None:
    pair = (jitter(0, "abnormal", "push", weak=True), jitter(0, "normal", "grip", weak=True))
    fact = one(WEAK, *pair)
    assert (fact.value, references(fact)) == ("normal", {pair[1].reference})
    both_sound = (jitter(0, "abnormal", "push", hurt=False), jitter(0, "normal", "grip", hurt=False))
    assert one(SOUND, *both_sound).value == "abnormal"


def test_a_definition_that_contradicts_itself_says_so() -> None:
    assert not FACE.check()
    assert SiteResultFact(name="x", concept="fade").check() == ("needs either `above` or `values`",)
    odd = SiteResultFact(name="x", concept="fade", above=dec(1), rank=("odd",))
    assert odd.check() == ("`rank` names `odd`, which is no value",)


# ---- site-count


def spot(day: int | None, value: Any, site: str, cmp: str = "") -> Result:
    return result("spots", day, value, site=site, cmp=cmp)


def counts(*found: Result) -> tuple[str, str]:
    computed = facts(record(*found), [SPOTS])
    return computed["spots.here"].value, computed["spots.there"].value


@pytest.mark.parametrize(("found", "expected"), [
    ([spot(0, 0, "here")], ("none", "none")), ([spot(0, 1, "here")], ("one", "none")), ([spot(0, 2, "here")],
    ("several", "none")),
    ([spot(90, 3, "here"), spot(0, 1, "here")], ("several", "none")), ([spot(None, 1, "there")], ("none", "one")),
    ([spot(0, 1, "here", ">")], ("several", "none")), ([spot(0, 0, "here", ">")], ("one", "none")),
    ([spot(0, 2, "here", "<")], ("unknown", "none")), ([spot(0, 1, "here", "<")], ("none", "none")),
    ([spot(0, 2, "here", ">=")], ("several", "none")), ([spot(0, 2, "here", "<"), spot(9, 0, "here")],
    ("none", "none")),
    ([spot(0, "present", "here")], ("one", "none")), ([spot(0, "absent", "here")], ("none", "none")),
    ([spot(0, 3, "elsewhere")], ("none", "none")), ([spot(0, 3, "")], ("unknown", "unknown")), ([spot(0, 0, "")],
    ("none", "none")),
    ([spot(0, 3, ""), spot(0, 1, "here")], ("one", "unknown")), ([spot(0, -1, "here")], ("unknown", "unknown")), ([],
    ("unknown", "unknown")),
])
def test_the_largest_count_of_each_site_and_none_where_it_is_not_mentioned(
    found: list[Result], expected: tuple[str, str]
) -> None:
    assert counts(*found) == expected


def test_a_site_that_is_not_mentioned_rests_on_what_was_recorded() -> None:
    found = spot(3, 2, "here")
    computed = facts(record(found), [SPOTS])
    assert all(isinstance(fact, Fact) and references(fact) == {found.reference} for fact in computed.values())
    assert computed["spots.there"].shown == "spots.there none, there (2025-05-29)"
