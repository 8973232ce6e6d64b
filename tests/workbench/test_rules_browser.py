"""The rule book in a browser: wide and narrow, by keyboard alone, with a script and without."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import pytest
from peers.listening import listening
from playwright.sync_api import Browser
from workbench_kit import DESKTOP, PHONE, Seen, seen

from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.settings import Settings

Window = Callable[[dict[str, int]], AbstractContextManager[Seen]]
OPEN = "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })"
PAGES = (
    "/rules", "/rules?q=conduction+block", "/rules/mimic-mmn", "/rules/facts/achr", "/rules/parameters",
    "/rules/graph?rule=mimic-mmn&steps=2", "/rules/graph?ruleset=als-mimics&facts=none", "/rules/no-such-rule",
)  # fmt: skip


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_kind_of_page_fits_and_keeps_nobody_out(window: Window, size: dict[str, int]) -> None:
    with window(size) as shown:
        for path in PAGES:
            page = shown.open(path)
            page.evaluate(OPEN)
            assert shown.violations() == [], path
            assert shown.fits(), path
        assert [fault for fault in shown.faults if "404" not in fault] == []


def test_the_list_is_searched_while_one_types(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = shown.open("/rules")
        page.get_by_role("searchbox").press_sequentially("anti-gm1 neuropathy")
        page.get_by_role("status").filter(has_text="found").wait_for()
        page.locator('[data-entry]:not([hidden]) a[href$="/mimic-mmn"]').wait_for()
        page.wait_for_url("**q=anti-gm1**")
        names = page.locator("[data-entry]:not([hidden]) code").all_inner_texts()
        assert "mimic-mmn" in names and "mg-drug-avoid" not in names
        assert page.get_by_role("status").inner_text() == f"{len(names)} found"
        assert "found in" in page.locator("[data-entry]:not([hidden])").first.inner_text()

        page.reload()  # the server finds the same
        assert page.locator("[data-entry]:not([hidden]) code").all_inner_texts() == names
        page.get_by_role("searchbox").fill("")
        page.get_by_role("link", name="Drug to avoid in MG").wait_for()
        assert page.locator("[data-entry][hidden]").count() == 0
        assert shown.faults == []


def test_what_is_typed_never_becomes_markup(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = shown.open("/rules?q=<img src=x onerror=alert(1)>")
        page.get_by_role("searchbox").fill("<script>alert(1)</script>")
        page.get_by_text("0 found").wait_for()
        assert page.locator("main img, main script").count() == 0
        assert shown.faults == []


def test_from_the_list_to_a_rule_and_its_graph_by_keyboard_alone(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = shown.open("/rules")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.get_by_role("searchbox").focus()
        page.keyboard.type("mimic-mmn")
        page.get_by_text("found").first.wait_for()
        page.locator('[data-entry]:not([hidden]) a[href$="/mimic-mmn"]').wait_for()
        page.keyboard.press("Enter")
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.getAttribute('href') || ''").endswith("/mimic-mmn"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/rules/mimic-mmn")
        page.get_by_role("link", name="As a graph").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/rules/graph?rule=mimic-mmn")

        graph = page.locator(".graph")
        graph.focus()
        view = page.locator(".graph svg")
        before = view.get_attribute("viewBox")
        page.keyboard.press("+")
        larger = view.get_attribute("viewBox")
        page.keyboard.press("ArrowRight")
        moved = view.get_attribute("viewBox")
        page.keyboard.press("0")
        whole = view.get_attribute("viewBox")
        assert len({before, larger, moved}) == 3 and whole not in (larger, moved)
        assert float(larger.split()[2]) < float(before.split()[2])  # type: ignore[union-attr]

        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('svg') !== null")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/rules/" in url and "graph" not in url)
        assert shown.faults == []


def test_the_graph_is_moved_by_buttons_and_by_the_mouse(window: Window) -> None:
    with window(DESKTOP) as shown:
        page = shown.open("/rules/graph?facts=none")
        view = page.locator(".graph svg")
        views = [view.get_attribute("viewBox")]
        for name in ("Larger", "To the right", "All of it", "Real size"):
            page.get_by_role("button", name=name).click()
            views.append(view.get_attribute("viewBox"))
        assert len(set(views[:4])) == 4 and views[4] == views[0]
        middle = page.locator(".graph").bounding_box()
        assert middle is not None
        page.mouse.move(middle["x"] + 300, middle["y"] + 150)
        page.mouse.down()
        page.mouse.move(middle["x"] + 200, middle["y"] + 120, steps=4)
        page.mouse.up()
        assert view.get_attribute("viewBox") != views[0]
        assert page.url.endswith("facts=none")
        assert shown.faults == []


def test_without_a_script_the_search_is_sent_and_the_graph_scrolls(browser: Browser, workbench: str) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{workbench}/rules")
    page.get_by_role("searchbox").fill("mimic-mmn")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**/rules?q=mimic-mmn")
    page.get_by_role("link", name="Multifocal motor neuropathy instead of ALS").click()
    page.get_by_role("link", name="As a graph").click()
    assert page.locator(".zoom").is_hidden()
    assert page.locator(".graph svg").get_attribute("width") is not None
    page.get_by_text("The same as a table").click()
    assert page.get_by_role("row").count() > 3
    context.close()


@pytest.fixture(scope="module")
def linked(evaluator: Evaluator) -> Iterator[str]:
    """The address of a service whose cards have links."""
    app = create_app(evaluator, Settings(pages_url="https://cds.example.org"), dev=True, today=lambda: date(2026, 3, 1))
    with listening(app) as address:
        yield address


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_what_a_card_links_to_can_be_read_by_all(browser: Browser, linked: str, size: dict[str, int]) -> None:
    example = Path(__file__).parents[2] / "fhir_examples/hooks/order-sign.json"
    sent = urllib.request.Request(  # noqa: S310 - loopback
        f"{linked}/cds-services/endplate-order-sign", example.read_bytes(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(sent) as answer:  # noqa: S310
        [card, *_] = json.load(answer)["cards"]
    with seen(browser, linked, size) as shown:
        for link in card["links"]:
            page = shown.open(link["url"].removeprefix("https://cds.example.org"))
            assert page.get_by_role("heading", name=card["summary"]).is_visible()
            page.evaluate(OPEN)
            assert shown.violations() == [] and shown.fits()
        assert page.get_by_role("heading", name="Why, in this evaluation").is_visible()
        assert shown.faults == []
