"""Senders that repeat what was not acknowledged, and what a sink and a subscriber remember of what they were told."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
from served_kit import SECRET, SECRET_HEADER
from sink_server import SinkServer
from stream_kit import corrected, record_of, stamped
from subscriber_server import Subscriber

Json = dict[str, Any]
HOW = {"none": 8, "another code": 1, "in error": 2, "another value": 1, "younger": 1, "of nobody": 1}  # how often
AGAIN_S = 0.02  # after which a request is repeated that was not answered, or with 503
Request = tuple[str, str, Json | None]  # method, path, body


class Sender(threading.Thread):
    """A stream of changes to some patients, each repeated until it is acknowledged, until `ended` is set.

    What was sent before is sent again now and then, old versions among them. `final` is what stands: key -> resource.
    """

    def __init__(self, port: int, names: list[str], seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.port, self.pause = port, pause
        self.chance = random.Random(seed)
        self.ended = threading.Event()
        self.final: dict[str, Json] = {}
        self.acknowledged = self.repeated = 0
        self.fault = ""
        self._records = [record_of(name) for name in names]
        self._record = [one for record in self._records for one in record]
        self._versions = 0
        self._sent: list[Request] = []
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        requests = self._requests()
        while not (self.ended.is_set() or self.fault):
            request = next(requests)
            while not self._acknowledged(request):
                self.repeated += 1
                time.sleep(AGAIN_S)
            self.acknowledged += 1
            time.sleep(self.chance.random() * self.pause)
        if self._connection is not None:
            self._connection.close()

    # -- what is sent

    def _requests(self) -> Iterator[Request]:
        yield from (self._several(record, "none") for record in self._records)
        while True:
            one = self.chance.choice(self._record)
            match self.chance.choices(("written", "deleted", "several", "again"), (8, 2, 1, 2))[0]:
                case "deleted" if one["resourceType"] != "Patient" and self._key(one) in self.final:
                    yield self._deleted(one)
                case "several":
                    yield self._several(self.chance.sample(self._record, 3))
                case "again":
                    yield self.chance.choice(self._sent[-200:])
                case _:
                    yield self._written(one)

    @staticmethod
    def _key(one: Json) -> str:
        return f"{one['resourceType']}/{one['id']}"

    def _version(self, one: Json, how: str = "") -> Json:
        """The next version, which is the one that stands."""
        self._versions += 1
        how = how or self.chance.choices(list(HOW), list(HOW.values()))[0]
        version = stamped(corrected(one, how), self._versions)
        self.final[self._key(one)] = version
        return version

    def _written(self, one: Json) -> Request:
        version = self._version(one)
        request = ("PUT", f"/{self._key(one)}", version) if self.chance.random() < 0.5 else ("POST", "", version)
        self._sent.append(request)
        return request

    def _deleted(self, one: Json) -> Request:
        """It says no time, so it is not repeated after a version that comes later."""
        del self.final[self._key(one)]
        return "DELETE", f"/{self._key(one)}", None

    def _several(self, some: list[Json], how: str = "") -> Request:
        entries = [
            {"fullUrl": f"https://ehr.example/fhir/{self._key(one)}", "resource": self._version(one, how),
             "request": {"method": "PUT", "url": self._key(one)}}
            for one in some
        ]  # fmt: skip
        request = ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        self._sent.append(request)
        return request

    # -- over the network

    def _acknowledged(self, request: Request) -> bool:
        """False: it is to be repeated."""
        method, path, body = request
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            headers = {SECRET_HEADER: SECRET, "Content-Type": "application/fhir+json"}
            content = None if body is None else json.dumps(body)
            self._connection.request(method, f"/fhir-hook{path}", content, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return False
        if response.status not in (200, 503):
            self.fault = f"{method} {path}: {response.status} {answer[:300]!r}"
        return response.status != 503


class Update(msgspec.Struct, frozen=True):
    """One DetectedIssue as somebody was told of it."""

    identifier: str
    status: str
    content: str  # a digest


def update_of(issue: Json) -> Update:
    said = {key: value for key, value in issue.items() if key not in ("id", "meta")}
    content = json.dumps(said, sort_keys=True).encode()
    return Update(issue["identifier"][0]["value"], issue["status"], hashlib.sha256(content).hexdigest())


class Ledger:
    """What a sink and a subscriber were told, without the bodies; `read` empties their lists."""

    def __init__(self, sink: SinkServer, subscriber: Subscriber) -> None:
        self.sink, self.subscriber = sink, subscriber
        self.updates: dict[str, list[Update]] = {}  # identifier -> in order
        self.events: dict[int, set[Update]] = {}  # event number -> what it was
        self.order: dict[str, list[int]] = {}  # patient -> event numbers as they came
        self.faults: list[str] = []

    def read(self) -> None:
        with self.sink.lock:
            asked, self.sink.asked[:] = list(self.sink.asked), []
            self.sink.kept = {name: versions[-1:] for name, versions in self.sink.kept.items()}
        for one in asked:
            told = update_of(one.body)
            if (one.method, one.query) != ("PUT", f"identifier=urn:endplate:detected-issue|{told.identifier}"):
                self.faults.append(f"not a conditional update: {one.method} {one.path}?{one.query}")
            self.updates.setdefault(told.identifier, []).append(told)
        with self.subscriber.lock:
            notified, self.subscriber.told[:] = list(self.subscriber.told), []
            self.subscriber.seen.clear()
        for each in notified:
            if each.kind != "event-notification":
                continue
            (issue,) = (one for one in each.resources if one["resourceType"] == "DetectedIssue")
            self.events.setdefault(each.number, set()).add(update_of(issue))
            self.order.setdefault(issue["patient"]["reference"], []).append(each.number)
