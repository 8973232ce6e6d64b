"""Tokens of SMART Backend Services (SMART App Launch 2.2, "Backend Services"): `private_key_jwt` with RS384 or ES384.

The token endpoint is found in `.well-known/smart-configuration`. A token is kept until shortly before it expires; the
key never leaves this machine, what is sent is a statement signed with it, which holds for four minutes and once.
launch.py has the tokens of persons.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import msgspec
from joserfc import jwt
from joserfc.errors import InvalidKeyTypeError, JoseError
from joserfc.jwk import ECKey, RSAKey

from engine.client.http import Http, Patience, is_closed, origin
from engine.errors import RemoteError, SettingsError
from engine.fhir.elements import items, text

Key = RSAKey | ECKey
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SIGNED_FOR_S = 240                         # of at most 300
EARLY_S = 30                               # before it expires a token is renewed
UNTOLD_S = 60                              # how long a token holds of which nothing is said
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_WORD = re.compile(r"[a-z_]{1,40}")
_V2 = re.compile(r"\.c?r?u?d?s?(\?|$)")
_LARGEST = 1024 * 1024
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError)


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are to a server. `scope` "" = what is needed; `token_url` "" = as the server says of itself."""

    id: str
    key: Path                              # a private key: JWK, set of JWKs, or PEM
    key_id: str = ""                       # which one of a set; the `kid` of a PEM
    scope: str = ""
    token_url: str = ""


class Discovery(msgspec.Struct, frozen=True):
    """What a server says of its authorization; empty = not said. `challenges`: the methods of PKCE."""

    token_url: str
    algorithms: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    authorization_url: str = ""
    challenges: tuple[str, ...] = ()
    issuer: str = ""
    jwks_url: str = ""


def discover(base: str, http: Http) -> Discovery:
    """The SMART configuration of the FHIR server at `base`. Raises RemoteError if it has none."""
    answer = http.call("GET", f"{base.rstrip('/')}/.well-known/smart-configuration",
                       headers={"Accept": "application/json"}, token=False, largest=_LARGEST)
    found = answer.json() if answer.status == 200 else {}
    endpoint = text(found.get("token_endpoint"))
    if not endpoint:
        raise RemoteError(f"`{origin(base)}` does not say where its tokens come from (no `token_endpoint` in its "
                          "smart-configuration): give the address of the token endpoint")
    return Discovery(
        endpoint,
        _texts(found.get("token_endpoint_auth_signing_alg_values_supported")),
        _texts(found.get("capabilities")),
        _texts(found.get("scopes_supported")),
        text(found.get("authorization_endpoint")),
        _texts(found.get("code_challenge_methods_supported")),
        text(found.get("issuer")),
        text(found.get("jwks_uri")),
    )


def endpoint(client: Client, base: str, http: Http) -> Discovery:
    """Where a client gets tokens for the server at `base`: as it was told, or as that says. Raises RemoteError."""
    return Discovery(client.token_url) if client.token_url else discover(base, http)


def scopes(types: Iterable[str], discovery: Discovery | None, access: str = "rs") -> str:
    """System scopes for resource types as the server writes them: `system/Observation.rs`, or `.read` of SMART 1.

    `access` is in letters of SMART 2 (c r u d s). Of a server that lists scopes, but not each of these, it is the one
    for all types if it lists that.
    """
    said = discovery or Discovery("")
    access = spoken(access, said)
    named, every = [f"system/{kind}.{access}" for kind in sorted(types)], f"system/*.{access}"
    return every if every in said.scopes and not set(named) <= set(said.scopes) else " ".join(named)


def spoken(access: str, said: Discovery) -> str:
    """Letters of SMART 2 in the words of the server: as they are, or `read`, `write`, `*` if it knows those alone."""
    newer = "permission-v2" in said.capabilities or any(_V2.search(one) for one in said.scopes)
    older = "permission-v1" in said.capabilities or any(one.endswith((".read", ".*", ".write")) for one in said.scopes)
    if newer or not older:
        return access
    reads, writes = set(access) & set("rs"), set(access) & set("cud")
    return "*" if reads and writes else "write" if writes else "read"


def private_key(path: Path, key_id: str = "") -> Key:
    """The key of a file, with a `kid`. Raises SettingsError: no private RSA or P-384 key."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"the key `{path}` cannot be read: {error.strerror or 'the disk failed'}") from None
    found = [key for key in _keys(content) if not key_id or key.kid in (key_id, None)]
    if len(found) != 1:
        which = f"none with the id `{key_id}`" if key_id else f"{len(found)}: say which by its id"
        raise SettingsError(f"the key file `{path}` must hold one private key (RSA or EC P-384, as JWK or PEM); "
                            f"it holds {which if found or key_id else 'none'}")
    key = found[0]
    if not key.kid:
        data = key.as_dict(private=True)
        key = type(key).import_key({**data, "kid": key_id or key.thumbprint()})
    return key


def _keys(content: bytes) -> list[Key]:
    """The private keys in a file that SMART knows an algorithm for."""
    kinds: dict[str, type[Key]] = {"RSA": RSAKey, "EC": ECKey}
    keys: list[Key] = []
    try:
        if content.lstrip()[:1] == b"{":
            found = msgspec.json.decode(content)
            keys = [kinds[one["kty"]].import_key(one) for one in found.get("keys", [found]) if one["kty"] in kinds]
        else:
            keys = [_pem(content)]
    except _UNREADABLE:
        return []
    return [key for key in keys if key.is_private and _algorithm(key)]


def _pem(content: bytes) -> Key:
    try:
        return RSAKey.import_key(content)
    except InvalidKeyTypeError:
        return ECKey.import_key(content)


def _algorithm(key: Key) -> str:
    """RS384 or ES384, those that SMART names; "" = neither fits the key."""
    if isinstance(key, RSAKey):
        return "RS384"
    return "ES384" if key.curve_name == "P-384" else ""


class Proof:
    """Statements by which a client proves to one token endpoint who it is. Raises SettingsError if its key cannot."""

    def __init__(self, client: Client, discovery: Discovery, clock: Callable[[], float] = time.time) -> None:
        self._key = private_key(client.key, client.key_id)
        self._algorithm = _algorithm(self._key)
        if discovery.algorithms and self._algorithm not in discovery.algorithms:
            raise SettingsError(f"`{origin(discovery.token_url)}` takes keys for "
                                f"{', '.join(discovery.algorithms)}; `{client.key}` is for {self._algorithm}")
        self._client = client.id
        self._url = discovery.token_url
        self._clock = clock

    def form(self) -> dict[str, str]:
        """What a request for a token says of who asks; good for once."""
        claims = {
            "iss": self._client,
            "sub": self._client,
            "aud": self._url,
            "exp": int(self._clock()) + SIGNED_FOR_S,
            "jti": uuid.uuid4().hex,
        }
        header = {"alg": self._algorithm, "kid": self._key.kid, "typ": "JWT"}
        signed = jwt.encode(header, claims, self._key, algorithms=[self._algorithm])
        return {"client_assertion_type": ASSERTION, "client_assertion": signed}


class Granted(msgspec.Struct, frozen=True):
    """A token and for how many seconds it holds; `said` is the whole answer."""

    token: str
    seconds: int
    scopes: tuple[str, ...]
    said: Mapping[str, object]

    def __repr__(self) -> str:
        return "Granted(...)"


class RefusedError(RemoteError):
    """A token endpoint gives no token; `code` is its word for why ("" = it has none)."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def ask(
    url: str, client: str, form: Callable[[], Mapping[str, str]], *, patience: Patience | None, repeatable: bool = True
) -> Granted:
    """The answer of a token endpoint to a form, which is made anew for each attempt. Raises RemoteError, SettingsError.

    `repeatable`: whether it does no harm to ask twice, when it is not known whether the first was heard.
    """
    closed(url)
    with Http([url], patience=patience) as http:

        def once() -> tuple[int, dict[str, object]]:
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
            with http.opened("POST", url, headers=headers, content=urlencode(form()).encode()) as response:
                return response.status_code, _said(response, time.monotonic() + http.patience.answer)

        status, said = http.patiently(once, origin(url), repeatable=repeatable)
    token, kind = said.get("access_token"), text(said.get("token_type")).lower()
    if status != 200 or not isinstance(token, str) or not _TOKEN.fullmatch(token) or kind not in ("bearer", ""):
        code = text(said.get("error"))
        code = code if _WORD.fullmatch(code) else ""
        reason = f"`{code}`" if code else f"status {status}"
        raise RefusedError(f"`{origin(url)}` gives no token to the client `{client}`: {reason}", code)
    lasts = said.get("expires_in")
    seconds = int(lasts) if isinstance(lasts, int | str) and str(lasts).isdecimal() and int(lasts) else UNTOLD_S
    return Granted(token, seconds, tuple(text(said.get("scope")).split()), said)


def closed(url: str) -> None:
    """Raises SettingsError for an endpoint over an open line."""
    if not is_closed(url):
        raise SettingsError(f"`{origin(url)}`: a token is asked for over https only")


def renewed_after(seconds: float) -> float:
    """How many seconds after a token was asked for, which holds for so many, the next is asked for."""
    return max(seconds - EARLY_S, seconds / 2)


class SmartTokens:
    """The tokens of one client at one server, renewed in time; may be used by several threads."""

    def __init__(
        self,
        client: Client,
        discovery: Discovery,
        scope: str,
        *,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._proof = Proof(client, discovery, clock)
        closed(discovery.token_url)
        self._client = client
        self._url = discovery.token_url
        self._scope = scope
        self._patience = patience
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0
        self.granted: tuple[str, ...] = ()   # scopes of the latest token, where the server says them

    def token(self, refused: str = "") -> str:
        """A token that holds. Raises RemoteError if there is none to be had."""
        with self._lock:
            if not self._token or self._token == refused or time.monotonic() >= self._until:
                self._renew()
            return self._token

    def _renew(self) -> None:
        wanted = {"grant_type": "client_credentials", "scope": self._scope}
        asked = time.monotonic()
        found = ask(self._url, self._client.id, lambda: {**wanted, **self._proof.form()}, patience=self._patience)
        self._token, self._until = found.token, asked + renewed_after(found.seconds)
        self.granted = found.scopes


def _said(response: httpx2.Response, until: float) -> dict[str, object]:
    """The JSON of a token response, bounded in size and time."""
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) > _LARGEST or time.monotonic() > until:
            return {}
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(found for one in items(value) if (found := text(one)))
