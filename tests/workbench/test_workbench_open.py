"""Opening a patient: examples, files, and what cannot be opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from starlette.testclient import TestClient
from workbench_kit import DESKTOP, PHONE, Seen

Window = Callable[[dict[str, int]], AbstractContextManager[Seen]]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_example_opens_with_its_findings(window: Window, size: dict[str, int]) -> None:
    with window(size) as shown:
        page = shown.open("/workbench")
        assert shown.violations() == [] and shown.fits()
        page.get_by_role("button", name="fluoroquinolone in mg").click()
        page.wait_for_url("**/workbench/cases/*")
        assert page.locator("article.finding.high").count() >= 1
        assert shown.violations() == [] and shown.fits() and shown.faults == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not FHIR at all", "no patient"),
        (b"", "no patient"),
        (b'{"hook": "patient-view", "context": {}}', "names no patient"),
        (b"x" * 2_100_000, "larger than"),
    ],
    ids=["words", "empty", "nobody", "large"],
)
def test_what_cannot_be_opened_is_told(client: TestClient, content: bytes, said: str) -> None:
    answer = client.post("/workbench/files", files={"file": ("f.json", content)})
    assert answer.status_code in (400, 413)
    assert said in answer.text and "Traceback" not in answer.text


def test_another_site_cannot_send_a_form(client: TestClient) -> None:
    sent: dict[str, Any] = {"headers": {"Origin": "https://evil.example"}, "follow_redirects": False}
    assert client.post("/workbench/examples/typical-als", **sent).status_code == 403
    assert client.get("/workbench", headers={"Host": "rebound.example"}).status_code == 403
