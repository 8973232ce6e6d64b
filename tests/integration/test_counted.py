"""What sources send, what is decided and what is delivered is in the figures of the store."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from decide_kit import example
from sink_server import SinkServer, sinking
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.model.figure import SENT
from engine.service.app import create_app
from engine.service.working import attach
from engine.settings import read_settings
from engine.store import Store, figures

AGREED = "a long random text"
SENDER = {"X-Endplate-Secret": AGREED}


def counted(store: Store) -> dict[tuple[str, str, str], int]:
    with store.database.read() as connection:
        found: dict[tuple[str, str, str], int] = {}
        for figure, number in figures.since(connection, "").items():
            key = (figure.what, figure.name, figure.outcome)
            found[key] = found.get(key, 0) + number
        return found


def send(client: TestClient, record: list[Any]) -> int:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in record]}
    return client.post("/fhir-hook", json=bundle, headers=SENDER).status_code


def test_a_day_of_a_service_is_counted(place: Path | str, evaluator: Evaluator) -> None:
    store = Store(place)
    with sinking() as sink:
        settings = read_settings(
            sources=[{"name": "ehr", "secret": AGREED}], sinks=[{"name": "archive", "url": sink.url}]
        )
        app = create_app(evaluator, settings, dev=True, store=store, today=lambda: date(2026, 4, 20))
        attach(app)
        with TestClient(app) as client:
            record = example("achr-false-positive")
            undated = next(one for one in record if one["id"].endswith("achr-binding-1"))
            assert send(client, [*record, {**undated, "id": "undated", "effectiveDateTime": "2026-13-45"}]) == 200
            assert client.post("/fhir-hook", content=b"{", headers=SENDER).status_code == 400
            told(sink)
            page = client.get("/operations?days=1", headers={"Host": "127.0.0.1"}).text
    found = counted(store)
    store.close()

    assert found["message", "ehr", "taken"] == 1 and found["message", "ehr", "refused"] == 1
    assert found["evaluation", SENT, "decided"] >= 1
    assert found["change", "findings", "new"] == found["delivery", "sink/archive", "done"] >= 1
    assert any(what == "problem" and name == SENT for what, name, _ in found)
    assert "achr-false-positive-achr" not in page and "sink/archive" in page and ">ehr<" in page


def told(sink: SinkServer) -> None:
    """Waits until the sink has all that was found."""
    last, until = -1, time.monotonic() + 30
    while time.monotonic() < until:
        now = sum(map(len, sink.kept.values()))
        if now and now == last:
            return
        last = now
        time.sleep(1)
    pytest.fail("nothing arrived")
