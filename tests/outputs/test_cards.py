"""Cards: valid after CDS Hooks 2.0.1, few, in order, and with nothing that an EHR should not do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest
from made_up import BASE, OFFER, REMOVE, evaluation, finding, missing, rule

from engine.model.finding import Evaluation
from engine.outputs.cards import MOST, OVERRIDE_REASONS, cards_response
from engine.outputs.wording import DISCLAIMER
from engine.rules.info import RuleInfo
from engine.views import seen

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
RANK = {"critical": 0, "warning": 1, "info": 2}


@pytest.fixture(scope="module")
def response_schema() -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((SCHEMAS / "cds-hooks-2.0.1-response.schema.json").read_text("utf-8"))
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def empty_places(value: object, place: str = "$") -> list[str]:
    """Where something is null or empty; `cards` alone may be empty."""
    if isinstance(value, dict):
        found = [p for key, inner in value.items() for p in empty_places(inner, f"{place}.{key}")]
    elif isinstance(value, list):
        found = [p for number, inner in enumerate(value) for p in empty_places(inner, f"{place}[{number}]")]
    else:
        return [place] if value is None or value == "" else []
    return found if value or place == "$.cards" else [place]


def cards(*findings: Any, info: Mapping[str, RuleInfo] | None = None, **options: Any) -> list[dict[str, Any]]:
    rules = info or {one.issue: rule(one.issue) for one in findings}
    return cards_response(evaluation(*findings), rules, base=BASE, **options)["cards"]


# -- all vignettes


def test_every_vignette_gives_valid_cards(
    evaluations: Sequence[Evaluation],
    info: Mapping[str, RuleInfo],
    response_schema: jsonschema_rs.Draft202012Validator,
) -> None:
    with_cards = 0
    for whole in evaluations:
        response = cards_response(whole, info, base=BASE, pages="https://cds.example.org", instance="1")
        assert [error.message for error in response_schema.iter_errors(response)] == [], whole.patient
        assert empty_places(response) == [], whole.patient
        with_cards += bool(response["cards"])
        for card in response["cards"]:
            assert len(card["summary"]) < 140
            assert UUID(card["uuid"])
            assert all(reason.keys() == {"code", "system", "display"} for reason in card["overrideReasons"])
            assert ("suggestions" in card) == ("selectionBehavior" in card)
    assert with_cards > len(evaluations) / 3


def test_every_vignette_gives_few_cards_the_gravest_first(
    evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo]
) -> None:
    severities = ("high", "moderate", "low")
    for whole in evaluations:
        shown = cards_response(whole, info, base=BASE)["cards"]
        single = [f for f in whole.findings if f.display in ("interruptive", "warning")]
        notes = [f for f in whole.findings if f.display == "information"]
        assert len(shown) == min(len(single), MOST - bool(notes)) + bool(notes)
        ranks = [
            min(severities.index(f.severity) for f in single if f.summary == c["summary"])
            for c in shown[: len(single)]
            if c["indicator"] != "info"
        ]
        assert ranks == sorted(ranks)
        text = json.dumps(shown)
        hidden = [
            f
            for f in whole.findings
            if f.display == "batch-only"
            and not any(f.issue == other.issue for other in whole.findings if other.display != "batch-only")
        ]
        assert not [f.issue for f in hidden if f"Rule {f.issue} " in text]


def test_the_uuids_of_a_response_differ_and_those_of_two_calls_too(
    evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo]
) -> None:
    for whole in evaluations:
        first, again, other = (cards_response(whole, info, base=BASE, instance=call)["cards"] for call in "aab")
        assert first == again
        ids = [card["uuid"] for card in first + other]
        ids += [offer["uuid"] for card in first + other for offer in card.get("suggestions", ())]
        assert len(set(ids)) == len(ids)


def test_what_a_view_leaves_out_gets_no_card(evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo]) -> None:
    for whole in evaluations:
        shown = json.dumps(cards_response(seen(whole, "patient-view"), info, base=BASE))
        absent = {f.issue for f in whole.findings if f.group in ("closed-world", "data-quality")}
        assert not [issue for issue in absent if f"Rule {issue} " in shown]


# -- one by one


def test_severity_decides_the_order_and_display_the_indicator() -> None:
    found = [
        finding("low-warning", severity="low"),
        finding("moderate-critical", severity="moderate", display="interruptive"),
        finding("high-warning"),
        finding("high-critical", display="interruptive"),
        finding("note", severity="high", display="information"),
        finding("silent", display="batch-only"),
    ]

    shown = cards(*found)

    assert [card["summary"] for card in shown] == [
        "The high-critical glows.",
        "The high-warning glows.",
        "The moderate-critical glows.",
        "The low-warning glows.",
        "The note glows.",
    ]
    assert [card["indicator"] for card in shown] == ["critical", "warning", "critical", "warning", "info"]


def test_notes_are_one_card_that_says_all_of_them() -> None:
    offers = {"a": rule("a", suggestions=(OFFER,)), "b": rule("b", suggestions=(OFFER,))}
    notes = [finding(name, severity="low", display="information", suggest=("scan",)) for name in "ab"]

    [card] = cards(*notes, info=offers)

    assert card["summary"] == "2 notes: The a glows; The b glows"
    assert "**The a glows.**" in card["detail"]
    assert "**The b glows.**" in card["detail"]
    assert card["source"]["label"] == "Endplate: 2 rules"
    assert [offer["label"] for offer in card["suggestions"]] == ["Scan of the lantern"]  # once, though both offer it


def test_findings_beyond_five_are_named_in_the_last_card() -> None:
    shown = cards(*(finding(f"rule-{number}") for number in range(7)))

    assert len(shown) == MOST
    assert "2 further findings" in shown[-1]["detail"]
    assert "- high: The rule-6 glows." in shown[-1]["detail"]
    assert "further" not in shown[0]["detail"]


def test_a_card_says_why_what_is_missing_and_what_would_change() -> None:
    [card] = cards(finding(missing=(missing(),)))

    assert card["detail"].splitlines() == [
        "**Because**",
        "",
        "- glow 4 lx on 2026-02-01 (Observation/glow)",
        "",
        "**Not known**",
        "",
        "- the hum (nothing recorded): if present, this becomes high",
        "",
        "**Consider**",
        "",
        "- Look again.",
        "",
        f"Rule lantern 0.2.0 (draft). {DISCLAIMER}",
        "",
        "As of 2026-03-01.",
    ]


def test_a_long_list_of_what_is_missing_is_cut() -> None:
    [card] = cards(finding(missing=tuple(missing(fact=f"f{n}", ask_for=f"f{n}") for n in range(12))))

    assert "- f7 " in card["detail"]
    assert "- f8 " not in card["detail"]
    assert "- and 4 more" in card["detail"]


def test_only_a_draft_may_be_removed() -> None:
    rules = {"lantern": rule(suggestions=(REMOVE, OFFER))}
    found = finding(order="MedicationRequest/m", suggest=("remove", "scan"))

    [active] = cards(found, info=rules)
    [draft] = cards(found, info=rules, drafts={"MedicationRequest/m"})

    assert [offer["actions"][0]["type"] for offer in active["suggestions"]] == ["create"]
    assert draft["suggestions"][0]["actions"] == [
        {"type": "delete", "description": "Remove this order", "resourceId": "MedicationRequest/m"}
    ]


def test_an_order_that_is_suggested_is_a_draft_for_this_patient() -> None:
    [card] = cards(finding(suggest=("scan",)), info={"lantern": rule(suggestions=(OFFER, REMOVE))})

    [action] = card["suggestions"][0]["actions"]
    assert action["type"] == "create"
    assert action["resource"] == {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "code": {"text": "Scan of the lantern", "coding": [{"system": "http://example.org/orders", "code": "scan"}]},
        "subject": {"reference": "Patient/p"},
        "note": [{"text": "Proposed by Endplate rule lantern 0.2.0"}],
    }


def test_links_and_the_page_of_the_rule_need_an_address() -> None:
    [without] = cards(finding())
    [with_pages] = cards(finding(), pages="https://cds.example.org/")

    assert "links" not in without
    assert "url" not in without["source"]
    assert with_pages["source"]["url"] == "https://cds.example.org/rules/lantern"
    assert with_pages["links"] == [
        {"label": "The lantern rule", "url": "https://cds.example.org/rules/lantern", "type": "absolute"}
    ]


def test_a_card_that_waits_for_what_a_form_can_ask_links_to_the_app() -> None:
    page, launch = "https://cds.example.org/evaluations/abc", "https://cds.example.org/smart/launch"
    waits, knows = finding(missing=(missing(),)), finding("other", missing=(missing(fact="drone"),))

    shown = cards(waits, knows, explained_at=page, launch_at=launch, askable={"hum"})

    [smart] = [link for link in shown[0]["links"] if link["type"] == "smart"]
    assert smart["url"] == launch
    assert json.loads(smart["appContext"]) == {"evaluation": "abc", "issue": "lantern"}
    assert [link["type"] for link in shown[1]["links"]] == ["absolute"]


def test_without_an_app_or_a_question_there_is_no_link_to_one() -> None:
    waits = finding(missing=(missing(),))
    assert "links" not in cards(waits, askable={"hum"})[0]
    assert "links" not in cards(waits, launch_at="https://cds.example.org/smart/launch")[0]


def test_a_merged_card_names_the_finding_that_waits() -> None:
    quiet = {"display": "information", "severity": "low"}
    both = [finding("other", **quiet), finding(**quiet, missing=(missing(),))]
    [card] = cards(*both, launch_at="https://cds.example.org/smart/launch", askable={"hum"})
    [smart] = card["links"]
    assert json.loads(smart["appContext"]) == {"issue": "lantern"}


def test_nothing_found_is_an_empty_list_of_cards() -> None:
    assert cards() == []


def test_override_reasons_have_codes_of_one_word() -> None:
    assert all(code == code.lower() and " " not in code for code, _ in OVERRIDE_REASONS)


def test_only_the_case_that_is_true_makes_its_suggestions() -> None:
    [card] = cards(finding(suggest=()), info={"lantern": rule(suggestions=(OFFER,))})

    assert "suggestions" not in card
