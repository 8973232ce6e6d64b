"""HAPI FHIR JPA: a server of its own with a database, subscriptions, bulk export and validation.

The same data at three addresses: `base` is open, `guarded` wants a token of the token endpoint, `slow` wants one too
and takes a second for each answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from peers.build import built, cache, found, home, java, locked, maven
from peers.keep import kept
from peers.server import Server

Json = dict[str, Any]

MAIN = "HapiPeer"
ARCHIVE = "classes.jsa"
ARCHIVE_SECONDS = 600
PER_TRANSACTION = 200
AGAIN_S, QUIET_S = 1.0, 1.0  # for which a subscription is waited for; nothing more is on its way
HEAP = {"r4": "1g", "r5": "1500m"}
RIVAL = "-Dpeer.config=endplate.peers.Rival"


def built_hapi() -> Path:
    """The project, with an archive of its classes that a start reads instead of 290 jars. Raises MissingError."""
    found("java")
    folder = built("hapi", *maven("hapi"))
    with locked(cache() / "hapi-archive.lock"):
        if not (folder / ARCHIVE).exists():
            new = folder / f"{ARCHIVE}.new"
            options = (f"-XX:ArchiveClassesAtExit={new}", f"-Dpeer.ready={folder / 'ready'}")
            server = Server(java(folder, MAIN, "-Xmx1g", *options), folder)
            server.start(ARCHIVE_SECONDS)
            server.stop(ARCHIVE_SECONDS)  # it is written at the end
            if new.exists():
                new.rename(folder / ARCHIVE)
    return folder


def command(folder: Path, run: Path, *options: str, version: str = "r4") -> list[str]:
    """How a server is started whose files are in `folder`; its token endpoint is the one of the test run."""
    project = built_hapi()
    archive = (f"-XX:SharedArchiveFile={project / ARCHIVE}",) if (project / ARCHIVE).exists() else ()
    issuer = run / "token-endpoint" / "ready"
    return java(
        project, MAIN, f"-Xmx{HEAP[version]}", *archive, f"-Dpeer.fhir={version}", f"-Dpeer.ready={folder / 'ready'}",
        f"-Dpeer.issuer={issuer}", *options,
    )  # fmt: skip


def renamed(content: Json, prefix: str) -> Json:
    """A Bundle whose ids start with `prefix`, and whose references follow: data of one test alone."""
    names = {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in content["entry"]}

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        new = {key: walk(inner) for key, inner in value.items()}
        if f"{value.get('resourceType')}/{value.get('id')}" in names:
            new["id"] = prefix + value["id"]
        if value.get("reference") in names:
            new["reference"] = value["reference"].replace("/", f"/{prefix}")
        return new

    entries = [{"resource": walk(entry["resource"])} for entry in content["entry"]]
    return {**content, "entry": entries}


class Hapi:
    """A running server, as a test sees it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.root = base.removesuffix("/fhir")
        self.guarded = f"{self.root}/guarded"
        self.slow = f"{self.root}/slow"
        self.client = httpx2.Client(base_url=f"{base}/", timeout=120, trust_env=False)

    def get(self, path: str) -> Json:
        """What is at a path below the open address."""
        return self._json(self.client.get(path))

    def post(self, path: str, content: Json) -> Json:
        return self._json(self.client.post(path, json=content))

    def put(self, resources: Iterable[Json]) -> None:
        """Store resources under their own ids, in transactions."""
        entries = [
            {"resource": held, "request": {"method": "PUT", "url": f"{held['resourceType']}/{held['id']}"}}
            for held in resources
        ]
        for start in range(0, len(entries), PER_TRANSACTION):
            part = entries[start : start + PER_TRANSACTION]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": part}
            for _ in range(50):
                response = self.client.post("", json=bundle)
                if response.status_code != 409:  # else another worker creates the same resource at the same time
                    break
                time.sleep(0.1)
            self._json(response)

    def put_bundle(self, bundle: Json) -> None:
        """Store what a Bundle holds."""
        self.put(entry["resource"] for entry in bundle["entry"])

    def validate(self, resource: Json) -> list[str]:
        """What HAPI's `$validate` finds wrong with a resource; warnings are no faults."""
        response = self.client.post(f"{resource['resourceType']}/$validate", json=resource)
        outcome = response.json()
        assert outcome.get("resourceType") == "OperationOutcome", outcome
        faults = [
            f"{' '.join(issue.get('location', ()))}: {issue.get('diagnostics')}"
            for issue in outcome["issue"]
            if issue["severity"] in {"error", "fatal"}
        ]
        assert faults or response.status_code == 200, outcome
        return faults

    @staticmethod
    def _json(response: httpx2.Response) -> Json:
        assert response.is_success, (response.status_code, response.text[:2000])
        return response.json() if response.content else {}


def awake(probe: Callable[[], object], arrived: Callable[[], int], seconds: float = 120) -> int:
    """Waits until a subscription matches, which HAPI does some moment after it says `active`; what has arrived by then.

    `probe` writes something that it matches, another version each time; `arrived` counts what has come. Probes are sent
    until one has arrived. The last one follows when no other is on its way: whatever comes after it is no probe.
    """
    until, before = time.monotonic() + seconds, arrived()
    while arrived() == before:
        assert time.monotonic() < until, "the subscription is active and tells of nothing"
        probe()
        _comes(lambda: arrived() > before, AGAIN_S)
    before = calm(arrived)
    probe()
    assert _comes(lambda: arrived() > before, seconds), "the subscription told of something, and then of nothing"
    return calm(arrived)


def calm(arrived: Callable[[], int]) -> int:
    """What has arrived when nothing has come for a while."""
    before, now = -1, arrived()
    while before < now:
        before = now
        time.sleep(QUIET_S)
        now = arrived()
    return now


def _comes(what: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not (so := what()) and time.monotonic() < until:
        time.sleep(0.05)
    return so


@contextmanager
def shared_hapi(run: Path, *, version: str = "r4", linger: float = 0) -> Iterator[Hapi]:
    """The server that all workers of a run use. Others write to it at the same time: use ids of your own."""
    built_hapi()
    folder = run / f"{home('hapi').name}-{version}"
    with kept(folder, command(folder, run, version=version), linger=linger) as base, _client(base) as hapi:
        yield hapi


@contextmanager
def own_hapi(folder: Path, run: Path, *options: str, version: str = "r4") -> Iterator[tuple[Hapi, Server]]:
    """A server of one test, which may kill it and start it again at the same place.

    Options are system properties of HapiPeer.java, such as `-Dpeer.port=...`, on_disk(path), or RIVAL:
    HAPI's own CDS Hooks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(command(folder, run, *options, version=version), folder)
    try:
        with _client(server.start()) as hapi:
            yield hapi, server
    finally:
        server.stop()


@contextmanager
def _client(base: str) -> Iterator[Hapi]:
    hapi = Hapi(base)
    with hapi.client:
        hapi.get("metadata")
        yield hapi
