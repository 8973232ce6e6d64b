"""From documents to one `Record` per patient: the entrance for files, streams and decoded resources.

Each Bundle is a group of its own; all single resources of one call form another one, so that orders find their
Medication in another file. Problems that belong to a patient stand in the record; all others go to `problems`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date

import msgspec

from engine import errors
from engine.fhir.allergies import read_allergy
from engine.fhir.answers import RESPONSE
from engine.fhir.conditions import read_condition
from engine.fhir.context import Context
from engine.fhir.dates import resolve_day
from engine.fhir.decode import Document
from engine.fhir.elements import Json, codings, obj, text
from engine.fhir.extraction import read_response
from engine.fhir.grouping import MEDICATION_KINDS, Group
from engine.fhir.laboratories import Laboratories
from engine.fhir.lookup import Lookup, lookup_for
from engine.fhir.medications import read_medications
from engine.fhir.observations import read_observation
from engine.fhir.patients import read_person
from engine.fhir.problems import problem
from engine.fhir.procedures import read_procedure
from engine.fhir.references import target_of
from engine.fhir.reports import read_report
from engine.fhir.subjects import Patient, encounters_of, patients_of
from engine.model.problem import Problem
from engine.model.record import Diagnosis, Medication, Record, Result
from engine.terminology.terminology import Terminology

COMPLETE = "complete-record"
_BUNDLES = ("Bundle", "Parameters")
_READERS: dict[str, Callable[[Context], Iterator[Result | Diagnosis]]] = {
    "Observation": read_observation,
    "DiagnosticReport": read_report,
    "Condition": read_condition,
    "Procedure": read_procedure,
    "AllergyIntolerance": read_allergy,
    RESPONSE: read_response,
}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows of the data. `complete` None: as each Bundle says. `current_encounter`: "Encounter/x" or
    its id; "" = the encounters in progress. `asked`: concepts for which the sender was asked; None = all.
    """

    as_of: date
    complete: bool | None = None
    asked: frozenset[str] | None = None
    current_encounter: str = ""
    at_bundle_time: bool = False  # evaluate each Bundle at its own timestamp, if it has one
    together: bool = False  # all documents are one group, as pages of one search are


def read_records(
    documents: Iterable[Document | Problem], terminology: Terminology, scope: Scope, problems: list[Problem]
) -> Iterator[Record]:
    """One record per patient and Bundle, in the order of the input, then one per patient of the single resources.

    `problems` receives what belongs to no patient: unreadable lines, entries of nobody, patients who are not there.
    """
    lookup = lookup_for(terminology)
    singles = Group(lookup, problems)
    for document in documents:
        if isinstance(document, Problem):
            problems.append(document)
            continue
        for resource, where in _resources(document, problems):
            if resource.get("resourceType") not in _BUNDLES:
                singles.add(resource, where)
            elif scope.together:
                singles.add_bundle(resource, where)
            else:
                group = Group(lookup, problems)
                group.add_bundle(resource, where)
                yield from records_of(group, lookup, _of_bundle(scope, resource, lookup))
    yield from records_of(singles, lookup, scope)


def _resources(document: Document, problems: list[Problem]) -> Iterator[tuple[Json, str]]:
    """The resource of a document, or those of a JSON array."""
    content = document.content
    for number, one in enumerate(content if isinstance(content, list) else [content], 1):
        where = f"{document.where}: {number}" if isinstance(content, list) else document.where
        if isinstance(one, dict):
            yield one, where
        else:
            problems.append(problem("not-an-object", where, "is no JSON object and was skipped"))


def declares_complete(meta: object, lookup: Lookup) -> bool:
    """Whether the `meta` of a Bundle says that it is the whole record."""
    return any(lookup.code("scope", (tag,)) == COMPLETE for tag in codings(obj(meta).get("tag")))


def _of_bundle(scope: Scope, bundle: Json, lookup: Lookup) -> Scope:
    """The scope of one Bundle: its own word on completeness and time, where the caller leaves it to the Bundle."""
    complete, as_of = scope.complete, scope.as_of
    if complete is None:
        complete = declares_complete(bundle.get("meta"), lookup)
    if scope.at_bundle_time:
        as_of = resolve_day(bundle.get("timestamp"), date.max) or as_of
    return msgspec.structs.replace(scope, complete=complete, as_of=as_of)


def records_of(group: Group, lookup: Lookup, scope: Scope, only: str = "") -> Iterator[Record]:
    """The records of a filled group; `only` ("Patient/x"): just that patient, even if nothing is known of them."""
    laboratories = Laboratories(group)
    for patient in patients_of(group, only):
        yield _record(patient, Context(group, lookup, laboratories, patient, scope.as_of), scope)


def _record(patient: Patient, context: Context, scope: Scope) -> Record:
    person = read_person(patient.reference, context)
    context.set_current(_current(patient, scope))
    results: dict[str, list[Result]] = {}
    diagnoses: dict[str, list[Diagnosis]] = {}
    medications: list[Medication] = []
    for entry in patient.entries:
        context.entry = entry
        if entry.kind == "Encounter":
            continue
        if entry.resource.get("modifierExtension"):
            context.note("modifier-extension", "has an unknown extension that may change its meaning and was not used")
            continue
        if entry.known.suspicious:
            context.note("unrecognised-code", _unrecognised(entry.resource))
            continue
        try:
            read = list(_READERS[entry.kind](context)) if entry.kind in _READERS else []
            taken = list(_medications(context)) if entry.kind in MEDICATION_KINDS or entry.known.named else []
        except MemoryError:
            raise
        except Exception as error:
            context.note("defect", f"could not be read and was not used ({errors.defect(error)}): a defect of Endplate")
            continue
        for found in read:
            if isinstance(found, Result):
                results.setdefault(found.concept, []).append(found)
            else:
                diagnoses.setdefault(found.concept, []).append(found)
        medications += taken
    return Record(
        person=person,
        as_of=scope.as_of,
        complete=bool(scope.complete),
        results={concept: tuple(found) for concept, found in results.items()},
        diagnoses={concept: tuple(found) for concept, found in diagnoses.items()},
        medications=tuple(medications),
        problems=tuple(context.problems),
        asked=scope.asked,
    )


def _medications(context: Context) -> Iterator[Medication]:
    entry = context.entry
    found = read_medications(entry.resource, context.terminology, context.as_of, context.resolve, context.note)
    for medication in found:
        if medication.reference == entry.reference:
            yield medication
        else:
            yield msgspec.structs.replace(medication, reference=entry.reference)


def _current(patient: Patient, scope: Scope) -> list[str]:
    if scope.current_encounter:
        return [target_of(scope.current_encounter).key or f"Encounter/{scope.current_encounter}"]
    return [encounter.reference for encounter in encounters_of(patient.entries)]


def _unrecognised(resource: Json) -> str:
    systems = sorted({system for system, _ in codings(resource.get("code"))})
    named = ", ".join(f"`{text(system)[:120]}`" if system else "no system" for system in systems[:3])
    return f"has a code that looks relevant and that no table knows, under {named}: map it to a known one"
