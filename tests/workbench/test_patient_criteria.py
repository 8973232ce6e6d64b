"""Criteria side by side: their answers and lines are those of the rules, and nothing that is missing is negative."""

from __future__ import annotations

from patient_kit import Looked, example, nodes, vectors

from engine.evaluation import Evaluator
from engine.model.record import Person, Record
from engine.workbench.criteria import Column, Row, criteria_of


def columns(looked: Looked) -> dict[str, Column]:
    return {one.title: one for one in criteria_of(looked.reasoning)}


def rows(of: tuple[Row, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in of:
        found |= {row.title: row.truth, **rows(row.rows)}
    return found


def test_a_column_heads_with_the_category(evaluator: Evaluator) -> None:
    found = columns(example(evaluator, "als-then-mg"))
    assert list(found) == ["Gold Coast", "Revised El Escorial", "Awaji", "ALS with MG", "McDonald 2017"]
    assert [one.answer for one in found.values()] == ["met", "probable", "probable", "definite", "not decidable"]
    assert [one.category for one in found.values()] == [False, True, True, True, False]


def test_a_line_leads_down_to_resources(evaluator: Evaluator) -> None:
    [row] = [r for r in columns(example(evaluator, "als-then-mg"))["ALS with MG"].rows if "Antibody" in r.title]
    assert row.truth == "true"
    told = {e.reference for node in nodes(row.tree) for e in node.evidence}
    assert told == {"Observation/als-then-mg-achr-binding-1", "Observation/als-then-mg-achr-binding-2"}


def test_of_an_empty_record_nothing_is_false_that_could_be_otherwise(evaluator: Evaluator) -> None:
    empty = Record(person=Person(reference="Patient/x"), as_of=example(evaluator, "typical-als").record.as_of)
    found = columns(Looked(evaluator, empty))
    assert {one.answer for one in found.values()} == {"not decidable"}
    for title in ("Gold Coast", "Revised El Escorial", "Awaji", "McDonald 2017"):
        assert set(rows(found[title].rows).values()) == {"unknown"}, title
    assert "false" not in rows(found["ALS with MG"].rows).values()


def test_lines_and_answer_agree(evaluator: Evaluator) -> None:
    """What stands at the head follows from the lines, for every test patient: the content repeats the rules truly."""
    for name, looked in vectors(evaluator):
        found = columns(looked)
        gold = found["Gold Coast"]
        truths = {row.truth for row in gold.rows}
        expected = "false" if "false" in truths else "unknown" if "unknown" in truths else "true"
        assert gold.truth == expected, name

        overlap = found["ALS with MG"]
        if looked.reasoning.value("als-in-play") == "present":
            assert (overlap.answer == "definite") is ({row.truth for row in overlap.rows} == {"true"}), name

        mcdonald = found["McDonald 2017"]
        assert (mcdonald.answer == "met") is ("true" in {row.truth for row in mcdonald.rows}), name
        for kind in mcdonald.rows:
            parts = {row.truth for row in kind.rows}
            together = "false" if "false" in parts else "unknown" if "unknown" in parts else "true"
            assert kind.truth == together, f"{name}: {kind.title}"

        for title in ("Revised El Escorial", "Awaji"):
            one = found[title]
            first = next((row.title for row in one.rows[2:] if row.truth == "true"), "")
            assert bool(first) is one.category, f"{name}: {title}"
            if first:
                wanted = {"suspected lmn only": "LMN signs alone", "probable laboratory supported": "Laboratory"}
                assert first.startswith(wanted.get(one.answer, one.answer.capitalize())), f"{name}: {title}"


def test_parts_of_a_line_do_not_contradict_it(evaluator: Evaluator) -> None:
    for name, looked in vectors(evaluator):
        motor = next(row for row in columns(looked)["Gold Coast"].rows if row.rows and "UMN" in row.title)
        umn, one, two = (part.truth for part in motor.rows)
        met = two == "true" or (umn == one == "true")
        assert (motor.truth == "true") is met, name
