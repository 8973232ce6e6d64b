"""A small made-up terminology and short ways to build resources for the tests of the reader."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from engine.fhir import Scope, as_documents, read_records
from engine.model.problem import Problem
from engine.model.record import Record
from engine.terminology import Terminology, load_terminology

NOW = date(2025, 6, 1)
LAB, DX, ANS, SITE = "urn:test:lab", "urn:test:dx", "urn:test:answer", "urn:test:site"
UCUM = "http://unitsofmeasure.org"

_FILES = {
    "systems": """system,uri,traits,shape
lab,urn:test:lab,,
lab,urn:oid:1.2.3.4.5,,
dx,urn:test:dx,dotless hierarchic,[A-Z]\\d\\d\\.\\d
ans,urn:test:answer,,
site,urn:test:site,,
drug,urn:test:drug,,
scope,{base}:scope,,
""",
    "concepts": """concept,carriers,system,code,use,study,only,answer,denied,region,sign
antibody,observation report,lab,ab,,,,,,,
antibody,observation condition finding,lab,ab-positive,,,,,,,
antibody,any,lab,other-ab,exclude,,,,,,
pressure,observation,lab,press,,,,,,,
pressure,any,lab,ventilator,exclude,,,,,,
count,observation,lab,count,,,,,,,
panel,observation report,lab,panel,,y,,,,,
stage,observation,lab,stage,,y,,,,,
onset,observation,lab,onset,,,,,,,
imaging,observation report procedure,lab,scan,,y,,,,,
weakness,observation,lab,weak,,,,,,,
fixed-sign,observation finding,lab,toe,,,,present,,lower,toe
jitter,observation finding,lab,jitter,,y,,abnormal,normal,,
fatigue,observation finding,lab,fatigue,,,,,,,
ventilation,observation procedure,lab,vent,,,in-progress,,,,
operation,procedure,lab,op,,,,,,,
salt-allergy,allergy,lab,salt,,,,,,,
palsy,condition,dx,P10.1,,,,,,,
palsy,condition,dx,P10,suspected,,,,,,
""",
    "answers": """answer,system,code
present,ans,yes
absent,ans,no
positive,ans,pos
negative,ans,neg
equivocal,ans,maybe
normal,ans,normal
abnormal,ans,abnormal
compression,ans,squeezed
IIb,ans,IIb
""",
    "codesets": """codeset,value,system,code
region,upper,site,arm
region,lower,site,leg
region,any,site,whole
muscle,biceps,site,biceps
nerve,ulnar,site,ulnar
lesion-site,cord,site,cord
laterality,R,site,right
sign,hook,lab,hook
component,weakness,lab,c-weak
component,fluctuating,lab,c-fluct
component,hz,lab,c-hz
component,sign,lab,c-sign
component,side,lab,c-side
assay-method,ripa,lab,ripa
order-reason,scan-ahead,dx,REASON
scope,complete-record,scope,complete-record
""",
    "words": """word,codeset,value,anywhere
negatif,answer,negative,
positiv,answer,positive,
normal,answer,normal,
not performed,not-done,not-done,y
arm,region,upper,
""",
    "units": """unit,spelling
mmol/L,mmol/L
10*3/uL,10*3/uL
10*3/uL,K/uL
cm[H2O],cm[H2O]
%,%
Hz,Hz
""",
    "drugs": """ingredient,system,code
braceptin,drug,brace
exchange,lab,exchange
""",
    "families": """family,system
P,dx
""",
}


@cache
def terminology() -> Terminology:
    """The made-up terminology."""
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in _FILES.items():
            (Path(folder) / f"{name}.csv").write_text(rows, encoding="utf-8")
        return load_terminology(Path(folder))


def coded(code: str, system: str = LAB) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def answer(code: str) -> dict[str, Any]:
    return coded(code, ANS)


def patient(identity: str = "p", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": identity, **more}


def observation(code: str = "ab", /, identity: str = "o", **more: Any) -> dict[str, Any]:
    """A final Observation of patient `p` on 1 May 2025."""
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": coded(code),
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2025-05-01",
    } | more


def condition(code: str = "P10.1", /, identity: str = "c", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": identity,
        "code": coded(code, DX),
        "subject": {"reference": "Patient/p"},
        "recordedDate": "2025-05-01",
    } | more


def bundle(*resources: Mapping[str, Any], kind: str = "collection", **more: Any) -> dict[str, Any]:
    """A Bundle; a resource that is an entry already (has `resource` or `request`) stands as it is."""
    entries = [one if "resource" in one or "request" in one else {"resource": one} for one in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries, **more}


def read_all(*documents: object, **scope: Any) -> tuple[list[Record], list[Problem]]:
    """The records of the documents, and the problems of nobody."""
    problems: list[Problem] = []
    records = read_records(as_documents(documents), terminology(), Scope(**{"as_of": NOW, **scope}), problems)
    return list(records), problems


def read_one(*resources: Mapping[str, Any], **scope: Any) -> Record:
    """The record of patient `p` out of one Bundle that holds these resources and the Patient."""
    records, problems = read_all(bundle(patient(), *resources), **scope)
    assert problems == [] and len(records) == 1
    return records[0]


def codes(problems: object) -> list[str]:
    return sorted(problem.code for problem in problems)  # type: ignore[attr-defined]
