"""Summaries stay short whatever is put in; identifiers stay stable; views only leave findings out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.identity import evidence_hash, identifier
from engine.model.fact import Evidence
from engine.model.finding import Because, Finding
from engine.texts import LIMIT, enumerate_texts, fill, shorten
from engine.views import VIEWS, shows

words = st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=90)


TEMPLATES = ["{a} may worsen {b}", "Missing: {missing}.", "{a | b}: {list}"]


@given(st.lists(words, max_size=6), words, st.sampled_from(TEMPLATES))
def test_a_summary_never_has_140_characters_and_keeps_the_words_of_the_rule(
    items: list[str], shown: str, template: str
) -> None:
    text = fill(template, lambda _: shown, ("b",), {"missing": items, "list": items})

    assert len(text) <= LIMIT
    if "may worsen" in template:
        assert "may worsen" in text


def test_a_list_is_cut_before_the_verb_and_says_how_many_are_left_out() -> None:
    items = [f"a rather long examination number {n}" for n in range(9)]

    text = fill("Probable overlap. Missing for definite: {missing}.", str, (), {"missing": items})

    assert text.startswith("Probable overlap. Missing for definite: a rather long examination number 0")
    assert text.endswith("more.")
    assert len(text) <= LIMIT


def test_the_first_alternative_that_the_finding_rests_on_stands_in_the_text() -> None:
    assert fill("{a | b}", str, ("b",)) == "b"
    assert fill("{a | b}", str, ("a", "b")) == "a"
    assert fill("{a | b}", str, ()) == "a"


@pytest.mark.parametrize(
    ("items", "most", "text"),
    [
        (["a", "b"], 2, "a, b"),
        (["a", "b", "c"], 2, "a, b and 1 more"),
        (["a", "a"], 5, "a"),
        (["a", "b"], 0, "2 items"),
        ([], 3, ""),
    ],
)
def test_an_enumeration_says_what_it_leaves_out(items: list[str], most: int, text: str) -> None:
    assert enumerate_texts(items, most) == text


def test_a_text_is_cut_at_a_word() -> None:
    assert shorten("fatigability on examination", 15) == "fatigability…"
    assert shorten("short", 15) == "short"


def test_an_identifier_is_the_same_for_other_evidence_and_differs_by_patient_rule_order_and_tenant() -> None:
    one = identifier("Patient/1", "rule", "MedicationRequest/1", "clinic")

    assert one == identifier("Patient/1", "rule", "MedicationRequest/1", "clinic")
    others = [
        identifier("Patient/2", "rule", "MedicationRequest/1", "clinic"),
        identifier("Patient/1", "other", "MedicationRequest/1", "clinic"),
        identifier("Patient/1", "rule", "MedicationRequest/2", "clinic"),
        identifier("Patient/1", "rule", "MedicationRequest/1", "elsewhere"),
        identifier("Patient/1", "rule", "", "clinic"),
    ]
    assert len({one, *others}) == 6


def reason(said: str, date: str = "2025-01-01", reference: str = "Observation/1") -> Because:
    return Because("fact", "present", said, (Evidence(reference, said, date),))


def test_the_evidence_hash_changes_with_what_was_read_and_not_with_its_order() -> None:
    one, two = reason("0.9 nmol/L"), reason("absent", reference="Observation/2")

    assert evidence_hash([one, two]) == evidence_hash([two, one, one])
    assert evidence_hash([one]) != evidence_hash([reason("1.0 nmol/L")])
    assert evidence_hash([one]) != evidence_hash([reason("0.9 nmol/L", date="2025-01-02")])
    assert evidence_hash([one]) != evidence_hash([reason("0.9 nmol/L", reference="Observation/9")])


def finding(**changes: object) -> Finding:
    plain = Finding(
        issue="i", severity="high", display="warning", group="diagnostic", rule="i", version="1", hash="h", summary="s",
        case=0, because=(reason("x"),),
    )
    return msgspec.structs.replace(plain, **changes)


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_shows_what_the_specification_says(view: str) -> None:
    shown = {
        "plain": finding(),
        "data quality": finding(group="data-quality"),
        "closed world": finding(group="closed-world"),
        "batch only": finding(display="batch-only"),
        "draft order": finding(order="MedicationRequest/draft"),
        "rests on a draft": finding(because=(reason("x", reference="MedicationRequest/draft"),)),
        "other order": finding(order="MedicationRequest/active"),
    }

    seen = {name for name, one in shown.items() if shows(one, view, ["MedicationRequest/draft"])}  # type: ignore[arg-type]

    assert seen == {
        "batch": set(shown),
        "subscription": set(shown) - {"closed world"},
        "patient-view": set(shown) - {"closed world", "data quality", "batch only"},
        "order": {"draft order", "rests on a draft"},
    }[view]
