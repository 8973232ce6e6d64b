"""YAML with places: exact values, text keys, and the line and column of everything."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.document import load_document, parse_document
from engine.errors import RulesetError

TEXT = "a: 1\nb:\n  - x\n  - {c: 0.10, d: yes}\n"


def data(text):
    return parse_document(text, "t.yaml").data


def refused(text):
    with pytest.raises(RulesetError) as error:
        parse_document(text, "t.yaml")
    return [str(fault) for fault in error.value.faults]


def test_numbers_are_exact_and_words_of_yaml_1_1_are_text():
    assert data("[1, 0.10, -2.5, 1e3, yes, no, on, 2026-01-02, 1:30]") == [
        1, Decimal("0.10"), Decimal("-2.5"), Decimal("1e3"), "yes", "no", "on", "2026-01-02", "1:30",
    ]  # fmt: skip
    assert str(data("x: 0.10")["x"]) == "0.10"


def test_keys_are_text_as_written():
    found = data("{1: a, 0.50: b, true: c, null: d, /uL: e}")
    assert found == {"1": "a", "0.50": "b", "true": "c", "null": "d", "/uL": "e"}


def test_aliases_stand_for_their_value_everywhere():
    document = parse_document("a: &x {b: [1, 2]}\nc: *x\n", "t.yaml")
    assert document.data["c"] == {"b": [1, 2]}
    assert document.place(("c", "b", 1)).line == 1


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [((), 1, 1), (("a",), 1, 4), (("b", 0), 3, 5),
     (("b", 1, "d"), 4, 18), (("b", 1, "nothing"), 4, 5), (("b", 9), 3, 3)],
)  # fmt: skip
def test_places_lead_to_the_value_or_to_what_is_above_it(path, line, column):
    place = parse_document(TEXT, "t.yaml").place(path)
    assert (place.file, place.line, place.column) == ("t.yaml", line, column)


def test_key_places_lead_to_the_key():
    document = parse_document(TEXT, "t.yaml")
    assert str(document.key_place(("b", 1, "d"))) == "t.yaml:4:15"
    assert str(document.key_place(("b",))) == "t.yaml:2:1"


def test_a_duplicate_key_is_a_fault_with_its_place():
    assert refused("a: 1\nb: 2\na: 3\n") == ["t.yaml:3:1: `a` stands here twice; keep one of them"]


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: b: c", "a: *x", "a: &x [*x]", "? [a]\n: b", "!!set {a}", "!x y", "a: .inf", "a: 0x1F", "--- a\n--- b",
     "a: " + "9" * 50, "[" * 2000, "%YAML 3.0\n---\na", "\t- a", "a: 'x"],
)  # fmt: skip
def test_what_is_no_plain_yaml_is_refused(text):
    assert all(fault.startswith("t.yaml") for fault in refused(text))


def test_an_empty_file_holds_nothing():
    assert data("") is None and data("# remark\n") is None


def test_many_aliases_do_not_explode():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    assert len(data("\n".join(lines))) == 40


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for name in ("nowhere.yaml", "latin.yaml", "."):
        with pytest.raises(RulesetError) as error:
            load_document(tmp_path / name)
        assert error.value.faults[0].place.file == (tmp_path / name).as_posix()


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        parse_document(text, "t.yaml")
    except RulesetError as error:
        assert error.faults
