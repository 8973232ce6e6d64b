"""The service as it runs: uvicorn on a free port, called over the network; the requests that others published."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import uvicorn
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from requests_kit import HOOKS, bundle, condition, empty_places, order, patient, request

SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "cds-hooks-2.0.1-response.schema.json"
SERVICES = {hook: service for service, hook in HOOKS.items()}
START_SECONDS = 90


@pytest.fixture(scope="module")
def response_schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")), validate_formats=True)


@pytest.fixture(scope="module")
def server(app: FastAPI) -> Iterator[httpx2.Client]:
    """The application behind uvicorn in a thread of its own."""
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.02)
    port = running.servers[0].sockets[0].getsockname()[1]
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    running.should_exit = True
    thread.join(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def published(shared: Path) -> list[tuple[str, Any]]:
    """Every published CDS Hooks request, with its file."""
    found = []
    for path in sorted((shared / "standards" / "cds-hooks").rglob("*.json")):
        try:
            content = json.loads(path.read_text("utf-8-sig"))
        except ValueError:
            continue
        if isinstance(content, dict) and {"hook", "context"} <= content.keys():
            found.append((path.name, content))
    return found


def test_each_published_request_gets_cards_or_a_reason(
    server: httpx2.Client, shared: Path, response_schema: jsonschema_rs.Draft202012Validator
) -> None:
    requests = published(shared)
    assert len(requests) == 37
    outcomes = set()
    for name, content in requests:
        service = SERVICES.get(content["hook"], "endplate-patient-view")
        response = server.post(f"/cds-services/{service}", json=content)
        assert response.status_code in (200, 400, 412), (name, response.text)
        outcomes.add((response.status_code, content["hook"] in SERVICES))
        if response.status_code == 200:
            response_schema.validate(response.json())
            assert empty_places(response.json()) == [], name
        else:
            assert response.json()["issue"][0]["diagnostics"]
    assert (200, True) in outcomes
    assert (412, True) in outcomes
    assert (200, False) not in outcomes  # a hook that is not offered


def test_published_requests_with_their_patient_at_hand_are_answered(server: httpx2.Client, shared: Path) -> None:
    """Many rely on fetching: with the patient added, every request for a hook of ours that is whole gets its cards."""
    answered = 0
    for name, content in published(shared):
        identity = content["context"].get("patientId")
        if content["hook"] not in SERVICES or not identity:
            continue
        content["prefetch"] = (content.get("prefetch") or {}) | {"patient": patient(identity.removeprefix("Patient/"))}
        response = server.post(f"/cds-services/{SERVICES[content['hook']]}", json=content)
        assert response.status_code == 200, (name, response.text)
        answered += 1
    assert answered == 19


def test_published_requests_are_answered_byte_for_byte(server: httpx2.Client, shared: Path) -> None:
    """As files: byte order marks, and two that are no JSON."""
    for path in sorted((shared / "standards" / "cds-hooks").rglob("*.json")):
        response = server.post(
            "/cds-services/endplate-order-sign",
            content=path.read_bytes(),
            headers={"content-type": "application/json"},
        )
        assert response.status_code in (200, 400, 412, 413), path.name


def test_a_call_over_the_network_gives_cards(server: httpx2.Client) -> None:
    held = {"patient": patient(), "conditions": bundle(condition("91637004", "mg"))}
    body = request("endplate-order-sign", prefetch=held, context={"draftOrders": bundle(order("a"))})

    response = server.post("/cds-services/endplate-order-sign", json=body)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["cards"][0]["indicator"] == "critical"


def test_many_calls_at_once_are_answered_as_one_by_one(server: httpx2.Client) -> None:
    held = {"patient": patient(), "conditions": bundle(condition("91637004", "mg"))}
    body = request("endplate-order-sign", prefetch=held, context={"draftOrders": bundle(order("a"))})
    alone = server.post("/cds-services/endplate-order-sign", json=body).json()
    answers: list[Any] = []

    def call() -> None:
        answers.extend(server.post("/cds-services/endplate-order-sign", json=body).json() for _ in range(10))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(answers) == 80
    assert all(answer == alone for answer in answers)


def test_a_body_that_breaks_off_and_one_that_is_endless_harm_nobody(server: httpx2.Client) -> None:
    port = server.base_url.port
    head = b"POST /cds-services/endplate-patient-view HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as broken:
        broken.sendall(head + b"Content-Length: 1000\r\n\r\n{")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as endless:
        endless.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
        answer = b""
        for _ in range(200):
            try:
                endless.sendall(chunk)
            except OSError:
                break
        with suppress(OSError):
            answer = endless.recv(64)
    assert not answer or b" 413 " in answer

    assert server.get("/healthz").status_code == 200


def test_a_body_that_does_not_come_is_408_with_a_reason(server: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.service.body.READ_SECONDS", 0.2)
    head, _ = posted(b"x" * 1000)
    with socket.create_connection(("127.0.0.1", server.base_url.port or 0), timeout=START_SECONDS) as slow:
        slow.sendall(head + b"{")
        answer = received(slow)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"OperationOutcome"' in answer
    assert b"took longer" in answer


def posted(body: bytes) -> tuple[bytes, bytes]:
    """A call as it goes over the wire: head and body."""
    head = "POST /cds-services/endplate-patient-view HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    while part := connection.recv(1 << 16):
        answer += part
    return answer


# -- as a process


def environment(tmp_path: Path, **settings: str) -> dict[str, str]:
    return {**os.environ, "ENDPLATE_CACHE": str(tmp_path), "ENDPLATE_BACKEND": "plain", **settings}


def starting(code: str, env: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"from engine.service.serve import serve\n{code}"]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def health(process: subprocess.Popen[str], port: int) -> Any:
    """What the process says of itself as soon as it answers."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5).json()
        except httpx2.TransportError:
            time.sleep(0.1)
    pytest.fail(str(process.communicate(timeout=10)))


def listens(port: int) -> bool:
    """Whether new connections are taken."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stopped(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=30)


def test_the_process_says_loudly_that_it_is_open_and_stops_when_asked(tmp_path: Path) -> None:
    """By the command line, as a user starts it; cards link to pages of this machine, and nothing is written."""
    port = free_port()
    command = [sys.executable, "-c", "from engine.cli import main; main()", "serve", "--dev", "--port", str(port)]
    env = environment(tmp_path, ENDPLATE_DATA=str(tmp_path / "data"))
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    held = {"patient": patient(), "conditions": bundle(condition("91637004", "mg"))}
    body = request("endplate-order-sign", prefetch=held, context={"draftOrders": bundle(order("a"))})
    try:
        state = health(process, port)
        answer = httpx2.post(f"http://127.0.0.1:{port}/cds-services/endplate-order-sign", json=body)
        assert answer.status_code == 200
        for link in answer.json()["cards"][0]["links"]:
            assert link["url"].startswith(f"http://127.0.0.1:{port}/")
            assert httpx2.get(link["url"]).status_code == 200
    finally:
        output, said = stopped(process)

    assert state["status"] == "ok"
    assert not (tmp_path / "data").exists()
    assert "NO AUTHENTICATION" in said
    assert output == ""
    assert all(json.loads(line)["event"] for line in said.splitlines() if line.startswith("{"))
    assert "Traceback" not in said
    assert "Warning" not in said


def test_the_process_does_not_start_open_to_the_world(tmp_path: Path) -> None:
    process = starting("serve(port=0)", environment(tmp_path, ENDPLATE_TRUSTED_CLIENTS="[]"))
    _, said = process.communicate(timeout=START_SECONDS)

    assert process.returncode != 0
    assert "`ENDPLATE_TRUSTED_CLIENTS`" in said


def test_a_call_that_has_begun_is_answered_before_the_process_ends(tmp_path: Path) -> None:
    port = free_port()
    env = environment(tmp_path, ENDPLATE_DATA=str(tmp_path / "data"))
    process = starting(f"serve(port={port}, dev=True)", env)
    head, body = posted(json.dumps(request()).encode())
    try:
        health(process, port)
        with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as begun:
            begun.sendall(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert begun.recv(1 << 10).startswith(b"HTTP/1.1 100 ")
            process.send_signal(signal.SIGTERM)
            while listens(port):
                time.sleep(0.05)
            begun.sendall(body)
            answer = received(begun)
    finally:
        _, said = stopped(process)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"cards"' in answer
    assert "Traceback" not in said


def test_rules_are_read_again_on_sighup_while_every_request_is_answered(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", f"from engine.service.serve import serve; serve(port={port}, dev=True)"]
    log = tmp_path / "log"  # a pipe would be full of it soon
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=environment(tmp_path), stderr=stream, text=True)
    answers: list[int] = []
    over = threading.Event()

    def call() -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            while not over.is_set():
                answers.append(client.post("/cds-services/endplate-patient-view", json=request()).status_code)

    try:
        health(process, port)
        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in (1, 2):
            before = len(answers)
            process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + START_SECONDS
            # a round lasts until the rules are read and enough was asked meanwhile, however fast either is
            while (
                f'outcome="done"}} {number}.0' not in httpx2.get(f"http://127.0.0.1:{port}/metrics").text
                or len(answers) < before + 12
            ):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        over.set()
        for thread in threads:
            thread.join(30)
    finally:
        over.set()
        stopped(process)

    assert len(answers) > 20
    assert set(answers) == {200}
    said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in said].count("reloaded") == 2
    assert "Traceback" not in log.read_text()


def test_two_processes_share_memory_audit_and_used_tokens(tmp_path: Path) -> None:
    port = free_port()
    key = ECKey.generate_key("P-384", {"kid": "k"})
    client = {"iss": "https://ehr.example.org", "jwks": KeySet([key]).as_dict(private=False)}
    env = environment(
        tmp_path,
        ENDPLATE_TRUSTED_CLIENTS=json.dumps([client]),
        ENDPLATE_PUBLIC_URL="https://cds.example.org",
        ENDPLATE_PAGES_URL=f"http://127.0.0.1:{port}",
        ENDPLATE_DATA=str(tmp_path / "data"),
        ENDPLATE_WORKERS="2",
    )
    held = {"patient": patient(), "conditions": bundle(condition("91637004", "mg"))}
    body = request("endplate-order-sign", prefetch=held, context={"draftOrders": bundle(order("a"))})
    path = "/cds-services/endplate-order-sign"

    def token() -> str:
        now = int(time.time())
        claims = {"iss": client["iss"], "aud": f"https://cds.example.org{path}", "iat": now, "exp": now + 60}
        return jwt.encode({"alg": "ES384", "kid": "k"}, claims | {"jti": str(time.perf_counter_ns())}, key, ["ES384"])

    def call(given: str) -> httpx2.Response:
        """On a connection of its own, so that either process may get it."""
        headers = {"Authorization": f"Bearer {given}"}
        return httpx2.post(f"http://127.0.0.1:{port}{path}", json=body, headers=headers, timeout=30)

    process = starting(f"serve(port={port})", env)
    try:
        health(process, port)
        one = token()
        assert sorted(call(one).status_code for _ in range(8)) == [200] + [401] * 7
        links = [call(token()).json()["cards"][0]["links"][0]["url"] for _ in range(8)]
        assert len(set(links)) == 1
        assert {httpx2.get(links[0]).status_code for _ in range(8)} == {200}
    finally:
        _, said = stopped(process)

    events = [
        json.loads(line) for file in (tmp_path / "data/audit").iterdir() for line in file.read_text().splitlines()
    ]
    assert len([event for event in events if event["action"] == "E"]) == 9
    assert len([event for event in events if event["action"] == "R"]) == 8
    assert {event["agent"][0]["who"].get("reference") for event in events if event["action"] == "E"} == {
        "Practitioner/1"
    }
    assert "https://ehr.example.org" in said
    assert '"y"' not in said  # of the key
