"""The JSON and text forms of an evaluation, and the words that all outputs share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import because, evaluation, finding, missing, rule

from engine.model.fact import Evidence, Fact, Reason
from engine.model.finding import Evaluation, HeldBack, Outcome
from engine.model.problem import Problem
from engine.outputs.evaluation_json import evaluation_json
from engine.outputs.evaluation_text import evaluation_text
from engine.outputs.report import report
from engine.outputs.tables import findings_table, lacking, why
from engine.outputs.wording import missing_line, outcome_line
from engine.rules.info import RuleInfo

INFO = {"lantern": rule(), "other": rule("other")}
FINDING_KEYS = {
    "issue",
    "severity",
    "display",
    "rule",
    "version",
    "hash",
    "summary",
    "because",
    "held_back_by",
    "missing",
}


# -- JSON


def test_the_json_form_holds_the_whole_evaluation() -> None:
    facts = {
        "glow": Fact("glow", "bright", evidence=(Evidence("Observation/glow", "4 lx", "2026-02-01"),)),
        "hum": Fact("hum", "unknown", Reason.OUT_OF_DATE),
    }
    whole = evaluation(
        finding(missing=(missing(with_answers={"present": {"buzz": "absent"}}),)),
        facts=facts,
        conclusions={"lantern": "present", "light": "dim"},
        problems=(Problem("not-json", "f: line 2", "is no JSON"),),
    )

    said = json.loads(evaluation_json(whole, INFO))

    assert said["patient"] == "Patient/p"
    assert said["as_of"] == "2026-03-01"
    assert said["ruleset"] == {"id": "toy", "version": "0.1.0", "hash": "abcdef0123456789"}
    [found] = said["findings"]
    assert found.keys() >= FINDING_KEYS
    assert found["because"] == [
        {
            "fact": "glow",
            "value": "bright",
            "shown": "glow 4 lx on 2026-02-01",
            "evidence": [{"reference": "Observation/glow", "said": "4 lx", "date": "2026-02-01"}],
        }
    ]
    assert found["held_back_by"] == []
    assert found["missing"] == [
        {
            "fact": "hum",
            "reason": "nothing recorded",
            "ask_for": "the hum",
            "would_change": {
                "present": {"gained": ["lantern high"], "lost": ["lantern low"], "with": {"buzz": "absent"}}
            },
        }
    ]
    assert said["facts"] == {
        "glow": {"value": "bright", "reason": None, "evidence": found["because"][0]["evidence"]},
        "hum": {"value": "unknown", "reason": "out of date", "evidence": []},
        "light": {"value": "dim", "reason": None, "evidence": []},
    }
    assert said["problems"] == [{"code": "not-json", "where": "f: line 2", "message": "is no JSON"}]


def test_what_is_held_back_is_no_finding_and_says_by_what() -> None:
    held = finding("other", held_back_by=(HeldBack("gate mute care", (because("comfort plan"),)),))

    said = json.loads(evaluation_json(evaluation(held_back=(held,)), INFO))

    assert said["findings"] == []
    [kept] = said["held_back"]
    assert kept["issue"] == "other"
    assert kept["held_back_by"][0]["by"] == "gate mute care"
    assert kept["held_back_by"][0]["because"][0]["shown"] == "comfort plan"


def test_the_json_form_of_every_vignette_is_one_line_and_says_why(
    evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo]
) -> None:
    for whole in evaluations:
        line = evaluation_json(whole, info)
        assert b"\n" not in line
        said = json.loads(line)
        assert [f["issue"] for f in said["findings"]] == [f.issue for f in whole.findings]
        assert all(f["because"] for f in said["findings"])
        assert not {name for name, one in info.items() if one.kind == "issue"} & said["facts"].keys()
        assert all(fact["reason"] is None or fact["value"] == "unknown" for fact in said["facts"].values())


# -- text


def test_the_text_form_reads_from_finding_to_resource() -> None:
    whole = evaluation(finding(missing=(missing(),)))

    assert evaluation_text(whole, INFO).splitlines()[:-1] == [
        "Patient/p as of 2026-03-01",
        "  HIGH  lantern 0.2.0 (warning)",
        "    The lantern glows.",
        "    because  glow 4 lx on 2026-02-01",
        "               Observation/glow: 4 lx, 2026-02-01",
        "    missing  the hum (nothing recorded): if present, this becomes high",
        "    consider  Look again.",
    ]


def test_the_text_form_says_that_nothing_was_found_what_was_held_back_and_what_could_not_be_used() -> None:
    held = (HeldBack("gate mute closed-world"),)
    whole = evaluation(
        held_back=(finding("lantern", held_back_by=held), finding("other", held_back_by=held)),
        complete=True,
        problems=tuple(Problem("not-json", f"line {n}", "is no JSON") for n in range(12)),
    )

    text = evaluation_text(whole, INFO)

    assert text.startswith("Patient/p as of 2026-03-01, record declared complete\n  no findings\n")
    assert "  held back by gate mute closed-world:  lantern, other\n" in text
    assert "  problem  line 9: is no JSON [not-json]\n  and 2 more problems of the data\n" in text
    assert "does not replace it" in text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=4, max_size=4))
def test_no_control_character_reaches_the_terminal_or_breaks_the_json(said: list[str]) -> None:
    reasons = because(f"\x1b[2J{said[0]}", f"Observation/{said[1]}\n", said=said[2])
    whole = evaluation(finding(because=(reasons,), summary=f"\x07{said[3]}"), patient=f"Patient/\x1b{said[1]}")

    assert all(char == "\n" or char.isprintable() for char in evaluation_text(whole, INFO))
    assert all(char.isprintable() for char in why(whole.findings[0]))
    assert json.loads(evaluation_json(whole))["findings"][0]["because"][0]["shown"] == f"\x1b[2J{said[0]}"


# -- words


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(), "nothing changes"),
        (Outcome(lost=("lantern low",)), "this no longer stands"),
        (Outcome(gained=("lantern high",), lost=("lantern low",)), "this becomes high"),
        (Outcome(gained=("lantern low",), lost=("lantern low",)), "this is shown in another way"),
        (Outcome(gained=("other high",)), "“The other rule” (high) is found"),
        (
            Outcome(gained=("other high",), lost=("lantern low",)),
            "this no longer stands, “The other rule” (high) is found",
        ),
    ],
)
def test_an_outcome_is_told_from_the_finding_at_hand(outcome: Outcome, said: str) -> None:
    assert outcome_line(outcome, lambda issue: INFO[issue].title, "lantern") == said


def test_an_answer_that_needs_others_names_them() -> None:
    needs = missing(with_answers={"present": {"buzz": "absent"}})

    assert (
        missing_line(needs)
        == "the hum (nothing recorded): if present together with buzz absent, “lantern” becomes high"
    )


def test_what_was_only_listed_says_no_change() -> None:
    assert missing_line(missing(would_change={}, reason="not requested")) == "the hum (not requested)"


# -- report and table


def test_the_report_shows_hostile_text_as_text() -> None:
    whole = evaluation(finding(because=(because("<script>alert(1)</script>"),)), patient="Patient/<img src=x>")

    page = report([whole, evaluation()], INFO, source="<b>folder</b>")

    assert page.count("<script") == 1  # the page's own search, which its policy names by hash
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;folder&lt;/b&gt;" in page
    assert "No findings." in page


def test_the_report_of_every_vignette_is_made(evaluations: Sequence[Evaluation], info: Mapping[str, RuleInfo]) -> None:
    page = report(evaluations, info, source="vignettes")

    assert page.count("<section") == len(evaluations)
    assert page.count("<article") == sum(len(whole.findings) for whole in evaluations)


def test_the_table_has_a_row_for_each_finding_and_for_each_patient_without_one() -> None:
    table = findings_table([evaluation(finding(), finding("other")), evaluation()])

    assert table.row_count == 3
    assert lacking(finding(missing=tuple(missing(ask_for=f"f{n}") for n in range(5)))) == "f0; f1; f2 and 2 more"
