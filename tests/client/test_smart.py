"""Tokens of SMART Backend Services: what is signed and sent, what is kept, and how refusals are said."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from bulk_server import BulkServer, answers
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from engine.client.http import Http, Patience
from engine.client.smart import Client, Discovery, SmartTokens, discover, private_key, scopes
from engine.errors import RemoteError, SettingsError

QUICK = Patience(attempts=3, first=0.01, most=2.0, connect=2.0, read=2.0)
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-384", {"kid": "ec-1"})


def written(path: Path, key: RSAKey | ECKey | OctKey, *, private: bool = True) -> Path:
    path.write_text(json.dumps(key.as_dict(private=private)))
    return path


def tokens(server: BulkServer, tmp_path: Path, key: RSAKey | ECKey = RSA, **how: Any) -> SmartTokens:
    client = Client(id="rules", key=written(tmp_path / "key.json", key))
    return SmartTokens(client, Discovery(f"{server.origin}/token"), "system/Patient.rs", patience=QUICK, **how)


def form(server: BulkServer, number: int = 0) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(server.to("POST", "/token")[number].body.decode()).items()}


# -- the request


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS384"), (EC, "ES384")], ids=["RS384", "ES384"])
def test_the_statement_is_signed_for_the_token_endpoint_and_holds_for_minutes(
    server: BulkServer, tmp_path: Path, key: RSAKey | ECKey, algorithm: str
) -> None:
    assert tokens(server, tmp_path, key).token() == "token-1"
    sent = form(server)
    assert sent["grant_type"] == "client_credentials"
    assert sent["scope"] == "system/Patient.rs"
    assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    token = jwt.decode(sent["client_assertion"], key, algorithms=[algorithm])
    assert token.header == {"alg": algorithm, "kid": key.kid, "typ": "JWT"}
    assert (token.claims["iss"], token.claims["sub"]) == ("rules", "rules")
    assert token.claims["aud"] == f"{server.origin}/token"
    assert 0 < token.claims["exp"] - time.time() <= 300
    assert server.to("POST", "/token")[0].headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_token_is_kept_until_shortly_before_it_expires(server: BulkServer, tmp_path: Path) -> None:
    lasting = tokens(server, tmp_path)
    assert [lasting.token() for _ in range(5)] == ["token-1"] * 5
    server.on("/token", answers(200, {"access_token": "short", "token_type": "bearer", "expires_in": 1}))
    brief = tokens(server, tmp_path)
    assert brief.token() == "short"
    time.sleep(0.6)
    assert brief.token() == "token-3"


def test_a_refused_token_is_not_given_again(server: BulkServer, tmp_path: Path) -> None:
    source = tokens(server, tmp_path)
    assert source.token() == "token-1"
    assert source.token("token-1") == "token-2"
    assert source.token("token-1") == "token-2"


def test_each_statement_is_sent_once_also_when_the_endpoint_is_busy(server: BulkServer, tmp_path: Path) -> None:
    server.on("/token", answers(503), answers(429, Retry_After="0"))
    assert tokens(server, tmp_path).token() == "token-3"
    identifiers = {
        jwt.decode(form(server, number)["client_assertion"], RSA, algorithms=["RS384"]).claims["jti"]
        for number in range(3)
    }
    assert len(identifiers) == 3


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": "invalid_client", "error_description": "secret"}, "`invalid_client`"),
        (401, {"error": "<script>"}, "status 401"),
        (500, b"oops", "status 500"),
        (200, b"oops", "status 200"),
        (200, [], "status 200"),
        (200, {"access_token": "a\r\nX: b", "token_type": "bearer"}, "status 200"),
        (200, {"access_token": "", "token_type": "bearer"}, "status 200"),
        (200, {"access_token": "x", "token_type": "mac"}, "status 200"),
    ],
    ids=str,
)
def test_a_refusal_says_its_code_and_nothing_else(
    server: BulkServer, tmp_path: Path, status: int, body: Any, said: str
) -> None:
    server.on("/token", answers(status, body if isinstance(body, bytes) else json.dumps(body).encode()))
    with pytest.raises(RemoteError) as refused:
        tokens(server, tmp_path).token()
    assert str(refused.value) == f"`{server.origin}` gives no token to the client `rules`: {said}"


def test_a_redirect_of_the_token_endpoint_is_not_followed(
    server: BulkServer, elsewhere: BulkServer, tmp_path: Path
) -> None:
    server.on("/token", answers(307, Location=f"{elsewhere.origin}/token"))
    with pytest.raises(RemoteError, match="redirect"):
        tokens(server, tmp_path).token()
    assert elsewhere.asked == []


def test_a_token_is_not_asked_for_over_an_open_line(tmp_path: Path) -> None:
    client = Client(id="rules", key=written(tmp_path / "key.json", RSA))
    with pytest.raises(SettingsError, match="over https only"):
        SmartTokens(client, Discovery("http://auth.example.org/token"), "")


def test_a_key_of_the_wrong_kind_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    client = Client(id="rules", key=written(tmp_path / "key.json", EC))
    with pytest.raises(SettingsError, match="takes keys for RS384"):
        SmartTokens(client, Discovery("https://auth.example.org/token", ("RS384",)), "")


# -- discovery and scopes


def test_the_token_endpoint_is_what_the_server_says(server: BulkServer) -> None:
    server.smart = {
        "token_endpoint": "https://auth.example.org/token",
        "capabilities": ["permission-v2"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", 7],
        "scopes_supported": ["system/*.rs"],
    }
    with Http([server.base], patience=QUICK) as http:
        found = discover(server.base, http)
    assert found == Discovery("https://auth.example.org/token", ("RS384", "7"), ("permission-v2",), ("system/*.rs",))
    assert server.asked[0].token == ""


@pytest.mark.parametrize("body", [None, b"", b"[]", b"<html>", {"token_endpoint": 5.5}, {"token_endpoint": ""}])
def test_a_server_that_does_not_say_is_told_what_to_do(server: BulkServer, body: Any) -> None:
    if body is not None:
        path = "/fhir/.well-known/smart-configuration"
        server.on(path, answers(200, body if isinstance(body, bytes) else json.dumps(body).encode()))
    with Http([server.base], patience=QUICK) as http, pytest.raises(RemoteError):
        discover(server.base, http)


def test_scopes_are_written_as_the_server_writes_them() -> None:
    types = ("Patient", "Observation")
    first = Discovery("", capabilities=("permission-v1",))
    both = Discovery("", capabilities=("permission-v1", "permission-v2"))
    said = Discovery("", scopes=("system/Observation.read", "system/Patient.read", "system/*.read"))
    every = Discovery("", scopes=("system/*.rs", "system/Patient.rs"))
    assert scopes(types, None) == "system/Observation.rs system/Patient.rs"
    assert scopes(types, both) == "system/Observation.rs system/Patient.rs"
    assert scopes(types, first) == "system/Observation.read system/Patient.read"
    assert scopes(types, said) == "system/Observation.read system/Patient.read"
    assert scopes(types, every) == "system/*.rs"
    assert scopes(("DetectedIssue",), first, "cu") == "system/DetectedIssue.write"
    assert scopes(("DetectedIssue",), first, "cruds") == "system/DetectedIssue.*"
    assert scopes(("DetectedIssue",), both, "cruds") == "system/DetectedIssue.cruds"


# -- keys


def test_keys_are_read_from_jwk_set_and_pem(tmp_path: Path) -> None:
    pair = tmp_path / "set.json"
    pair.write_text(json.dumps({"keys": [RSA.as_dict(private=True), EC.as_dict(private=True)]}))
    pem = tmp_path / "key.pem"
    pem.write_bytes(EC.as_pem(private=True))
    assert private_key(pair, "ec-1").kid == "ec-1"
    assert private_key(pem).kid == EC.thumbprint()
    assert private_key(pem, "named").kid == "named"
    assert private_key(written(tmp_path / "one.json", RSA)).kid == "rsa-1"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"{",
        b"\xff\xfe",
        b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
        b'{"keys": []}',
        b'{"keys": 1}',
        b'{"kty": "oct", "k": "c2VjcmV0"}',
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="one private key") as refused:
        private_key(path)
    assert "c2VjcmV0" not in str(refused.value)


def test_public_keys_and_other_curves_are_refused(tmp_path: Path) -> None:
    for key, private in ((RSA, False), (ECKey.generate_key("P-256"), True), (OctKey.generate_key(256), True)):
        with pytest.raises(SettingsError, match="one private key"):
            private_key(written(tmp_path / "key.json", key, private=private))


def test_of_several_keys_one_must_be_named(tmp_path: Path) -> None:
    pair = tmp_path / "set.json"
    pair.write_text(json.dumps({"keys": [RSA.as_dict(private=True), EC.as_dict(private=True)]}))
    with pytest.raises(SettingsError, match="it holds 2: say which by its id"):
        private_key(pair)
    with pytest.raises(SettingsError, match="none with the id `other`"):
        private_key(pair, "other")
    with pytest.raises(SettingsError, match="cannot be read"):
        private_key(tmp_path / "nowhere")
