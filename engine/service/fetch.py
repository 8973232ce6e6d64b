"""What the prefetch lacks, fetched from the FHIR server of the call (CDS Hooks 2.0.1, "FHIR Resource Access").

Fetched is a key that is absent, and the further pages of a Bundle. Null, an empty Bundle and an OperationOutcome are
answers, and are not asked for again. Only servers of the allow-list are called; no redirect is followed and no cookie
kept; pages, bytes and time are bounded. What fails becomes an OperationOutcome, so that it counts as unknown.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
import structlog
from anyio import to_thread

from engine.errors import InputError
from engine.fhir import decode_json
from engine.fhir.references import ID
from engine.service.call import Call
from engine.service.needs import Needs
from engine.service.servers import allowed, beside
from engine.settings import Settings

Json = dict[str, Any]

PER_PAGE = 100
CONNECT_SECONDS = 2.0
_ID = re.compile(ID)
_GONE = (404, 410)
_PASSING = (401, 408, 425, 429)  # of these another try, or another token, may make an answer

log = structlog.get_logger("endplate.service")


class _FetchError(Exception):
    """Why a query has no answer; nothing of what the server said."""


class _RefusedError(_FetchError):
    """The server answers, and does not give this: asking again changes nothing."""


class _GoneError(_FetchError):
    """There is no such resource."""


def http_client() -> httpx2.AsyncClient:
    """Without redirects, cookies, proxies of the environment, or compression (whose size is not known beforehand)."""
    return httpx2.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={
            "Accept": "application/fhir+json", "Accept-Encoding": "identity", "User-Agent": "endplate",
            "Cache-Control": "no-cache",  # a search sees what was written just before
        },
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        limits=httpx2.Limits(max_connections=64, max_keepalive_connections=32),
    )


class Fetcher:
    """Completes calls under the bounds of the settings."""

    def __init__(self, needs: Needs, settings: Settings) -> None:
        self._templates = needs.templates
        self._settings = settings
        self._servers = [str(server) for server in settings.fhir_servers]

    def wants(self, call: Call) -> bool:
        """Whether anything is to be fetched, from wherever."""
        return bool(call.server) and any(self._open(call, key) for key in self._templates)

    async def complete(self, client: httpx2.AsyncClient, call: Call, signed_in_at: str = "") -> Call:
        """The call with what could be fetched; `failures` says for each key why it could not.

        `signed_in_at`: a server that is trusted besides those of the allow-list, because the user is signed in there.
        """
        keys = [key for key in self._templates if self._open(call, key)]
        base = allowed(call.server, [*self._servers, *([signed_in_at] if signed_in_at else ())])
        if base is None:
            log.warning("not fetched", reason="the fhirServer is not on the allow-list", keys=keys)
            return msgspec.structs.replace(call, failures=dict.fromkeys(keys, "its `fhirServer` is not trusted here"))
        run = _Run(client, base, call.token.value, self._settings)
        answers = await asyncio.gather(*(self._answer(run, call, key) for key in keys))
        prefetch, failures = dict(call.prefetch), {}
        for key, (value, failure) in zip(keys, answers, strict=True):
            prefetch[key] = value
            if failure:
                failures[key] = failure
        return msgspec.structs.replace(call, prefetch=prefetch, failures=failures)

    def _open(self, call: Call, key: str) -> bool:
        return key not in call.prefetch or bool(_next(call.prefetch[key]))

    async def _answer(self, run: _Run, call: Call, key: str) -> tuple[object, str]:
        """The value of one key, and why it is not whole."""
        value = call.prefetch.get(key)
        entries: list[object] = []
        link, pages = "", 0
        try:
            if not isinstance(value, dict):
                value = await run.read(_query(self._templates[key], call.patient, run.base))
            while True:
                pages += 1
                if not isinstance(value, dict) or value.get("resourceType") != "Bundle":
                    return (value, "") if not entries else (_bundle(entries, link), "a page was no Bundle")
                entries += value["entry"] if isinstance(value.get("entry"), list) else []
                link = _next(value)
                if not link:
                    return _bundle(entries), ""
                url = beside(run.base, link)
                if url is None:
                    return _bundle(entries, link), "its next page is on another server"
                if pages == self._settings.fetch_pages:
                    return _bundle(entries, link), "it has too many pages"
                value = await run.read(url)
        except _GoneError:
            if entries:
                return _FAILED, "a page is gone"
            return (REFUSED, "the server knows no such query") if "?" in self._templates[key] else (None, "")
        except _FetchError as failed:
            none = REFUSED if isinstance(failed, _RefusedError) else _FAILED
            return _bundle(entries, link) if entries else none, str(failed)


_FAILED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "transient"}]}
REFUSED = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-supported"}]}
"""The value of a query that the server does not answer, for this client or at all."""


class _Run:
    """The fetches of one call: they share the time and the bytes that are allowed."""

    def __init__(self, client: httpx2.AsyncClient, base: httpx2.URL, token: str, settings: Settings) -> None:
        self.base = base
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._deadline = time.monotonic() + settings.fetch_seconds
        self._left = settings.fetch_bytes

    async def read(self, url: httpx2.URL) -> object:
        """The JSON at an address of the server. Raises _FetchError."""
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                body = await self._body(url)
        except TimeoutError:
            raise _FetchError("the server took too long") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as failed:
            raise _FetchError(f"the server did not answer ({type(failed).__name__})") from None
        try:
            content = await to_thread.run_sync(decode_json, body)
        except InputError:
            raise _FetchError("the answer is no JSON") from None
        if not isinstance(content, dict) or not isinstance(content.get("resourceType"), str):
            raise _FetchError("the answer is no FHIR resource")
        return content

    async def _body(self, url: httpx2.URL) -> bytes:
        async with self._client.stream("GET", url, headers=self._headers) as response:
            if response.status_code in _GONE:
                raise _GoneError
            if response.is_redirect:
                raise _FetchError("the server sent a redirect, which is not followed")
            if response.status_code != 200:
                refused = 400 <= response.status_code < 500 and response.status_code not in _PASSING
                raise (_RefusedError if refused else _FetchError)(f"the server answered {response.status_code}")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise _FetchError("the answer is compressed")
            parts = []
            async for part in response.aiter_bytes():
                self._left -= len(part)
                if self._left < 0:
                    raise _FetchError("there is too much to fetch")
                parts.append(part)
        return b"".join(parts)


def _query(template: str, patient: str, base: httpx2.URL) -> httpx2.URL:
    """The address of a template. Raises _FetchError if the id of the patient is none that FHIR allows."""
    identity = patient.removeprefix("Patient/")
    if not _ID.fullmatch(identity) or not identity.strip("."):
        raise _FetchError("the id of the patient is none that can be asked for")
    query = template.replace("{{context.patientId}}", quote(identity, safe=""))
    return httpx2.URL(f"{base}/{query}" + (f"&_count={PER_PAGE}" if "?" in query else ""))


def _next(value: object) -> str:
    """The link of a Bundle to its next page, or ""."""
    links = value.get("link") if isinstance(value, Mapping) and value.get("resourceType") == "Bundle" else None
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return str(link["url"])
    return ""


def _bundle(entries: list[object], link: str = "") -> Json:
    """All pages as one; `link` stands where a next page was not read, which makes it incomplete."""
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    return bundle | ({"link": [{"relation": "next", "url": link}]} if link else {})
