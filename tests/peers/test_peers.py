"""The peers that other tests rely on do what these rely on."""

from __future__ import annotations

import base64
import hashlib
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from peers.camel import Camel
from peers.hapi import RIVAL, Hapi
from peers.keep import kept
from peers.postgres import Postgres
from peers.server import Server, ServerError
from peers.token_endpoint import App, Person, TokenEndpoint


def patient(identity: str) -> dict[str, object]:
    return {"resourceType": "Patient", "id": identity, "gender": "female"}


def test_hapi_keeps_what_it_is_given_and_knows_a_fault_when_it_sees_one(hapi: Hapi) -> None:
    identity = str(uuid4())
    hapi.put([patient(identity)])
    assert hapi.get(f"Patient/{identity}")["gender"] == "female"
    assert hapi.validate({"resourceType": "DetectedIssue", "status": "final"}) == []
    assert any("status" in fault for fault in hapi.validate({"resourceType": "DetectedIssue"}))
    assert hapi.validate({"resourceType": "DetectedIssue", "status": "final", "severity": "dire"})


def test_hapi_of_r5_is_another(hapi_r5: Hapi) -> None:
    assert hapi_r5.get("metadata")["fhirVersion"].startswith("5.")


def test_the_guarded_address_wants_a_token_whose_scopes_cover_the_request(
    hapi: Hapi, token_endpoint: TokenEndpoint
) -> None:
    identity = str(uuid4())
    hapi.put([patient(identity)])
    client = token_endpoint.register("system/Patient.rs system/Observation.read")

    def status(token: str, path: str, method: str = "GET") -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.request(method, f"{hapi.guarded}/{path}", headers=headers, timeout=30).status_code

    token = client.token()
    assert status(token, f"Patient/{identity}") == 200
    assert status("", f"Patient/{identity}") == 401
    assert status(token[:-8] + "AAAAAAAA", f"Patient/{identity}") == 401
    assert status(token, "Condition") == 403
    assert status(token, f"Patient/{identity}", "DELETE") == 403
    assert status(client.token("system/Observation.read"), "Observation?_count=1") == 200
    assert status("", "metadata") == 200


def test_a_token_is_given_for_a_proof_once(token_endpoint: TokenEndpoint) -> None:
    for algorithm in ("ES384", "RS384"):
        client = token_endpoint.register("system/*.rs", algorithm=algorithm)
        proof = client.assertion()
        assert client.ask(assertion=proof).status_code == 200
        assert client.ask(assertion=proof).status_code == 401
        assert client.ask(assertion=client.assertion(aud="https://example.org")).status_code == 401
        assert client.ask(assertion=client.assertion(exp=1)).status_code == 401
        assert client.ask("system/Condition.rs").status_code == 400


def test_an_app_gets_a_token_for_the_patient_of_the_launch_alone(hapi: Hapi, token_endpoint: TokenEndpoint) -> None:
    mine, other = str(uuid4()), str(uuid4())
    hapi.put([patient(mine), patient(other)])
    app = token_endpoint.register_app("https://app.example.org/back", hapi.guarded)
    launch = token_endpoint.launch(patient=mine, encounter="e", appContext="x")
    said = signed_in(token_endpoint, app, hapi.guarded, launch)
    assert (said["patient"], said["encounter"], said["appContext"]) == (mine, "e", "x")
    assert said["scope"].split() == SCOPES
    keys = KeySet.import_key_set(httpx2.get(f"{token_endpoint.issuer}/jwks", timeout=30).json())
    claims = jwt.decode(said["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["fhirUser"] == f"{hapi.guarded}/Practitioner/anna"
    assert (claims["nonce"], claims["aud"]) == ("once", app.client_id)

    def status(path: str, method: str = "GET") -> int:
        headers = {"Authorization": f"Bearer {said['access_token']}"}
        return httpx2.request(method, f"{hapi.guarded}/{path}", headers=headers, timeout=30).status_code

    assert status(f"Patient/{mine}") == 200
    assert status(f"Observation?patient={mine}") == 200
    assert status(f"Observation?subject=Patient/{mine}") == 200
    assert status(f"Patient/{other}") == 403
    assert status(f"Observation?patient={other}") == 403
    assert status("Observation") == 403
    assert status(f"Condition?patient={mine}") == 403
    assert status(f"Patient/{mine}", "DELETE") == 403


def test_an_app_for_another_server_or_with_an_unknown_launch_gets_no_code(token_endpoint: TokenEndpoint) -> None:
    app = token_endpoint.register_app("https://app.example.org/back", "https://fhir.example.org")
    for aud, launch in (("https://evil.example.org", token_endpoint.launch()), ("https://fhir.example.org", "made-up")):
        back = came_back(token_endpoint, app, aud, launch)
        assert back["error"] == "invalid_request"
    assert came_back(token_endpoint, app, "https://fhir.example.org", "", allows=False)["error"] == "access_denied"


SCOPES = ["openid", "fhirUser", "launch", "patient/Patient.rs", "patient/Observation.rs"]
VERIFIER = "a verifier of at least forty-three characters, made once".replace(" ", "-").replace(",", "")


def came_back(endpoint: TokenEndpoint, app: App, aud: str, launch: str, *, allows: bool = True) -> dict[str, str]:
    """What an app is told in the address to which the browser comes back."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code", "client_id": app.client_id, "redirect_uri": "https://app.example.org/back",
        "scope": " ".join(SCOPES), "state": "s", "nonce": "once", "aud": aud, "code_challenge": digest,
        "code_challenge_method": "S256", **({"launch": launch} if launch else {}),
    }  # fmt: skip
    with httpx2.Client(timeout=30) as browser:
        address = Person(allows=allows).answer(browser, f"{endpoint.issuer}/auth?{urlencode(query)}")
    return dict(parse_qsl(urlsplit(address).query))


def signed_in(endpoint: TokenEndpoint, app: App, aud: str, launch: str) -> dict[str, Any]:
    """What the endpoint says to an app whose user has signed in."""
    form = {
        "grant_type": "authorization_code", "code": came_back(endpoint, app, aud, launch)["code"],
        "redirect_uri": "https://app.example.org/back", "client_id": app.client_id, "code_verifier": VERIFIER,
    }  # fmt: skip
    response = httpx2.post(endpoint.address, data=form, timeout=30)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_token_ends(hapi: Hapi, token_endpoint: TokenEndpoint) -> None:
    headers = {"Authorization": f"Bearer {token_endpoint.register('system/*.rs', seconds=5).token()}"}

    def status() -> int:
        return httpx2.get(f"{hapi.guarded}/Patient?_count=1", headers=headers, timeout=30).status_code

    assert status() == 200
    deadline = time.monotonic() + 30
    while status() != 401:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_guarded_address_says_where_tokens_are_given(hapi: Hapi, token_endpoint: TokenEndpoint) -> None:
    said = httpx2.get(f"{hapi.guarded}/.well-known/smart-configuration", timeout=30).json()
    assert said["token_endpoint"] == token_endpoint.address


def test_pages_of_the_guarded_address_lead_back_to_it(hapi: Hapi, token_endpoint: TokenEndpoint) -> None:
    tag = [{"system": "https://example.org/tests", "code": str(uuid4())}]
    hapi.put(patient(str(uuid4())) | {"meta": {"tag": tag}} for _ in range(3))
    headers = {"Authorization": f"Bearer {token_endpoint.register('system/Patient.rs').token()}"}
    query = f"Patient?_tag={tag[0]['code']}&_count=2"
    page = httpx2.get(f"{hapi.guarded}/{query}", headers=headers, timeout=30).json()
    (link,) = [link["url"] for link in page["link"] if link["relation"] == "next"]
    assert link.startswith(f"{hapi.guarded}?")
    assert len(httpx2.get(link, headers=headers, timeout=30).json()["entry"]) == 1


def test_postgres_keeps_what_was_committed_when_it_is_killed(new_postgres: Callable[..., Postgres]) -> None:
    cluster = new_postgres()
    cluster.create("held")
    cluster.query("create table held (number int); insert into held select generate_series(1, 1000)", "held")
    cluster.kill()
    cluster.start()
    assert cluster.query("select count(*) from held", "held") == "1000"
    assert cluster.query("show fsync") == "on"


def test_a_laboratory_message_becomes_an_observation(hapi: Hapi, new_camel: Callable[..., Camel]) -> None:
    identity = str(uuid4())
    hapi.put([patient(identity)])
    camel = new_camel(fhir=hapi.base, sink="http://127.0.0.1:9/sink")
    answer = camel.send(
        "MSH|^~\\&|LAB|H|EHR|H|20260301120000||ORU^R01^ORU_R01|1|P|2.5",
        f"PID|1||{identity}^^^H^MR",
        "OBR|1|||2823-3^Potassium^LN",
        "OBX|1|NM|2823-3^Potassium^LN||6.1|mmol/L|||||F|||20260301113000",
    )
    assert "MSA|AA|1" in answer
    (entry,) = hapi.get(f"Observation?subject=Patient/{identity}")["entry"]
    assert entry["resource"]["valueQuantity"]["value"] == 6.1
    assert entry["resource"]["effectiveDateTime"].startswith("2026-03-01")


def test_a_notification_is_relayed_again_when_the_sink_fails(new_camel: Callable[..., Camel]) -> None:
    answers, bodies = [503, 503, 200], []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(answers[len(bodies) - 1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        camel = new_camel(fhir="http://127.0.0.1:9/fhir", sink=f"http://127.0.0.1:{sink.server_port}/sink")
        response = httpx2.post(camel.notify, json={"resourceType": "Bundle"}, timeout=60)
        sink.shutdown()

    assert response.status_code == 200
    assert bodies == [b'{"resourceType":"Bundle"}'] * 3


def test_hapi_as_a_rival_answers_cds_hooks(new_hapi: Callable[..., tuple[Hapi, Server]]) -> None:
    rival, _ = new_hapi(RIVAL)
    services = f"{rival.root}/cds/cds-services"
    assert [one["id"] for one in rival.client.get(services).json()["services"]] == ["potassium"]
    value = {"value": 6.3, "unit": "mmol/L"}
    result = {"resourceType": "Observation", "status": "final", "code": {"text": "K"}, "valueQuantity": value}
    body = {
        "hook": "patient-view",
        "hookInstance": str(uuid4()),
        "context": {"userId": "Practitioner/1", "patientId": "p"},
        "prefetch": {"potassium": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": result}]}},
    }
    (card,) = rival.client.post(f"{services}/potassium", json=body).json()["cards"]
    assert card["summary"] == "Potassium 6.3"


def test_a_server_lives_as_long_as_somebody_uses_it(tmp_path: Path) -> None:
    """Two users at once share it; after the last it stops, and the next one gets a new one."""
    script = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
    command = [sys.executable, "-c", script, str(tmp_path / "ready")]
    with kept(tmp_path, command) as first:
        with kept(tmp_path, command) as second:
            assert first == second
        time.sleep(0.6)
        assert Path(f"/proc/{first}").exists()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{first}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with kept(tmp_path, command) as third:
        assert third != first


def test_a_server_that_does_not_start_is_no_mystery(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="this is why"), kept(tmp_path, ["sh", "-c", "echo this is why; exit 1"]):
        pass
