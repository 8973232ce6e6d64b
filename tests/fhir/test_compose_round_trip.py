"""What is composed reads back as it was meant: every concept of the shipped value sets, and random facts."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fhir.compose import compose_bundle
from engine.fhir.decode import Document, decode
from engine.fhir.record import Scope, read_records
from engine.model.record import Quantity, Record
from engine.terminology import load_terminology

NOW = date(2025, 6, 1)
WORDS = load_terminology(Path(__file__).resolve().parents[2] / "rulesets/neuromuscular/valuesets")
JSON = msgspec.json.Encoder(decimal_format="number")


def read_back(*facts: dict[str, Any], **case: Any) -> Record:
    """The record of a composed patient, read from its JSON text as from any other sender."""
    bundle = compose_bundle({"id": "p", "now": "2025-06-01", "facts": facts, **case}, WORDS)
    problems: list[Any] = []
    [record] = read_records([Document(decode(JSON.encode(bundle)), "p")], WORDS, Scope(as_of=NOW), problems)
    assert (problems, record.problems) == ([], ())
    return record


@pytest.mark.parametrize("concept", sorted(WORDS.content.preferred["observation"]))
def test_every_concept_of_an_observation_reads_back(concept: str) -> None:
    record = read_back({"r": "Observation", "c": concept, "v": 5, "u": "%", "region": "cervical", "d": "2025-05-01"})
    [result] = record.results[concept]
    assert (result.quantity, result.day, result.region) == (Quantity(Decimal(5), "%"), date(2025, 5, 1), "cervical")


@pytest.mark.parametrize("concept", sorted(WORDS.content.preferred["condition"]))
def test_every_concept_of_a_condition_reads_back(concept: str) -> None:
    record = read_back({"r": "Condition", "c": concept, "ver": "confirmed", "rec": "2025-05-01"})
    assert concept in {*record.diagnoses, *record.results}


@pytest.mark.parametrize("drug", sorted(WORDS.content.preferred["medication"]))
def test_every_drug_reads_back_by_code(drug: str) -> None:
    record = read_back({"r": "MedicationRequest", "c": drug, "status": "draft"})
    assert [(m.ingredient, m.found_by_name) for m in record.medications] == [(drug, False)]


@pytest.mark.parametrize("answer", sorted(WORDS.content.preferred["answer"]))
def test_every_answer_reads_back(answer: str) -> None:
    concept = sorted(WORDS.content.preferred["observation"])[0]
    [result] = read_back({"r": "Observation", "c": concept, "v": answer, "d": "2025-05-01"}).results[concept]
    assert result.answer == answer


days = st.dates(date(2000, 1, 1), NOW)
numbers = st.decimals("-1000", "100000", places=3, allow_nan=False)


@settings(max_examples=60)
@given(
    v=numbers, u=st.sampled_from(["", "%", "nmol/L", "mm[Hg]", "10*9/L"]), cmp=st.sampled_from(["", "<", ">="]), d=days,
    ref_high=st.none() | numbers, status=st.sampled_from(["final", "preliminary"]),
    weakness=st.none() | st.booleans(), hz=st.none() | st.integers(1, 50),
)  # fmt: skip
def test_random_results_read_back(**keys: Any) -> None:
    fact = {key: value for key, value in keys.items() if value is not None and value != ""}
    concept = sorted(WORDS.content.preferred["observation"])[0]
    [result] = read_back({"r": "Observation", "c": concept, **fact}).results[concept]
    assert result.quantity == Quantity(keys["v"], keys["u"], keys["cmp"])
    assert result.day == keys["d"]
    assert result.preliminary is (keys["status"] == "preliminary")
    assert (result.high and result.high.value) == keys["ref_high"]
    parts = {name: keys[name] for name in ("weakness", "hz") if keys[name] is not None}
    assert set(result.parts) == set(parts)
    assert result.parts.get("weakness") == parts.get("weakness")


masses = st.decimals("0.5", "5000", places=2)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["MedicationRequest", "MedicationStatement", "MedicationDispense"]),
    status=st.sampled_from(["active", "on-hold", "draft", "completed", "stopped"]),
    start=st.none() | days, length=st.none() | st.integers(0, 400), single=st.none() | masses, daily=st.none() | masses,
    route=st.sampled_from(["", "iv", "oral", "topical"]),
)  # fmt: skip
def test_random_orders_read_back(
    *, kind: str, status: str, start: date | None, length: int | None, single: Decimal | None, daily: Decimal | None,
    route: str,
) -> None:  # fmt: skip
    end = start + timedelta(days=length) if start and length is not None else None
    stated = {"start": start, "end": end, "single_mg": single, "daily_mg": daily, "route": route or None}
    drug = sorted(WORDS.content.preferred["medication"])[0]
    fact = {
        "r": kind,
        "c": drug,
        "status": status,
        **{key: value for key, value in stated.items() if value is not None},
    }
    [medication] = read_back(fact).medications
    assert (medication.status, medication.supply, medication.start) == (status, kind != "MedicationRequest", start)
    assert medication.end == (end if length or kind != "MedicationDispense" else None)
    assert medication.single_mg == (single or daily)
    assert medication.daily_mg == daily or abs((medication.daily_mg or 0) - (daily or 0)) < Decimal("1e-20")
    assert not route or medication.route == route


def test_laboratory_method_encounter_and_scope_read_back() -> None:
    concept = sorted(WORDS.content.preferred["observation"])[0]
    twice = {
        "r": "Observation",
        "c": concept,
        "v": 1,
        "u": "%",
        "lab": "a",
        "method": "ripa",
        "enc": "current",
        "d": "2025",
    }
    record = read_back(twice, twice, scope="full", patient={"sex": "male", "birth": "1960-01-01"})
    first, second = record.results[concept]
    assert first.laboratory == second.laboratory != ""
    assert first.method == second.method != ""
    assert first.current_encounter
    assert record.complete
    assert (record.person.sex, record.person.birth) == ("male", date(1960, 1, 1))
