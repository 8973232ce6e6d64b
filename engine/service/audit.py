"""The audit trail: one FHIR AuditEvent (R4) a line, in a file a day. Who asked, about whom, and what answered.

What is waited for by a user is written at most a second later, in order, by a thread of its own; what is remembered
durably stands in the trail before (`put`). A file is only ever appended to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from engine import __version__
from engine.model.finding import Evaluation
from engine.outputs.markdown import plain
from engine.outputs.references import reference
from engine.outputs.settings import uri
from engine.store import StoreError

FLUSH_SECONDS = 0.5
MOST_WAITING = 50_000
_TYPE = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_KIND = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_TYPED = ("Practitioner/", "PractitionerRole/", "Patient/", "RelatedPerson/", "Device/")

Json = dict[str, Any]
log = structlog.get_logger("endplate.service")


class Audit:
    """Appends events to `audit-YYYY-MM-DD.ndjson` in a folder; None: nothing is written. `lost` is told how many."""

    def __init__(self, folder: Path | None, lost: Callable[[int], None] = lambda _: None) -> None:
        self._folder = folder
        self._lost = lost
        self._waiting: list[tuple[str, bytes]] = []  # the day, the line
        self._lock = threading.Condition()
        self._stopped = False
        self.failing = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._thread.start()

    def write(self, event: Json) -> None:
        """Takes one event; it never waits for the disk."""
        if self._folder is None:
            return
        line = _line(event)
        with self._lock:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(line)
                return
        self._lost(1)

    def put(self, events: Sequence[Json]) -> None:
        """Writes events now: when it returns they outlive the process. Raises StoreError if they cannot be written."""
        if self._folder is not None and events and self._append(list(map(_line, events))):
            raise StoreError("the audit trail cannot be written")

    def flush(self) -> None:
        """Writes what is waiting, now: a process that is told to stop has no other time for it."""
        with self._lock:
            events, self._waiting = self._waiting, []
        if events:
            self._lose(self._append(events))

    def close(self) -> None:
        """Writes what is waiting."""
        with self._lock:
            self._stopped = True
            self._lock.notify()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._stopped, FLUSH_SECONDS)
                stopped, events = self._stopped, self._waiting
                self._waiting = []
            if events:
                self._lose(self._append(events))
            if stopped:
                return

    def _lose(self, events: int) -> None:
        if events:
            self._lost(events)

    def _append(self, events: Sequence[tuple[str, bytes]]) -> int:
        """How many could not be written."""
        assert self._folder is not None  # noqa: S101 - the thread runs with a folder alone
        lost = 0
        days: dict[str, list[bytes]] = {}
        for day, line in events:
            days.setdefault(day, []).append(line)
        for day, lines in days.items():
            try:
                path = self._folder / f"audit-{day}.ndjson"
                handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                with os.fdopen(handle, "ab") as file:
                    file.write(b"\n".join(lines) + b"\n")
                self.failing = False
            except OSError as error:
                self.failing = True
                lost += len(lines)
                log.critical("audit not written", reason=error.strerror, events=len(lines))
        return lost


def _line(event: Json) -> tuple[str, bytes]:
    """Its day, and the line."""
    return event["recorded"][:10], msgspec.json.encode(event)


def of_evaluation(evaluation: Evaluation) -> Json:
    """What an event says of an evaluation: about whom, by which content, and which rules answered."""
    ruleset = evaluation.ruleset
    return {
        "patient": evaluation.patient,
        "content": f"{ruleset.id}|{ruleset.version} {ruleset.hash}",
        "rules": [f"{finding.issue}|{finding.version}" for finding in evaluation.findings],
    }


def audit_event(
    *,
    base: str,
    now: datetime,
    action: str,
    what: str,
    client: str = "",
    user: str = "",
    address: str = "",
    patient: str | Iterable[str] = "",
    evaluation: str = "",
    content: str = "",
    rules: Iterable[str] = (),
    outcome: str = "0",
) -> Json:
    """One AuditEvent. `action` is C R D or E, `what` the service or page, `content` the ruleset with its version."""
    agents: list[Json] = []
    if user:
        who = {"reference": user} if user.startswith(_TYPED) else {"display": plain(user)}
        agents.append({"who": who, "requestor": True})
    if client or not agents:
        agent: Json = {"who": {"display": client or "not authenticated"}, "requestor": not agents}
        agents.append(agent | ({"network": {"address": address, "type": "2"}} if address else {}))
    entities: list[Json] = []
    for one in [patient] if isinstance(patient, str) else patient:
        if one:
            entities.append({
                "what": reference(one),
                "type": {"system": _KIND, "code": "1"},
                "role": {"system": _ROLE, "code": "1"},
            })  # fmt: skip
    if evaluation:
        details = [{"type": "ruleset", "valueString": content}] if content else []
        details += [{"type": "rule", "valueString": rule} for rule in rules]
        entity: Json = {"what": {"identifier": {"system": uri(base, "evaluation"), "value": evaluation}}}
        entity["type"] = {"system": _KIND, "code": "2"}
        entities.append(entity | ({"detail": details} if details else {}))
    event: Json = {
        "resourceType": "AuditEvent",
        "type": _TYPE,
        "subtype": [{"system": uri(base, "audit"), "code": what}],
        "action": action,
        "recorded": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": outcome,
        "agent": agents,
        "source": {"observer": {"display": f"Endplate {__version__}"}},
    }
    return event | ({"entity": entities} if entities else {})
