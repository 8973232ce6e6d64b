"""The whole way, with a real FHIR server as source and as sink: a lab brings a finding, its correction withdraws it.

The server's Subscriptions are those that docs/integration.md shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from decide_kit import example
from peers.hapi import Hapi, awake, calm
from served_kit import SECRET, SECRET_HEADER, Served, comes, serving, waiting
from subscriber_server import Subscriber, subscribed
from subscription_kit import five, four

from engine.integration.topics import BACKPORT
from engine.store import Database

Json = dict[str, Any]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "integration.md"
SHOWN = re.compile(r"```json\n(\{\n  \"resourceType\": \"Subscription\".*?)```", re.DOTALL)
SECRET_SHOWN, HOOK_SHOWN = "a long random text", "https://endplate.example.org/fhir-hook"
TYPES = ("Patient", "Condition", "Observation")
LINKS = (
    "performer", "encounter", "recorder", "asserter", "generalPractitioner", "managingOrganization", "participant",
    "hasMember", "specimen", "basedOn",
)  # fmt: skip


def shown() -> Json:
    """The Subscription of the page that a server is given."""
    found: list[Json] = [json.loads(one) for one in SHOWN.findall(PAGE.read_text("utf-8"))]
    (made,) = (one for one in found if one.get("criteria") == "Observation?")
    return made


def record() -> list[Json]:
    """A patient of this test alone, without what the server does not know."""
    found = [one for one in example("achr-false-positive", f"{uuid4().hex[:8]}-") if one["resourceType"] in TYPES]
    for one in found:
        for link in LINKS:
            one.pop(link, None)
    return found


@contextmanager
def told_of(hapi: Hapi, served: Served, patient: str) -> Iterator[None]:
    """The server tells of this patient what it would tell of all."""
    subscription = shown()
    channel = subscription["channel"]
    assert channel["endpoint"] == HOOK_SHOWN
    channel["endpoint"] = f"{served.url}/fhir-hook"
    channel["header"] = [line.replace(SECRET_SHOWN, SECRET) for line in channel["header"]]
    made: list[str] = []
    try:
        for criteria in (f"Patient?_id={patient}", f"Condition?subject={patient}", f"Observation?subject={patient}"):
            one = hapi.post("Subscription", {**subscription, "criteria": criteria})
            made.append(f"Subscription/{one['id']}")
        assert comes(lambda: all(hapi.get(one)["status"] == "active" for one in made))
        for kind in TYPES:
            awake(probing(hapi, kind, patient), lambda: received(served))
        yield
    finally:
        for one in made:
            hapi.client.delete(one)


def probing(hapi: Hapi, kind: str, patient: str) -> Callable[[], None]:
    """Writes another version of something that no rule reads, of a type and a patient."""
    versions = count(1)

    def probe() -> None:
        text, identity = f"probe {next(versions)}", patient.removeprefix("Patient/")
        if kind == "Patient":
            hapi.put([{"resourceType": kind, "id": identity, "name": [{"text": text}]}])
            return
        status = {"status": "final"} if kind == "Observation" else {}
        hapi.put([{
            "resourceType": kind, "id": f"{identity}-probe", **status, "subject": {"reference": patient},
            "code": {"text": text},
        }])  # fmt: skip

    return probe


def received(served: Served) -> int:
    """How many messages it has acknowledged."""
    return (served.server.folder / "log").read_text("utf-8").count('"event": "received"')


def settled(served: Served) -> None:
    """All has arrived, was decided on, and its findings are told: what comes first is not always the last word."""
    calm(lambda: received(served))
    with closing(Database(served.place)) as database:
        assert comes(lambda: waiting(database) == (0, 0))


def issues(hapi: Hapi, patient: str) -> list[Json]:
    found = hapi.get(f"DetectedIssue?patient={patient}&_count=50&_total=accurate")
    return [entry["resource"] for entry in found.get("entry", [])]


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    with subscribed() as subscriber:
        yield subscriber


Open = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path, subscriber: Subscriber) -> Open:
    """Opens `endplate serve` between a server, which is its source and its sink, and a subscriber."""
    return lambda hapi, **options: serving(
        tmp_path / "served",
        **options,
        sources=[{"name": "ehr", "secret": SECRET, "fhir_url": hapi.base}],
        sinks=[{"name": "ehr", "url": hapi.base}],
        subscribers=[subscriber.url],
    )


def test_a_lab_brings_a_finding_and_its_correction_withdraws_it(
    hapi: Hapi, opened: Open, subscriber: Subscriber
) -> None:
    found = record()
    lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
    patient = next(f"Patient/{one['id']}" for one in found if one["resourceType"] == "Patient")
    with opened(hapi) as served, told_of(hapi, served, patient):
        made = [served.subscribe(resource) for resource in (
            four(channel={"endpoint": f"{subscriber.url}/r4"}), five(endpoint=f"{subscriber.url}/r5"),
        )]  # fmt: skip
        assert comes(lambda: all(served.get(f"Subscription/{one}")["status"] == "active" for one in made))

        hapi.put([one for one in found if one is not lab])
        settled(served)
        assert issues(hapi, patient) == []
        hapi.put([lab])
        assert comes(lambda: issues(hapi, patient))
        (issue,) = issues(hapi, patient)
        assert issue["status"] == "preliminary"
        assert issue["patient"]["reference"] == patient
        assert {"reference": f"Observation/{lab['id']}"} in [
            each for one in issue["evidence"] for each in one["detail"]
        ]

        hapi.put([{**lab, "status": "corrected", "valueQuantity": {**lab["valueQuantity"], "value": 0.1},
                   "interpretation": []}])  # fmt: skip
        assert comes(lambda: issues(hapi, patient)[0]["status"] == "entered-in-error")
        (withdrawn,) = issues(hapi, patient)
        assert (withdrawn["id"], withdrawn["identifier"]) == (issue["id"], issue["identifier"])
        assert "corrected, now AChR" in withdrawn["mitigation"][0]["action"]["text"]
        assert hapi.validate(withdrawn) == []

        hapi.put([lab])  # it was right after all
        assert comes(lambda: issues(hapi, patient)[0]["status"] == "preliminary")
        assert len(issues(hapi, patient)) == 1
        for form in ("/r4", "/r5"):
            assert comes(lambda form=form: len(of(subscriber, form)) == 4)
            kinds = [one.kind for one in of(subscriber, form)]
            assert kinds == ["handshake", *["event-notification"] * 3]
            assert [one.number for one in of(subscriber, form)[1:]] == [1, 2, 3]
            said = [next(each["status"] for each in one.resources) for one in of(subscriber, form)[1:]]
            assert said == ["preliminary", "entered-in-error", "preliminary"]
        events = served.get(f"Subscription/{made[0]}/$events?eventsSinceNumber=1&eventsUntilNumber=3")
        assert events["type"] == "history"


def of(subscriber: Subscriber, path: str) -> list[Any]:
    return [one for one in subscriber.told if one.path == path]


def test_a_result_that_is_deleted_is_withdrawn_as_resolved(hapi: Hapi, opened: Open) -> None:
    found = record()
    lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
    patient = next(f"Patient/{one['id']}" for one in found if one["resourceType"] == "Patient")
    with opened(hapi) as served, told_of(hapi, served, patient):
        hapi.put(found)
        assert comes(lambda: issues(hapi, patient))
        settled(served)
        (issue,) = issues(hapi, patient)
        hapi.client.delete(f"DetectedIssue/{issue['id']}")  # it keeps references whole
        assert hapi.client.delete(f"Observation/{lab['id']}").is_success
        assert comes(lambda: issues(hapi, patient))
        (withdrawn,) = issues(hapi, patient)
        assert withdrawn["status"] == "cancelled"
        assert "no longer in the record" in withdrawn["detail"]


def topic_of(url: str, patient: str) -> Json:
    """A topic as R4 servers keep it: results of a patient, with the patient."""
    r5, r4b = (f"http://hl7.org/fhir/{one}/StructureDefinition/extension-SubscriptionTopic" for one in ("5.0", "4.3"))
    trigger = [
        {"url": "resource", "valueUri": "Observation"},
        *({"url": "supportedInteraction", "valueCode": one} for one in ("create", "update")),
        {"url": "queryCriteria", "extension": [
            {"url": "current", "valueString": f"Observation?subject={patient}"},
            {"url": "resultForCreate", "valueCode": "test-passes"},
        ]},
    ]  # fmt: skip
    filters = [{"url": "resource", "valueUri": "Observation"}, {"url": "filterParameter", "valueString": "subject"}]
    shape = [{"url": "resource", "valueUri": "Observation"}, {"url": "include", "valueString": "Observation:subject"}]
    return {
        "resourceType": "Basic",
        "code": {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]},
        "modifierExtension": [{"url": f"{r5}.status", "valueString": "active"}],
        "extension": [
            {"url": f"{r5}.url", "valueUri": url},
            {"url": f"{r5}.version", "valueString": "1"},
            {"url": f"{r4b}.resourceTrigger", "extension": trigger},
            {"url": f"{r4b}.canFilterBy", "extension": filters},
            {"url": f"{r4b}.notificationShape", "extension": shape},
        ],
    }


@pytest.mark.parametrize("content", ["full-resource", "id-only", "empty"])
def test_by_a_topic_of_r4_it_comes_and_goes_as_well(hapi: Hapi, opened: Open, content: str) -> None:
    """It insists on a filter, its counters are strings, and it includes the patient whatever the content."""
    found = record()
    lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
    person = next(one for one in found if one["resourceType"] == "Patient")
    patient = f"Patient/{person['id']}"
    made: list[str] = []
    with opened(hapi) as served:
        try:
            hapi.put([one for one in found if one is not lab])
            for one in found:
                if one not in (lab, person):
                    served.tell(one)
            url = f"http://example.org/topics/{uuid4()}"
            made.append(f"Basic/{hapi.post('Basic', topic_of(url, patient))['id']}")
            channel = {"endpoint": f"{served.url}/fhir-hook", "header": [f"{SECRET_HEADER}: {SECRET}"]}
            profile = {"profile": [f"{BACKPORT}/backport-subscription"]}
            filters = [f"Observation?subject={patient}"]
            subscription = four(criteria=url, meta=profile, content=content, channel=channel, filters=filters)
            assert comes(lambda: hapi.client.post("Subscription", json=subscription).is_success)
            told = hapi.get(f"Subscription?url={served.url}/fhir-hook")["entry"]
            made += [f"Subscription/{entry['resource']['id']}" for entry in told]
            assert comes(lambda: hapi.get(made[-1])["status"] == "active")
            awake(probing(hapi, "Observation", patient), lambda: received(served))

            hapi.put([lab])
            assert comes(lambda: issues(hapi, patient))
            hapi.put([{**lab, "status": "entered-in-error"}])
            assert comes(lambda: issues(hapi, patient)[0]["status"] == "entered-in-error")
            assert len(issues(hapi, patient)) == 1
        finally:
            for one in made[::-1]:
                hapi.client.delete(one)


def test_by_a_topic_of_r5_it_comes_and_goes_as_well(hapi_r5: Hapi, opened: Open) -> None:
    """This server sends no header: in development anybody may tell."""
    found = record()
    lab = next(one for one in found if one["id"].endswith("achr-binding-1"))
    patient = next(f"Patient/{one['id']}" for one in found if one["resourceType"] == "Patient")
    topic = {
        "resourceType": "SubscriptionTopic", "url": f"http://example.org/topics/{uuid4()}", "status": "active",
        "version": "1",
        "resourceTrigger": [{
            "resource": "Observation", "supportedInteraction": ["create", "update"],
            "queryCriteria": {"current": f"Observation?subject={patient}", "resultForCreate": "test-passes"},
        }],
        "notificationShape": [{"resource": "Observation", "include": ["Observation:subject"]}],
    }  # fmt: skip
    made: list[str] = []
    with opened(hapi_r5, dev=True) as served:
        try:
            hapi_r5.put([one for one in found if one is not lab])
            for one in found:
                if one is not lab:
                    served.tell(one)
            made.append(f"SubscriptionTopic/{hapi_r5.post('SubscriptionTopic', topic)['id']}")
            code = {"system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type", "code": "rest-hook"}
            subscription = five(topic=topic["url"], endpoint=f"{served.url}/fhir-hook", channelType=code,
                                contentType="application/fhir+json")  # fmt: skip
            made.append(f"Subscription/{hapi_r5.post('Subscription', subscription)['id']}")
            assert comes(lambda: hapi_r5.get(made[-1])["status"] == "active")
            awake(probing(hapi_r5, "Observation", patient), lambda: received(served))

            hapi_r5.put([lab])
            assert comes(lambda: issues(hapi_r5, patient))
            hapi_r5.put([{**lab, "status": "cancelled"}])
            assert comes(lambda: issues(hapi_r5, patient)[0]["status"] != "preliminary")
            (issue,) = issues(hapi_r5, patient)
            assert issue["status"] in ("mitigated", "entered-in-error")
            assert issue["subject"]["reference"] == patient
        finally:
            for one in made[::-1]:
                hapi_r5.client.delete(one)
