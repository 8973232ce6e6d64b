"""Who may send what has changed: sources of the settings, each known by one secret.

A secret in a header, an HMAC of the body, a token of a trusted client, or the name that a proxy has taken from a client
certificate. A refusal says nothing but 401; why stands in the log, without what was sent.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence

import structlog

from engine.client.smart import Client
from engine.errors import SettingsError
from engine.integration.event import Source
from engine.service.auth import Authenticator
from engine.service.outcome import RefusalError
from engine.settings import Peer, Settings, SourceSettings

SIGNATURE = "x-signature"  # hex HMAC with SHA-256 of the body
ENDPOINT = "/fhir-hook"  # to which tokens of sources are made out

log = structlog.get_logger("endplate.auth")


class Sources:
    """The sources. `authenticator` None: in development anybody is one of them. Raises SettingsError."""

    def __init__(self, settings: Settings, authenticator: Authenticator | None) -> None:
        self._settings = settings.sources
        self._authenticator = authenticator
        self._proxies = _networks(settings.proxies)
        self._identity = settings.proxy_identity_header.lower()
        _check(settings)
        self._sources = {one.name: _source(one) for one in settings.sources}

    def all(self) -> Sequence[Source]:
        """Every source."""
        return list(self._sources.values())

    def signed(self, headers: Mapping[str, str]) -> bool:
        """Whether the body decides who sends it."""
        return SIGNATURE in headers and any(one.hmac_secret for one in self._settings)

    def who(self, headers: Mapping[str, str], address: str, body: bytes | None = None) -> Source:
        """The source that sends a request; with `body` by its signature. Raises RefusalError 401.

        `address` is that of the peer. May wait for the store, in which used tokens are remembered.
        """
        found = self._by_signature(headers, body) if body is not None else self._by_header(headers, address)
        if found is None and self._authenticator is None:
            found = self._settings[0]
        if found is None:
            log.warning("refused", reason="no such source")
            raise RefusalError(401, "not authorised")
        return self._sources[found.name]

    def _by_header(self, headers: Mapping[str, str], address: str) -> SourceSettings | None:
        found = None
        for one in self._settings:  # all of them, in the same time
            secret = one.secret.get_secret_value() if one.secret else ""
            same = hmac.compare_digest(_bytes(headers.get(one.secret_header.lower(), "")), secret.encode())
            if secret and same:
                found = one
        if found is None and self._proxies and _within(address, self._proxies):
            named = headers.get(self._identity, "")
            found = next((one for one in self._settings if one.proxy_identity and one.proxy_identity == named), None)
        if found is None and self._authenticator is not None and any(one.iss for one in self._settings):
            issuer = self._authenticator.check(headers.get("authorization", ""), ENDPOINT)
            found = next((one for one in self._settings if one.iss == issuer), None)
        return found

    def _by_signature(self, headers: Mapping[str, str], body: bytes) -> SourceSettings | None:
        given = headers.get(SIGNATURE, "").strip().lower().removeprefix("sha256=")
        found = None
        for one in self._settings:
            secret = one.hmac_secret.get_secret_value() if one.hmac_secret else ""
            signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
            if secret and hmac.compare_digest(_bytes(given), signature):
                found = one
        return found


def _bytes(value: str) -> bytes:
    """A header as it was sent."""
    return value.encode("latin-1", "replace")


def client_of(peer: Peer) -> Client | None:
    """Who we are to a source or sink; None: nobody."""
    if peer.key_file is None:
        return None
    return Client(
        id=peer.client_id, key=peer.key_file, key_id=peer.key_id, scope=peer.scope, token_url=peer.token_url
    )


def _source(one: SourceSettings) -> Source:
    return Source(
        name=one.name,
        fhir_url=str(one.fhir_url or "").rstrip("/"),
        client=client_of(one),
        heartbeats={known.id: known.heartbeat_seconds for known in one.subscriptions},
    )


def _check(settings: Settings) -> None:
    """Raises SettingsError where sources contradict each other, or nobody could be one."""
    where = "`ENDPLATE_SOURCES`"
    trusted = {client.iss for client in settings.trusted_clients}
    for one in settings.sources:
        ways = [bool(one.secret), bool(one.hmac_secret), bool(one.iss), bool(one.proxy_identity)]
        if sum(ways) != 1:
            raise SettingsError(
                f"{where}: `{one.name}` must be known by one of `secret`, `hmac_secret`, `iss` and `proxy_identity`"
            )
        if one.iss and one.iss not in trusted:
            raise SettingsError(f"{where}: the `iss` of `{one.name}` is not among `ENDPLATE_TRUSTED_CLIENTS`")
        if one.proxy_identity and not settings.proxies:
            raise SettingsError(f"{where}: `{one.name}` is named by a proxy: set `ENDPLATE_PROXIES`")
        if one.client_id and not one.fhir_url:
            raise SettingsError(f"{where}: `{one.name}`: `client_id` is for fetching: set `fhir_url`")
    urls = {str(one.fhir_url).rstrip("/") for one in settings.sources if one.fhir_url and not one.unique_ids}
    if len(urls) > 1:
        raise SettingsError(
            f"{where}: they name different FHIR servers, whose ids may mean different patients: run a service for "
            "each, or set `unique_ids` where the ids of a source are not used by another one"
        )


def _networks(proxies: Sequence[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(one) for one in proxies]
    except ValueError:
        raise SettingsError("`ENDPLATE_PROXIES`: write addresses or networks, such as `10.0.0.5`") from None


def _within(address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in one for one in networks)
