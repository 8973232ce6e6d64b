"""The page of operators: true after restarts and over processes, for operators alone, nothing of a patient."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from workbench_kit import DESKTOP, PHONE, Seen

from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.service.workbench import operations_routes
from engine.service.workbench.access import User
from engine.settings import Settings, read_settings
from engine.store import Store
from engine.workbench.figures import PERIODS

Window = Callable[[dict[str, int]], AbstractContextManager[Seen]]
HOOKS = Path(__file__).resolve().parents[2] / "fhir_examples/hooks"
SIGN = "/cds-services/endplate-order-sign"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST = NOON.date()
SHARED: dict[str, Any] = {"workers": 2, "timezone": "UTC"}  # the store is shared: nothing waits for a moment
HOSTILE = "p-<script>alert(1)</script>"


@contextmanager
def served(evaluator: Evaluator, store: Store, day: date = FIRST, **settings: Any) -> Iterator[TestClient]:
    """One process on a store."""
    now = datetime.combine(day, NOON.timetz())
    app = create_app(evaluator, Settings(**settings), dev=True, today=lambda: day, now=lambda: now, store=store)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def signing() -> dict[str, Any]:
    call: dict[str, Any] = msgspec.json.decode((HOOKS / "order-sign.json").read_bytes())
    return call


def sign(client: TestClient) -> str:
    """A call that gives a card; its uuid."""
    card: str = client.post(SIGN, json=signing()).json()["cards"][0]["uuid"]
    return card


def override(client: TestClient, card: str, code: str = "planned") -> None:
    one = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-03-01T12:00:00Z"}
    reason = {"overrideReason": {"reason": {"code": code, "system": "s"}, "userComment": "Mrs Smith said so"}}
    assert client.post(f"{SIGN}/feedback", json={"feedback": [one | reason]}).status_code == 200


def rows(text: str, caption: str) -> list[list[str]]:
    """The cells of a table, row by row."""
    found = re.search(rf'aria-label="{caption}".*?<tbody>(.*?)</tbody>', text, re.DOTALL)
    if found is None:
        return []
    cells = (re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in found[1].split("</tr>")[:-1])
    return [[(re.sub(r"<[^>]*>", " ", cell).split() and " ".join(re.sub(r"<[^>]*>", " ", cell).split())) or ""
             for cell in row] for row in cells]  # fmt: skip


def evaluations(client: TestClient, days: int = 7) -> dict[str, list[str]]:
    found = rows(client.get(f"/operations?days={days}").text, "Evaluations by day and entrance")
    return {row[0]: row[1:] for row in found if row[1] != "0"}


def test_what_was_counted_before_a_restart_is_there_and_days_are_kept_apart(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    for day in (FIRST, date(2026, 3, 2)):
        store = Store(tmp_path / "store")
        with served(evaluator, store, day, timezone="UTC") as client:
            sign(client)
        store.close()

    store = Store(tmp_path / "store")
    with served(evaluator, store, date(2026, 3, 2), timezone="UTC") as client:
        assert evaluations(client) == {"2026-03-01": ["1", "1"], "2026-03-02": ["1", "1"]}
        assert list(evaluations(client, 1)) == ["2026-03-02"]
        assert "Counted since" in client.get("/operations?days=30").text
    store.close()


def test_every_process_that_shares_the_store_is_in_the_figures(evaluator: Evaluator, tmp_path: Path) -> None:
    one, two = Store(tmp_path / "store"), Store(tmp_path / "store")
    with served(evaluator, one, **SHARED) as first, served(evaluator, two, **SHARED) as second:
        sign(first)
        override(second, sign(second), code="not-ours")
        for client in (second, first):  # who is asked writes what waits
            client.get("/operations")
        for client in (first, second):
            assert evaluations(client) == {"2026-03-01": ["2", "2"]}
            by_rule = rows(client.get("/operations").text, "Cards by rule")
            assert by_rule and all(row[1] == "2" for row in by_rule)
            assert [row[4:] for row in by_rule if row[5] != "0"] == [["0", "1 100 % of answers", "1 another reason"]]
    one.close()
    two.close()


def test_nothing_of_a_patient_or_a_user_stands_on_the_page(evaluator: Evaluator) -> None:
    call = signing()
    patient = call["context"]["patientId"]
    with served(evaluator, Store(), timezone="UTC") as client:
        override(client, sign(client), code="<b>of-mrs-smith</b>")
        text = client.get("/operations?days=1").text
    assert "another reason" in text
    assert patient not in text and call["context"]["userId"] not in text
    assert "smith" not in text.lower() and "<b>" not in text


@pytest.mark.parametrize("days", ["0", "8", "-7", "x", "7&days=x", "9999999999999999999999", "%00"])
def test_a_period_that_is_none_is_refused(evaluator: Evaluator, days: str) -> None:
    with served(evaluator, Store(), timezone="UTC") as client:
        answer = client.get(f"/operations?days={days}")
        assert answer.status_code == 400 and "1, 7, 30 days can be shown" in answer.text


def test_the_page_is_for_operators_alone(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(evaluator, Store(), timezone="UTC") as client:
        monkeypatch.setattr(operations_routes, "user_of", lambda *_: User(name="Practitioner/1"))
        answer = client.get("/operations")
        assert answer.status_code == 403 and "for those who run the service" in answer.text
        monkeypatch.setattr(operations_routes, "user_of", lambda *_: User(name="Practitioner/2", operator=True))
        assert client.get("/operations").status_code == 200


def test_nobody_is_let_in_who_has_not_signed_in(evaluator: Evaluator) -> None:
    trusted = [{"iss": "https://ehr.example.org", "jku": "https://ehr.example.org/jwks"}]
    settings = read_settings(trusted_clients=trusted, public_url="https://cds.example.org")
    with TestClient(create_app(evaluator, settings), base_url="http://127.0.0.1") as client:
        answer = client.get("/operations", follow_redirects=False)
        assert answer.status_code in (303, 401) and "Evaluations" not in answer.text


def test_a_store_that_fails_is_told_on_the_page(evaluator: Evaluator, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with served(evaluator, store, timezone="UTC") as client:
        sign(client)
        client.get("/operations")
        with store.database.write() as connection:
            connection.exec_driver_sql("alter table figure rename to elsewhere")
        answer = client.get("/operations")
        assert answer.status_code == 503 and "cannot be read now" in answer.text and "elsewhere" not in answer.text
        with store.database.write() as connection:
            connection.exec_driver_sql("alter table elsewhere rename to figure")
        assert evaluations(client) == {"2026-03-01": ["1", "1"]}
    store.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_people_can_read_it(window: Window, client: TestClient, app: FastAPI, size: dict[str, int]) -> None:
    card = sign(client)
    override(client, card)
    client.post("/cds-services/endplate-patient-view", content=(HOOKS / "patient-view.json").read_bytes())
    with window(size) as shown:
        page = shown.open("/operations")
        assert page.get_by_role("heading", name="Cards by rule").is_visible()
        page.get_by_role("link", name="30 days").press("Enter")
        page.wait_for_url("**/operations?days=30")
        assert page.locator('[aria-current="true"]').inner_text() == "30 days"
        assert page.locator("figure.chart rect").count() == max(PERIODS)
        for summary in page.locator("summary").all():
            summary.press("Enter")
        assert shown.violations() == [] and shown.fits() and shown.faults == []
    assert app.state.service.backlog.failing is False
