"""A hospital in a test: what it sends is stored as a receiver does, and a decider decides on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from engine.evaluation import Evaluator
from engine.fhir.matters import owner_of
from engine.integration.backoff import Backoff
from engine.integration.deciding import Decider, Matching
from engine.store import Database, findings, outbox, resources, work
from engine.store.findings import Change
from engine.store.outbox import Delivery
from engine.store.resources import Held

Json = dict[str, Any]
EXAMPLES = Path(__file__).resolve().parents[2] / "fhir_examples" / "patients"
STEADY = Backoff(chance=lambda: 1.0)


def example(name: str, prefix: str = "") -> list[Json]:
    """The resources of an example, with ids of their own."""
    text = (EXAMPLES / f"{name}.json").read_text("utf-8")
    found: list[Json] = [entry["resource"] for entry in json.loads(text)["entry"]]
    for one in found if prefix else ():
        kind, name = one["resourceType"], one["id"]
        text = text.replace(f'"{kind}/{name}"', f'"{kind}/{prefix}{name}"')
        text = text.replace(f'"id": "{name}"', f'"id": "{prefix}{name}"')
    return [entry["resource"] for entry in json.loads(text)["entry"]]


class Hospital:
    """`now` (ms) and `day` are its clocks, which a test moves."""

    def __init__(self, database: Database, evaluator: Evaluator, *, day: date, sinks: Sequence[str] = ("ehr",)) -> None:
        self.database = database
        self.evaluator = evaluator
        self.day = day
        self.now = 1_000_000
        self.sinks = sinks

    def decider(self, name: str = "one", matching: Matching | None = None, **options: Any) -> Decider:
        given = {"matching": matching} if matching else {}
        return Decider(
            self.database,
            lambda: nullcontext(self.evaluator),
            name=name,
            today=lambda: self.day,
            now=lambda: self.now,
            sinks=self.sinks,
            backoff=STEADY,
            **given,
            **options,
        )

    def send(self, *sent: Json) -> None:
        """Stores resources, and marks their patients."""
        rows = [
            Held(
                type=one["resourceType"], id=one["id"], source="test", patient=owner_of(one).patient,
                content=msgspec.json.encode(one), at=self.now,
            )
            for one in sent
        ]  # fmt: skip
        self._store(rows)

    def delete(self, resource: Json) -> None:
        patient = owner_of(resource).patient
        self._store([
            Held(type=resource["resourceType"], id=resource["id"], source="test", patient=patient, deleted=1)
        ])  # fmt: skip

    def _store(self, given: list[Held]) -> None:
        rows = list({row.key: row for row in given}.values())
        with self.database.write() as connection:
            known = resources.held(connection, [row.key for row in rows])
            new = [row for row in rows if row.key not in known]
            resources.write(connection, new, [row for row in rows if row.key in known])
            work.mark(connection, [row.patient for row in rows if row.patient], self.now)

    def decide(self) -> list[Change]:
        """Decides on all who are due; the changes that were written."""
        before = {(c.identifier, c.version) for c in self.history()}
        self.now += 1
        decider = self.decider()
        while decider.step()[0]:
            pass
        return [c for c in self.history() if (c.identifier, c.version) not in before]

    def history(self) -> list[Change]:
        """Every version of every finding."""
        with self.database.read() as connection:
            latest = findings.search(connection, limit=10_000)
            every = [findings.at(connection, c.identifier, v) for c in latest for v in range(1, c.version + 1)]
        return [c for c in every if c is not None]

    def latest(self) -> list[Change]:
        with self.database.read() as connection:
            return findings.search(connection, limit=10_000)

    def letters(self) -> list[Delivery]:
        with self.database.read() as connection:
            return outbox.listed(connection, states=("pending", "done", "dead"), most=10_000)
