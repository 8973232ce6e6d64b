"""An OAuth server (oidc-provider): clients prove who they are by a key (private_key_jwt) and get tokens as JWT."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from peers.build import built, found
from peers.keep import kept

AUDIENCE = "https://fhir.example.org/r4"  # of all tokens: the FHIR server
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


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
        return httpx2.post(self.endpoint, data=form, timeout=30, trust_env=False)

    def token(self, scope: str = "") -> str:
        """An access token."""
        response = self.ask(scope)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def settings(self) -> dict[str, Any]:
        """The private key as a JWK, for a client of ours."""
        return self.key.as_dict(private=True) | {"alg": self.algorithm}


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
        response = httpx2.post(f"{self.issuer}/reg", json=metadata, timeout=30, trust_env=False)
        assert response.status_code == 201, response.text
        return Client(self.address, response.json()["client_id"], key, algorithm, scope)


@contextmanager
def shared_endpoint(run: Path, *, linger: float = 0) -> Iterator[TokenEndpoint]:
    """The endpoint that all workers of a run use, and its FHIR servers know."""
    folder = run / "token-endpoint"
    script = built_endpoint() / "token_endpoint.mjs"
    with kept(folder, ["node", str(script), str(folder / "ready")], linger=linger, seconds=60) as issuer:
        yield TokenEndpoint(issuer)
