"""YAML with places: exact values, the place of each, and no crash whatever the text."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.document import load_document, parse_document
from engine.errors import Place, RulesetError

TEXT = """\
a: &shared {b: 1, c: 2.50}
d:
  <<: *shared
  c: yes
  e: [1, *shared, 2020-01-01, 1e3, ~, true]
1: one
"""


def test_values_are_plain_and_exact() -> None:
    assert parse_document(TEXT, "f").data == {
        "a": {"b": 1, "c": Decimal("2.50")},
        "d": {"b": 1, "c": "yes", "e": [1, {"b": 1, "c": Decimal("2.50")}, "2020-01-01", Decimal("1e3"), None, True]},
        "1": "one",
    }


def test_every_value_and_key_has_a_place() -> None:
    document = parse_document(TEXT, "f.yaml")
    assert document.place(("a", "c")) == Place("f.yaml", 1, 22)
    assert document.key_place(("a", "c")) == Place("f.yaml", 1, 19)
    assert document.place(("d", "b")) == Place("f.yaml", 1, 16)
    assert document.key_place(("d", "c")) == Place("f.yaml", 4, 3)
    assert document.place(("d", "e", 2)) == Place("f.yaml", 5, 19)
    assert document.place(("d", "nowhere", 7)) == Place("f.yaml", 3, 3)
    assert document.place() == Place("f.yaml", 1, 1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\na: 2", "f:2:1: `a` stands here twice; keep one of them"),
        ("a: [1,", "f:1:7: expected the node content"),
        ("&a [*a]", "contains itself"),
        ("a: !!python/object 1", "f:1:4: the tag `python/object` is not used here"),
        ("a: .inf", "f:1:4: `.inf` is no plain decimal number"),
        ("a: 0x1F", "`0x1F` is no plain decimal number"),
        ("a: 1e999", "`1e999` is no plain decimal number"),
        ("[" * 500, "nests too deep"),
        ("a: 1\n---\nb: 2", "f:2:1:"),
        ("? [1]\n: 2", "f:1:3: a key must be text"),
        ("\x00", "unacceptable character"),
        ("a: *b", "f:1:4: found undefined alias"),
    ],
)
def test_a_fault_names_its_place(text: str, fault: str) -> None:
    with pytest.raises(RulesetError) as refused:
        parse_document(text, "f")
    assert fault in str(refused.value)


def test_aliases_do_not_multiply() -> None:
    layers = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert parse_document("\n".join(layers), "f").data["a29"]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for name, fault in (("none.yaml", "cannot be read: no such file"), ("latin.yaml", "is not UTF-8 (byte 3)")):
        with pytest.raises(RulesetError) as refused:
            load_document(tmp_path / name, shown=name)
        assert str(refused.value).startswith(f"{name}: {fault}")


def test_a_byte_order_mark_and_an_empty_file_are_fine(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    (tmp_path / "empty.yaml").write_bytes(b"# nothing\n")
    assert load_document(tmp_path / "bom.yaml").data == {"a": 1}
    assert load_document(tmp_path / "empty.yaml").data is None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab01:-[]{},&*!|>%@\"'# \n\t.~?<\\\x85é\u2028"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = parse_document(text, "f")
    except RulesetError as refused:
        assert refused.faults
    else:
        assert document.place().file == "f"
