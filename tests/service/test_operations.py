"""What operators see: readiness, figures, limits, the audit trail, and rules that change while calls are answered."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from fhir_server import MG
from httpx2 import ASGITransport, AsyncClient
from requests_kit import Day, bundle, condition, order, patient, request
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine.errors import BackendError, RulesetError
from engine.evaluation import Evaluator
from engine.inference.backends import Both
from engine.inference.plain import PlainBackend
from engine.inference.port import Backend, Begun, Inference, Part
from engine.outputs.cards import cards_response
from engine.rules.program import Conclusions
from engine.service.answer import EXTENSION
from engine.service.app import create_app
from engine.service.audit import FLUSH_SECONDS, Audit
from engine.service.limits import MOST, RateLimit
from engine.service.live import Content, Live
from engine.service.state import Service
from engine.settings import Settings

Json = dict[str, Any]
SIGN = "/cds-services/endplate-order-sign"
VIEW = "/cds-services/endplate-patient-view"
NOW = datetime(2026, 3, 1, 23, 59, 30, tzinfo=UTC)


def signing(**context: Any) -> Json:
    held = {"patient": patient(), "conditions": bundle(condition(MG, "mg"))}
    return request("endplate-order-sign", prefetch=held, context={"draftOrders": bundle(order("a")), **context})


# -- figures and readiness


def test_the_service_is_ready(client: TestClient) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}


def test_figures_count_requests_cards_and_feedback_by_rule_and_hold_no_patient_data(
    evaluator: Evaluator, day: Day
) -> None:
    client = TestClient(create_app(evaluator, Settings(), dev=True, today=day))
    card = client.post(SIGN, json=signing()).json()["cards"][0]
    rule = card["source"]["topic"]["code"]
    reasons = ({"code": "planned", "system": "s"}, {"code": "Zaphod", "system": "s"})
    for reason in reasons:
        spoken = {"card": card["uuid"], "outcome": "overridden", "overrideReason": {"reason": reason}}
        client.post(f"{SIGN}/feedback", json={"feedback": [spoken]})
    client.get("/Patient/Zaphod")
    client.post("/cds-services/Zaphod", json={})

    figures = client.get("/metrics").text

    assert f'endplate_cards_total{{indicator="critical",rule="{rule}"}} 1.0' in figures
    assert f'endplate_feedback_total{{outcome="overridden",reason="planned",rule="{rule}"}} 1.0' in figures
    assert f'endplate_feedback_total{{outcome="overridden",reason="",rule="{rule}"}} 1.0' in figures
    assert 'endplate_requests_total{route="/cds-services/{name}",status="200"} 1.0' in figures
    assert 'endplate_requests_total{route="none",status="404"} 1.0' in figures
    assert 'endplate_request_seconds_bucket{le="0.01",route="/cds-services/{name}"}' in figures
    assert 'endplate_prefetch_missing_total{key="observations"} 1.0' in figures
    assert f'hash="{evaluator.ruleset.hash[:12]}"' in figures
    assert "Zaphod" not in figures


# -- what is held against the answer


class Other:
    """A shadow of plain that says what it is told to. `told`: in which order it was asked and heard."""

    def __init__(self, answer: Conclusions | BackendError, told: list[str]) -> None:
        self._answer = answer
        self._told = told

    def ask(self, values: Mapping[str, str], part: Part = "patient") -> Callable[[], Inference]:
        self._told.append(f"asked of the {part}")
        return partial(self._answered, part)

    def _answered(self, part: Part) -> Inference:
        self._told.append(f"heard of the {part}")
        if isinstance(self._answer, BackendError):
            raise self._answer
        return Inference(self._answer)

    def close(self) -> None: ...


def signed_beside(
    answer: Conclusions | BackendError, evaluator: Evaluator, day: Day, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Json, str, list[Any]]:
    """The answer to a call that is held against a shadow, the figures, and the log."""

    def rendered(*given: Any, **options: Any) -> Any:
        told.append("cards were made")
        return cards_response(*given, **options)

    monkeypatch.setattr("engine.service.answer.cards_response", rendered)
    program = evaluator.ruleset.program
    beside = Evaluator(evaluator.ruleset, Both(PlainBackend(program), Other(answer, told)))
    client = TestClient(create_app(beside, Settings(), dev=True, today=day))
    with capture_logs() as logs:
        response = client.post(SIGN, json=signing())
    assert response.status_code == 200
    return response.json(), client.get("/metrics").text, logs


def test_a_shadow_that_gives_no_answer_is_said_logged_and_counted_and_costs_no_card(
    evaluator: Evaluator, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, figures, logs = signed_beside(BackendError("it ended"), evaluator, day, [], monkeypatch)

    assert content["cards"]
    assert set(content["extension"][EXTENSION]["notes"]) == {"it ended"}
    assert 'endplate_failures_total{part="backend"} 1.0' in figures
    [said] = [one for one in logs if one["event"] == "answered by plain alone"]
    assert (said["log_level"], set(said["reasons"])) == ("error", {"it ended"})


def test_a_shadow_that_disagrees_is_logged_and_counted_and_changes_no_card(
    evaluator: Evaluator, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Conclusions(values={"nobody": "present"}, cases={})

    content, figures, logs = signed_beside(other, evaluator, day, [], monkeypatch)

    alone = TestClient(create_app(evaluator, Settings(), dev=True, today=day)).post(SIGN, json=signing()).json()
    assert content["cards"] == alone["cards"]
    assert "endplate_disagreements_total 1.0" in figures
    [said] = [one for one in logs if one["event"] == "backends disagree"]
    assert "nobody: plain missing, durable present" in said["rules"]


def test_the_shadow_works_while_cards_are_made(evaluator: Evaluator, day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    signed_beside(BackendError("it ended"), evaluator, day, told, monkeypatch)

    parts = ("patient", "order")
    assert told == [
        *(f"asked of the {one}" for one in parts),
        "cards were made",
        *(f"heard of the {one}" for one in parts),
    ]


def test_another_call_has_its_turn_while_the_shadow_works(evaluator: Evaluator, day: Day) -> None:
    told: list[str] = []
    program = evaluator.ruleset.program
    beside = Evaluator(evaluator.ruleset, Both(PlainBackend(program), Other(BackendError("it ended"), told)))
    app = create_app(beside, Settings(), dev=True, today=day)

    async def called() -> list[int]:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://testserver") as client:
            answers = await asyncio.gather(*(client.post(SIGN, json=signing()) for _ in range(2)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(called()) == [200, 200]
    parts = ("patient", "order")
    asked, heard = [f"asked of the {one}" for one in parts], [f"heard of the {one}" for one in parts]
    assert told == [*asked, *asked, *heard, *heard]


# -- limits


def test_a_client_that_asks_too_often_waits_and_another_does_not() -> None:
    time_is = [0.0]
    limit = RateLimit(2, lambda: time_is[0])

    assert [limit.wait("a") for _ in range(4)] == [0.0] * 4
    assert limit.wait("a") == pytest.approx(0.5)
    assert limit.wait("b") == 0.0
    time_is[0] = 0.5
    assert limit.wait("a") == 0.0
    assert limit.wait("a") > 0
    assert [RateLimit(0, lambda: 0.0).wait("a") for _ in range(10)] == [0.0] * 10


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    time_is = [10_000.0]
    limit = RateLimit(2, lambda: time_is[0])
    assert limit.wait("a") == 0
    time_is[0] -= 3600
    assert limit.wait("a") == 0


def test_the_memory_of_a_limit_is_bounded() -> None:
    limit = RateLimit(1, lambda: 0.0)
    for number in range(MOST + 100):
        limit.wait(str(number))

    assert len(limit._buckets) == MOST


def test_too_many_requests_are_429_and_health_is_not_limited(evaluator: Evaluator, day: Day) -> None:
    settings = Settings(requests_per_second=1)
    client = TestClient(create_app(evaluator, settings, dev=True, today=day, now=lambda: NOW))

    answers = [client.get("/cds-services") for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].json()["issue"][0]["code"] == "throttled"
    assert client.get("/healthz").status_code == 200
    assert [client.get("/rules/x").status_code for _ in range(3)] == [404, 404, 429]


# -- audit


def trail(folder: Path) -> list[Json]:
    return [json.loads(line) for path in sorted(folder.glob("*.ndjson")) for line in path.read_text().splitlines()]


def test_the_trail_says_who_asked_about_whom_and_which_rules_answered(
    evaluator: Evaluator, day: Day, tmp_path: Path
) -> None:
    audit = Audit(tmp_path)
    settings = Settings(pages_url="https://cds.example.org")
    client = TestClient(create_app(evaluator, settings, dev=True, today=day, now=lambda: NOW, audit=audit))
    content = client.post(SIGN, json=signing(userId="Practitioner/gp")).json()
    card = content["cards"][0]
    client.post(f"{SIGN}/feedback", json={"feedback": [{"card": card["uuid"], "outcome": "overridden"}]})
    client.get(card["links"][0]["url"].removeprefix("https://cds.example.org"))
    audit.close()

    events = trail(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["audit-2026-03-01.ndjson"]
    assert next(tmp_path.iterdir()).stat().st_mode & 0o077 == 0
    for event in events:
        AuditEvent.model_validate(event)
    asked, answered, opened = events
    identity = content["extension"][EXTENSION]["id"]
    assert asked["agent"][0] == {"who": {"reference": "Practitioner/gp"}, "requestor": True}
    assert asked["entity"][0]["what"] == {"reference": "Patient/p"}
    assert asked["entity"][1]["what"]["identifier"]["value"] == identity
    details = [one["valueString"] for one in asked["entity"][1]["detail"]]
    assert evaluator.ruleset.hash in details[0]
    rule = card["source"]["topic"]["code"]
    assert details[1:] == [f"{rule}|{evaluator.ruleset.info[rule].version}"]
    assert asked["recorded"] == "2026-03-01T23:59:30.000Z"
    assert answered["action"] == "C"
    assert answered["entity"][0]["what"]["identifier"]["value"] == identity
    assert opened["action"] == "R"
    assert opened["entity"][0]["what"] == {"reference": "Patient/p"}


def test_the_trail_is_on_the_disk_within_a_second(tmp_path: Path) -> None:
    assert FLUSH_SECONDS < 1
    audit = Audit(tmp_path)
    audit.write({"recorded": "2026-03-01T00:00:00Z"})
    deadline = time.monotonic() + 20  # of a machine that has other things to do
    while not trail(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert trail(tmp_path)
    audit.close()


def test_a_trail_that_cannot_be_written_is_counted_and_the_service_is_not_ready(
    evaluator: Evaluator, day: Day, tmp_path: Path
) -> None:
    lost: list[int] = []
    audit = Audit(tmp_path / "folder", lost.append)
    client = TestClient(create_app(evaluator, Settings(), dev=True, today=day, audit=audit))
    (tmp_path / "folder").rmdir()
    with capture_logs() as logs:
        assert client.post(SIGN, json=signing()).status_code == 200
        audit.close()

    assert lost == [1]
    assert "audit not written" in [line["event"] for line in logs]
    assert client.get("/readyz").status_code == 503


# -- reload


class Held:
    """A backend that says whether it was closed, and answers only when it may."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name = backend.name
        self.may = threading.Event()
        self.entered = threading.Event()
        self.closed = False

    def infer(self, *arguments: Any) -> Any:
        self.entered.set()
        assert self.may.wait(20)
        assert not self.closed
        return self._backend.infer(*arguments)

    def begin(self, *arguments: Any) -> Begun:
        inference = self.infer(*arguments)
        return Begun(inference.conclusions, lambda: inference)

    def close(self) -> None:
        self.closed = True


def test_a_call_is_answered_by_the_rules_that_it_began_with(evaluator: Evaluator, day: Day) -> None:
    backend = Held(evaluator.backend)
    old = Evaluator(evaluator.ruleset, backend)
    client = TestClient(create_app(old, Settings(), dev=True, today=day, load=lambda: evaluator))
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    answers: list[int] = []
    calling = threading.Thread(target=lambda: answers.append(client.post(SIGN, json=signing()).status_code))
    calling.start()
    assert backend.entered.wait(20)

    assert service.reload()

    assert not backend.closed
    assert client.post(SIGN, json=signing()).status_code == 200
    backend.may.set()
    calling.join(20)
    assert answers == [200]
    assert backend.closed
    assert 'endplate_reloads_total{outcome="done"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize("error", [RulesetError([]), OSError("no such folder"), ZeroDivisionError()])
def test_rules_that_cannot_be_read_leave_the_old_ones(error: Exception, evaluator: Evaluator, day: Day) -> None:
    def broken() -> Evaluator:
        raise error

    client = TestClient(create_app(evaluator, Settings(), dev=True, today=day, load=broken))
    service: Service = client.app.state.service  # type: ignore[attr-defined]

    assert not service.reload()

    assert client.post(SIGN, json=signing()).json()["cards"]
    assert 'endplate_reloads_total{outcome="failed"} 1.0' in client.get("/metrics").text


def test_what_nobody_uses_is_closed_at_once(evaluator: Evaluator) -> None:
    backend = Held(evaluator.backend)
    live = Live(Content(Evaluator(evaluator.ruleset, backend), Settings()))

    live.swap(lambda: Content(evaluator, Settings()))

    assert backend.closed


def test_new_content_answers_after_a_reload(evaluator: Evaluator, day: Day) -> None:
    changed = Evaluator(msgspec.structs.replace(evaluator.ruleset, version="99.0.0"))
    client = TestClient(create_app(evaluator, Settings(), dev=True, today=day, load=lambda: changed))

    client.app.state.service.reload()  # type: ignore[attr-defined]

    assert client.get("/healthz").json()["ruleset"].endswith("|99.0.0")
    about = client.post(VIEW, json=request()).json()["extension"][EXTENSION]
    assert about["ruleset"].endswith("|99.0.0")
    assert 'version="99.0.0"' in client.get("/metrics").text
    assert f'version="{evaluator.ruleset.version}"' not in client.get("/metrics").text
