"""Kinds `region-signs` and `region-relation`, by the clinical specification 1.6."""

from __future__ import annotations

from typing import Any

import pytest
from result_kit import ago, dec, facts, record, references, result

from engine.facts.kinds.region_relation import RegionRelationFact
from engine.facts.kinds.region_signs import RegionSignsFact
from engine.facts.options import After
from engine.facts.signs import Way
from engine.model.fact import Evidence, Fact, Reason
from engine.model.record import Quantity, Result

REGIONS = ("head", "arm", "trunk", "leg")
UP = RegionSignsFact(name="up", title="Up", sign="up", regions=REGIONS)
CLINICAL = RegionSignsFact(
    name="down", regions=REGIONS, ways=((Way(sign="down", components=(("thin",), ("weak", "twitch"))),),)
)
ACTIVE = (("old", "new"), ("old", "twitch"))
NEEDLE = RegionSignsFact(
    name="needle", regions=REGIONS, ways=((Way(muscle_test="needle", components=ACTIVE, muscles="enough"),),)
)
STRICT = RegionSignsFact(
    name="strict", regions=REGIONS, ways=(
        (Way(sign="down", components=(("weak", "thin"),), muscles="enough"),),
        (Way(muscle_test="needle", components=ACTIVE, muscles="enough"),),
        (
            Way(sign="down", components=(("weak", "thin"),), muscles="one"),
            Way(muscle_test="needle", components=ACTIVE, muscles="one"),
        ),
    ),
)
REFUTED = Fact("disease", "refuted", None, (Evidence("Condition/r", "disease refuted"),), ago(10))


def up(day: int | None, region: str, word: str = "present", sign: str = "", **more: Any) -> Result:
    return result("up", day, word, region=region, sign=sign, **more)


def down(day: int | None, region: str, *parts: str, word: str = "present", muscles: Quantity | None = None) -> Result:
    stated: dict[str, Any] = dict.fromkeys(parts, True)
    return result("down", day, word, region=region, parts=stated | ({"muscles": muscles} if muscles else {}))


def needle(region: str, muscle: str, *parts: str, side: str = "", day: int = 0) -> Result:
    return result("needle", day, region=region, muscle=muscle, side=side, parts=dict.fromkeys(parts or ("old", "new"),
        True))


def known(definition: RegionSignsFact, *found: Result, given: dict[str, Fact] | None = None) -> dict[str, str]:
    """The known members, without the name of the family; the whole is ``.``."""
    computed = facts(record(*found), [definition], given)
    return {name.partition(".")[2] or ".": fact.value for name, fact in computed.items() if fact.value != "unknown"}


# ---- one sign


def test_a_sign_is_present_in_its_region_and_counted() -> None:
    assert known(UP, up(0, "arm"), up(None, "leg")) == {".": "present", "arm": "present", "leg": "present",
        "count": "two"}


def test_a_later_absence_denies_the_region_but_it_stays_counted() -> None:
    assert known(UP, up(9, "arm"), up(1, "arm", "absent")) == {".": "denied", "arm": "denied", "count": "one"}
    assert known(UP, up(9, "arm"), up(1, "any", "absent")) == {
        ".": "denied", "arm": "denied", "count": "one", "head": "absent", "trunk": "absent", "leg": "absent",
    }
    assert known(UP, up(9, "arm"), up(8, "leg"), up(1, "arm", "absent")) == {
        ".": "present", "arm": "denied", "leg": "present", "count": "two",
    }


@pytest.mark.parametrize("absence", [
    up(9, "arm", "absent", "tap"), up(30, "arm", "absent"), up(None, "arm", "absent"), up(1, "leg", "absent"),
])
def test_an_earlier_undated_other_or_equally_old_absence_denies_nothing(absence: Result) -> None:
    assert known(UP, up(9, "arm", sign="stroke"), absence)["arm"] == "present"


def test_an_absence_denies_signs_of_its_own_type_or_all_if_it_names_none() -> None:
    sign = up(9, "arm", sign="tap")
    assert known(UP, sign, up(1, "arm", "absent", "tap"))["arm"] == "denied"
    assert known(UP, sign, up(1, "arm", "absent"))["arm"] == "denied"
    assert known(UP, sign, up(1, "arm", "absent", "stroke"))["arm"] == "present"
    assert known(UP, up(9, "arm"), up(1, "arm", "absent", "tap"))["arm"] == "present"
    assert known(UP, sign, up(8, "arm", sign="stroke"), up(1, "arm", "absent", "tap"))["arm"] == "present"


def test_an_undated_sign_is_never_denied() -> None:
    assert known(UP, up(None, "arm"), up(1, "arm", "absent"))["."] == "present"


def test_a_sign_present_and_absent_on_one_day_is_dropped() -> None:
    computed = facts(record(up(0, "arm"), up(0, "arm", "absent")), [UP])
    assert (computed["up"].reason, computed["up.arm"].reason) == (Reason.CONFLICTING, Reason.CONFLICTING)
    assert len(computed["up"].evidence) == 2
    assert known(UP, up(0, "arm", sign="tap"), up(0, "arm", "absent", "stroke"))["arm"] == "present"
    assert known(UP, up(0, "arm"), up(0, "any", "absent"))["arm"] == "present"
    assert known(UP, up(9, "arm"), up(1, "arm"), up(1, "arm", "absent"))["arm"] == "present"


@pytest.mark.parametrize(("regions", "whole"), [
    (["any"], "absent"), (["arm", "leg"], "absent"), (["arm"], None), (["head", "trunk", "leg"], None), ([""], None),
])
def test_the_whole_is_absent_only_for_the_whole_body_or_all_limbs(regions: list[str], whole: str | None) -> None:
    assert known(UP, *(up(0, region, "absent") for region in regions)).get(".") == whole


def test_a_sign_without_a_place_is_a_sign_in_no_region() -> None:
    for place in ("any", "", "tail"):
        assert known(UP, up(0, place)) == {".": "present"}
    assert known(UP, up(9, "any"), up(0, "any", "absent"))["."] == "present"
    assert known(UP, up(9, ""), up(8, "arm"),
        up(0, "arm", "absent")) == {".": "present", "arm": "denied", "count": "one"}


def test_a_region_rests_on_the_first_sign_that_stands() -> None:
    found = [up(day, "arm", reference=f"Observation/{day}") for day in (30, 20, 10)]
    fact = facts(record(*found, up(25, "arm", "absent")), [UP])["up.arm"]
    assert (references(fact), fact.since, fact.shown) == ({"Observation/20"}, ago(20), "Up arm (2025-05-12)")


@pytest.mark.parametrize(("day", "value"), [(9, "present"), (10, None), (None, None)])
def test_after_a_refutation_only_later_signs_count(day: int | None, value: str | None) -> None:
    opened = RegionSignsFact(name="up", sign="up", regions=REGIONS, after=After(fact="disease", value="refuted"))
    assert known(opened, up(day, "arm"), given={"disease": REFUTED}).get("arm") == value
    assert known(opened, up(day, "arm"))["arm"] == "present"
    fact = facts(record(up(9, "arm")), [opened], {"disease": REFUTED})["up.arm"]
    assert "Condition/r" in references(fact)


# ---- several ways


@pytest.mark.parametrize(("parts", "present"), [
    (("thin",), True), (("weak", "twitch"), True), (("weak",), False), (("twitch",), False), ((), False),
])
def test_a_sign_counts_with_one_of_the_sets_of_components(parts: tuple[str, ...], present: bool) -> None:
    assert (known(CLINICAL, down(0, "head", *parts)).get("head") == "present") is present


def test_components_of_different_results_are_not_put_together() -> None:
    assert known(CLINICAL, down(0, "head", "weak"), down(1, "head", "twitch")) == {}


def test_a_later_absence_takes_no_lower_sign_back_but_one_of_its_day_does() -> None:
    assert known(CLINICAL, down(9, "arm", "thin"), down(0, "arm", word="absent"))["arm"] == "present"
    computed = facts(record(down(0, "arm", "thin"), down(0, "arm", word="absent")), [CLINICAL])
    assert (computed["down"].reason, computed["down.arm"].reason) == (Reason.CONFLICTING, Reason.CONFLICTING)


def test_a_lower_sign_without_a_place_counts_for_nothing() -> None:
    assert known(CLINICAL, down(0, "any", "thin"), down(0, "", "thin")) == {}


@pytest.mark.parametrize(("region", "muscles", "enough"), [
    ("arm", Quantity(dec(2)), True), ("arm", Quantity(dec(1)), False), ("arm", None, False), ("leg", Quantity(dec(3)),
    True),
    ("arm", Quantity(dec(2), "", ">="), True), ("arm", Quantity(dec(1), "", ">"), False), ("head", None, True),
    ("trunk", None, True),
])
def test_a_limb_needs_enough_muscles_and_other_regions_one(region: str, muscles: Quantity | None, enough: bool) -> None:
    assert (region in known(STRICT, down(0, region, "weak", "thin", muscles=muscles))) is enough


@pytest.mark.parametrize(("muscles", "enough"), [
    (["push", "turn"], True), (["grip", "turn"], True),
    (["push", "grip"], False),                        # they share a root
    (["turn", "twin"], False),                        # they share a nerve
    (["push", "push"], False), (["push"], False), (["push", "unheard-of"], False), (["", ""], False),
    (["push", "grip", "turn"], True),
])
def test_muscles_of_a_limb_count_as_enough_by_nerve_and_roots(muscles: list[str], enough: bool) -> None:
    found = [needle("arm", muscle, side=side) for muscle, side in zip(muscles, "RLR", strict=False)]
    assert (known(NEEDLE, *found).get("arm") == "present") is enough


def test_one_muscle_is_enough_outside_the_limbs_and_its_name_does_not_matter() -> None:
    assert known(NEEDLE, needle("head", "")) == {".": "present", "head": "present", "count": "one"}
    assert known(NEEDLE, needle("any", "push"), needle("any", "turn")) == {}
    assert known(NEEDLE, needle("head", "push", "old")) == {}


@pytest.mark.parametrize(("sides", "limbs"), [
    ("RR", "one"), ("RL", None), ("", "one"), ("R-", None),
])
def test_a_limb_is_a_region_and_a_side(sides: str, limbs: str | None) -> None:
    both = [side.strip("-") for side in sides or "--"]
    found = [needle("arm", muscle, side=side) for muscle, side in zip(("push", "turn"), both, strict=True)]
    assert known(NEEDLE, *found).get("limbs") == limbs


def test_limbs_are_counted_over_regions_and_sides() -> None:
    arm = [needle("arm", muscle, side=side) for muscle in ("push", "turn") for side in "RL"]
    assert known(NEEDLE, *arm)["limbs"] == "several"
    leg = [needle("leg", muscle, side="R") for muscle in ("push", "turn")]
    assert known(NEEDLE, *arm[::2], *leg)["limbs"] == "several"
    assert "limbs" not in known(NEEDLE, needle("head", "push"), needle("trunk", "turn"))


def test_ways_in_a_list_must_hold_together_in_one_region() -> None:
    assert known(STRICT, down(0, "arm", "weak", "thin"), needle("arm", "push"))["arm"] == "present"
    assert known(STRICT, down(0, "arm", "weak", "thin"), needle("leg", "push")) == {}
    fact = facts(record(down(3, "arm", "weak", "thin"), needle("arm", "push")), [STRICT])["strict.arm"]
    assert (len(fact.evidence), fact.since) == (2, ago(0))


def test_the_family_has_limbs_only_where_muscles_must_be_enough() -> None:
    assert "down.limbs" not in CLINICAL.values()
    assert NEEDLE.values()["needle.limbs"] == ("one", "several")
    assert NEEDLE.values()["needle.count"] == ("one", "two", "three", "four")


def test_a_definition_that_contradicts_itself_says_so() -> None:
    assert not STRICT.check()
    assert RegionSignsFact(name="x").check() == ("needs either `sign` or `ways`",)
    way = Way(components=((),))
    assert len(RegionSignsFact(name="x", ways=((way,),)).check()) == 2


# ---- region-relation

RELATION = RegionRelationFact(name="regions", upper="up", lower="down", regions=REGIONS)


def relation(upper: list[str], lower: list[str], *more: Result) -> dict[str, str]:
    found = [*(up(5, region) for region in upper), *(down(5, region, "thin") for region in lower), *more]
    computed = facts(record(*found), [UP, CLINICAL, RELATION])
    return {
        name.partition(".")[2]: fact.value
        for name, fact in computed.items()
        if name.startswith("regions.") and fact.value != "unknown"
    }


@pytest.mark.parametrize(("upper", "lower", "expected"), [
    (["head", "arm", "leg"], ["head", "arm", "leg"], {"shared": "three", "upper-rostral": "present"}),
    (["arm"], ["arm"], {"shared": "one"}), (["arm"], ["leg"], {"upper-rostral": "present"}),
    (["leg"], ["arm"], {"lower-above": "present"}), (["arm"], ["head", "leg"],
    {"upper-rostral": "present", "lower-above": "present"}),
    (["arm"], [], {}), ([], ["arm"], {}),
])
def test_regions_are_shared_or_lie_rostral_to_each_other(
    upper: list[str], lower: list[str], expected: dict[str, str]
) -> None:
    assert relation(upper, lower) == expected


def test_a_relation_holds_since_the_last_of_the_signs_on_which_it_rests() -> None:
    computed = facts(record(up(5, "arm"), down(3, "arm", "thin")), [UP, CLINICAL, RELATION])
    assert computed["regions.shared"].since == ago(3)
    assert computed["regions.shared"].shown == "regions.shared arm (2025-05-29)"
    computed = facts(record(up(None, "arm"), down(3, "arm", "thin")), [UP, CLINICAL, RELATION])
    assert computed["regions.shared"].since is None


def test_a_sign_that_was_denied_later_still_relates() -> None:
    assert relation(["arm"], ["arm"], up(0, "arm", "absent")) == {"shared": "one"}
