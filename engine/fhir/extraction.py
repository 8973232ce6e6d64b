"""Answers of a form as Observations: those that stand for them inside a record, and those that are written elsewhere.

Both are the same resources, composed in the primary encoding (docs/clinical/representation.md), so a record with a
QuestionnaireResponse and one with the Observations that were extracted from it have the same facts. Source: FHIR R4
QuestionnaireResponse, SDC 4.0 `$extract`.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from engine.fhir.answers import RESPONSE, STATUSES, form_of, read_answers
from engine.fhir.bundle import Entry
from engine.fhir.compose import compose_fact
from engine.fhir.compose_parts import fhir_coded
from engine.fhir.context import Context
from engine.fhir.elements import Json, codings, obj, text
from engine.fhir.observations import read_observation
from engine.fhir.problems import Note, problem
from engine.fhir.references import target_of
from engine.model.form import Form
from engine.model.problem import Problem
from engine.model.record import Result
from engine.terminology.terminology import Terminology

ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_AGENT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_ANSWERS = ":extracted-answer"  # the identifier system, below the base of the ruleset
_NAMESPACE = uuid.UUID("5f7a7c4e-94f4-5c0f-9d07-1f0d6d1b6a55")
_PERFORMERS = ("Practitioner", "PractitionerRole", "Organization", "CareTeam", "Patient", "RelatedPerson")

_encode = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode


class Extraction(msgspec.Struct, frozen=True):
    """What became of one response. `bundle`: a transaction of its Observations with their Provenance; None if there are
    none."""

    bundle: Json | None
    problems: tuple[Problem, ...]


def read_response(context: Context) -> Iterator[Result]:
    """The results of the entry, as those of the Observations that it stands for; they rest on the response itself."""
    home = context.entry
    if context.is_extracted(home):
        return  # what was made of it is here, and may have been corrected since
    found = _observations(home.resource, context.terminology, context.note)
    if found and context.is_future(context.day(found[0][1].get("effectiveDateTime"))):
        return
    for _, observation in found:
        if "dataAbsentReason" in observation:
            continue
        entry = Entry(observation, "Observation", "", home.place, 0)
        entry.container, entry.reference, entry.base = home, home.reference, home.base
        entry.known = context.lookup.known("observation", codings(observation["code"]))
        context.entry = entry
        yield from read_observation(context)
    context.entry = home


def extract(response: Json, terminology: Terminology, *, recorded: str, agent: str, where: str = "") -> Extraction:
    """The Observations of a response, each under an identifier of its own: extracted again, it is the same one.

    An answer of `not examined` becomes an Observation without a value, so that an amended response withdraws what it
    said before. `recorded`: now, as an instant; `agent`: who extracts; `where`: the place for problems. Numbers in the
    result are int or Decimal.
    """
    problems: list[Problem] = []
    place = f"{where}: {_name(response)}" if where else _name(response)

    def note(code: str, message: str) -> None:
        problems.append(problem(code, place, message))

    if response.get("modifierExtension"):
        note("modifier-extension", "has an unknown extension that may change its meaning and was not used")
        return Extraction(None, tuple(problems))
    subject = obj(response.get("subject"))
    named = target_of(text(subject.get("reference")))
    if not (named.type == "Patient" or named.url or subject.get("identifier")):
        note("no-patient", "is not about a patient and was set aside")
        return Extraction(None, tuple(problems))
    found = _observations(response, terminology, note)
    if not found:
        return Extraction(None, tuple(problems))
    system, own = f"{terminology.content.base}{_ANSWERS}", _identity(response)
    entries: list[Json] = []
    for name, observation in found:
        value = f"{own}/{name}"
        resource = {"resourceType": "Observation", "identifier": [{"system": system, "value": value}], **observation}
        request = {"method": "PUT", "url": f"Observation?identifier={system}|{_sought(value)}"}
        entries.append({"fullUrl": f"urn:uuid:{uuid.uuid5(_NAMESPACE, value)}", "resource": resource,
                        "request": request})  # fmt: skip
    provenance = _provenance(response, [entry["fullUrl"] for entry in entries], recorded, agent)
    stamp = uuid.uuid5(_NAMESPACE, f"{own} {recorded}")
    entries.append({"fullUrl": f"urn:uuid:{stamp}", "resource": provenance,
                    "request": {"method": "POST", "url": "Provenance"}})  # fmt: skip
    return Extraction({"resourceType": "Bundle", "type": "transaction", "entry": entries}, tuple(problems))


def _observations(response: Json, terminology: Terminology, note: Note) -> list[tuple[str, Json]]:
    """(name within the response, Observation) of every usable answer."""
    form = form_of(response, terminology, note)
    if form is None:
        return []
    answers = read_answers(response, form, terminology, note)
    shared = _shared(response, form)
    found = []
    for said in answers.said:
        fact = {**said.fact, **({"d": answers.day} if answers.day else {})}
        observation = compose_fact(fact, terminology)
        if said.withheld:
            reason = {"system": ABSENT_REASON, "code": "not-performed", "display": "Not Performed"}
            observation["dataAbsentReason"] = {"coding": [reason]}
        status = {"status": STATUSES[text(response.get("status"))]}
        found.append((said.name, {**observation, **status, **shared}))
    return found


def _shared(response: Json, form: Form) -> Json:
    """What every Observation takes over from the response. Who searches by category finds it."""
    shared: Json = {"category": [fhir_coded("observation-category", form.category)], "subject": response.get("subject")}
    if response.get("encounter"):
        shared["encounter"] = response["encounter"]
    author = obj(response.get("author"))
    if target_of(text(author.get("reference"))).type in _PERFORMERS:
        shared["performer"] = [author]
    if identity := text(response.get("id")):
        shared["derivedFrom"] = [{"reference": f"{RESPONSE}/{identity}"}]
    return shared


def _provenance(response: Json, targets: list[str], recorded: str, agent: str) -> Json:
    """Who made the Observations out of what. Source: FHIR R4 Provenance."""

    def role(code: str, who: Json) -> Json:
        return {"type": {"coding": [{"system": _AGENT, "code": code}]}, "who": who}

    agents = [role("assembler", {"display": agent})]
    if author := obj(response.get("author")):
        agents.append(role("author", author))
    identity = text(response.get("id"))
    source = {"reference": f"{RESPONSE}/{identity}"} if identity else {"display": f"{RESPONSE} without an id"}
    return {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": recorded,
        "agent": agents,
        "entity": [{"role": "source", "what": source}],
    }


def _identity(response: Json) -> str:
    """What tells the response from others: its id, else a hash of what it says."""
    if identity := text(response.get("id")):
        return identity
    return hashlib.sha256(_encode(response)).hexdigest()[:32]


def _sought(value: str) -> str:
    """A value as a search means it literally, whatever an id holds. Source: FHIR R4 search, "Escaping"."""
    return quote(re.sub(r"([\\,|$])", r"\\\1", value))


def _name(response: Json) -> str:
    return f"{RESPONSE}/{text(response.get('id')) or '_'}"
