"""The workbench in Chromium on loopback: from the request to a usable page, and from an answer to its repaint.

Usable: the document is parsed and run, and something is painted. Repainted: the page shows what an answer changes, in
the next frame but one. The patient has 500 resources, half of which the rules read; the first view is of a case that
was opened just now. Beside each page stands its very HTML, style and script as files of a bare server, and a page of
one line. Median and worst of the measurements, after three that warm up; each page in a new tab, style and script from
the browser's cache. Processor: of the server, for one of them.
Run: python benchmarks/bench_workbench.py [measurements of each, default 15]
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import msgspec
from bench_service import Server, free_port, running
from peers.lforms import browser as chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright
from population import EXAMPLES, ordinary

RESOURCES = 500
PATIENT = "mg-then-als"
LIMITS_MS = {"patient": 300, "answer": 150, "rules": 500}
WARM = 3
BARE = """
import sys
from pathlib import Path
import uvicorn
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
uvicorn.run(StaticFiles(directory=sys.argv[1], html=True), port=int(sys.argv[2]), log_level="critical")
"""
USABLE = """() => {
  const [page] = performance.getEntriesByType("navigation"), [paint] = performance.getEntriesByType("paint");
  return paint && page.domContentLoadedEventEnd
    ? [Math.max(page.domContentLoadedEventEnd, paint.startTime), page.responseEnd, page.decodedBodySize] : null;
}"""
ANSWER = """(button) => new Promise((done, fail) => {
  const state = () => document.querySelector("#answers input[name=seen]")?.value;
  const before = state(), started = performance.now();
  const watching = new MutationObserver(() => {
    if (state() === before) return;
    watching.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
  });
  watching.observe(document.body, {childList: true, subtree: true, attributes: true});
  setTimeout(() => fail("nothing was repainted"), 10000);
  button.click();
})"""
CHOICES = "#answers fieldset.question input[type=radio]:not(:checked)"


class Times(msgspec.Struct, frozen=True):
    """Milliseconds. `last`: until the last byte was here; `processor`: of the server for one; `size`: bytes."""

    all: list[float]
    processor: float
    last: list[float] = []
    size: int = 0

    def told(self) -> str:
        return f"{statistics.median(self.all):7.1f} ms (worst {max(self.all):.1f})"


def patient() -> bytes:
    """A Bundle of 500 resources: an example, its results again and again in earlier years, and ordinary data."""
    bundle: dict[str, Any] = msgspec.json.decode((EXAMPLES / f"{PATIENT}.json").read_bytes())
    resources = [entry["resource"] for entry in bundle["entry"]]
    subject = next(one["id"] for one in resources if one["resourceType"] == "Patient")
    dated = [one for one in resources if one["resourceType"] == "Observation" and "effectiveDateTime" in one]
    for number, one in enumerate(cycle(dated)):
        if len(resources) >= RESOURCES // 2:
            break
        day = date.fromisoformat(one["effectiveDateTime"][:10]) - timedelta(days=7 * (number // len(dated) + 1))
        resources.append({**one, "id": f"earlier-{number}", "effectiveDateTime": day.isoformat()})
    for number in range(RESOURCES):
        for entry in ordinary(number)["entry"]:
            one = entry["resource"]
            if len(resources) < RESOURCES and one["resourceType"] != "Patient":
                resources.append(one | {"subject": {"reference": f"Patient/{subject}"}})
    entries = [{"resource": one} for one in resources]
    return msgspec.json.encode({**bundle, "type": "collection", "entry": entries})


@contextmanager
def workbench() -> Iterator[Server]:
    port = free_port()
    code = f"from engine.service.serve import serve; serve(dev=True, port={port})"
    with running([sys.executable, "-c", code], port) as server:
        yield server


@contextmanager
def bare(pages: dict[str, str], base: str) -> Iterator[Server]:
    """Pages as files, with all that they load."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pages"
        folder.mkdir()
        (folder / "healthz").write_text("{}")
        for page, text in pages.items():
            (folder / page).write_text(text, "utf-8")
            for path in re.findall(r'"(/static/[^"]+)"', text):
                file = folder / path[1:]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(got(base + path))
        script = Path(name) / "bare.py"
        script.write_text(BARE)
        with running([sys.executable, str(script), str(folder), str(port)], port) as server:
            yield server


def got(address: str) -> bytes:
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - on loopback
        content: bytes = answer.read()
        return content


def opened(context: BrowserContext, base: str, content: bytes) -> str:
    """The address of the case of a file."""
    page = context.new_page()
    page.goto(f"{base}/workbench")
    page.set_input_files("#file", {"name": "patient.json", "mimeType": "application/json", "buffer": content})
    page.get_by_role("button", name="Open the file").click()
    page.wait_for_url("**/workbench/cases/*")
    address = page.url
    page.close()
    return address


def loads(context: BrowserContext, server: Server, path: str, number: int, warm: int = WARM) -> Times:
    """A page in a new tab, again and again."""
    found, used = [], 0.0
    for turn in range(warm + number):
        if turn == warm:
            used = server.cpu_seconds()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.port}{path}")
        found.append(page.wait_for_function(USABLE).json_value())
        page.close()
    counted = found[warm:]
    processor = (server.cpu_seconds() - used) / number * 1000
    return Times([one[0] for one in counted], processor, [one[1] for one in counted], int(counted[0][2]))


def first_views(context: BrowserContext, server: Server, content: bytes, number: int) -> Times:
    """The page of a case that nobody has seen yet, opened again and again."""
    base = f"http://127.0.0.1:{server.port}"
    paths = [opened_unseen(context, base, content) for _ in range(WARM + number)]
    used = server.cpu_seconds()
    each = [loads(context, server, path, 1, warm=0) for path in paths][WARM:]
    processor = (server.cpu_seconds() - used) / (WARM + number) * 1000
    return Times([one.all[0] for one in each], processor, [one.last[0] for one in each], each[0].size)


def opened_unseen(context: BrowserContext, base: str, content: bytes) -> str:
    """The path of a new case of a patient of their own, whose page was not asked for."""
    another = content.replace(PATIENT.encode(), uuid.uuid4().hex[: len(PATIENT)].encode())
    file = {"name": "patient.json", "mimeType": "application/json", "buffer": another}
    answer = context.request.post(f"{base}/workbench/files", multipart={"file": file}, max_redirects=0,
                                  headers={"Origin": base})  # fmt: skip
    return answer.headers["location"]


def answers(page: Page, server: Server, number: int) -> Times:
    """The first choice that is not made, again and again."""
    found, used = [], 0.0
    for turn in range(WARM + number):
        if turn == WARM:
            used = server.cpu_seconds()
        choice = page.locator(CHOICES).first
        choice.scroll_into_view_if_needed()
        found.append(float(choice.evaluate(ANSWER)))
    return Times(found[WARM:], (server.cpu_seconds() - used) / number * 1000)


def row(name: str, limit: int, ours: Times, beside: str = "") -> None:
    within = statistics.median(ours.all) / limit
    last = f", the last byte after {statistics.median(ours.last):.1f} ms" if ours.last else ""
    size = f", {ours.size / 1024:.0f} KB" if ours.size else ""
    told = f"{ours.told()} = {within:.2f} of the limit of {limit} ms, processor {ours.processor:.1f} ms"
    print(f"{name}: {told}{last}{size}{beside}", flush=True)


def main() -> None:
    number = int(sys.argv[1]) if sys.argv[1:] else 15
    with workbench() as server, sync_playwright() as playwright:
        base = f"http://127.0.0.1:{server.port}"
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        case = opened(context, base, patient())
        paths = {"patient": case.removeprefix(base), "rules": "/rules"}
        pages = {f"{name}.html": got(base + path).decode() for name, path in paths.items()}
        pages["line.html"] = "<!doctype html><html lang=en><title>one line</title><p>One line."
        with bare(pages, base) as files:
            static = {name: loads(context, files, f"/{name}", number) for name in pages}
        print(f"{number} measurements each; one line of a bare server: {static['line.html'].told()}")
        for name, what in (("patient", f"patient page, {RESOURCES} resources"), ("rules", "rule book of all rules")):
            told = f"; the same bytes as files {static[f'{name}.html'].told()}"
            row(what, LIMITS_MS[name], loads(context, server, paths[name], number), told)
        row("its first view", LIMITS_MS["patient"], first_views(context, server, patient(), number))
        page = context.new_page()
        page.goto(case)
        row("answer to repaint", LIMITS_MS["answer"], answers(page, server, number))
        browser.close()


if __name__ == "__main__":
    main()
