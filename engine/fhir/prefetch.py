"""The prefetch of a CDS Hooks call as one record (CDS Hooks 2.0.1: a key that is absent was not honoured, null and an
empty Bundle are answers, an OperationOutcome is a failed query)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from engine.fhir.elements import Json, objects, text
from engine.fhir.grouping import Group
from engine.fhir.lookup import lookup_for
from engine.fhir.problems import problem
from engine.fhir.record import Scope, records_of
from engine.fhir.references import patient_key
from engine.model.problem import Problem
from engine.model.record import Record
from engine.terminology.terminology import Terminology


def read_prefetch(
    prefetch: Mapping[str, object],
    patient: str,
    terminology: Terminology,
    scope: Scope,
    *,
    asked: Mapping[str, Collection[str]] | None = None,
    drafts: Iterable[object] = (),
) -> Record:
    """The record of one patient ("Patient/x", or the id alone) out of all values of a prefetch and the draft orders.

    `asked` names the concepts that each key serves; `Record.asked` then holds those of the keys that were answered
    completely. A failed query, further pages and a missing Patient resource are problems of the record.
    """
    patient = patient_key(patient)
    problems: list[Problem] = []
    lookup = lookup_for(terminology)
    group = Group(lookup, problems)
    answered: set[str] = set()
    for key, value in prefetch.items():
        if _fill(group, value, f"prefetch `{key[:80]}`", problems):
            answered.update(asked.get(key, ()) if asked is not None else ())
    for number, draft in enumerate(drafts, 1):
        _fill(group, draft, f"draft orders {number}", problems)
    if not any(entry.kind == "Patient" and entry.reference == patient and not entry.dead for entry in group.entries):
        problems.append(problem("patient-missing", "prefetch", "does not hold the patient of the call"))
    if asked is not None:
        scope = msgspec.structs.replace(scope, asked=frozenset(answered))
    record = next(records_of(group, lookup, scope, patient))
    return msgspec.structs.replace(record, problems=(*problems, *record.problems))


def _fill(group: Group, value: object, where: str, problems: list[Problem]) -> bool:
    """Adds one value; whether it answers its query completely."""
    if value is None:
        return True
    if not isinstance(value, dict):
        problems.append(problem("not-an-object", where, "is no FHIR resource and was skipped"))
        return False
    kind = value.get("resourceType")
    if kind == "OperationOutcome":
        problems.append(problem("failed-query", where, "was answered with an error"))
        return False
    if kind not in ("Bundle", "Parameters"):
        group.add(value, where)
        return isinstance(kind, str)
    group.add_bundle(value, where)
    if failed := _failures(value):
        problems.append(problem("failed-query", where, "holds an error beside its data"))
    more = any(text(link.get("relation")) == "next" for link in objects(value.get("link")))
    if more:
        problems.append(problem("further-pages", where, "has further pages that were not read"))
    return not more and not failed


def _failures(bundle: Json) -> bool:
    """Whether a Bundle holds an OperationOutcome that says error; warnings and hints beside data are usual."""
    outcomes = (entry.get("resource") for entry in objects(bundle.get("entry")))
    return any(
        text(issue.get("severity")) in ("error", "fatal")
        for outcome in outcomes
        if isinstance(outcome, dict) and outcome.get("resourceType") == "OperationOutcome"
        for issue in objects(outcome.get("issue"))
    )
