"""HAPI's own CDS Hooks with one rule in CQL, as a rival: started from `tests/peers`, where Java and Maven are.

The rule reads one potassium out of HAPI's store, which is how HAPI gets its data. Each request is small, therefore.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from peers.build import MissingError
from peers.hapi import RIVAL, Hapi, own_hapi

__all__ = ["MissingError", "body", "hapi"]

CQL = """library Potassium version '1.0.0'
using FHIR version '4.0.1'
codesystem "LOINC": 'http://loinc.org'
code "Potassium": '2823-3' from "LOINC"
context Patient
define "High": exists([Observation: "Potassium"] o where (o.value as FHIR.Quantity).value.value > 6.0)
"""
PATIENT = {"resourceType": "Patient", "id": "bench", "gender": "male", "birthDate": "1960-01-01"}
JIT = "-XX:TieredStopAtLevel=4"  # the second compiler too, as in use


def resources() -> list[dict[str, Any]]:
    """A patient with a high potassium, the rule, and what makes a CDS service of it."""
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    quantity = {"value": 6.4, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    potassium = {
        "resourceType": "Observation", "id": "bench-k", "status": "final", "code": code, "valueQuantity": quantity,
        "subject": {"reference": "Patient/bench"}, "effectiveDateTime": "2026-01-01",
    }  # fmt: skip
    condition = {"kind": "applicability", "expression": {"language": "text/cql-identifier", "expression": "High"}}
    plan = {
        "resourceType": "PlanDefinition", "id": "bench-potassium", "status": "active", "title": "Potassium",
        "url": "http://localhost/PlanDefinition/bench-potassium", "name": "Potassium", "version": "1.0.0",
        "type": {"coding": [{"code": "eca-rule"}]}, "library": ["http://localhost/Library/Potassium|1.0.0"],
        "action": [{
            "title": "Potassium is high", "description": "Potassium is over 6", "priority": "urgent",
            "trigger": [{"type": "named-event", "name": "patient-view"}], "condition": [condition],
        }],
    }  # fmt: skip
    content = {"contentType": "text/cql", "data": base64.b64encode(CQL.encode()).decode()}
    library = {
        "resourceType": "Library", "id": "Potassium", "status": "active", "name": "Potassium", "version": "1.0.0",
        "url": "http://localhost/Library/Potassium", "type": {"coding": [{"code": "logic-library"}]},
        "content": [content],
    }  # fmt: skip
    return [PATIENT, potassium, library, plan]


def body() -> dict[str, Any]:
    """A call of its service."""
    context = {"userId": "Practitioner/1", "patientId": "bench"}
    instance = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
    return {"hook": "patient-view", "hookInstance": instance, "context": context, "prefetch": {"item1": PATIENT}}


@contextmanager
def hapi(folder: Path) -> Iterator[tuple[int, psutil.Process, str]]:
    """A running rival: port, process, and the path of the service. Raises MissingError without Java or Maven."""
    with own_hapi(folder / "hapi", folder, RIVAL, JIT) as (running, server):
        for resource in resources():
            running.put([resource])
        yield int(httpx2.URL(running.base).port or 80), psutil.Process(server.pid), _service(running)


def _service(running: Hapi) -> str:
    """HAPI makes the service a moment after it got the rule."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        services = httpx2.get(f"{running.root}/cds/cds-services", trust_env=False).json()["services"]
        if found := [one["id"] for one in services if "bench-potassium" in one["id"]]:
            return f"/cds/cds-services/{found[0]}"
        time.sleep(0.5)
    raise RuntimeError("HAPI made no service of the rule")
