"""The map of the body: present, absent or unknown in each region, and never absent without a resource that says so."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from patient_kit import Looked, example

from engine.evaluation import Evaluator
from engine.model.record import Person, Record, Result
from engine.rules.load import load_ruleset
from engine.workbench.body_map import BodyMap, body_map

AS_OF = date(2026, 3, 1)
EVALUATOR = Evaluator(load_ruleset())
REGIONS = ("bulbar", "cervical", "thoracic", "lumbosacral")


def mapped(*results: Result) -> BodyMap:
    by_concept: dict[str, list[Result]] = {}
    for one in results:
        by_concept.setdefault(one.concept, []).append(one)
    record = Record(person=Person(reference="Patient/x"), as_of=AS_OF,
                    results={name: tuple(found) for name, found in by_concept.items()})  # fmt: skip
    looked = Looked(EVALUATOR, record)
    found = body_map(looked.reasoning, record)
    assert found is not None
    return found


def sign(concept: str, answer: str, region: str, day: date | None = AS_OF, number: int = 1, **more: object) -> Result:
    return Result(concept=concept, reference=f"Observation/{number}", day=day, answer=answer, region=region, **more)  # type: ignore[arg-type]


def states(found: BodyMap) -> dict[str, tuple[str, ...]]:
    return {zone.region: tuple(mark.state for mark in zone.marks) for zone in found.zones}


def test_what_nobody_looked_for_is_unknown() -> None:
    assert states(mapped()) == dict.fromkeys(REGIONS, ("unknown", "unknown"))


def test_a_sign_that_is_there_stands_in_its_region() -> None:
    atrophy = sign("lmn-sign", "present", "cervical", parts={"atrophy": True})
    found = mapped(atrophy, sign("umn-sign", "present", "bulbar", number=2))
    assert states(found) == {
        "bulbar": ("present", "unknown"), "cervical": ("unknown", "present"),
        "thoracic": ("unknown", "unknown"), "lumbosacral": ("unknown", "unknown"),
    }  # fmt: skip
    assert [one.reference for one in found.zones[1].marks[1].evidence] == ["Observation/1"]


def test_an_absence_that_is_stated_is_absent() -> None:
    found = mapped(sign("lmn-sign", "absent", "cervical"), sign("umn-sign", "absent", "any", number=2))
    assert states(found)["cervical"] == ("absent", "absent")
    assert states(found)["bulbar"] == ("absent", "unknown")


def test_an_earlier_sign_that_is_denied_later_says_both() -> None:
    before = AS_OF - timedelta(days=90)
    found = mapped(sign("umn-sign", "present", "bulbar", before), sign("umn-sign", "absent", "bulbar", number=2))
    mark = found.zones[0].marks[0]
    assert (mark.state, mark.word, mark.letter) == ("denied", "earlier, absent since", "±")
    assert {one.reference for one in mark.evidence} == {"Observation/1", "Observation/2"}


def test_the_emg_outweighs_an_examination_without_signs() -> None:
    emg = sign("emg-muscle", "", "bulbar", number=2, muscle="tongue", parts={"chronic": True, "fib_psw": True})
    assert states(mapped(sign("lmn-sign", "absent", "bulbar"), emg))["bulbar"][1] == "present"


def test_a_contradiction_is_unknown_and_says_so() -> None:
    found = mapped(sign("umn-sign", "present", "bulbar"), sign("umn-sign", "absent", "bulbar", number=2))
    mark = found.zones[0].marks[0]
    assert (mark.state, mark.reason) == ("unknown", "conflicting") and len(mark.evidence) == 2


def test_a_sign_of_which_nothing_is_described_does_not_count() -> None:
    mark = mapped(sign("lmn-sign", "present", "thoracic")).zones[2].marks[1]
    assert (mark.state, mark.reason) == ("unknown", "noted without its signs") and mark.evidence


def test_a_sign_without_a_place_is_told_beside_the_map() -> None:
    found = mapped(sign("umn-sign", "present", ""))
    assert states(found) == dict.fromkeys(REGIONS, ("unknown", "unknown"))
    assert [(mark.short, mark.evidence[0].reference) for mark in found.unplaced] == [("UMN", "Observation/1")]


def test_an_example_has_its_map(evaluator: Evaluator) -> None:
    looked = example(evaluator, "typical-als")
    found = body_map(looked.reasoning, looked.record)
    assert found is not None
    assert [zone.title for zone in found.zones] == ["Bulbar", "Cervical", "Thoracic", "Lumbosacral"]
    assert states(found)["cervical"] == ("present", "present")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            sign,
            st.sampled_from(["umn-sign", "lmn-sign"]),
            st.sampled_from(["present", "absent", ""]),
            st.sampled_from([*REGIONS, "any", ""]),
            st.one_of(st.none(), st.dates(date(2020, 1, 1), AS_OF)),
            st.integers(1, 9),
        ),
        max_size=6,
    )
)
def test_nothing_is_absent_or_present_without_a_resource_that_says_so(results: list[Result]) -> None:
    for zone in mapped(*results).zones:
        for mark in zone.marks:
            concept = f"{mark.short.lower()}-sign"
            own = [r for r in results if r.concept == concept]
            here = [r for r in own if r.region in (zone.region, "any")]
            if mark.state in ("absent", "denied"):
                assert any(r.answer == "absent" for r in here)
            if mark.state in ("present", "denied"):
                assert any(r.answer == "present" and r.region == zone.region for r in own)
            if not here:
                assert mark.state == "unknown"
