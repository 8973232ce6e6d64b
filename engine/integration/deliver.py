"""Telling a FHIR server of a version of a finding: one resource for each identifier, written by conditional update.

What it takes is read from its CapabilityStatement, now and then: R4 or R5, DetectedIssue, or else what the setting
names instead (Communication, Flag, nothing). An answer is only ever looked at for its status and a few bytes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import quote

import httpx2
import msgspec

from engine.client.http import Answer, BusyError, Http, Patience, TokenSource
from engine.client.outcome import codes
from engine.client.smart import Client, SmartTokens, endpoint, private_key, scopes
from engine.errors import EndplateError, RemoteError
from engine.fhir.elements import obj, objects, text
from engine.integration.capability import Capability, Way, read_capability
from engine.integration.rendering import Rules, communication_of, flag_of, identifier_of, issue_of
from engine.outputs.detected_issue import Resource, Version
from engine.store import Database, findings, outbox
from engine.store.findings import Change
from engine.store.outbox import Delivery

Fallback = Literal["communication", "flag", "none"]
FHIR_JSON = "application/fhir+json"
KEPT_S = 3600.0  # how long it is remembered what a server can do
LARGEST = 256 * 1024  # bytes of an answer that are looked at
LARGEST_STATEMENT = 16 * 1024 * 1024
AT_ONCE = 5  # attempts against others who write the same resource (409)
BREATH_S = 0.05  # before the second of them, then longer: a server may need a moment to see what another one wrote
LONGEST_S = 60.0  # after which no further attempt begins: the claim must hold until the last one has ended
PATIENCE = Patience(attempts=1, connect=5.0, read=30.0, answer=45.0)
_AGAIN = frozenset({408, 409, 425})
_FORMS: dict[Fallback, str] = {"communication": "Communication", "flag": "Flag", "none": ""}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A FHIR server that is told of findings. `version` "" = as it says itself."""

    name: str
    url: str
    version: Version | Literal[""] = ""
    fallback: Fallback = "none"
    client: Client | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What came of a delivery. `after`: seconds that the other side asks to wait; `down`: it takes nothing now;
    `status`: of its answer, 0 = there was none."""

    state: Literal["done", "again", "dead"]
    error: str = ""
    after: float | None = None
    down: bool = False
    status: int = 0


Dispatcher = Callable[[Delivery], Outcome]
"""Delivers one letter, outside of any transaction. Whatever it raises means: again."""


class Sink:
    """A target at work; may be used by several threads. `rules`: the texts of the rules that answer now.

    Raises SettingsError (no usable key), InputError (a token would go over an open line), RemoteError (no address).
    """

    def __init__(
        self,
        target: Target,
        database: Database,
        rules: Callable[[], Rules],
        *,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._base = target.url.rstrip("/")
        self._database = database
        self._rules = rules
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        tokens = _Tokens(target, self._base, patience) if target.client else None
        trusted = [self._base] if target.client else []
        self._http = Http([self._base], tokens=tokens, trusted=trusted, patience=patience)
        self._known: tuple[float, Capability] | None = None

    def __call__(self, delivery: Delivery) -> Outcome:
        """One delivery."""
        with self._database.read() as connection:
            change = findings.at(connection, delivery.identifier, delivery.version)
            overtaken = outbox.later_done(connection, delivery)
        if change is None:
            return Outcome("done", "the patient was purged")
        if overtaken:
            return Outcome("done", "a later version was delivered before")
        return tried(f"`{self._target.name}`", lambda: self._deliver(change))

    def close(self) -> None:
        """Ends all connections."""
        self._http.__exit__(None, None, None)

    # -- what

    def _deliver(self, change: Change) -> Outcome:
        can, rules = self.capability(), self._rules()
        version = self._target.version or can.version
        kind = "DetectedIssue"
        way = can.way(kind)
        if way not in ("conditional", "search"):  # one that cannot be withdrawn is not made
            kind = _FORMS[self._target.fallback]
            way = can.way(kind)
        if kind == "Flag" and way == "create":
            way = ""
        if not way:
            return Outcome("done", "kept here alone: the server takes no DetectedIssue, and nothing stands in for it")
        make = {"DetectedIssue": issue_of, "Communication": communication_of, "Flag": flag_of}[kind]
        resource = make(change, rules, version)
        del resource["id"]  # the server gives its own
        system, value = identifier_of(change, rules)
        if way == "create":  # each version is a message of its own
            value = f"{value}-{change.version}"
            resource["identifier"] = [{"system": system, "value": value}]
        return self._written(resource, way, f"identifier={quote(system, safe='')}|{quote(value, safe='')}")

    def capability(self) -> Capability:
        """What the server can do; asked for again after an hour. Raises RemoteError, and what httpx2 raises."""
        with self._lock:
            if self._known is None or self._clock() >= self._known[0]:
                self._known = self._clock() + KEPT_S, self._stated()
            return self._known[1]

    def _stated(self) -> Capability:
        answer = self._asked("GET", f"{self._base}/metadata", largest=LARGEST_STATEMENT)
        problem = RemoteError(f"`{self._target.name}` answers {answer.status} when asked what it can do")
        if answer.status == 200:
            try:
                return read_capability(answer.json())
            except RemoteError as error:
                problem = error
        if not self._target.version or answer.status >= 500 or answer.status == 401:
            raise problem
        return Capability(self._target.version, {"DetectedIssue": "conditional"})  # as the setting says

    # -- how

    def _written(self, resource: Resource, way: Way, query: str) -> Outcome:
        until = time.monotonic() + LONGEST_S
        for attempt in range(1, AT_ONCE + 1):
            method, url, headers, body = self._request(resource, way, query)
            answer = self._asked(method, url, headers, msgspec.json.encode(body))
            if answer.status != 409 or attempt == AT_ONCE or time.monotonic() > until:
                break
            time.sleep(BREATH_S * attempt)
        return _outcome(answer, self._target.name)

    def _request(self, resource: Resource, way: Way, query: str) -> tuple[str, str, dict[str, str], Resource]:
        address = f"{self._base}/{resource['resourceType']}"
        headers = {"Content-Type": FHIR_JSON, "Accept": FHIR_JSON, "Prefer": "return=minimal"}
        if way == "conditional":
            return "PUT", f"{address}?{query}", headers, resource
        if way == "search":
            answer = self._asked("GET", f"{address}?{query}&_count=2")
            for found in _found(answer, resource["resourceType"]):
                return "PUT", f"{address}/{quote(found, safe='')}", headers, {**resource, "id": found}
        return "POST", address, {**headers, "If-None-Exist": query}, resource

    def _asked(
        self, method: str, url: str, headers: dict[str, str] | None = None, content: bytes = b"", largest: int = LARGEST
    ) -> Answer:
        """One request; of the answer what comes in time, up to a size: a status is an answer, whatever follows it."""
        given = headers or {"Accept": FHIR_JSON}
        with self._http.opened(method, url, headers=given, content=content) as response:
            return Answer(
                response.status_code,
                {name.lower(): value for name, value in response.headers.items()},
                b"".join(beginning(response, largest, self._patience.answer)),
                str(response.url),
            )


class _Tokens(TokenSource):
    """The tokens of a client, found when the first one is needed."""

    def __init__(self, target: Target, base: str, patience: Patience) -> None:
        assert target.client is not None  # noqa: S101 - only a client has tokens
        self._client = target.client
        self._kinds = [kind for kind in ("DetectedIssue", _FORMS[target.fallback]) if kind]
        private_key(self._client.key, self._client.key_id)  # what is wrong with it is told at the start
        self._base = base
        self._patience = patience
        self._lock = threading.Lock()
        self._source: SmartTokens | None = None

    def token(self, refused: str = "") -> str:
        """Raises RemoteError."""
        with self._lock:
            if self._source is None:
                self._source = self._made()
            source = self._source
        return source.token(refused)

    def _made(self) -> SmartTokens:
        client = self._client
        with Http([self._base], patience=self._patience) as http:
            said = endpoint(client, self._base, http)
        wanted = client.scope or scopes(self._kinds, said, "cruds")
        return SmartTokens(client, said, wanted, patience=self._patience)


def tried(name: str, send: Callable[[], Outcome]) -> Outcome:
    """What comes of sending; who does not answer takes nothing now."""
    try:
        return send()
    except BusyError as error:
        return Outcome("again", str(error), error.after, down=True, status=error.status)
    except httpx2.HTTPError as error:
        return Outcome("again", f"{name} does not answer ({type(error).__name__})", down=True)
    except RemoteError as error:
        return Outcome("again", str(error), down=True)


def beginning(response: httpx2.Response, largest: int, seconds: float) -> Iterator[bytes]:
    """Of a body what comes in time, up to a size."""
    size, until = 0, time.monotonic() + seconds
    try:
        for part in response.iter_bytes():
            yield part
            size += len(part)
            if size > largest or time.monotonic() > until:
                return
    except httpx2.HTTPError:  # it broke off, or is packed in a way that cannot be read
        return


def _found(answer: Answer, kind: str) -> list[str]:
    """The ids that a search found. Raises RemoteError if it found nothing out."""
    if answer.status != 200:
        raise RemoteError(f"a search is answered with {answer.status}")
    resources = [obj(entry.get("resource")) for entry in objects(answer.json().get("entry"))]
    return [name for one in resources if one.get("resourceType") == kind and (name := text(one.get("id")))]


def _outcome(answer: Answer, name: str) -> Outcome:
    """By the status (RFC 9110, 15); the codes of an OperationOutcome stand in the error, its words do not."""
    status = answer.status
    if 200 <= status < 300:
        return Outcome("done", status=status)
    error = f"`{name}` answers {status}" + (f" ({said})" if (said := ", ".join(sorted(_codes(answer)))) else "")
    if status == 401:  # no fault of the letter
        return Outcome("again", error, answer.retry_after, down=True, status=status)
    if status in _AGAIN or status >= 500:
        return Outcome("again", error, answer.retry_after, status=status)
    return Outcome("dead", error, status=status)


def _codes(answer: Answer) -> set[str]:
    try:
        return codes(answer)
    except EndplateError:
        return set()
