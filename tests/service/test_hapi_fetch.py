"""What the prefetch lacks comes from a real FHIR server (HAPI) that asks for a token of a real token endpoint."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from peers.hapi import Hapi, renamed
from peers.server import Server, free_port
from peers.token_endpoint import TokenEndpoint
from requests_kit import Day, bundle, condition, order, patient, request
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.fhir.decode import Document
from engine.fhir.record import Scope, read_records
from engine.outputs.cards import cards_response
from engine.service.answer import EXTENSION
from engine.service.app import create_app
from engine.settings import Settings
from engine.views import seen

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "fhir_examples"
MG = "91637004"
VIEW = "endplate-patient-view"
SIGN = "endplate-order-sign"
READ = "system/*.rs"
IN_R5 = ["kennedy-disease", "musk-mg-labelled-als"]


class Ehr:
    """A FHIR server with data of one test alone (the server is shared), and the token that an EHR hands on."""

    def __init__(self, hapi: Hapi, token: str) -> None:
        self.hapi = hapi
        self.token = token
        self.prefix = f"{uuid4().hex[:8]}-"
        self.patient = f"{self.prefix}p"

    def has(self, *resources: Json) -> None:
        """Store resources of the patient, under ids of this test."""
        held = [one | {"id": f"{self.prefix}{one['id']}", "subject": {"reference": f"Patient/{self.patient}"}}
                for one in resources]  # fmt: skip
        self.hapi.put([patient(self.patient), *held])

    def asks(self, name: str = VIEW, **fields: Any) -> Json:
        """A call without prefetch about the patient, or whom the context names."""
        context = {"patientId": self.patient} | fields.pop("context", {})
        access = self.access(fields.pop("server", self.hapi.guarded), fields.pop("token", self.token))
        return request(name, **{"prefetch": None, "context": context} | access | fields)

    def access(self, server: str, token: str) -> Json:
        """What an EHR says of its FHIR server."""
        held = {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": READ, "subject": "endplate"}
        return {"fhirServer": server} | ({"fhirAuthorization": held} if token else {})

    def draft(self) -> Json:
        """The context of an order that a patient with myasthenia must not have."""
        return {"draftOrders": bundle(order("a", subject={"reference": f"Patient/{self.patient}"}))}


@contextmanager
def service(evaluator: Evaluator, hapi: Hapi, day: Day, **settings: Any) -> Iterator[TestClient]:
    servers = [hapi.base, hapi.guarded, hapi.slow]
    chosen = Settings(**({"fhir_servers": servers, "fetch_seconds": 30, "requests_per_second": 0} | settings))
    with TestClient(create_app(evaluator, chosen, dev=True, today=day), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def fetching(evaluator: Evaluator, hapi: Hapi, day: Day) -> Iterator[TestClient]:
    with service(evaluator, hapi, day) as client:
        yield client


@pytest.fixture(scope="module")
def token(token_endpoint: TokenEndpoint) -> str:
    return token_endpoint.register(READ).token()


@pytest.fixture
def ehr(hapi: Hapi, token: str) -> Ehr:
    return Ehr(hapi, token)


def post(client: TestClient, body: Json, *, name: str = VIEW) -> Json:
    response = client.post(f"/cds-services/{name}", json=body)
    assert response.status_code == 200, response.text
    content: Json = response.json()
    return content


def about(content: Json) -> Json:
    said: Json = content["extension"][EXTENSION]
    return said


def shown(content: Json) -> list[tuple[str, str]]:
    return [(card["summary"], card["indicator"]) for card in content["cards"]]


def example(name: str, prefix: str) -> tuple[Json, date, str]:
    """An example under new ids, its date, and the id of its patient."""
    whole = json.loads((EXAMPLES / "patients" / f"{name}.json").read_text("utf-8"))
    return renamed(whole, prefix), date.fromisoformat(whole["timestamp"][:10]), f"{prefix}{name}"


def as_of_today(whole: Json, then: date) -> Json:
    """An example whose dates are moved, so that it is today what it was then: a running service knows today alone."""
    days = date.today() - then  # noqa: DTZ011 - as the service

    def moved(match: re.Match[str]) -> str:
        return (date.fromisoformat(match.group()) + days).isoformat()

    moved_text = re.sub(r"\b(?:19|20)\d\d-\d\d-\d\d(?=[\"T])", moved, json.dumps(whole))
    content: Json = json.loads(moved_text)
    return content


def expected(evaluator: Evaluator, whole: Json, now: date) -> list[tuple[str, str]]:
    """The cards that the same record gives when it comes as a Bundle."""
    scope = Scope(as_of=now, complete=False)
    [record] = read_records([Document(whole, "case")], evaluator.ruleset.terminology, scope, [])
    evaluation = seen(evaluator.evaluate(record, "proved"), "patient-view")
    response = cards_response(evaluation, evaluator.ruleset.info, base="urn:x")
    return [(card["summary"], card["indicator"]) for card in response["cards"]]


def fetched_as_files(client: TestClient, ehr: Ehr, evaluator: Evaluator, day: Day, names: list[str]) -> int:
    """How many examples gave cards; each gave those that it gives as a file."""
    with_cards = 0
    for name in names:
        whole, now, who = example(name, ehr.prefix)
        ehr.hapi.put_bundle(whole)
        day.value = now

        content = post(client, ehr.asks(context={"patientId": who}))

        assert "notFetched" not in about(content), name
        assert "notSupplied" not in about(content), name
        assert shown(content) == expected(evaluator, whole, now), name
        with_cards += bool(content["cards"])
    return with_cards


def test_a_record_fetched_from_a_real_server_gives_what_it_gives_as_a_file(
    fetching: TestClient, ehr: Ehr, evaluator: Evaluator, day: Day
) -> None:
    names = sorted(path.stem for path in (EXAMPLES / "patients").glob("*.json"))

    assert fetched_as_files(fetching, ehr, evaluator, day, [name for name in names if name not in IN_R5]) > 10


def test_a_record_fetched_from_an_r5_server_gives_what_it_gives_as_a_file(
    hapi_r5: Hapi, token: str, evaluator: Evaluator, day: Day
) -> None:
    with service(evaluator, hapi_r5, day) as client:
        assert fetched_as_files(client, Ehr(hapi_r5, token), evaluator, day, IN_R5) == len(IN_R5)


def test_what_is_suggested_from_a_real_record_is_valid(fetching: TestClient, ehr: Ehr, day: Day) -> None:
    offered = []
    for name in ("typical-mg", "seronegative-mg", "als-then-mg", "typical-als"):
        whole, now, who = example(name, ehr.prefix)
        ehr.hapi.put_bundle(whole)
        day.value = now
        content = post(fetching, ehr.asks(context={"patientId": who}))
        offered += [
            action["resource"]
            for card in content["cards"]
            for suggestion in card.get("suggestions", ())
            for action in suggestion["actions"]
            if "resource" in action
        ]

    assert {one["resourceType"] for one in offered} >= {"DetectedIssue", "ServiceRequest"}
    assert [fault for one in offered for fault in ehr.hapi.validate(one)] == []


def test_all_pages_are_read_and_too_many_are_said(
    evaluator: Evaluator, fetching: TestClient, ehr: Ehr, day: Day
) -> None:
    """The diagnosis is the last of 250 conditions; a search gives a hundred at a time."""
    ehr.has(*(condition("38341003", f"c{number}") for number in range(249)), condition(MG, "z"))
    day.value = date(2026, 3, 1)
    asked = ehr.asks(SIGN, context=ehr.draft())

    content = post(fetching, asked, name=SIGN)
    assert content["cards"][0]["indicator"] == "critical"
    assert "notFetched" not in about(content)

    with service(evaluator, ehr.hapi, day, fetch_pages=2) as bounded:
        content = post(bounded, asked, name=SIGN)
    assert about(content)["notFetched"] == {"conditions": "it has too many pages"}
    assert about(content)["problems"]["further-pages"] == 1


def test_slow_answers_are_awaited_side_by_side(fetching: TestClient, ehr: Ehr) -> None:
    """Each answer takes a second; asked one after the other they would take one for each key."""
    ehr.has(condition(MG, "c"))
    keys = fetching.get("/cds-services").json()["services"][0]["prefetch"]
    began = time.monotonic()

    content = post(fetching, ehr.asks(server=ehr.hapi.slow))

    assert "notFetched" not in about(content)
    assert 1 <= time.monotonic() - began < len(keys)


def test_what_is_too_slow_is_unknown_and_said(evaluator: Evaluator, ehr: Ehr, day: Day) -> None:
    ehr.has(condition(MG, "c"))
    asked = ehr.asks(SIGN, server=ehr.hapi.slow, prefetch={"patient": patient(ehr.patient)}, context=ehr.draft())

    with service(evaluator, ehr.hapi, day, fetch_seconds=0.4) as hurried:
        content = post(hurried, asked, name=SIGN)

    reasons = about(content)["notFetched"]
    assert content["cards"] == []
    assert set(reasons.values()) == {"the server took too long"}
    assert {"conditions", "observations"} <= reasons.keys()


def test_a_refused_token_is_said_and_nothing_is_concluded(
    fetching: TestClient, ehr: Ehr, token_endpoint: TokenEndpoint
) -> None:
    ehr.has(condition(MG, "c"))
    ended = token_endpoint.register(READ, seconds=1).token()
    time.sleep(1.2)

    for refused in ("", "made-up", ended):
        response = fetching.post(f"/cds-services/{SIGN}", json=ehr.asks(SIGN, token=refused, context=ehr.draft()))
        assert response.status_code == 412
        assert "the server answered 401" in response.json()["issue"][0]["diagnostics"]

        known = {"patient": patient(ehr.patient)}
        content = post(fetching, ehr.asks(SIGN, token=refused, prefetch=known, context=ehr.draft()), name=SIGN)
        assert content["cards"] == []
        assert set(about(content)["notFetched"].values()) == {"the server answered 401"}


def test_a_token_for_a_part_brings_that_part(fetching: TestClient, ehr: Ehr, token_endpoint: TokenEndpoint) -> None:
    """403 with an OperationOutcome for the rest, which stays unknown."""
    ehr.has(condition(MG, "c"))
    part = token_endpoint.register("system/Patient.rs system/Condition.rs").token()

    content = post(fetching, ehr.asks(SIGN, token=part, context=ehr.draft()), name=SIGN)

    assert content["cards"][0]["indicator"] == "critical"
    reasons = about(content)["notFetched"]
    assert set(reasons.values()) == {"the server answered 403"}
    assert not {"patient", "conditions"} & reasons.keys()


@pytest.mark.parametrize("deleted", [True, False])
def test_a_patient_who_is_not_on_the_server_is_412(deleted: bool, fetching: TestClient, ehr: Ehr) -> None:
    """HAPI answers 404, or 410 for one that was deleted, with an OperationOutcome."""
    if deleted:
        ehr.has()
        assert ehr.hapi.client.delete(f"Patient/{ehr.patient}").status_code == 200

    response = fetching.post(f"/cds-services/{VIEW}", json=ehr.asks())

    assert response.status_code == 412
    assert "the EHR found no such patient" in response.json()["issue"][0]["diagnostics"]


# -- as a process, with clients that prove who they are


class Serving:
    """`endplate serve` with one trusted client, whose calls are signed."""

    def __init__(self, folder: Path, hapi: Hapi) -> None:
        self.port = free_port()
        self.key = ECKey.generate_key("P-384", {"kid": "ehr"})
        client = {"iss": "https://ehr.example.org", "jwks": KeySet([self.key]).as_dict(private=False)}
        settings = {
            "ENDPLATE_TRUSTED_CLIENTS": json.dumps([client]),
            "ENDPLATE_PUBLIC_URL": "https://cds.example.org",
            "ENDPLATE_FHIR_SERVERS": json.dumps([hapi.guarded]),
            "ENDPLATE_FETCH_SECONDS": "30",
            "ENDPLATE_DATA": str(folder / "data"),
            "ENDPLATE_BACKEND": "plain",
        }
        pairs = [f"{name}={value}" for name, value in settings.items()]
        code = "from engine.cli import main; main()"
        command = ["env", *pairs, sys.executable, "-c", code, "serve", "--port", str(self.port)]
        self.server = Server(command, folder, probe=self._answers)

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def call(self, name: str, body: Json, **claims: Any) -> httpx2.Response:
        path = f"/cds-services/{name}"
        now = int(time.time())
        right = {"iss": "https://ehr.example.org", "aud": f"https://cds.example.org{path}", "iat": now, "exp": now + 60}
        signed = jwt.encode({"alg": "ES384", "kid": "ehr"}, right | {"jti": str(uuid4())} | claims, self.key, ["ES384"])
        headers = {"Authorization": f"Bearer {signed}"}
        return httpx2.post(f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def serving(hapi: Hapi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    running = Serving(tmp_path_factory.mktemp("serving"), hapi)
    running.server.start()
    yield running
    running.server.stop()


def evaluated(path: Path, view: str) -> list[tuple[str, str]]:
    """The cards of `endplate evaluate --view ...`, today."""
    command = [sys.executable, "-c", "from engine.cli import main; main()", "evaluate", str(path)]
    options = ["--view", view, "--format", "cards", "--backend", "plain"]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True, env=os.environ)
    return shown(json.loads(done.stdout))


SPEAKING = ("mg-then-als", "als-then-mg", "myasthenic-crisis", "cervical-myelopathy")


@pytest.mark.parametrize("name", [*SPEAKING, "typical-mg"])
def test_the_running_service_finds_what_the_command_line_finds(
    name: str, serving: Serving, ehr: Ehr, tmp_path: Path
) -> None:
    """Today: the service by a signed call, fetching; the command line on the server's own `$everything`."""
    whole, then, who = example(name, ehr.prefix)
    ehr.hapi.put_bundle(as_of_today(whole, then))
    record = tmp_path / "everything.json"
    record.write_text(json.dumps(ehr.hapi.get(f"Patient/{who}/$everything?_count=500")), "utf-8")

    response = serving.call(VIEW, ehr.asks(context={"patientId": who}))

    assert response.status_code == 200, response.text
    assert shown(response.json()) == evaluated(record, "patient-view")
    assert bool(response.json()["cards"]) == (name in SPEAKING)


def test_a_draft_order_over_a_fetched_record_is_judged_as_on_the_command_line(
    serving: Serving, ehr: Ehr, tmp_path: Path
) -> None:
    asked = json.loads((EXAMPLES / "hooks" / "order-sign.json").read_text("utf-8"))["context"]
    drafts = {entry["resource"]["id"] for entry in asked["draftOrders"]["entry"]}
    whole, then, who = example(asked["patientId"], ehr.prefix)
    held = [entry["resource"] for entry in as_of_today(whole, then)["entry"]]
    ehr.hapi.put(one for one in held if one["id"].removeprefix(ehr.prefix) not in drafts)
    ordered = bundle(*(one for one in held if one["id"].removeprefix(ehr.prefix) in drafts))
    everything = ehr.hapi.get(f"Patient/{who}/$everything?_count=500")
    record = tmp_path / "everything.json"
    record.write_text(json.dumps(everything | {"entry": everything["entry"] + ordered["entry"]}), "utf-8")

    response = serving.call(SIGN, ehr.asks(SIGN, context={"patientId": who, "draftOrders": ordered}))

    assert response.status_code == 200, response.text
    assert response.json()["cards"]
    assert shown(response.json()) == evaluated(record, "order")


def test_the_running_service_hears_nobody_else(serving: Serving, ehr: Ehr) -> None:
    ehr.has()

    assert serving.call(VIEW, ehr.asks()).status_code == 200
    assert serving.call(VIEW, ehr.asks(), iss="https://evil.example").status_code == 401
    assert serving.call(VIEW, ehr.asks(), aud="https://cds.example.org/cds-services/other").status_code == 401
