"""The forms in a renderer that is not ours, in a real browser: what is clicked there is what the rules read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from forms_kit import (
    EXAMINATION,
    FORMS,
    NEUROPHYSIOLOGY,
    WAITING,
    Json,
    form,
    issues_of,
    patient,
    ready,
    with_resources,
)
from forms_kit import facts_of as facts
from peers.build import MissingError
from peers.lforms import filled

from engine.forms.questionnaire import Version, questionnaire


def fill(name: str, version: Version, *answers: tuple[str, str, str], **more: Any) -> Json:
    """Fills a form and gives what the page says; the response is about `p`."""
    asked = questionnaire(form(name), ready().ruleset.terminology, version)
    steps = [{"link": link, how: what} for link, how, what in answers]
    try:
        told = filled(asked, version, steps, **more)
    except MissingError as missing:
        pytest.skip(str(missing))
    assert told["faults"] == []
    told["response"] |= {"id": f"from-{name}", "subject": {"reference": "Patient/p"}, "authored": "2026-02-20"}
    return told


def shown(ids: list[str]) -> set[str]:
    """The links of the questions on the page: an id is `item-LINK/1/1`."""
    return {one.removeprefix("item-").rstrip("/1") for one in ids}


@pytest.mark.parametrize("version", ["R4", "R5"])
@pytest.mark.parametrize("name", FORMS)
def test_every_question_is_shown_and_what_depends_on_another_is_not_yet(name: str, version: Version) -> None:
    questions = list(form(name).questions)
    on_page = shown(fill(name, version)["before"])
    assert {q.link for q in questions} <= on_page
    assert not on_page & {part.link for q in questions if q.gate for part in q.parts}


@pytest.mark.parametrize("version", ["R4", "R5"])
def test_what_is_clicked_is_what_the_rules_read(version: Version) -> None:
    told = fill(
        EXAMINATION, version,
        ("fatigability", "option", "Absent"),
        ("ocular-weakness", "option", "Present"),
        ("ocular-weakness.fluctuating", "option", "Not examined"),
        ("ice-pack", "text", "4"),
        ("umn-sign/cervical", "option", "Present"),
        ("umn-sign/cervical.sign", "option", "Hoffmann"),
        ("lmn-sign/bulbar", "option", "Present"),
        ("lmn-sign/bulbar.atrophy", "option", "Present"),
        ("lmn-sign/bulbar.muscles", "text", "2"),
        ("sensory-loss", "option", "Not examined"),
    )  # fmt: skip
    assert "ocular-weakness.fluctuating" in shown(told["after"]) - shown(told["before"])
    seen = {name: value for name, (value, _, _) in facts(with_resources(patient(), [told["response"]])).items()}
    assert {name: seen.get(name, "unknown") for name in (
        "fatigability", "ocular-weakness", "ocular-fluctuation", "ice-pack", "umn.cervical", "umn.bulbar",
        "sensory-loss",
    )} == {
        "fatigability": "absent", "ocular-weakness": "present", "ocular-fluctuation": "unknown", "ice-pack": "positive",
        "umn.cervical": "present", "umn.bulbar": "unknown", "sensory-loss": "unknown",
    }  # fmt: skip


def test_the_answers_decide_between_overlap_and_a_false_positive(tmp_path: Path) -> None:
    waiting = patient(*WAITING)
    no = fill(EXAMINATION, "R4", ("fatigability", "option", "Absent"), ("ocular-weakness", "option", "Absent"))
    yes = fill(
        EXAMINATION, "R4", ("fatigability", "option", "Present"), ("ache-response", "option", "Positive"),
        ("ocular-weakness", "option", "Present"), ("ocular-weakness.fluctuating", "option", "Present"),
        width=390, screenshot=tmp_path / "phone.png",
    )  # fmt: skip
    assert issues_of(with_resources(waiting, [no["response"]])) == {"achr-suspected-false-positive"}
    assert issues_of(with_resources(waiting, [yes["response"]])) == {"overlap-als-mg-probable"}
    assert (tmp_path / "phone.png").stat().st_size > 10_000


def test_the_muscle_of_a_test_is_chosen_from_a_list() -> None:
    told = fill(NEUROPHYSIOLOGY, "R4", ("rns.result", "text", "18"), ("rns.hz", "text", "3"),
                ("rns.denervated", "option", "Absent"), ("rns.muscle", "choose", "Nasalis"))  # fmt: skip
    seen = facts(with_resources(patient(), [told["response"]]))
    assert seen["rns-facial"][0] == "abnormal"
