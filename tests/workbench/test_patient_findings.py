"""The findings of a case as an EHR would show them: cards, lists, what is held back, what is not decidable."""

from __future__ import annotations

import msgspec
import pytest
from patient_kit import Looked, example, nodes, vectors

from engine.evaluation import Evaluator
from engine.model.finding import SEVERITIES
from engine.model.problem import Problem
from engine.outputs.cards import MOST, cards_response, grouped
from engine.reasoning import QUALITY
from engine.views import seen
from engine.workbench.cards_view import EXPLAINED, PROVED, Findings, findings_of, unusable


def found(looked: Looked, **more: object) -> Findings:
    return findings_of(looked.reasoning, looked.evaluation, base="urn:endplate", **more)  # type: ignore[arg-type]


def test_each_finding_says_which_card_it_is(evaluator: Evaluator) -> None:
    view = found(example(evaluator, "quinine-in-overlap"))
    assert [one.card for one in view.shown] == [1, 2, 3, 4]
    assert [head.number for head in view.cards] == [1, 2, 3, 4]
    assert view.shown[0].fate == "card 1 of 4"
    assert view.cards[0].summary == view.shown[0].finding.summary


def test_what_speaks_of_the_data_is_for_lists_alone(evaluator: Evaluator) -> None:
    view = found(example(evaluator, "wrong-units"))
    assert view.cards == () and len(view.shown) == 4
    assert {one.fate for one in view.shown} == {"kept for lists of patients: it speaks of the data"}


def test_at_an_order_hook_only_what_rests_on_the_order_is_a_card(evaluator: Evaluator) -> None:
    looked = example(evaluator, "fluoroquinolone-in-mg")
    draft = next(one.reference for one in looked.record.medications if one.status == "draft")
    view = found(looked, hook="order-sign", view="order", drafts={draft})
    assert [one.finding.order for one in view.shown if one.card] == [draft] * len(view.cards)
    none = found(looked, hook="order-sign", view="order", drafts={"MedicationRequest/another"})
    assert none.cards == () and all("does not rest on what is being ordered" in one.fate for one in none.shown)


def test_only_a_draft_may_be_removed(evaluator: Evaluator) -> None:
    looked = example(evaluator, "fluoroquinolone-in-mg")
    draft = next(one.reference for one in looked.record.medications if one.status == "draft")
    offered = {one.finding.order: one.orders for one in found(looked, view="order", drafts={draft}).shown}
    assert offered.pop(draft) == ("Remove this order",)
    assert not any("Remove this order" in orders for orders in offered.values())


def test_the_proof_of_an_order_is_that_of_this_order(evaluator: Evaluator) -> None:
    looked = example(evaluator, "fluoroquinolone-in-mg")
    one = next(one for one in found(looked).shown if one.finding.order)
    told = {e.reference for node in nodes(one.tree) for e in node.evidence}
    assert one.finding.order in told
    others = {o.reference for o, _ in looked.reasoning.orders} - {one.finding.order}
    assert not told & others - set(one.finding.references)


@pytest.mark.parametrize("hook", ["", "order-sign"])
def test_cards_are_those_of_the_hook(evaluator: Evaluator, hook: str) -> None:
    """For every test patient the page marks exactly the cards that the service would answer, in their order."""
    for name, looked in vectors(evaluator):
        drafts = {one.reference for one in looked.record.medications if one.status == "draft"}
        view = found(looked, hook=hook, view="order" if hook else "patient-view", drafts=drafts)
        of_hook = seen(looked.evaluation, "order" if hook else "patient-view", drafts)
        groups, beyond = grouped(of_hook)
        cards = cards_response(of_hook, evaluator.ruleset.info, base="urn:endplate", drafts=drafts)["cards"]
        assert [head.summary for head in view.cards] == [card["summary"] for card in cards], name
        assert len(view.cards) <= MOST
        for number, group in enumerate(groups, 1):
            assert [one.finding for one in view.shown if one.card == number] == group, name
        assert len(view.shown) == len(looked.evaluation.findings), name
        assert sum("no card of its own" in one.fate for one in view.shown) == len(beyond), name


def test_every_reason_of_a_finding_stands_in_its_proof_or_beside_it(evaluator: Evaluator) -> None:
    for name, looked in vectors(evaluator):
        for one in found(looked).shown:
            assert one.tree and one.tree[0].truth == "true", f"{name}: {one.finding.issue}"


def test_only_so_many_findings_are_proved(evaluator: Evaluator) -> None:
    looked = example(evaluator, "quinine-in-overlap")
    one = next(f for f in looked.evaluation.findings if f.order)
    many = msgspec.structs.replace(looked.evaluation, findings=(one,) * (EXPLAINED + 3))
    view = findings_of(looked.reasoning, many, base="urn:endplate")
    assert [bool(s.tree) for s in view.shown] == [True] * EXPLAINED + [False] * 3


def test_what_could_be_found_says_what_is_missing(evaluator: Evaluator) -> None:
    view = found(example(evaluator, "signs-not-sent"))
    musk = next(one for one in view.undecided if one.rule.id == "mimic-musk-mg-in-als")
    assert [(one.fact, one.reason) for one in musk.missing] == [("musk", "nothing recorded")]
    assert musk.severity == "high" and musk.missing[0].would_change["present"].gained
    assert {node.truth for node in musk.tree} == {"unknown"}


def test_the_gravest_that_is_still_possible_comes_first(evaluator: Evaluator) -> None:
    for name, looked in vectors(evaluator):
        undecided = found(looked).undecided
        ranks = [SEVERITIES.index(one.severity) for one in undecided]
        assert ranks == sorted(ranks), name
        said = {f.issue for f in (*looked.evaluation.findings, *looked.evaluation.held_back)}
        assert not said & {one.rule.id for one in undecided}, name
        assert all(one.missing for one in undecided), name
        assert all(one.rule.group not in (QUALITY, "closed-world") for one in undecided), name
        for one in undecided[:PROVED]:
            if one.missing[0].would_change:
                gained = {g for m in one.missing for o in m.would_change.values() for g in o.gained}
                mine = [g.rpartition(" ")[2] for g in gained if g.rpartition(" ")[0] == one.rule.id]
                assert all(SEVERITIES.index(g) >= SEVERITIES.index(one.severity) for g in mine), name


def test_a_severity_that_is_ruled_out_is_not_threatened_with(evaluator: Evaluator) -> None:
    """The liver values are known and normal: only the bilirubin is open, and that is moderate."""
    undecided = found(example(evaluator, "typical-als")).undecided
    assert next(one.severity for one in undecided if one.rule.id == "riluzole-hepatotoxicity") == "moderate"


def test_nobody_is_asked_of_an_order_what_only_another_drug_would_have(evaluator: Evaluator) -> None:
    """A high first dose of prednisone is not open for an order of riluzole."""
    undecided = found(example(evaluator, "als-then-mg")).undecided
    assert "mg-steroid-start-high" not in {one.rule.id for one in undecided}


def test_an_ordinary_patient_waits_for_nothing(evaluator: Evaluator) -> None:
    view = found(example(evaluator, "ordinary-patient"))
    assert view.shown == view.held == view.undecided == view.cards == ()


def test_what_is_held_back_says_by_what(evaluator: Evaluator) -> None:
    view = found(example(evaluator, "typical-als"))
    held = next(one for one in view.held if one.rule.id == "als-workup-incomplete")
    assert held.finding.held_back_by[0].by.startswith("gate") and held.tree[0].truth == "true"


def test_problems_of_the_data_say_what_to_do() -> None:
    codes = ("no-status", "duplicate", "no-status", "never-heard-of")
    told = list(unusable([Problem(code, f"a: Observation/{n}", "odd") for n, code in enumerate(codes)]))
    assert {one.code: len(one.problems) for one in told} == {"no-status": 2, "duplicate": 1, "never-heard-of": 1}
    assert told[0].to_do == "send the status of the entry"
    assert all(one.to_do and one.meaning for one in told)


def test_more_findings_than_cards_are_named_as_such(evaluator: Evaluator) -> None:
    looked = example(evaluator, "quinine-in-overlap")
    one = next(f for f in looked.evaluation.findings if f.order)
    many = tuple(msgspec.structs.replace(one, order=f"MedicationRequest/{n}") for n in range(7))
    view = findings_of(looked.reasoning, msgspec.structs.replace(looked.evaluation, findings=many), base="urn:endplate")
    assert [s.card for s in view.shown] == [1, 2, 3, 4, 5, 0, 0]
    assert view.shown[-1].fate == "no card of its own: named at the end of card 5"
