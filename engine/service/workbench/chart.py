"""A patient's chart on a FHIR server: read as a case, exactly what the rules need, and written to."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import msgspec
from anyio import to_thread
from fastapi import Request

from engine.errors import InputError, RemoteError
from engine.fhir import decode_json
from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.references import target_of
from engine.integration.capability import read_capability
from engine.outputs.detected_issue import Version
from engine.outputs.markdown import plain
from engine.service.call import Call, Token
from engine.service.fetch import REFUSED
from engine.service.fhir_api_search import FHIR_JSON
from engine.service.needs import PATIENT
from engine.service.outcome import RefusalError
from engine.service.servers import allowed
from engine.service.state import Service
from engine.service.workbench.access import User
from engine.workbench.case import Case, hook_case

LONGEST_REASON = 300
_UNSURE = (
    "the FHIR server did not answer in time, so it is not known whether the answers were saved: save again, nothing is "
    "written twice"
)
_encode = msgspec.json.Encoder(decimal_format="number").encode


class UnsureError(RefusalError):
    """A request was sent and its answer was lost: whether it was acted on is not known."""


async def read_chart(service: Service, request: Request, user: User, server: str, patient: str) -> Case:
    """A patient of a FHIR server. Raises RefusalError 400, 404, 502.

    What the server never answers (a type that it does not have, or not for this user) is a problem of the record; what
    it may answer the next time is asked for again, so nobody looks at half a chart.
    """
    patient = patient if "/" in patient else f"Patient/{patient}"
    if not target_of(patient).key.startswith("Patient/"):
        raise RefusalError(400, "write the id of the patient, as the FHIR server knows it")
    with service.live.used() as content:
        call = Call(instance="workbench", patient=patient, server=server, token=_token(user, server))
        fetched = await content.fetcher.complete(request.state.http, call, user.server)
    for key, reason in fetched.failures.items():
        if key == PATIENT or fetched.prefetch[key] is not REFUSED:
            raise RefusalError(502, f"the patient could not be read whole: `{key}`: {reason}")
    if not isinstance(fetched.prefetch.get(PATIENT), dict):
        raise RefusalError(404, "the FHIR server knows no such patient")
    request_like: dict[str, Any] = {
        "hook": "patient-view",
        "context": {"patientId": patient.partition("/")[2], "encounterId": user.encounter},
        "prefetch": dict(fetched.prefetch),
    }
    try:
        case = hook_case(_encode(request_like), patient, service.today(), "server", user.name)
    except InputError as error:
        raise RefusalError(502, str(error)) from None
    return msgspec.structs.replace(case, server=server)


def may_save(service: Service, user: User, case: Case) -> bool:
    """Whether this user may write answers where the case was read: signed in there, and for this patient."""
    here = user.server == case.server and user.patient in ("", case.patient)
    return bool(case.server) and user.may_write and (here or service.authenticator is None)


class Chart:
    """Requests to the server of a case, within the bounds of what is fetched for a call.

    Its `version` of FHIR is asked for when the context is entered, while other things are done.
    """

    version: asyncio.Task[Version]

    def __init__(self, service: Service, request: Request, user: User, server: str) -> None:
        """Raises RefusalError 403 if the server is none that may be called."""
        base = allowed(server, [*map(str, service.settings.fhir_servers), *([user.server] if user.server else [])])
        if base is None:
            raise RefusalError(403, "the FHIR server of this patient is none of those that may be called")
        self._base = base
        self._client: httpx2.AsyncClient = request.state.http
        self._settings = service.settings
        token = _token(user, server).value
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def send(self, bundle: Json) -> Json:
        """The answer to a transaction. Raises RefusalError 409 if the server's state is another one by now, 403, 502,
        and UnsureError where it may have been done."""
        try:
            async with asyncio.timeout(self._settings.fetch_seconds):
                status, body = await self._asked("POST", str(self._base), _encode(bundle))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            raise RefusalError(502, "the FHIR server cannot be reached: nothing was saved, try again") from None
        except (TimeoutError, httpx2.HTTPError):
            raise UnsureError(502, _UNSURE) from None
        try:
            content = obj(await to_thread.run_sync(decode_json, body))
        except InputError:
            content = {}
        if status not in (200, 201):
            raise _refused(status, content)
        return content

    async def __aenter__(self) -> Chart:
        self.version = asyncio.create_task(self._version())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.version.cancel()
        await asyncio.wait([self.version])

    async def _version(self) -> Version:
        """The version of FHIR of the server; R4 if it does not say. Raises nothing."""
        try:
            async with asyncio.timeout(self._settings.fetch_seconds):
                status, body = await self._asked("GET", f"{str(self._base).rstrip('/')}/metadata")
            return read_capability(obj(await to_thread.run_sync(decode_json, body))).version if status == 200 else "R4"
        except (TimeoutError, httpx2.HTTPError, UnsureError, InputError, RemoteError):
            return "R4"

    async def _asked(self, method: str, url: str, content: bytes = b"") -> tuple[int, bytes]:
        """Status and body. Raises UnsureError if the answer is too large to be read."""
        sent = self._headers | {"Accept": FHIR_JSON}
        if content:
            sent |= {"Content-Type": FHIR_JSON, "Prefer": "return=minimal"}
        parts, size = [], 0
        async with self._client.stream(method, url, headers=sent, content=content or None) as response:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > self._settings.fetch_bytes:
                    raise UnsureError(502, _UNSURE)
                parts.append(part)
        return response.status_code, b"".join(parts)


def _refused(status: int, content: Json) -> RefusalError:
    """Why a server did not do it, with its own words where it has any."""
    said = next((text(one.get("diagnostics")) for one in objects(content.get("issue")) if one.get("diagnostics")), "")
    reason = f": {plain(said)[:LONGEST_REASON]}" if said else ""
    if status in (409, 412):
        return RefusalError(409, f"the FHIR server says that its record is another one by now{reason}")
    if status in (401, 403):
        return RefusalError(403, f"the FHIR server does not let you write answers ({status}){reason}")
    return RefusalError(502, f"the FHIR server refused the answers ({status}){reason}")


def _token(user: User, server: str) -> Token:
    return user.token if server == user.server else Token()
