"""Who may call: JSON Web Tokens of trusted CDS clients (CDS Hooks 2.0.1, "Trusting CDS Clients").

Signatures with EC and RSA keys are accepted (ES384 and RS384 are recommended), HMAC and `none` never. A refusal says
nothing but 401; why stands in the log, without the token.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from typing import Any, NoReturn

import structlog
from joserfc import jws, jwt

from engine.errors import SettingsError
from engine.service.keys import UNREADABLE, ClientKeys
from engine.service.outcome import RefusalError
from engine.service.servers import is_loopback
from engine.settings import Settings, TrustedClient

ALGORITHMS = ["ES384", "RS384", "ES256", "RS256", "ES512", "RS512", "PS384"]
LONGEST_TOKEN = 16_384
LONGEST_LIFE = 3600  # seconds that a token may be valid, and for which a `jti` is remembered
MOST_REMEMBERED = 500_000  # tokens that have not expired: about 100 bytes each

FirstTime = Callable[[str, float, float], bool]
"""(name of a token, when it expires, now) -> whether it was never used before."""

log = structlog.get_logger("endplate.auth")


class WaitsError(Exception):
    """A token cannot be checked without waiting for others."""


class Authenticator:
    """Checks the token of a request. Safe to use from several threads.

    `clock` gives seconds since 1970; `first_time` remembers tokens where several processes serve. Where there are
    sources (`ENDPLATE_SOURCES`) nobody need be trusted, and every token is refused then. Raises SettingsError if a
    client's keys cannot be read.
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, first_time: FirstTime | None = None
    ) -> None:
        if not (settings.trusted_clients or settings.sources):
            raise SettingsError(
                "no client is trusted: set `ENDPLATE_TRUSTED_CLIENTS` to a JSON list of {iss, one of jwks, jwks_file "
                "and jku}, or start with `--dev` to try it out without authentication"
            )
        if settings.public_url is None and settings.trusted_clients:
            raise SettingsError(
                "tokens are made out to the address of the service: set `ENDPLATE_PUBLIC_URL`, such as "
                "`https://cds.example.org`"
            )
        address = settings.public_url
        if address is not None and address.scheme != "https" and not is_loopback(address.host or ""):
            raise SettingsError(
                "`ENDPLATE_PUBLIC_URL` is not `https`: tokens and patient data would go in clear; put a proxy in front "
                "that speaks TLS, and write its address"
            )
        self._address = str(address or "").rstrip("/")
        self._leeway = settings.leeway_seconds
        self._clock = clock
        self._clients = {client.iss: ClientKeys(client) for client in settings.trusted_clients}
        self._first_time = first_time or Used().first_time
        self._waits = first_time is not None

    def refresh(self) -> None:
        """Reads the keys of files and addresses again."""
        for client in self._clients.values():
            client.refresh(self._clock(), force=True)

    def check(self, authorization: str, path: str, *, wait: bool = True, base: str = "") -> str:
        """The issuer of a valid token for the endpoint at `path` (`/cds-services/x`). Raises RefusalError 401.

        It may be made out to the path `base` instead, if one is given.
        Unless it may `wait`, raises WaitsError where keys are to be read or other processes to be asked.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            _refuse("no bearer token")
        if len(token) > LONGEST_TOKEN:
            _refuse("token too long")
        issuer, key_id, jku = _unverified(token)
        client = self._clients.get(issuer)
        if client is None:
            _refuse("issuer not trusted")
        if jku is not None and client.trusted.jku is not None and jku != str(client.trusted.jku):
            _refuse("jku not trusted", issuer)
        if not wait and (self._waits or client.due(key_id, self._clock())):
            raise WaitsError
        try:
            claims = jwt.decode(token, client.keys_for(key_id, self._clock()), algorithms=ALGORITHMS).claims
        except UNREADABLE as invalid:
            _refuse(f"signature or form: {type(invalid).__name__}", issuer)
        self._check_claims(claims, client.trusted, [f"{self._address}{one}" for one in (path, base or path)])
        return issuer

    def _check_claims(self, claims: Mapping[str, Any], client: TrustedClient, endpoints: Collection[str]) -> None:
        now = self._clock()
        issued, expires, identity = _time(claims, "iat"), _time(claims, "exp"), claims.get("jti")
        if claims.get("iss") != client.iss:
            _refuse("issuer", client.iss)
        if expires <= now - self._leeway:
            _refuse("expired", client.iss)
        if issued > now + self._leeway or expires - now > LONGEST_LIFE + self._leeway:
            _refuse("iat or exp too far ahead", client.iss)
        audience = claims.get("aud")
        if not any(one in endpoints for one in (audience if isinstance(audience, list) else [audience])):
            _refuse("audience", client.iss)
        if client.tenant is not None and claims.get("tenant") != client.tenant:
            _refuse("tenant", client.iss)
        if not isinstance(identity, str) or not 0 < len(identity) <= 256:
            _refuse("jti missing", client.iss)
        if not self._first_time(f"{client.iss} {identity}", expires + self._leeway, now):
            _refuse("replayed", client.iss)


class Used:
    """Tokens that were used, by the minute in which they expire: a minute that is over is forgotten as a whole."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._by_minute: dict[int, set[bytes]] = {}
        self._lock = threading.Lock()

    def first_time(self, name: str, until: float, now: float) -> bool:
        """Remembers a token; whether it is new. Where there are too many none is: better to refuse than to forget."""
        token = blake2b(name.encode(), digest_size=16).digest()
        with self._lock:
            for over in [minute for minute in self._by_minute if (minute + 1) * 60 <= now]:
                del self._by_minute[over]
            if any(token in used for used in self._by_minute.values()):
                return False
            if sum(map(len, self._by_minute.values())) >= self._most:
                return False
            self._by_minute.setdefault(int(until // 60), set()).add(token)
            return True


def _unverified(token: str) -> tuple[str, str, object]:
    """Whose token it claims to be, the id of its key, and where that is; nothing of it is believed before the signature
    is checked."""
    try:
        parts = jws.extract_compact(token.encode())
        claims = json.loads(parts.payload)
        return str(claims["iss"]), str(parts.headers()["kid"]), parts.headers().get("jku")
    except (*UNREADABLE, RecursionError):
        _refuse("no readable token with `iss` and `kid`")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e12:
        _refuse(f"{name} missing")
    return value


def _refuse(reason: str, issuer: str = "") -> NoReturn:
    log.warning("refused", reason=reason, **({"iss": issuer} if issuer else {}))
    raise RefusalError(401, "not authorised", {"WWW-Authenticate": "Bearer"})
