"""libyaml reads files of rulesets exactly as ruamel.yaml does, which says what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from effort import SOAK
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from engine.document import MAPPING, SEQUENCE, composed, parse_document
from engine.errors import RulesetError

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob("rulesets/**/*.yaml"), *ROOT.glob("tests/rulesets/**/*.yaml")])
SMALL = [text for file in FILES if len(text := file.read_text("utf-8")) < 1500]
ODD = [
    *":-#,[]{}&*|>'\"@`%!? \n", "\n  ", ": ", " #", "<<: ", "&a ", "*a", "''", "\\", "|-\n", ">-#", "~", "null", "0o7",
    "0x1F", "1_0", "\x00", "\u00a0", "\u2028", "\ufeff", "\U0001f600", "yes", "TRUE", ".inf", "=", "2026-01-01", "'a'b",
    "a:b", "{a:1}", '{"a":1}', "[? a]", "}:2", "--- ", "\t", "\r\n", "!!str ", "%YAML 1.1\n",
]  # fmt: skip


def tree(node: Any) -> Any:
    """Kinds, tags, values and places of a tree of nodes."""
    if node is None:
        return None
    place = (str(node.tag), node.start_mark.line, node.start_mark.column)
    if isinstance(node, MAPPING):
        return (*place, [(tree(key), tree(value)) for key, value in node.value])
    return (*place, [tree(one) for one in node.value] if isinstance(node, SEQUENCE) else node.value)


def slowly(text: str) -> Any:
    return YAML(typ="safe", pure=True).compose(text)


def outcome(read: Any, text: str) -> Any:
    try:
        return tree(read(text))
    except (YAMLError, ValueError) as error:
        return str(error)


@pytest.mark.soak
def test_the_files_of_the_rulesets_are_read_alike() -> None:
    """Every fourth of the patients, which are by far the most; with ENDPLATE_SOAK=1 all."""
    assert len(FILES) > 200
    patients = [file for file in FILES if "vignettes" in file.parts]
    assert len(patients) > 20
    left_out = set() if SOAK else set(patients) - set(patients[::4])
    for file in sorted(set(FILES) - left_out):
        text = file.read_text("utf-8")
        assert tree(composed(text)) == tree(slowly(text)), file


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SMALL), st.lists(st.tuples(st.floats(0, 1), st.sampled_from(ODD), st.integers(0, 3)), max_size=4)
)  # fmt: skip
def test_a_damaged_file_is_read_alike_or_refused_with_the_same_words(
    text: str, damage: list[tuple[float, str, int]]
) -> None:
    for where, new, lost in damage:
        at = int(where * len(text))
        text = text[:at] + new + text[at + lost :]
    assert outcome(composed, text) == outcome(slowly, text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["a", "b: c", "1.5", "- ", "\n", "  ", *ODD]), max_size=30).map("".join))
def test_any_text_is_read_alike_or_refused_with_the_same_words(text: str) -> None:
    assert outcome(composed, text) == outcome(slowly, text)


@pytest.mark.parametrize(
    "text",
    [
        "%YAML 1.1\n---\na: yes", "a: !!str 1", "? a\n: b", "a:\nb: c", "a: >-#\n  x", "a: >-\n \n  x",
        "[{a: b}:2]", "a: 'b", "\ufeffa: b", "a: b\r\nc: d", "- a\n...\n- b", "a: &x [*x]", "a" * 3000 + ": b",
        "{" * 200, "[" * 5000,
    ],
)  # fmt: skip
def test_what_the_two_might_read_otherwise_means_what_it_did(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> Any:
        try:
            return parse_document(text, "t.yaml").data
        except RulesetError as error:
            return [str(fault) for fault in error.faults]

    now = said()
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert said() == now


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML has no libyaml here")
def test_the_files_of_the_rulesets_need_no_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(YAML, "compose", lambda *_: pytest.fail("ruamel.yaml was asked"))
    for file in FILES:
        assert composed(file.read_text("utf-8")) is not None
