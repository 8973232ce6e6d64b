"""A real FHIR server as the sink: HAPI keeps one DetectedIssue for each finding, in R4 and R5, and finds no fault."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from decide_kit import Hospital, example
from peers.hapi import Hapi
from peers.token_endpoint import TokenEndpoint

from engine.client.smart import Client
from engine.evaluation import Evaluator
from engine.integration.deliver import Sink, Target
from engine.integration.delivering import Lane
from engine.integration.rendering import Rules, communication_of, flag_of, issue_of
from engine.outputs.needs import fact_resources
from engine.store import Database, schema

Json = dict[str, Any]
DAY = date(2026, 4, 20)
New = Callable[..., Sink]


@pytest.fixture
def rules(evaluator: Evaluator) -> Rules:
    return Rules(evaluator.ruleset.info, fact_resources(evaluator.ruleset), "urn:endplate")


@pytest.fixture
def hospital(memory: Database, evaluator: Evaluator) -> Hospital:
    return Hospital(memory, evaluator, day=DAY)


@pytest.fixture
def new(hospital: Hospital, rules: Rules) -> Iterator[New]:
    made: list[Sink] = []

    def one(url: str, **target: Any) -> Sink:
        made.append(Sink(Target(name="ehr", url=url, **target), hospital.database, lambda: rules))
        return made[-1]

    yield one
    for each in made:
        each.close()


def deliver(hospital: Hospital, sink: Sink) -> list[str]:
    lane = Lane("sink/ehr", hospital.database, sink, name=uuid4().hex, now=lambda: hospital.now)
    while lane.step():
        pass
    return [f"{letter.state} {letter.error}".strip() for letter in hospital.letters()]


def kept(hapi: Hapi, identifier: str, kind: str = "DetectedIssue") -> list[Json]:
    query = f"{kind}?identifier=urn:endplate:detected-issue|{identifier}&_count=50"
    return [entry["resource"] for entry in hapi.get(query).get("entry", [])]


def versions(hapi: Hapi, issue: Json) -> list[str]:
    entries = hapi.get(f"DetectedIssue/{issue['id']}/_history")["entry"]
    return [entry["resource"]["status"] for entry in entries][::-1]


def record(hapi: Hapi, *, version: str = "r4") -> list[Json]:
    """A patient of this test alone, who is on the server with all that a finding refers to."""
    found = example("achr-false-positive", f"{uuid4().hex[:8]}-")
    needed = [one for one in found if one["resourceType"] in ("Patient", "Condition", "Observation")]
    plain = json.loads(json.dumps(needed))
    for one in plain:
        for link in ("performer", "encounter", "recorder", "asserter", "generalPractitioner", "managingOrganization",
                     "participant", "hasMember", "specimen", "basedOn"):  # fmt: skip
            one.pop(link, None)
    hapi.put(plain)
    return found


@pytest.mark.parametrize("version", ["r4", "r5"])
def test_created_updated_and_withdrawn_it_is_one_resource(
    version: str, hospital: Hospital, new: New, request: pytest.FixtureRequest
) -> None:
    hapi: Hapi = request.getfixturevalue("hapi" if version == "r4" else "hapi_r5")
    found = record(hapi, version=version)
    lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
    sink = new(hapi.base)

    hospital.send(*found)
    (change,) = hospital.decide()
    assert deliver(hospital, sink) == ["done"]
    (issue,) = kept(hapi, change.identifier)
    assert issue["status"] == "preliminary"

    hospital.send({**lab, "valueQuantity": {**lab["valueQuantity"], "value": 0.6}})
    (changed,) = hospital.decide()
    assert changed.kind == "changed"
    assert deliver(hospital, sink) == ["done"] * 2
    (updated,) = kept(hapi, change.identifier)
    assert "0.6 nmol/L" in updated["detail"]

    hospital.send({**lab, "status": "entered-in-error"})
    hospital.decide()
    assert deliver(hospital, sink) == ["done"] * 3
    (withdrawn,) = kept(hapi, change.identifier)
    assert withdrawn["id"] == issue["id"]
    assert withdrawn["status"] == "entered-in-error"
    assert "entered in error" in withdrawn["mitigation"][0]["action"]["text"]
    assert versions(hapi, issue) == ["preliminary", "preliminary", "entered-in-error"]


def test_several_who_deliver_at_once_make_one_resource_for_each_finding(
    place: Path | str, evaluator: Evaluator, rules: Rules, hapi: Hapi
) -> None:
    """Each has a store connection of its own, as processes have."""
    database = Database(place)
    schema.upgrade(database)
    hospital = Hospital(database, evaluator, day=DAY)
    for _ in range(3):
        found = record(hapi)
        lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
        hospital.send(*found)
        hospital.decide()
        for value in (0.6, 0.55):
            hospital.send({**lab, "valueQuantity": {**lab["valueQuantity"], "value": value}})
            hospital.decide()
        hospital.send({**lab, "status": "entered-in-error"})
        hospital.decide()
    assert len(hospital.letters()) == 12
    barrier = threading.Barrier(4)

    def work() -> None:
        own = Database(place)
        sink = Sink(Target(name="ehr", url=hapi.base), own, lambda: rules)
        sink.capability()
        lane = Lane("sink/ehr", own, sink, name=uuid4().hex, now=lambda: hospital.now)
        barrier.wait()
        idle = 0
        while idle < 20:
            idle = 0 if lane.step() else idle + 1
            time.sleep(0.01 if idle else 0)
        sink.close()
        own.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert [letter.state for letter in hospital.letters()] == ["done"] * 12
    for change in hospital.latest():
        (issue,) = kept(hapi, change.identifier)
        assert versions(hapi, issue) == ["preliminary"] * 3 + ["entered-in-error"]
    database.close()


def test_a_deleted_lab_is_named_and_no_longer_referred_to(hospital: Hospital, new: New, hapi: Hapi) -> None:
    found = record(hapi)
    lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
    hospital.send(*found)
    (change,) = hospital.decide()
    hospital.delete(lab)
    (withdrawn,) = hospital.decide()
    assert hapi.client.delete(f"Observation/{lab['id']}").is_success  # before anything was delivered

    states = deliver(hospital, new(hapi.base))

    assert states[1] == "done"
    assert withdrawn.status == "resolved"
    (issue,) = kept(hapi, change.identifier)
    assert issue["status"] == "cancelled"
    assert {"type": "Observation", "display": f"Observation/{lab['id']}"} in issue["implicated"]


def test_what_the_server_refuses_is_parked_with_the_reason(hospital: Hospital, new: New, hapi: Hapi) -> None:
    """Two resources have the identifier already: it cannot be said which one is meant."""
    hospital.send(*record(hapi))
    (change,) = hospital.decide()
    name = {"system": "urn:endplate:detected-issue", "value": change.identifier}
    for _ in range(2):
        hapi.post("DetectedIssue", {"resourceType": "DetectedIssue", "status": "final", "identifier": [name]})
    assert deliver(hospital, new(hapi.base)) == ["dead `ehr` answers 412 (processing)"]


@pytest.mark.parametrize("kind", ["Communication", "Flag"])
def test_what_stands_in_is_one_resource_too(
    kind: str, hospital: Hospital, new: New, hapi: Hapi, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = record(hapi)
    hospital.send(*found)
    (change,) = hospital.decide()
    sink = new(hapi.base, fallback=kind.lower())
    ways = {name: way for name, way in sink.capability().ways.items() if name != "DetectedIssue"}
    capability = type(sink.capability())("R4", ways)
    monkeypatch.setattr(sink, "capability", lambda: capability)
    assert deliver(hospital, sink) == ["done"]
    lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
    hospital.send({**lab, "status": "entered-in-error"})
    hospital.decide()
    assert deliver(hospital, sink) == ["done"] * 2
    (resource,) = kept(hapi, change.identifier, kind)
    assert resource["status"] == "entered-in-error"
    assert kept(hapi, change.identifier) == []


def test_a_server_that_wants_tokens_gets_one(
    hospital: Hospital, new: New, hapi: Hapi, token_endpoint: TokenEndpoint, tmp_path: Path
) -> None:
    hospital.send(*record(hapi))
    (change,) = hospital.decide()
    client = token_endpoint.register("system/DetectedIssue.cruds", algorithm="ES384")
    key = tmp_path / "key.json"
    key.write_text(json.dumps(client.settings()))
    refused = deliver(hospital, new(hapi.guarded))
    assert refused[0].startswith("pending `ehr` answers 401")
    hospital.now += 10_000
    assert deliver(hospital, new(hapi.guarded, client=Client(id=client.client_id, key=key))) == ["done"]
    assert len(kept(hapi, change.identifier)) == 1


@pytest.mark.parametrize("version", ["R4", "R5"])
def test_the_server_finds_no_fault_in_any_version_of_any_form(
    version: Any, hospital: Hospital, rules: Rules, request: pytest.FixtureRequest
) -> None:
    hapi: Hapi = request.getfixturevalue("hapi" if version == "R4" else "hapi_r5")
    hospital.send(*example("achr-false-positive"), *example("als-then-mg"), *example("fluoroquinolone-in-mg"))
    hospital.decide()
    hospital.delete(next(one for one in example("achr-false-positive") if one["id"].endswith("achr-binding-1")))
    order = next(one for one in example("fluoroquinolone-in-mg") if one["id"].endswith("ciprofloxacin-1"))
    hospital.send({**order, "status": "entered-in-error"})
    hospital.decide()
    told = hospital.history()
    assert {change.status for change in told} == {"preliminary", "resolved", "entered-in-error"}

    faults = [
        (change.issue, change.status, fault)
        for change in told
        for make in (issue_of, communication_of, flag_of)
        for fault in hapi.validate(make(change, rules, version))
    ]

    assert faults == []
