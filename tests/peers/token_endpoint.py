"""An OAuth server (oidc-provider): clients prove who they are by a key (private_key_jwt) and get tokens as JWT.

Persons sign in there too (SMART App Launch): `register_app` makes an app known, `launch` what an EHR sends along, and a
Person answers the pages of the server as somebody with a browser does.
"""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from peers.build import built, found
from peers.keep import kept

AUDIENCE = "https://fhir.example.org/r4"  # of all tokens: the FHIR server
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing here has TLS, and to read what to trust takes its time


def built_endpoint() -> Path:
    """The project with its packages. Raises MissingError."""
    found("node")
    return built("oidc", ("npm", "ci", "--no-audit", "--no-fund"))


class Client:
    """Registered at the endpoint with its public key."""

    def __init__(self, endpoint: str, identity: str, key: ECKey | RSAKey, algorithm: str, scope: str) -> None:
        self.endpoint = endpoint
        self.client_id = identity
        self.key = key
        self.algorithm = algorithm
        self.scope = scope

    def assertion(self, **claims: Any) -> str:
        """The proof that a token is asked for with; `claims` replace those that are right."""
        now = int(time.time())
        right = {"iss": self.client_id, "sub": self.client_id, "aud": self.endpoint, "iat": now, "exp": now + 120}
        header = {"alg": self.algorithm, "kid": "client", "typ": "JWT"}
        return jwt.encode(header, right | {"jti": str(uuid.uuid4())} | claims, self.key, [self.algorithm])

    def ask(self, scope: str = "", assertion: str = "") -> httpx2.Response:
        """The endpoint's answer to a request for a token."""
        form = {
            "grant_type": "client_credentials",
            "scope": scope or self.scope,
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion or self.assertion(),
        }
        return httpx2.post(self.endpoint, data=form, timeout=30, trust_env=False, verify=PLAIN)

    def token(self, scope: str = "") -> str:
        """An access token."""
        response = self.ask(scope)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def settings(self) -> dict[str, Any]:
        """The private key as a JWK, for a client of ours."""
        return self.key.as_dict(private=True) | {"alg": self.algorithm}


class App(msgspec.Struct, frozen=True):
    """An app that is registered; `key` is None for a public one."""

    client_id: str
    key: ECKey | None


class Person(msgspec.Struct, frozen=True):
    """Who answers the pages of the server: the reference that is typed in, and the id of the patient that is chosen."""

    user: str = "Practitioner/anna"
    patient: str = ""
    allows: bool = True

    def answer(self, browser: httpx2.Client, address: str) -> str:
        """Where the server sends the browser, which follows no redirect by itself, once all is answered."""
        issuer = origin(address)
        response = browser.get(address)
        while True:
            if response.is_redirect:
                address = str(response.url.join(response.headers["location"]))
                if origin(address) != issuer:
                    return address
                response = browser.get(address)
            else:
                assert response.status_code == 200, response.text
                signs_in = 'name="user"' in response.text
                form = {"user": self.user} if signs_in else {"answer": "allow" if self.allows else "deny"}
                form |= {"patient": self.patient} if 'name="patient"' in response.text else {}
                response = browser.post(response.url, data=form)


def origin(address: str) -> str:
    return address.partition("?")[0].rpartition("://")[2].partition("/")[0]


class TokenEndpoint:
    """A running endpoint."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.address = f"{issuer}/token"

    def register(self, scope: str, *, algorithm: str = "ES384", seconds: int = 300) -> Client:
        """A new client that may ask for the scopes; its tokens live for `seconds`."""
        key: ECKey | RSAKey
        parameters = {"kid": "client", "use": "sig", "alg": algorithm}
        key = ECKey.generate_key("P-384", parameters) if algorithm == "ES384" else RSAKey.generate_key(2048, parameters)
        metadata = {
            "grant_types": ["client_credentials"],
            "response_types": [],
            "redirect_uris": [],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm,
            "jwks": KeySet([key]).as_dict(private=False),
            "scope": scope,
            "token_seconds": seconds,
        }
        response = httpx2.post(f"{self.issuer}/reg", json=metadata, timeout=30, trust_env=False, verify=PLAIN)
        assert response.status_code == 201, response.text
        return Client(self.address, response.json()["client_id"], key, algorithm, scope)


    def register_app(
        self, back: str, fhir: str, *, public: bool = True, renewable: bool = False, seconds: int = 300
    ) -> App:
        """A new app for the FHIR server, to which browsers return at `back`; `renewable`: it gets refresh tokens."""
        key = None if public else ECKey.generate_key("P-384", {"kid": "app", "use": "sig", "alg": "ES384"})
        metadata = {
            "grant_types": ["authorization_code", *(["refresh_token"] if renewable else [])],
            "response_types": ["code"],
            "redirect_uris": [back],
            "token_endpoint_auth_method": "none" if key is None else "private_key_jwt",
            "token_seconds": seconds,
            "fhir": fhir,
        }
        if key is not None:
            metadata |= {"jwks": KeySet([key]).as_dict(private=False), "token_endpoint_auth_signing_alg": "ES384"}
        response = httpx2.post(f"{self.issuer}/reg", json=metadata, timeout=30, trust_env=False, verify=PLAIN)
        assert response.status_code == 201, response.text
        return App(response.json()["client_id"], key)

    def launch(self, **context: str) -> str:
        """What an EHR sends along when it opens an app with this `patient`, `encounter`, `appContext`."""
        response = httpx2.post(f"{self.issuer}/launches", json=context, timeout=30, trust_env=False, verify=PLAIN)
        return str(response.json()["launch"])


@contextmanager
def shared_endpoint(run: Path, *, linger: float = 0) -> Iterator[TokenEndpoint]:
    """The endpoint that all workers of a run use, and its FHIR servers know."""
    folder = run / "token-endpoint"
    script = built_endpoint() / "token_endpoint.mjs"
    with kept(folder, ["node", str(script), str(folder / "ready")], linger=linger, seconds=60) as issuer:
        yield TokenEndpoint(issuer)
