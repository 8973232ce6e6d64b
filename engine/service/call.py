"""One call of a CDS service, read tolerantly: unknown fields are ignored, what is missing is named.

Refused with 400: no JSON object, or without hook, hookInstance and context; with 412: without the patient or the Bundle
that the hook is about (clinical specification 7.2). Everything else that is missing is unknown in the evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.errors import InputError
from engine.fhir import decode_json
from engine.fhir.drafts import Drafts, read_drafts
from engine.service.hooks import Hook
from engine.service.outcome import RefusalError

Json = dict[str, Any]
_BEARER = re.compile(r"[\x21-\x7e]{1,16384}")


class Token(msgspec.Struct, frozen=True):
    """An access token; it is never shown."""

    value: str = ""

    def __repr__(self) -> str:
        return "Token(...)" if self.value else "Token()"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a service is asked. `drafts`: what the user is about to write; `failures`: why a key was not fetched."""

    instance: str
    patient: str
    user: str = ""
    encounter: str = ""
    server: str = ""  # of the call's patient data; "" = nothing can be fetched
    token: Token = Token()
    prefetch: Mapping[str, object] = {}
    drafts: Drafts = Drafts()
    failures: Mapping[str, str] = {}
    selected: frozenset[str] = frozenset()  # "Type/id" of the drafts that are asked about; all of them, mostly


def decode_object(body: bytes) -> Json:
    """A body as a JSON object. Raises RefusalError 400 with the reason, without repeating the data."""
    if not body.strip():
        raise RefusalError(400, "the body is empty: send a JSON object")
    try:
        content = decode_json(body)
    except InputError as error:
        raise RefusalError(400, f"the body {error}: send a JSON object") from None
    if not isinstance(content, dict):
        raise RefusalError(400, "the body is no JSON object")
    return content


def read_call(content: Json, hook: Hook) -> Call:
    """The call of a service. Raises RefusalError 400 or 412."""
    asked = _text(content, "hook")
    if asked != hook.hook:
        raise RefusalError(400, f"`hook`: the service `{hook.id}` answers the hook `{hook.hook}` alone")
    context = content.get("context")
    if not isinstance(context, dict):
        raise RefusalError(400, "`context` is missing: it is an object")
    prefetch = content.get("prefetch")
    if prefetch is not None and not isinstance(prefetch, dict):
        raise RefusalError(400, "`prefetch` is no object: it maps keys to resources")
    drafts = _drafts(context, hook) if hook.added else Drafts()
    return Call(
        instance=_text(content, "hookInstance"),
        patient=_text(context, "patientId", "context."),
        user=_optional(context, "userId"),
        encounter=_optional(context, "encounterId"),
        server=_optional(content, "fhirServer"),
        token=_token(content.get("fhirAuthorization")),
        prefetch=prefetch or {},
        drafts=drafts,
        selected=selected_of(context, drafts),
    )


def _text(content: Json, name: str, where: str = "") -> str:
    value = content.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RefusalError(400, f"`{where}{name}` is missing: it is a text")
    return value.strip()


def _optional(content: Json, name: str) -> str:
    value = content.get(name)
    return value.strip() if isinstance(value, str) else ""


def _token(authorization: object) -> Token:
    """The bearer token for the FHIR server; one that could not stand in a header is none."""
    if not isinstance(authorization, dict) or _optional(authorization, "token_type").lower() not in ("bearer", ""):
        return Token()
    value = _optional(authorization, "access_token")
    return Token(value) if _BEARER.fullmatch(value) else Token()


def _drafts(context: Json, hook: Hook) -> Drafts:
    bundle = context.get(hook.added)
    if not isinstance(bundle, dict):
        raise RefusalError(412, f"`context.{hook.added}` is missing: the service `{hook.id}` needs this Bundle")
    return read_drafts(bundle, _optional(context, "patientId"))


def selected_of(context: Json, drafts: Drafts) -> frozenset[str]:
    """The drafts that `selections` names (order-select), or all."""
    selections = context.get("selections")
    chosen = {one for one in selections if isinstance(one, str)} if isinstance(selections, list) else set()
    return drafts.names & chosen or drafts.names
