"""SMART App Launch 2.2: a person signs in at a server, which says who they are and which patient is open.

`begun` makes the address that the browser is sent to; what it gives back beside that is kept until the browser returns
with a code, which `returned` exchanges. PKCE is always used, with S256. What the server says of the person counts once
its signature, issuer, audience, time and nonce are right (OpenID Connect Core 3.1.3.7).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from engine.client.http import Http, Patience, origin, parsed
from engine.client.smart import Client, Discovery, Granted, Proof, ask, closed, spoken
from engine.errors import RemoteError
from engine.fhir.elements import text

ALGORITHMS = ["RS256", "ES256", "RS384", "ES384", "RS512", "ES512", "PS256", "PS384", "PS512"]
LEEWAY_S = 60                              # by how much clocks may differ
LONGEST_CODE = 4096
_LARGEST = 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_PERSON = re.compile(
    r"(https?://[^\s?#\\]{1,1000}/)?(Practitioner|PractitionerRole|Patient|RelatedPerson|Person)/[A-Za-z0-9\-.]{1,64}"
)
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class App(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are to the FHIR server at `base`. `back`: where browsers return to; `client`: proves it, None = we are
    public; `issuer`: who signs for persons, "" = whom the server names."""

    base: str
    id: str
    back: str
    client: Client | None = None
    issuer: str = ""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that has begun. Nobody else may read it; it is good for one return."""

    state: str
    nonce: str
    verifier: str
    scope: str
    server: Discovery                      # where codes are exchanged, and who signs


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that has succeeded. "" = the server does not say.

    `user`: a reference, relative if it is on the same FHIR server; `patient`, `encounter`: ids; `context`: the
    `appContext` of the card that was followed; `seconds`: for which the token holds.
    """

    token: str
    seconds: int
    scopes: tuple[str, ...]
    refresh: str = ""
    user: str = ""
    patient: str = ""
    encounter: str = ""
    context: str = ""

    def __repr__(self) -> str:
        return "Launched(...)"


def wanted(types: Iterable[str], said: Discovery, *, launched: bool, writes: Iterable[str] = ()) -> str:
    """The scopes for reading and searching `types` and creating `writes` of one patient, in the server's words.

    `launched`: from an EHR, which knows the patient; else the server lets the person choose one.
    """
    persons = not said.capabilities or "sso-openid-connect" in said.capabilities or "openid" in said.scopes
    parts = ["launch" if launched else "launch/patient", *(("openid", "fhirUser") if persons else ())]
    parts += [f"patient/{kind}.{spoken('rs', said)}" for kind in sorted(set(types))]
    parts += [f"patient/{kind}.{spoken('c', said)}" for kind in sorted(set(writes))]
    return " ".join(dict.fromkeys(parts))


def creates(scopes: Iterable[str], kind: str) -> bool:
    """Whether scopes let resources of a type be created, in the words of SMART 1 or 2."""
    for scope in scopes:
        named, _, access = scope.partition("?")[0].rpartition("/")[2].partition(".")
        if named in (kind, "*") and (access in ("write", "*") or (access != "read" and "c" in access)):
            return True
    return False


def begun(app: App, said: Discovery, scope: str, *, launch: str = "", audience: str = "") -> tuple[str, Begun]:
    """Where to send the browser, and what to keep until it returns.

    `launch`: what the EHR sent along, and `audience` its name for itself. Raises RemoteError, SettingsError if the
    server cannot be signed in at, or not safely.
    """
    if not said.authorization_url:
        raise RemoteError(f"`{origin(app.base)}` does not say where persons sign in (no `authorization_endpoint` in "
                          "its smart-configuration)")
    if said.challenges and "S256" not in said.challenges:
        raise RemoteError(f"`{origin(app.base)}` does not protect its codes (no PKCE with S256): nobody signs in there")
    closed(said.authorization_url)
    closed(said.token_url)
    kept = Begun(
        state=secrets.token_urlsafe(24), nonce=secrets.token_urlsafe(24), verifier=secrets.token_urlsafe(48),
        scope=scope, server=msgspec.structs.replace(said, scopes=(), capabilities=(), challenges=()),
    )  # fmt: skip
    digest = hashlib.sha256(kept.verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": app.id,
        "redirect_uri": app.back,
        "scope": scope,
        "state": kept.state,
        "nonce": kept.nonce,
        "aud": audience or app.base,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        **({"launch": launch} if launch else {}),
    }
    return str(parsed(said.authorization_url).copy_merge_params(query)), kept


def returned(app: App, kept: Begun, code: str, *, now: float, patience: Patience | None = None) -> Launched:
    """What the server gives for a code, once. Raises RemoteError, SettingsError; then nothing has been gained."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.back,
        "code_verifier": kept.verifier,
    }
    granted = _asked(app, kept.server, form, patience)
    scopes = granted.scopes or tuple(kept.scope.split())
    user = ""
    if "openid" in scopes:
        user = person(app, kept.server, text(granted.said.get("id_token")), kept.nonce, now=now, patience=patience)
    return Launched(
        token=granted.token,
        seconds=granted.seconds,
        scopes=scopes,
        refresh=text(granted.said.get("refresh_token")),
        user=user,
        patient=_id(app, granted.said, "patient"),
        encounter=_id(app, granted.said, "encounter"),
        context=text(granted.said.get("appContext")),
    )


def renewed(app: App, server: Discovery, before: Launched, *, patience: Patience | None = None) -> Launched:
    """The sign-in with a new token. Raises RemoteError, SettingsError, also if it would be about somebody else."""
    form = {"grant_type": "refresh_token", "refresh_token": before.refresh}
    granted = _asked(app, server, form, patience)
    if (patient := _id(app, granted.said, "patient")) not in ("", before.patient):
        raise RemoteError(f"`{origin(app.base)}` gives a token for another patient")
    return msgspec.structs.replace(
        before,
        token=granted.token,
        seconds=granted.seconds,
        scopes=granted.scopes or before.scopes,
        refresh=text(granted.said.get("refresh_token")) or before.refresh,
        patient=patient or before.patient,
    )


def person(
    app: App, server: Discovery, token: str, nonce: str, *, now: float, patience: Patience | None = None
) -> str:
    """Who signed in, by an `id_token`; "" if it names nobody of FHIR. Raises RemoteError if it cannot be trusted."""
    where = origin(app.base)
    issuer = app.issuer or server.issuer
    if not issuer:
        raise RemoteError(f"`{where}` does not say who signs for its users (no `issuer` in its smart-configuration)")
    keys = _keys(issuer, server, patience)
    checks = jwt.JWTClaimsRegistry(
        now=int(now), leeway=LEEWAY_S,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": app.id},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )  # fmt: skip
    try:
        claims: Mapping[str, Any] = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        checks.validate(dict(claims))
    except _UNREADABLE as wrong:
        raise RemoteError(f"`{where}` says who signed in, but it cannot be believed ({type(wrong).__name__})") from None
    audience, party = claims["aud"], claims.get("azp")
    if party not in (None, app.id) or (party is None and isinstance(audience, list) and len(audience) > 1):
        raise RemoteError(f"`{where}` says who signed in, but to somebody else")
    return _reference(text(claims.get("fhirUser")), app.base)


def _asked(app: App, server: Discovery, form: Mapping[str, str], patience: Patience | None) -> Granted:
    proof = Proof(app.client, server) if app.client is not None else None

    def whole() -> dict[str, str]:
        return {**form, **(proof.form() if proof is not None else {"client_id": app.id})}

    return ask(server.token_url, app.id, whole, patience=patience, repeatable=False)


def _keys(issuer: str, server: Discovery, patience: Patience | None) -> KeySet:
    """The keys of who signs: where the server says if it names the same, else where the issuer says."""
    address = server.jwks_url if issuer == server.issuer else ""
    if not address:
        said = _read(f"{issuer.rstrip('/')}/.well-known/openid-configuration", patience)
        if said.get("issuer") != issuer:
            raise RemoteError(f"`{origin(issuer)}` calls itself by another name")
        address = text(said.get("jwks_uri"))
    try:
        found = KeySet.import_key_set(_read(address, patience))  # type: ignore[arg-type]
    except _UNREADABLE:
        found = KeySet([])
    keys = [key for key in found.keys if key.key_type in ("RSA", "EC")]
    if not keys:
        raise RemoteError(f"`{origin(address)}` has no keys that can be used")
    return KeySet(keys)


def _read(address: str, patience: Patience | None) -> Mapping[str, object]:
    closed(address)
    with Http([address], patience=patience) as http:
        answer = http.call("GET", address, headers={"Accept": "application/json"}, token=False, largest=_LARGEST)
    if answer.status != 200:
        raise RemoteError(f"`{origin(address)}` answers {answer.status}")
    return answer.json()


def _id(app: App, said: Mapping[str, object], name: str) -> str:
    """An id of the launch. One that is none is an error: no data may be read of somebody whom nobody named."""
    value = said.get(name)
    found = text(value).removeprefix(f"{name.capitalize()}/")
    if value not in (None, "") and not _ID.fullmatch(found):
        raise RemoteError(f"`{origin(app.base)}` names the `{name}` of the launch in a way that cannot be read")
    return found


def _reference(claim: str, base: str) -> str:
    claim = claim.removeprefix(f"{base.rstrip('/')}/")
    return claim if _PERSON.fullmatch(claim) else ""
