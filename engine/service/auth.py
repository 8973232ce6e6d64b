"""Who may call: JSON Web Tokens of trusted CDS clients (CDS Hooks 2.0.1, "Trusting CDS Clients").

Signatures with EC and RSA keys are accepted (ES384 and RS384 are recommended), HMAC and `none` never. A refusal says
nothing but 401; why stands in the log, without the token.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import structlog
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from engine.errors import SettingsError
from engine.service.outcome import RefusalError
from engine.settings import Settings, TrustedClient

ALGORITHMS = ["ES384", "RS384", "ES256", "RS256", "ES512", "RS512", "PS384"]
LONGEST_TOKEN = 16_384
LONGEST_LIFE = 3600  # seconds that a token may be valid, and for which a `jti` is remembered
MOST_REMEMBERED = 200_000
REREAD_SECONDS = 30
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError)

log = structlog.get_logger("endplate.auth")


class Authenticator:
    """Checks the token of a request. Safe to use from several threads.

    `clock` gives seconds since 1970. Raises SettingsError if a client's keys cannot be read.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        if not settings.trusted_clients:
            raise SettingsError(
                "no client is trusted: set `ENDPLATE_TRUSTED_CLIENTS` to a JSON list of {iss, jwks or jwks_file}, or "
                "start with `--dev` to try it out without authentication"
            )
        if settings.public_url is None:
            raise SettingsError(
                "tokens are made out to the address of the service: set `ENDPLATE_PUBLIC_URL`, such as "
                "`https://cds.example.org`"
            )
        self._address = str(settings.public_url).rstrip("/")
        self._leeway = settings.leeway_seconds
        self._clock = clock
        self._clients = {client.iss: _Client(client) for client in settings.trusted_clients}
        self._seen = _Seen()

    def check(self, authorization: str, path: str) -> str:
        """The issuer of a valid token for the endpoint at `path` (`/cds-services/x`). Raises RefusalError 401."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            _refuse("no bearer token")
        if len(token) > LONGEST_TOKEN:
            _refuse("token too long")
        issuer, key_id = _unverified(token)
        client = self._clients.get(issuer)
        if client is None:
            _refuse("issuer not trusted")
        try:
            claims = jwt.decode(token, client.keys_for(key_id, self._clock()), algorithms=ALGORITHMS).claims
        except _UNREADABLE as invalid:
            _refuse(f"signature or form: {type(invalid).__name__}", issuer)
        self._check_claims(claims, client.trusted, f"{self._address}{path}")
        return issuer

    def _check_claims(self, claims: Mapping[str, Any], client: TrustedClient, endpoint: str) -> None:
        now = self._clock()
        issued, expires, identity = _time(claims, "iat"), _time(claims, "exp"), claims.get("jti")
        if claims.get("iss") != client.iss:
            _refuse("issuer", client.iss)
        if expires <= now - self._leeway:
            _refuse("expired", client.iss)
        if issued > now + self._leeway or expires - now > LONGEST_LIFE + self._leeway:
            _refuse("iat or exp too far ahead", client.iss)
        audience = claims.get("aud")
        if endpoint not in (audience if isinstance(audience, list) else [audience]):
            _refuse("audience", client.iss)
        if client.tenant is not None and claims.get("tenant") != client.tenant:
            _refuse("tenant", client.iss)
        if not isinstance(identity, str) or not 0 < len(identity) <= 256:
            _refuse("jti missing", client.iss)
        if not self._seen.first_time(f"{client.iss} {identity}", expires + self._leeway, now):
            _refuse("replayed", client.iss)


class _Seen:
    """Tokens that were used, until they expire."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def first_time(self, name: str, until: float, now: float) -> bool:
        with self._lock:
            if self._until.get(name, 0) > now:
                return False
            if len(self._until) >= MOST_REMEMBERED:
                self._until = {known: end for known, end in self._until.items() if end > now}
            if len(self._until) >= MOST_REMEMBERED:
                return False  # better to refuse than to forget one
            self._until[name] = until
            return True


class _Client:
    """A trusted client with its public keys; a file of keys is read again when a token names an unknown one."""

    def __init__(self, trusted: TrustedClient) -> None:
        self.trusted = trusted
        self._keys = _keys(trusted)
        self._read_at = 0.0

    def keys_for(self, key_id: str, now: float) -> KeySet:
        known = any(key.kid == key_id for key in self._keys.keys)
        if not known and self.trusted.jwks_file is not None and now - self._read_at > REREAD_SECONDS:
            self._read_at = now
            try:
                self._keys = _keys(self.trusted)
            except SettingsError as broken:
                log.warning("keys not read again", reason=str(broken))
        return self._keys


def _keys(client: TrustedClient) -> KeySet:
    """The public keys of a client. Raises SettingsError if there are none, or if one is a secret."""
    content: Any = client.jwks
    try:
        if client.jwks_file is not None:
            content = json.loads(client.jwks_file.read_text("utf-8"))
        keys = KeySet.import_key_set(content)
    except OSError as error:
        reason = error.strerror or "the file cannot be read"
        raise SettingsError(f"the keys of the trusted client `{client.iss}`: `{client.jwks_file}`: {reason}") from None
    except _UNREADABLE:
        raise SettingsError(f"the trusted client `{client.iss}` has no keys: `jwks` must be a JWK set") from None
    if not keys.keys or any(key.key_type not in ("EC", "RSA") or not key.kid for key in keys.keys):
        raise SettingsError(f"the keys of the trusted client `{client.iss}` must be EC or RSA keys, each with a `kid`")
    return keys


def _unverified(token: str) -> tuple[str, str]:
    """Whose token it claims to be, and the id of its key; nothing is believed before the signature is checked."""
    try:
        parts = jws.extract_compact(token.encode())
        claims = json.loads(parts.payload)
        return str(claims["iss"]), str(parts.headers()["kid"])
    except (*_UNREADABLE, RecursionError):
        _refuse("no readable token with `iss` and `kid`")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e12:
        _refuse(f"{name} missing")
    return value


def _refuse(reason: str, issuer: str = "") -> NoReturn:
    log.warning("refused", reason=reason, **({"iss": issuer} if issuer else {}))
    raise RefusalError(401, "not authorised", {"WWW-Authenticate": "Bearer"})
