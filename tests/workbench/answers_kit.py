"""Cases that wait for answers, and forms as a page sends them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from engine.evaluation import Evaluator
from engine.fhir.decode import Document
from engine.fhir.extraction import extract
from engine.fhir.record import Scope, read_records
from engine.model.form import Form
from engine.model.record import Record
from engine.rules.load import load_ruleset
from engine.workbench.answers import Entered, control, filled
from engine.workbench.asking import Questions
from engine.workbench.case import Case, choices, record_of, with_answers

Json = dict[str, Any]

TODAY = date(2026, 3, 1)
EXAMPLES = Path(__file__).parents[2] / "fhir_examples" / "patients"
VECTORS = Path(__file__).parents[1] / "vectors" / "primary.ndjson.gz"
WAITING = "achr-unconfirmed-in-als"  # a positive AChR antibody in ALS; nobody has looked for fatigability
EXAMINATION, NEUROPHYSIOLOGY = "neuromuscular-examination", "neurophysiology"
OPEN = "achr-positive-unconfirmed-in-als"
FALSE_POSITIVE, OVERLAP = "achr-suspected-false-positive", "overlap-als-mg-probable"


@cache
def ready() -> Evaluator:
    return Evaluator(load_ruleset())


@cache
def questions() -> Questions:
    return Questions(ready())


def form(name: str) -> Form:
    return questions().forms[name]


@cache
def case_of(example: str) -> Case:
    return opened((EXAMPLES / f"{example}.json").read_bytes(), example)


def opened(content: bytes, title: str = "patient") -> Case:
    """The case of the one patient of a Bundle."""
    [one], _ = choices(content, title, ready().ruleset.terminology, None, TODAY)
    return Case(
        title=title, origin="file", content=content, patient=one.patient, as_of=one.as_of, complete=one.complete
    )


@cache
def vectors() -> list[bytes]:
    """The test patients, a Bundle each."""
    return gzip.decompress(VECTORS.read_bytes()).splitlines()


def entries(name: str, answers: Mapping[str, str]) -> Entered:
    """Link -> word, as controls."""
    return {control(name, link): (word,) for link, word in answers.items()}


def tried(case: Case, name: str, entered: Entered) -> Case:
    """The case with a form filled in; nothing of it may be wrong."""
    found = filled(form(name), entered, patient=case.patient, as_of=case.as_of)
    assert found.faults == () and found.response is not None, found
    return with_answers(case, name, found.response)


def record(case: Case, *, hypothetical: bool = True) -> Record:
    return record_of(case, ready().ruleset.terminology, hypothetical=hypothetical)


def facts_of(of: Record) -> dict[str, tuple[str, str, object]]:
    """Base facts by value, reason and day: everything but what they rest on."""
    return {n: (f.value, str(f.reason), f.since) for n, f in ready().ruleset.facts.compute(of).items()}


def issues_of(case: Case) -> set[str]:
    return {one.issue for one in ready().evaluate(record(case), "none").findings}


def with_extracted(case: Case) -> Record:
    """The record of the data with the Observations of the answers in the place of the answers."""
    terminology = ready().ruleset.terminology
    more: list[Json] = []
    for held in case.answers.values():
        bundle = extract(
            msgspec.json.decode(held), terminology, recorded="2026-03-01T12:00:00Z", agent="Endplate"
        ).bundle
        more += [{"resource": one["resource"]} for one in (bundle or {"entry": []})["entry"]]
    content = msgspec.json.decode(case.content)
    content["entry"] = [*content["entry"], *more]
    scope = Scope(as_of=case.as_of, complete=case.complete, together=True)
    [found] = read_records([Document(content, "bundle")], terminology, scope, [])
    return found
