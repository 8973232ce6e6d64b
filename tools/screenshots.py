#!/usr/bin/env python3
"""Take the pictures of the workbench that the pages show: `python tools/screenshots.py [--into FOLDER] [NAME...]`.

The service runs as under `endplate serve --dev`, with a clock of its own, so that the same pages give the same
pictures; what stands on them is of the invented patients of fhir_examples/. Needs Chromium and Pillow. Look at the
pictures before you commit them; `--list` names them.
"""

from __future__ import annotations

import io
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/images"
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("", "workbench", "service"))]

DESKTOP, PHONE = (1280, 900), (390, 844)
COLOURS = 96
LAST = date(2026, 4, 20)
LARGEST = 150_000  # bytes of a picture
Page = Any  # of playwright


class Picture(msgspec.Struct, frozen=True):
    """A picture: the size of the window, and how its page is reached."""

    name: str
    reach: Callable[[Page, str], None]
    size: tuple[int, int] = DESKTOP


class Clock:
    """Noon of a day that can be set."""

    def __init__(self) -> None:
        self.day = LAST

    def today(self) -> date:
        return self.day

    def now(self) -> datetime:
        return datetime.combine(self.day, datetime.min.time(), UTC) + timedelta(hours=12)


# -- how each page is reached


def example(name: str, part: str = "") -> Callable[[Page, str], None]:
    """An example; `part`: the heading that stands at the top of the window."""

    def reach(page: Page, base: str) -> None:
        page.goto(f"{base}/workbench")
        page.get_by_role("button", name=name.replace("-", " "), exact=True).click()
        page.wait_for_url("**/workbench/cases/*")
        if part:
            page.locator(part).first.evaluate("(one) => one.scrollIntoView({behavior: 'instant', block: 'start'})")

    return reach


def answered(name: str, question: str, answer: str) -> Callable[[Page, str], None]:
    """An example with one answer that is tried."""

    def reach(page: Page, base: str) -> None:
        example(name)(page, base)
        asked = page.locator("#answers").get_by_role("group", name=question).first
        asked.get_by_role("radio", name=answer, exact=True).check()
        page.locator("#changes").wait_for()
        page.locator("#changes").evaluate("(one) => one.scrollIntoView({behavior: 'instant', block: 'start'})")

    return reach


def at(path: str) -> Callable[[Page, str], None]:
    def reach(page: Page, base: str) -> None:
        page.goto(base + path)

    return reach


PICTURES = (
    Picture("workbench-patient", example("mg-then-als")),
    Picture("workbench-criteria", example("mg-then-als", "#criteria-title")),
    Picture("workbench-timeline", example("mg-then-als", "#timeline-title")),
    Picture("workbench-what-if", answered("achr-unconfirmed-in-als", "Fatigability on examination", "Absent")),
    Picture("workbench-rule", at("/rules/achr-suspected-false-positive")),
    Picture("workbench-graph", at("/rules/graph?rule=als-mg-outcome")),
    Picture("workbench-operations", at("/operations?days=7")),
    Picture("workbench-phone", example("achr-false-positive"), PHONE),
)


# -- the service


@contextmanager
def serving() -> Iterator[str]:
    """The address of a service in development, after a week of invented work."""
    from peers.listening import listening  # noqa: PLC0415

    from engine.evaluation import Evaluator  # noqa: PLC0415
    from engine.rules.load import load_ruleset  # noqa: PLC0415
    from engine.service.app import create_app  # noqa: PLC0415
    from engine.settings import Settings  # noqa: PLC0415

    clock = Clock()
    settings = Settings(timezone="UTC", requests_per_second=0)
    app = create_app(Evaluator(load_ruleset()), settings, dev=True, today=clock.today, now=clock.now)
    with listening(app) as base:
        a_week(base, clock, app.state.service)
        yield base


def a_week(base: str, clock: Clock, service: Any) -> None:
    """Calls about the examples on seven days, what users did with some of the cards, and messages of a source."""
    from requests_kit import prefetched, request  # noqa: PLC0415

    number = 0
    for ago in range(6, -1, -1):
        clock.day = LAST - timedelta(days=ago)
        for turn, file in enumerate(sorted((ROOT / "fhir_examples/patients").glob("*.json")) * 3):
            if (turn + ago) % 7 in (0, 1) and ago != 2:  # days differ
                continue
            number += 1
            resources = [entry["resource"] for entry in msgspec.json.decode(file.read_bytes())["entry"]]
            patient = next(one["id"] for one in resources if one["resourceType"] == "Patient")
            call = request(prefetch=prefetched(resources), context={"patientId": patient})
            call["hookInstance"] = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))
            cards = post(f"{base}/cds-services/endplate-patient-view", call)["cards"]
            for place, card in enumerate(cards):
                react(base, clock, card["uuid"], number + place)
        service.count({
            ("message", "hospital", "taken", "resource"): 40 + 7 * ago, ("fetch", "hospital", "fetched"): 3,
            ("message", "laboratory", "taken", "message"): 12, ("message", "laboratory", "refused", "none"): 1,
        })  # fmt: skip
    clock.day = LAST


def react(base: str, clock: Clock, card: str, number: int) -> None:
    """Most cards are not answered, some are overridden, fewer accepted."""
    from engine.outputs.cards import OVERRIDE_REASONS  # noqa: PLC0415

    stamped = {"card": card, "outcomeTimestamp": clock.now().isoformat().replace("+00:00", "Z")}
    if number % 5 == 0:
        given: dict[str, Any] = {"outcome": "accepted", "acceptedSuggestions": [{"id": card}]}
    elif number % 7 == 1:
        code = OVERRIDE_REASONS[number // 7 % len(OVERRIDE_REASONS)][0]
        given = {"outcome": "overridden", "overrideReason": {"reason": {"code": code, "system": "urn:endplate"}}}
    else:
        return
    post(f"{base}/cds-services/endplate-patient-view/feedback", {"feedback": [stamped | given]})


def post(address: str, content: dict[str, Any]) -> dict[str, Any]:
    asked = urllib.request.Request(  # noqa: S310 - on loopback
        address, msgspec.json.encode(content), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:  # noqa: S310
        body = answer.read()
    return msgspec.json.decode(body) if body else {}


# -- taking them


def taken(browser: Any, picture: Picture, base: str) -> bytes:
    """A PNG with few colours."""
    from PIL import Image  # noqa: PLC0415

    width, height = picture.size
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", locale="en-GB")
    page = context.new_page()
    picture.reach(page, base)
    page.evaluate("() => document.activeElement && document.activeElement.blur()")
    raw = page.screenshot(animations="disabled", caret="hide")
    context.close()
    out = io.BytesIO()
    image = Image.open(io.BytesIO(raw)).convert("RGB")
    few = image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def main(names: list[str]) -> int:
    if names == ["--list"]:
        print("\n".join(picture.name for picture in PICTURES))
        return 0
    folder = FOLDER
    if names[:1] == ["--into"]:
        folder, names = Path(names[1]), names[2:]
    from peers.lforms import browser as chromium  # noqa: PLC0415
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    wanted = [picture for picture in PICTURES if not names or picture.name in names]
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    with serving() as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for picture in wanted:
            try:
                content = taken(browser, picture, base)
            except Exception as error:  # the others are taken all the same
                print(f"{picture.name}: not taken: {str(error).partition(chr(10))[0]}")
                failed += 1
                continue
            (folder / f"{picture.name}.png").write_bytes(content)
            print(f"{picture.name}: {len(content) // 1024} KB{', too large' if len(content) > LARGEST else ''}")
        browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
