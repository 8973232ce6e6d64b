"""What is known when: every resource that the rules read is on the timeline, and what was not used says why."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from patient_kit import Looked, example, vectors

from engine.evaluation import Evaluator
from engine.model.problem import Problem
from engine.model.record import Diagnosis, Medication, Person, Quantity, Record, Result
from engine.rules.load import load_ruleset
from engine.workbench.timeline import NEWEST, Entry, Timeline, references, timeline

AS_OF = date(2026, 3, 1)
EVALUATOR = Evaluator(load_ruleset())


def drawn(looked: Looked, **more: object) -> Timeline:
    return timeline(looked.record, looked.evaluation, looked.evaluator.ruleset, **more)  # type: ignore[arg-type]


def entries(of: Timeline) -> dict[str, Entry]:
    return {entry.reference: entry for group in of.groups for row in group.rows for entry in row.entries}


def of_record(record: Record) -> Timeline:
    return drawn(Looked(EVALUATOR, record))


def row(of: Timeline, title: str) -> list[Entry]:
    return next(list(row.entries) for group in of.groups for row in group.rows if row.title == title)


def test_every_resource_of_a_reason_is_on_the_page(evaluator: Evaluator) -> None:
    """Of every fact, finding and held-back finding of every test patient."""
    for name, looked in vectors(evaluator):
        found = drawn(looked)
        here = {*entries(found), *(one.reference for one in found.elsewhere)}
        also = {other for rs in looked.record.results.values() for r in rs for other in r.evidence}
        evaluation = looked.evaluation
        facts = [*evaluation.facts.values(), *(f for of in evaluation.orders.values() for f in of.values())]
        findings = (*evaluation.findings, *evaluation.held_back)
        named = {e.reference for fact in facts for e in fact.evidence}
        named |= {reference for f in findings for reference in f.references}
        named |= {e.reference for f in findings for h in f.held_back_by for b in h.because for e in b.evidence}
        assert named <= here | also, name
        assert set(references(looked.record)) == set(entries(found)), name


def test_a_concept_is_a_row_with_the_newest_entry_first(evaluator: Evaluator) -> None:
    found = drawn(example(evaluator, "als-then-mg"))
    antibody = row(found, "AChR binding antibody")
    assert [one.when for one in antibody] == ["2026-01-27", "2025-11-18"]
    assert [one.said for one in antibody] == ["2.6 nmol/L (H)", "2.3 nmol/L (H)"]
    assert [group.title for group in found.groups] == ["Diagnoses", "Results", "Drugs"]
    assert row(found, "riluzole")[0].said == "active, oral, 50 mg single dose, 100 mg a day"


def test_what_could_not_be_used_is_struck_at_its_place_and_says_why(evaluator: Evaluator) -> None:
    found = entries(drawn(example(evaluator, "wrong-units")))
    implausible = found["Observation/wrong-units-fvc-pct-1"]
    assert implausible.struck and "implausible value" in implausible.notes
    undated = found["Observation/wrong-units-achr-binding-3"]
    assert (undated.when, undated.notes) == ("undated", ("date missing",))
    assert not undated.struck, "it is used where time does not matter"
    assert not found["Observation/wrong-units-tsh-1"].struck


def test_entries_that_contradict_each_other_say_so(evaluator: Evaluator) -> None:
    found = entries(drawn(example(evaluator, "contradictory-day")))
    both = [found["Condition/contradictory-day-als-1"], found["Condition/contradictory-day-als-refuted-1"]]
    assert all(one.struck and "conflicting conditions" in one.notes for one in both)


def test_what_is_too_old_for_one_question_is_not_struck(evaluator: Evaluator) -> None:
    lung = entries(drawn(example(evaluator, "als-then-mg")))["Observation/als-then-mg-fvc-pct-1"]
    assert not lung.struck and any(note.startswith("too old for: ") for note in lung.notes)


def test_a_problem_of_the_data_stands_at_its_entry_or_below() -> None:
    result = Result(concept="ck", reference="Observation/1", day=AS_OF, quantity=Quantity(Decimal(7)))
    record = Record(
        person=Person(reference="Patient/x"), as_of=AS_OF, results={"ck": (result,)},
        problems=(Problem("unreadable-number", "f.json: entry 2: Observation/1", "the range is no number"),
                  Problem("no-status", "f.json: entry 3: Observation/2", "it has no status")),
    )  # fmt: skip
    found = of_record(record)
    assert "the range is no number" in entries(found)["Observation/1"].notes
    assert [one.message for one in found.problems] == ["it has no status"]


def test_answers_that_are_tried_are_marked(evaluator: Evaluator) -> None:
    looked = example(evaluator, "typical-als")
    found = entries(drawn(looked, tried={"Observation/typical-als-progression-1"}))
    assert [one.reference for one in found.values() if one.tried] == ["Observation/typical-als-progression-1"]


def test_an_empty_record_has_an_empty_timeline() -> None:
    found = of_record(Record(person=Person(reference="Patient/x"), as_of=AS_OF))
    assert (found.groups, found.entries, found.problems) == ((), 0, ())


def test_drugs_last_until_they_end_or_until_now() -> None:
    drugs = (
        Medication(ingredient="riluzole", reference="MedicationRequest/1", status="active", start=date(2025, 1, 1)),
        Medication(ingredient="riluzole", reference="MedicationRequest/2", status="stopped", start=date(2023, 1, 1),
                   end=date(2024, 1, 1)),
        Medication(ingredient="riluzole", reference="MedicationRequest/3", status="stopped", start=date(2022, 1, 1)),
        Medication(ingredient="riluzole", reference="MedicationRequest/4", status="active"),
    )  # fmt: skip
    found = entries(of_record(Record(person=Person(reference="Patient/x"), as_of=AS_OF, medications=drugs)))
    assert found["MedicationRequest/1"].end == 98.0
    assert found["MedicationRequest/2"].when == "2023-01-01 to 2024-01-01"
    assert found["MedicationRequest/3"].end is None and found["MedicationRequest/4"].start is None
    assert list(found)[-1] == "MedicationRequest/4", "undated entries stand last"


def test_many_entries_of_a_concept_stand_behind_the_newest() -> None:
    results = tuple(
        Result(concept="ck", reference=f"Observation/{n}", day=AS_OF - timedelta(days=n), answer="normal")
        for n in range(40)
    )
    found = of_record(Record(person=Person(reference="Patient/x"), as_of=AS_OF, results={"ck": results}))
    [group] = found.groups
    assert len(group.rows[0].newest) == NEWEST and len(group.rows[0].older) == 40 - NEWEST


days = st.one_of(st.none(), st.dates(date(1, 1, 1), AS_OF))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["ck", "fvc-pct", "unheard-of"]), days, st.text(max_size=8)), max_size=8),
    st.lists(st.tuples(st.sampled_from(["als", "mg"]), days, days), max_size=3),
    st.lists(st.tuples(st.sampled_from(["riluzole", "x y"]), days, days), max_size=3),
)
def test_any_record_can_be_drawn(
    results: list[tuple[str, date | None, str]],
    diagnoses: list[tuple[str, date | None, date | None]],
    drugs: list[tuple[str, date | None, date | None]],
) -> None:
    """Every entry once, newest first, inside the axis."""
    by_concept: dict[str, list[Result]] = {}
    for number, (concept, day, said) in enumerate(results):
        one = Result(concept=concept, reference=f"Observation/{number}", day=day, answer=said)
        by_concept.setdefault(concept, []).append(one)
    conditions: dict[str, list[Diagnosis]] = {}
    for number, (concept, recorded, onset) in enumerate(diagnoses):
        made = Diagnosis(concept=concept, reference=f"Condition/{number}", certainty="confirmed", recorded=recorded,
                         onset=onset)  # fmt: skip
        conditions.setdefault(concept, []).append(made)
    record = Record(
        person=Person(reference="Patient/x"), as_of=AS_OF,
        results={name: tuple(found) for name, found in by_concept.items()},
        diagnoses={name: tuple(found) for name, found in conditions.items()},
        medications=tuple(Medication(ingredient=name, reference=f"MedicationRequest/{number}", status="active",
                                     start=start, end=end) for number, (name, start, end) in enumerate(drugs)),
    )  # fmt: skip
    found = of_record(record)
    assert sorted(entries(found)) == sorted(references(record))
    assert found.entries == len(results) + len(diagnoses) + len(drugs)
    for group in found.groups:
        for one in group.rows:
            stated = [entry.day for entry in one.entries]
            dated = [day for day in stated if day is not None]
            assert dated == sorted(dated, reverse=True) and stated[: len(dated)] == dated
            for entry in one.entries:
                assert entry.start is None or 0 <= entry.start <= 100
                assert entry.end is None or (entry.start or 0) < entry.end <= 100
    assert all(0 <= place <= 100 for _, place in found.ticks) and len(found.ticks) <= 12
