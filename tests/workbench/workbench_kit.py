"""The workbench as people meet it: a service on loopback, a real browser, and what axe-core says of a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from peers.axe import axe_source
from playwright.sync_api import Browser, Page

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
SERIOUS = ("serious", "critical")


@dataclass
class Seen:
    """A page in a browser, and what went wrong on it: console errors, scripts that failed, requests to elsewhere."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def violations(self) -> list[str]:
        """What axe-core finds serious or critical, with the elements."""
        self.page.evaluate(f"() => {{ {axe_source()} }}")
        found: Any = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:5]}"
            for one in found["violations"]
            if one["impact"] in SERIOUS
        ]

    def fits(self) -> bool:
        """Whether the page is no wider than its window."""
        return bool(self.page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"))


@contextmanager
def seen(browser: Browser, base: str, size: dict[str, int]) -> Iterator[Seen]:
    """A window of a size; what goes wrong in it is collected."""
    context = browser.new_context(viewport=size)  # type: ignore[arg-type]
    page = context.new_page()
    found = Seen(page, base)
    page.on("console", lambda m: found.faults.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.faults.append(f"script: {error}"))
    page.on("request", lambda r: None if r.url.startswith(base) else found.faults.append(f"elsewhere: {r.url[:200]}"))
    try:
        yield found
    finally:
        context.close()
