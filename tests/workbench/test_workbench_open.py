"""Opening a patient: examples, files, and what cannot be opened."""

from __future__ import annotations

import html
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey, KeySet
from pydantic import AnyHttpUrl
from starlette.testclient import TestClient
from workbench_kit import DESKTOP, PHONE, Seen

from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.service.workbench.access import User
from engine.service.workbench.chart import may_save
from engine.settings import Settings, TrustedClient
from engine.store import Store
from engine.workbench.case import MOST_UNREAD, Case

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


@pytest.mark.parametrize("broken", [1, 130])
def test_lines_that_cannot_be_read_are_told_beside_the_one_patient_of_the_file(client: TestClient, broken: int) -> None:
    """Nobody knows whose they are."""
    lines = [b'{"resourceType": "Patient", "id": "p"}', *[b"{broken"] * broken]
    opened = client.post("/workbench/files", files={"file": ("f.ndjson", b"\n".join(lines))})
    page = html.unescape(opened.text)
    assert opened.url.path.startswith("/workbench/cases/")
    assert "Data that could not be used, or not in full: " + str(min(broken, MOST_UNREAD + 1)) in page
    assert "f.ndjson: line 2" in page and "is no JSON" in page
    assert ("30 more could not be read" in page) == (broken == 130)


def test_another_site_cannot_send_a_form(client: TestClient) -> None:
    sent: dict[str, Any] = {"headers": {"Origin": "https://evil.example"}, "follow_redirects": False}
    assert client.post("/workbench/examples/typical-als", **sent).status_code == 403
    assert client.get("/workbench", headers={"Host": "rebound.example"}).status_code == 403


def test_answers_are_saved_for_the_patient_of_the_sign_in_alone(evaluator: Evaluator) -> None:
    """A second launch in the same browser brings a token for another patient: the first case stays readable."""
    keys = KeySet([ECKey.generate_key("P-384", {"kid": "k"})]).as_dict(private=False)
    client = TrustedClient(iss="https://ehr.example.org", jwks=keys)
    settings = Settings(trusted_clients=(client,), public_url=AnyHttpUrl("https://cds.example.org"))
    service = create_app(evaluator, settings, store=Store(None)).state.service
    ehr = "https://fhir.example.org"
    case = Case(title="p", origin="server", content=b"{}", patient="Patient/p", as_of=date(2026, 3, 1), server=ehr)
    user = User(name="Practitioner/1", server=ehr, patient="Patient/p", may_write=True)
    assert may_save(service, user, case)
    for other in ({"patient": "Patient/q"}, {"server": "https://other.example.org"}, {"may_write": False}):
        assert not may_save(service, msgspec.structs.replace(user, **other), case)
    assert may_save(service, msgspec.structs.replace(user, patient=""), case)  # signed in for whomever they may see
