"""Facts -> answers -> Observations -> the same facts; and whatever stands where an answer belongs, nothing breaks."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from forms_kit import (
    EXAMINATION,
    EXAMINED,
    FORMS,
    NEUROPHYSIOLOGY,
    Json,
    answered,
    extracted,
    facts_of,
    findings_of,
    form,
    observations,
    patient,
    read,
    ready,
    with_extracted,
    with_resources,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.form import NOT_EXAMINED, Field, Question

DAY = EXAMINED[:10]
numbers = st.decimals("0", "150", places=1, allow_nan=False)
ALS: Json = {"r": "Condition", "c": "als", "ver": "confirmed", "clin": "active", "rec": "2025-11-01"}


def values(field: Field) -> st.SearchStrategy[Any]:
    """What a compact fact can say in a field."""
    words = [option.value for option in field.options if option.value != NOT_EXAMINED]
    match field.kind:
        case "choice" if field.name and set(words) == {"present", "absent"}:
            return st.booleans()
        case "choice":
            return st.sampled_from(words)
        case "quantity":
            return numbers
        case "integer":
            return st.integers(0, 6)
        case "date":
            return st.dates().filter(lambda day: day.year >= 1900).map(lambda day: day.isoformat())
        case "boolean":
            return st.just("done")


@st.composite
def one_fact(draw: st.DrawFn, question: Question) -> Json:
    fact: Json = {"r": "Observation", "c": question.concept, "d": DAY}
    if question.region:
        fact["region"] = question.region
    if question.value is not None:
        fact["v"] = draw(values(question.value))
        if question.value.kind == "quantity":
            fact["u"] = draw(st.sampled_from(question.value.units))
            fact |= draw(st.sampled_from([{}, {"cmp": "<"}, {"cmp": ">="}]))
    if question.gate and fact["v"] != question.gate:
        return fact
    parts = [part for part in question.parts if draw(st.booleans())]
    if question.value is None and not any(part.name not in ("muscle", "side") for part in parts):
        parts += [question.parts[-1]]
    return fact | {part.name: draw(values(part)) for part in parts}


@st.composite
def facts(draw: st.DrawFn, name: str) -> list[Json]:
    """Any set of facts for which the form has questions."""
    found: list[Json] = []
    for question in form(name).questions:
        if not draw(st.booleans()):
            continue
        for _ in range(draw(st.integers(1, 3)) if question.repeats else 1):
            found.append(draw(one_fact(question)))
    return found


def placed(fact: Json) -> Json:
    """With the region in which its muscle lies, as a compact fact says it."""
    muscle = fact.get("muscle")
    return {**fact, "region": ready().ruleset.terminology.region_of(muscle)} if muscle else fact


@pytest.mark.parametrize("name", FORMS)
def test_any_set_of_facts_comes_back_from_the_answers(name: str) -> None:
    @settings(max_examples=20, deadline=None)
    @given(facts(name))
    def comes_back(meant: list[Json]) -> None:
        direct = patient(ALS, *map(placed, meant))
        asked = patient(ALS)
        response = answered(name, *meant)

        assert facts_of(with_extracted(asked, response)) == facts_of(direct)
        assert facts_of(with_resources(asked, [response])) == facts_of(direct)
        assert facts_of(with_resources(with_extracted(asked, response), [response])) == facts_of(direct)
        assert read(with_resources(asked, [response]))[1] == []

    comes_back()


@settings(max_examples=15, deadline=None)
@given(facts(EXAMINATION), facts(NEUROPHYSIOLOGY))
def test_a_response_and_what_is_extracted_from_it_give_the_same_findings(one: list[Json], other: list[Json]) -> None:
    responses = [answered(EXAMINATION, *one), answered(NEUROPHYSIOLOGY, *other)]
    inside = findings_of(with_resources(patient(ALS), responses))
    outside = findings_of(with_extracted(patient(ALS), *responses))
    # what two Observations say alike is said once of one response, so summaries may be shorter
    assert [found[:3] for found in inside] == [found[:3] for found in outside]


@pytest.mark.parametrize("name", FORMS)
def test_not_examined_is_never_negative(name: str) -> None:
    questions = [q for q in form(name).questions if q.value and any(o.value == NOT_EXAMINED for o in q.value.options)]
    meant = [{"c": q.concept, "v": NOT_EXAMINED, **({"region": q.region} if q.region else {})} for q in questions]
    response = answered(name, *meant)
    nothing = facts_of(patient(ALS))

    assert len(questions) >= 5
    assert facts_of(with_resources(patient(ALS), [response])) == nothing
    assert facts_of(with_extracted(patient(ALS), response)) == nothing
    made = observations(response)
    assert len(made) == len(questions)
    assert all(one["dataAbsentReason"]["coding"][0]["code"] == "not-performed" for one in made)
    assert not any(key.startswith("value") for one in made for key in one)


def test_numbers_stay_exact() -> None:
    [made] = observations(answered(NEUROPHYSIOLOGY, {"c": "rns-increment", "v": Decimal("110.3"), "u": "%"}))
    assert str(made["valueQuantity"]["value"]) == "110.3"


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["linkId", "item", "answer", "valueCoding", "valueQuantity", "value"]), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(facts(EXAMINATION), st.data())
def test_whatever_stands_in_a_response_only_costs_itself(meant: list[Json], data: st.DataObject) -> None:
    response = json.loads(json.dumps(answered(EXAMINATION, *meant), default=float))
    places = list(_places(response))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places))
        if key not in ("resourceType", "id"):
            holder[key] = data.draw(junk)

    before = facts_of(patient(ALS))
    after, problems = read(with_resources(patient(ALS), [response]))
    extracted(response)

    assert after.diagnoses == read(patient(ALS))[0].diagnoses
    assert before
    assert all("QuestionnaireResponse" in one.where or "no patient" in one.message for one in problems)


def _places(value: Any) -> Any:
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in held:
        yield value, key
        yield from _places(inner)
