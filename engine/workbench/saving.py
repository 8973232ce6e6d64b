"""Answers as they are written: one transaction of the QuestionnaireResponses, their Observations and a Provenance each.

Saved twice they are one. A response has an `identity`, made of what it says of whom and by whom: two windows, or
another try after an answer of the server was lost, mean the same. Every entry is created only if the server does not
have it yet.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote

import msgspec

from engine.fhir import decode_json
from engine.fhir.answers import RESPONSE
from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.extraction import extract
from engine.fhir.references import target_of
from engine.model.record import Record
from engine.outputs.detected_issue import Version
from engine.terminology.terminology import Terminology
from engine.workbench.case import Case

_NAMESPACE = uuid.UUID("0d3b7b4e-5f0c-5d2b-8c39-6a1f7f0f3c11")
_WRITTEN = re.compile(r"(?:^|/)([A-Z][A-Za-z]{2,40}/[A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?$")
_encode = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode


class Draft(msgspec.Struct, frozen=True):
    """One response that is to be written."""

    identity: str
    response: Json


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a server made of the transaction: references of what was written, and of what it had already."""

    written: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


def basis_of(record: Record, without: Collection[str] = ()) -> str:
    """What a record says, as a name: the same for the same data in any order. `without`: resources to leave out."""
    parts: list[object] = [record.person]
    for held in (record.results, record.diagnoses, {"": record.medications}):
        names = {
            name: sorted(_encode(one).hex() for one in found if one.reference not in without)
            for name, found in held.items()
        }
        parts.append({name: found for name, found in names.items() if found})
    return hashlib.sha256(_encode(parts)).hexdigest()


def drafts(case: Case, base: str, *, author: str, authored: str) -> list[Draft]:
    """The responses of a case as they are to be written. `base`: of the ruleset's URIs; `author`: a reference, a name,
    or ""; `authored`: now, as an instant."""
    found = []
    for held in case.answers.values():
        response = _by(obj(decode_json(held)), author)
        identity = str(uuid.uuid5(_NAMESPACE, _encode(response).hex()))
        named = {"identifier": {"system": identifier_system(base), "value": identity}, "authored": authored}
        found.append(Draft(identity, {**response, **named}))
    return found


def transaction(
    found: list[Draft], terminology: Terminology, *, recorded: str, agent: str, version: Version = "R4"
) -> Json:
    """The Bundle that writes them, in the `version` of the server. Numbers in it are int or Decimal."""
    entries = [entry for draft in found for entry in _entries(draft, terminology, recorded, agent, version)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def identifier_system(base: str) -> str:
    """The system of the identities of responses."""
    return f"{base}:answers"


def is_written(draft: Draft, case: Case) -> bool:
    """Whether the data of a case hold Observations that were made of the very response."""
    held = obj(obj(decode_json(case.content)).get("prefetch")).values()
    entries = (entry for bundle in held for entry in objects(obj(bundle).get("entry")))
    named = (one for entry in entries for one in objects(obj(entry.get("resource")).get("identifier")))
    return any(text(one.get("value")).startswith(f"{draft.identity}/") for one in named)


def outcome_of(answer: Json) -> Outcome:
    """What a transaction-response says was done."""
    written: list[str] = []
    held: list[str] = []
    for entry in objects(answer.get("entry")):
        response = obj(entry.get("response"))
        place = _WRITTEN.search(text(response.get("location")))
        if place is not None:
            (written if text(response.get("status")).startswith("201") else held).append(place[1])
    return Outcome(written=tuple(written), held=tuple(held))


def _by(tried: Json, author: str) -> Json:
    """The response without the name that it had while it was tried, and with whoever gave the answers."""
    response = {key: value for key, value in tried.items() if key != "id"}
    if author:
        referred = target_of(author).type or author.startswith(("https://", "http://"))
        response["author"] = {"reference": author} if referred else {"display": author}
    return response


def _entries(
    draft: Draft, terminology: Terminology, recorded: str, agent: str, version: Version
) -> Iterator[Json]:
    system, own = identifier_system(terminology.content.base), f"urn:uuid:{draft.identity}"
    response = draft.response
    if version == "R5":  # where a response may have several
        response = {**response, "identifier": [response["identifier"]]}
    yield _created(own, response, f"identifier={quote(system, safe='')}|{draft.identity}")
    bundle = extract({**draft.response, "id": draft.identity}, terminology, recorded=recorded, agent=agent).bundle
    renamed = _renamed(bundle, f"{RESPONSE}/{draft.identity}", own)
    for entry in objects(obj(renamed).get("entry")):
        resource = obj(entry.get("resource"))
        condition = text(obj(entry.get("request")).get("url")).partition("?")[2]
        if not condition:  # it has no identifier, so it is known by what it is made for
            resource = {**resource, "meta": {"tag": [{"system": system, "code": draft.identity}]}}
            condition = f"_tag={quote(system, safe='')}|{draft.identity}"
        yield _created(text(entry.get("fullUrl")), resource, condition)


def _created(name: str, resource: Json, condition: str) -> Json:
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": condition}
    return {"fullUrl": name, "resource": resource, "request": request}


def _renamed(value: object, reference: str, name: str) -> object:
    """Everything that refers to the response refers to its entry."""
    if isinstance(value, Mapping):
        held = {key: _renamed(inner, reference, name) for key, inner in value.items()}
        return {**held, "reference": name} if value.get("reference") == reference else held
    return [_renamed(inner, reference, name) for inner in value] if isinstance(value, list) else value
