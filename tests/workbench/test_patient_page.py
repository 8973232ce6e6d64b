"""The patient page in a real browser: findings, criteria, body map and timeline, on a desk and on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient
from workbench_kit import DESKTOP, PHONE, Seen

Window = Callable[[dict[str, int]], AbstractContextManager[Seen]]
PATIENTS = Path(__file__).parents[2] / "fhir_examples/patients"
SHOWN = ("achr-unconfirmed-in-als", "als-then-mg", "typical-als", "signs-not-sent", "ordinary-patient", "wrong-units")
OPEN_ALL = """document.querySelectorAll('details').forEach(one => { one.open = true; });
document.querySelector('#timeline').style.contentVisibility = 'visible'"""
LAID_OUT = "one => one.checkVisibility({contentVisibilityAuto: true})"
NARROW = {"width": 360, "height": 780}
BIDI = "\u202egro\u202c"
TAG = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
HOSTILE = f"{TAG}\"'&{{{{7*7}}}} {BIDI}"


def open_example(shown: Seen, name: str) -> Page:
    page = shown.open("/workbench")
    page.get_by_role("button", name=name.replace("-", " "), exact=True).click()
    page.wait_for_url("**/workbench/cases/*")
    return page


def open_file(shown: Seen, content: bytes, name: str = "patient.json") -> Page:
    page = shown.open("/workbench")
    page.set_input_files("#file", {"name": name, "mimeType": "application/json", "buffer": content})
    page.get_by_role("button", name="Open the file").click()
    page.wait_for_url("**/workbench/cases/*")
    return page


def test_the_page_tells_what_was_found_and_why(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = open_example(shown, "achr-unconfirmed-in-als")
        card = page.locator("article.finding").first
        assert "AChR positive in ALS, not yet confirmed" in card.inner_text()
        assert "card 1 of 1, warning" in card.locator(".fate").inner_text()
        assert card.get_by_role("link", name="achr-positive-unconfirmed-in-als 0.1.0").get_attribute("href") == (
            "/rules/achr-positive-unconfirmed-in-als"
        )
        assert "Observation/achr-unconfirmed-in-als-achr-binding-1" in card.locator(".because").inner_text()
        assert card.locator("ul.orders > li").count() == 3
        proof = card.locator("details.proof")
        proof.locator("> summary").click()
        assert proof.locator(".truth.true").first.inner_text().split() == ["✓", "true"]
        assert proof.locator("ul.evidence code").count() > 0


def test_the_proof_opens_by_keyboard_alone(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = open_example(shown, "als-then-mg")
        proof = page.locator("article.finding details.proof").first
        proof.locator("> summary").focus()
        page.keyboard.press("Enter")
        assert proof.get_attribute("open") is not None
        inner = proof.locator("details > summary").first
        inner.focus()
        page.keyboard.press("Space")
        assert inner.evaluate("one => one.parentElement.open")


def test_criteria_stand_side_by_side_and_on_a_phone_one_below_the_other(window: Window) -> None:
    for size, columns in ((DESKTOP, 5), (PHONE, 1)):
        with window(size) as shown:
            page = open_example(shown, "als-then-mg")
            assert page.locator(".criterion h3").all_inner_texts() == [
                "Gold Coast", "Revised El Escorial", "Awaji", "ALS with MG", "McDonald 2017",
            ]  # fmt: skip
            lefts = page.locator(".criterion").evaluate_all("of => of.map(one => one.getBoundingClientRect().left)")
            assert len(set(lefts)) == columns
            assert page.locator(".criterion .answer").all_inner_texts()[1].lower() == "probable"
            page.locator(".criterion summary").first.click()
            assert "progression-1" in page.locator(".criterion details[open]").first.inner_text()


def test_the_map_says_in_words_what_it_shows(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = open_example(shown, "typical-als")
        drawn = page.locator(".bodies svg")
        assert drawn.count() == 2
        assert page.locator(".bodies svg title").first.text_content() == (
            "Upper motor neuron: Bulbar unknown, Cervical present, Thoracic unknown, Lumbosacral present"
        )
        rows = page.locator("table.regions tbody tr")
        told = {row.locator("th").inner_text(): row.locator(".state").all_inner_texts() for row in rows.all()}
        assert told == {
            "Bulbar": ["? unknown"] * 2, "Cervical": ["+ present"] * 2,
            "Thoracic": ["? unknown"] * 2, "Lumbosacral": ["+ present"] * 2,
        }  # fmt: skip
        assert drawn.first.locator("path.zone.present").count() == 2, "shape, letter and word say it as well as colour"
        assert drawn.first.locator("text").all_text_contents() == ["?", "+", "?", "+"]


def test_the_timeline_strikes_what_was_not_used(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = open_example(shown, "wrong-units")
        entry = page.locator("ul.entries > li", has_text="4600 %")
        page.get_by_role("link", name="Timeline").click()
        expect(entry.locator("s")).to_have_text("4600 %", use_inner_text=True)
        assert "not used" in entry.inner_text() and "implausible value" in entry.inner_text()


def test_what_is_not_decidable_says_because(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = open_example(shown, "signs-not-sent")
        page.get_by_text("Not decidable yet").click()
        one = page.locator(".waiting > li", has_text="MuSK antibody in a patient labelled ALS")
        assert "Not decidable, because not known:" in one.inner_text()
        assert "if present, this (high) is found" in one.inner_text()


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everything_is_accessible_and_fits_opened_in_full(window: Window, name: str, size: dict[str, int]) -> None:
    with window(size) as shown:
        page = open_example(shown, name)
        assert shown.fits()
        page.evaluate(OPEN_ALL)
        assert shown.fits() and shown.faults == []
        if (SHOWN.index(name) % 2 == 0) is (size is DESKTOP):  # each page once: it is thousands of elements
            assert shown.violations() == []


def hostile() -> bytes:
    """A patient with a hostile text wherever a text is read, and one of 10 kB."""
    bundle = json.loads((PATIENTS / "fluoroquinolone-in-mg.json").read_text(encoding="utf-8"))
    number = 0
    for entry in bundle["entry"]:
        resource = entry["resource"]
        spoil(resource)
        if resource["resourceType"] in ("Observation", "Condition", "MedicationRequest"):
            number += 1
            resource["id"] = f"{HOSTILE}{number}" if number > 1 else f"{HOSTILE}{'w' * 10_000}"
            resource["note"] = [{"text": HOSTILE}]
        if "valueQuantity" in resource and number % 2:
            resource["valueQuantity"] |= {"unit": HOSTILE, "code": HOSTILE * 40}
    patient = next(one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Patient")
    patient["name"] = [{"text": HOSTILE, "family": "x" * 10_000}]
    patient["gender"] = HOSTILE
    return json.dumps(bundle).encode()


def spoil(element: Any) -> None:
    """Every display and text of an element becomes hostile."""
    if isinstance(element, dict):
        for key, value in element.items():
            if key in ("display", "text") and isinstance(value, str):
                element[key] = HOSTILE + "y" * 10_000
            else:
                spoil(value)
    elif isinstance(element, list):
        for one in element:
            spoil(one)


@pytest.mark.parametrize("size", [DESKTOP, NARROW], ids=["desktop", "narrow"])
def test_hostile_text_in_every_field_stays_text(window: Window, size: dict[str, int]) -> None:
    with window(size) as shown:
        page = open_file(shown, hostile(), f"{HOSTILE}.json")
        page.evaluate(OPEN_ALL)
        assert page.locator("article.finding.high").count() >= 1, "the findings are those of the patient"
        told = page.locator("main").inner_text()
        assert "<script>window.hurt = 1</script>" in told and "{{7*7}}" in told
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", told), "no text turns the direction of the page"
        assert page.evaluate("() => window.hurt") is None
        assert page.locator("main script, main img, main [onerror]").count() == 0
        assert page.locator("main [style]:not(#timeline)").count() == 0
        assert shown.fits() and shown.violations() == [] and shown.faults == []


def test_the_hook_of_a_request_decides_which_findings_are_cards(client: TestClient) -> None:
    page = client.post("/workbench/examples/order-sign").text
    assert "At the hook order-sign an EHR shows" in page and "card 1 of" in page


def test_a_page_of_an_ordinary_patient_is_calm(client: TestClient) -> None:
    page = client.post("/workbench/examples/ordinary-patient").text
    assert "Nothing was found: no rule has anything to say to this record" in page
    assert "Not decidable yet" not in page and "Held back" not in page


def test_an_answer_that_is_tried_is_marked_on_the_timeline_and_on_the_map(client: TestClient) -> None:
    opened = client.post("/workbench/examples/typical-als")
    assert "hypothetical" not in opened.text.partition('id="timeline"')[2]
    form = "neuromuscular-examination"
    sent = {"asks": f"{form}:umn-sign/bulbar", f"{form}:umn-sign/bulbar": "present"}
    page = client.post(f"{opened.url.path}/answers", data=sent).text
    timeline = page.partition('id="timeline"')[2]
    assert '<li class="tried">' in timeline and "hypothetical" in timeline
    assert "Upper motor neuron: Bulbar present, Cervical present" in page


def large(resources: int = 500) -> bytes:
    """A patient of many resources: results and orders repeated over eight years."""
    bundle = json.loads((PATIENTS / "als-then-mg.json").read_text(encoding="utf-8"))
    chosen = Random(1)
    repeated = [e for e in bundle["entry"] if e["resource"]["resourceType"] in ("Observation", "MedicationRequest")]
    while len(bundle["entry"]) < resources:
        entry = json.loads(json.dumps(chosen.choice(repeated)))
        number = len(bundle["entry"])
        day = (date(2026, 4, 1) - timedelta(days=chosen.randrange(3000))).isoformat()
        entry["fullUrl"] = f"https://example.org/fhir/x/{number}"
        entry["resource"]["id"] += f"-{number}"
        for key in ("effectiveDateTime", "authoredOn"):
            if key in entry["resource"]:
                entry["resource"][key] = day
        bundle["entry"].append(entry)
    return json.dumps(bundle).encode()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_of_500_resources_what_is_far_down_is_laid_out_when_somebody_goes_there(
    window: Window, size: dict[str, int]
) -> None:
    """The findings do not wait for it; a link leads to it, and it is found and printed like the rest."""
    with window(size) as shown:
        page = open_file(shown, large())
        last = page.locator("table.timeline tbody tr").last
        assert page.locator("table.timeline tbody tr").count() > 15
        assert page.locator("table.timeline details").count() > 5, "older entries stand behind the newest"
        assert page.locator("#findings-title").evaluate(LAID_OUT)
        assert not last.evaluate(LAID_OUT)
        page.emulate_media(media="print")
        assert last.evaluate(LAID_OUT)
        page.emulate_media(media="screen")
        page.get_by_role("link", name="Timeline").click()
        where, before = page.locator("#timeline-title"), -1.0
        while (now := where.evaluate("one => one.getBoundingClientRect().top")) != before:  # it scrolls smoothly
            before = now
            page.wait_for_timeout(300)
        assert 40 < now < 160, "below the links, though all of it was laid out on the way"
        last.scroll_into_view_if_needed()
        assert last.evaluate(LAID_OUT)
        assert shown.fits() and shown.faults == []
