"""A whole service: what is sent to it reaches the sink, the figures say so, and it stops in an orderly way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from decide_kit import example
from sink_server import SinkServer, sinking
from starlette.testclient import TestClient

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.service.working import attach
from engine.settings import Settings, read_settings
from engine.store import Store

AGREED = "a long random text"
SENDER = {"X-Endplate-Secret": AGREED}


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    with sinking() as server:
        yield server


def settings_for(sink: SinkServer, **given: Any) -> Settings:
    sources = [{"name": "ehr", "secret": AGREED}]
    return read_settings(sources=sources, sinks=[{"name": "archive", "url": sink.url}], **given)


def test_what_is_sent_reaches_the_sink_and_is_withdrawn_there(
    place: Path | str, evaluator: Evaluator, sink: SinkServer
) -> None:
    store = Store(place)
    app = create_app(evaluator, settings_for(sink), dev=True, store=store, today=lambda: date(2026, 4, 20))
    assert attach(app) is not None
    record = example("achr-false-positive")
    lab = next(one for one in record if one["id"].endswith("achr-binding-1"))
    with TestClient(app) as client:
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in record]}
        assert client.post("/fhir-hook", json=bundle, headers=SENDER).status_code == 200
        wait_for(sink, 1)
        wrong = {**lab, "status": "entered-in-error", "meta": {"versionId": "2"}}
        assert client.put(f"/fhir-hook/Observation/{lab['id']}", json=wrong, headers=SENDER).status_code == 200
        wait_for(sink, 2)
        figures = client.get("/metrics").text
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("decide", "deliver"))]
    store.close()

    (versions,) = sink.kept.values()
    assert [one["status"] for one in versions] == ["preliminary", "entered-in-error"]
    assert 'endplate_changes_total{kind="new"} 1.0' in figures
    assert 'endplate_changes_total{kind="withdrawn"} 1.0' in figures
    assert 'endplate_deliveries_total{outcome="done",to="sink/archive"}' in figures
    assert "achr-false-positive-achr" not in figures


def wait_for(sink: SinkServer, versions: int) -> None:
    end = time.monotonic() + 30
    while sum(map(len, sink.kept.values())) < versions:
        assert time.monotonic() < end, "nothing arrived"
        time.sleep(0.01)


def test_there_are_no_threads_unless_somebody_sends_or_is_told(evaluator: Evaluator) -> None:
    app = create_app(evaluator, Settings(), dev=True)
    assert attach(app) is None


@pytest.mark.parametrize(
    ("sink", "says"),
    [
        ({"name": "a b", "url": "https://x.example"}, "match pattern"),
        ({"name": "a", "url": "ftp://x.example"}, "url scheme"),
        ({"name": "a", "url": "https://x.example", "client_id": "c"}, "belong together"),
        ({"name": "a", "url": "https://x.example", "fallback": "fax"}, "'communication', 'flag' or 'none'"),
        ({"name": "a", "url": "https://x.example", "colour": "red"}, "extra inputs"),
    ],
)
def test_a_wrong_sink_is_refused_at_the_start(sink: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=f"`ENDPLATE_SINKS.*{says}"):
        read_settings(sinks=[sink])


def test_two_sinks_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="two sinks are called `a`"):
        read_settings(sinks=[{"name": "a", "url": "https://x.example"}, {"name": "a", "url": "https://y.example"}])


def test_a_sink_whose_key_cannot_be_used_ends_the_start(evaluator: Evaluator, tmp_path: Path) -> None:
    for url, key, says in (
        ("https://x.example/fhir", tmp_path / "none.pem", "`archive`: the key .* cannot be read"),
        ("http://x.example/fhir", _key(tmp_path), "`archive`: .*a token is sent over https only"),
    ):
        sink = {"name": "archive", "url": url, "client_id": "c", "key_file": str(key)}
        app = create_app(evaluator, read_settings(sinks=[sink]), dev=True)
        with pytest.raises(SettingsError, match=says):
            attach(app)


def _key(folder: Path) -> Path:
    from joserfc.jwk import ECKey  # noqa: PLC0415

    path = folder / "key.pem"
    path.write_bytes(ECKey.generate_key("P-384").as_pem(private=True))
    return path
