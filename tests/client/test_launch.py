"""SMART App Launch: what is asked for, what is sent and kept, and whom we believe who signed in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest
from bulk_server import BulkServer, answers, drip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from engine.client.http import Http, Patience
from engine.client.launch import App, Begun, Launched, begun, creates, person, renewed, returned, wanted
from engine.client.smart import Client, Discovery, RefusedError, discover
from engine.errors import EndplateError, RemoteError, SettingsError

QUICK = Patience(attempts=2, first=0.01, most=0.5, connect=1.0, read=1.0, answer=0.5)
NONCE = "the nonce of this sign-in"
KEY = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})
V2 = ("permission-v2", "sso-openid-connect")
SAID = Discovery(
    "https://ehr.example.org/token",
    capabilities=V2,
    authorization_url="https://ehr.example.org/authorize?tenant=a",
    challenges=("plain", "S256"),
)
BEFORE = Launched(token="old", seconds=300, scopes=("launch",), refresh="r1", patient="p1")  # noqa: S106
APP = App(base="https://ehr.example.org/fhir", id="endplate", back="https://cds.example.org/smart/callback")


def here(server: BulkServer, **said: Any) -> tuple[App, Begun]:
    """An app of the server, and a sign-in that has begun there."""
    found = Discovery(f"{server.origin}/token", issuer=server.origin, jwks_url=f"{server.origin}/keys", **said)
    kept = Begun(state="state", nonce=NONCE, verifier="verifier", scope="launch patient/Patient.rs", server=found)
    return App(base=server.base, id="endplate", back="http://127.0.0.1:1/back"), kept


def gives(server: BulkServer, **answer: Any) -> None:
    """The server's next answer to a code or a refresh token; it publishes its key."""
    usual = {"access_token": "a-token", "token_type": "Bearer", "expires_in": 300, "scope": "launch patient/Patient.rs"}
    server.on("/token", answers(200, usual | answer))
    server.on("/keys", answers(200, KeySet([KEY]).as_dict(private=False)))


def claims(server: BulkServer, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    right = {
        "iss": server.origin, "aud": "endplate", "sub": "anna", "iat": now, "exp": now + 60, "nonce": NONCE,
        "fhirUser": f"{server.base}/Practitioner/anna",
    }  # fmt: skip
    return {name: value for name, value in (right | changed).items() if value is not None}


def signed(content: dict[str, Any], key: Any = KEY, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm, "kid": "1"}, content, key, algorithms=[algorithm])


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def sent(server: BulkServer, number: int = 0) -> dict[str, str]:
    return {name: one[0] for name, one in parse_qs(server.to("POST", "/token")[number].body.decode()).items()}


def known(server: BulkServer, token: str, app: App | None = None) -> str:
    """Who signed in by a token, at a server that publishes its key."""
    server.on("/keys", answers(200, KeySet([KEY]).as_dict(private=False)))
    usual, kept = here(server)
    return person(app or usual, kept.server, token, NONCE, now=time.time(), patience=QUICK)


# -- what is asked for


def test_no_more_is_asked_for_than_the_rules_need() -> None:
    types = ["Patient", "Observation", "Condition", "Observation"]
    assert wanted(types, SAID, launched=True) == (
        "launch openid fhirUser patient/Condition.rs patient/Observation.rs patient/Patient.rs"
    )
    assert wanted(["Patient"], SAID, launched=False, writes=["Observation", "Provenance"]) == (
        "launch/patient openid fhirUser patient/Patient.rs patient/Observation.c patient/Provenance.c"
    )


def test_it_is_asked_in_the_words_of_an_older_server() -> None:
    older = Discovery("", capabilities=("permission-v1", "sso-openid-connect"))
    assert wanted(["Observation"], older, launched=True, writes=["Observation"]) == (
        "launch openid fhirUser patient/Observation.read patient/Observation.write"
    )


def test_all_types_are_never_asked_for_even_if_the_server_lists_nothing_else() -> None:
    lists = Discovery("", capabilities=V2, scopes=("patient/*.rs", "openid", "fhirUser"))
    assert "*" not in wanted(["Patient", "Observation"], lists, launched=True)


def test_who_signs_in_is_not_asked_of_a_server_that_does_not_tell() -> None:
    assert wanted(["Patient"], Discovery("", capabilities=("permission-v2",)), launched=True) == (
        "launch patient/Patient.rs"
    )
    assert "openid fhirUser" in wanted(["Patient"], Discovery(""), launched=True)


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("patient/Observation.c", True),
        ("patient/Observation.cruds", True),
        ("patient/Observation.c?category=exam", True),
        ("user/*.cud", True),
        ("patient/Observation.write", True),
        ("patient/*.*", True),
        ("patient/Observation.rs", False),
        ("patient/Observation.read", False),
        ("patient/Condition.c", False),
        ("launch/patient", False),
        ("openid", False),
        ("patient/Observation", False),
    ],
)
def test_what_scopes_let_us_write(scope: str, may: bool) -> None:
    assert creates(["launch", scope], "Observation") is may


# -- before the browser leaves


def test_the_address_says_what_smart_demands() -> None:
    address, kept = begun(APP, SAID, "launch openid", launch="handle", audience="https://EHR.example.org/fhir")
    split = urlsplit(address)
    query = dict(parse_qsl(split.query))
    assert f"{split.scheme}://{split.netloc}{split.path}" == "https://ehr.example.org/authorize"
    digest = encoded(hashlib.sha256(kept.verifier.encode()).digest())
    assert query == {
        "tenant": "a",
        "response_type": "code",
        "client_id": "endplate",
        "redirect_uri": APP.back,
        "scope": "launch openid",
        "state": kept.state,
        "nonce": kept.nonce,
        "aud": "https://EHR.example.org/fhir",
        "launch": "handle",
        "code_challenge": digest,
        "code_challenge_method": "S256",
    }
    assert kept.verifier not in address
    assert 43 <= len(kept.verifier) <= 128


def test_without_an_ehr_there_is_no_launch_and_we_are_for_the_address_of_the_settings() -> None:
    query = dict(parse_qsl(urlsplit(begun(APP, SAID, "launch/patient")[0]).query))
    assert "launch" not in query
    assert query["aud"] == APP.base


def test_each_sign_in_has_secrets_of_its_own() -> None:
    first, second = begun(APP, SAID, "launch")[1], begun(APP, SAID, "launch")[1]
    assert len({first.state, second.state, first.nonce, second.nonce, first.verifier, second.verifier}) == 6


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"authorization_url": ""}, "does not say where persons sign in"),
        ({"challenges": ("plain",)}, "PKCE"),
        ({"authorization_url": "http://ehr.example.org/authorize"}, "https only"),
        ({"token_url": "http://ehr.example.org/token"}, "https only"),
        ({"authorization_url": "javascript:alert(1)"}, "none that can be called"),
    ],
)
def test_nobody_is_sent_where_it_is_not_safe(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(EndplateError, match=why):
        begun(APP, msgspec.structs.replace(SAID, **changed), "launch")


def test_a_server_that_does_not_list_its_methods_gets_s256() -> None:
    address, _ = begun(APP, msgspec.structs.replace(SAID, challenges=()), "launch")
    assert "code_challenge_method=S256" in address


def test_what_a_server_says_of_signing_in_is_read(server: BulkServer) -> None:
    server.smart = {
        "token_endpoint": f"{server.origin}/token",
        "authorization_endpoint": f"{server.origin}/authorize",
        "code_challenge_methods_supported": ["S256", 5, None],
        "issuer": server.origin,
        "jwks_uri": f"{server.origin}/keys",
    }
    with Http([server.base], patience=QUICK) as http:
        said = discover(server.base, http)
    assert said.authorization_url == f"{server.origin}/authorize"
    assert (said.challenges, said.issuer, said.jwks_url) == (("S256", "5"), server.origin, f"{server.origin}/keys")


# -- when it has returned


def test_a_code_is_exchanged_with_its_verifier_by_a_public_client(server: BulkServer) -> None:
    answer = {"patient": "p1", "encounter": "Encounter/e1", "refresh_token": "next", "appContext": '{"issue": "x"}'}
    gives(server, **answer)
    app, kept = here(server)
    found = returned(app, kept, "the code", now=time.time(), patience=QUICK)
    assert sent(server) == {
        "grant_type": "authorization_code",
        "code": "the code",
        "redirect_uri": app.back,
        "code_verifier": "verifier",
        "client_id": "endplate",
    }
    assert found == Launched(
        token="a-token", seconds=300, scopes=("launch", "patient/Patient.rs"), refresh="next", patient="p1",  # noqa: S106
        encounter="e1", context='{"issue": "x"}',
    )  # fmt: skip
    assert "a-token" not in repr(found)


def test_a_confidential_client_proves_who_it_is(server: BulkServer, tmp_path: Path) -> None:
    key = ECKey.generate_key("P-384", {"kid": "ec"})
    (tmp_path / "key.json").write_text(json.dumps(key.as_dict(private=True)))
    gives(server)
    app, kept = here(server)
    app = msgspec.structs.replace(app, client=Client(id="endplate", key=tmp_path / "key.json"))
    returned(app, kept, "code", now=time.time(), patience=QUICK)
    assertion = jwt.decode(sent(server)["client_assertion"], key, algorithms=["ES384"]).claims
    assert assertion["aud"] == kept.server.token_url
    assert assertion["sub"] == "endplate"
    assert "client_id" not in sent(server)


def test_a_code_is_not_sent_twice_when_it_may_have_been_heard(server: BulkServer) -> None:
    server.on("/token", answers(502), answers(200, {"access_token": "second", "token_type": "bearer"}))
    app, kept = here(server)
    with pytest.raises(RemoteError, match="502"):
        returned(app, kept, "code", now=time.time(), patience=QUICK)
    assert len(server.to("POST", "/token")) == 1


def test_a_token_endpoint_that_drips_is_not_waited_for(server: BulkServer) -> None:
    server.on("/token", drip)
    app, kept = here(server)
    started = time.monotonic()
    with pytest.raises(RemoteError, match="gives no token"):
        returned(app, kept, "code", now=time.time(), patience=QUICK)
    assert time.monotonic() - started < 3


def test_a_refusal_has_its_code_and_nothing_of_the_server_s_words(server: BulkServer) -> None:
    server.on("/token", answers(400, {"error": "invalid_grant", "error_description": "patient p1 <script>"}))
    app, kept = here(server)
    with pytest.raises(RefusedError, match=r"`invalid_grant`$") as refused:
        returned(app, kept, "code", now=time.time(), patience=QUICK)
    assert refused.value.code == "invalid_grant"


@pytest.mark.parametrize("patient", ["../../Patient/2", "a b", 0.5, {"id": "p"}, ["p"], "p" * 65, "Group/a"], ids=str)
def test_a_patient_whose_id_is_none_is_an_error_and_not_no_patient(server: BulkServer, patient: object) -> None:
    gives(server, patient=patient)
    app, kept = here(server)
    with pytest.raises(RemoteError, match="`patient` of the launch"):
        returned(app, kept, "code", now=time.time(), patience=QUICK)


def test_without_openid_nobody_is_named_and_nothing_more_is_asked(server: BulkServer) -> None:
    gives(server, id_token="not even one")  # noqa: S106
    app, kept = here(server)
    assert returned(app, kept, "code", now=time.time(), patience=QUICK).user == ""
    assert server.to("GET", "/keys") == []


def test_with_openid_it_must_be_said_who_signed_in(server: BulkServer) -> None:
    gives(server, scope="openid fhirUser patient/Patient.rs")
    app, kept = here(server)
    with pytest.raises(RemoteError, match="cannot be believed"):
        returned(app, kept, "code", now=time.time(), patience=QUICK)
    gives(server, scope="openid fhirUser patient/Patient.rs", id_token=signed(claims(server)))
    assert returned(app, kept, "code", now=time.time(), patience=QUICK).user == "Practitioner/anna"


# -- who it is


def test_a_user_of_the_same_server_is_known_by_a_relative_reference(server: BulkServer) -> None:
    assert known(server, signed(claims(server))) == "Practitioner/anna"
    assert known(server, signed(claims(server, fhirUser="PractitionerRole/7"))) == "PractitionerRole/7"


def test_a_user_of_another_server_keeps_its_address(server: BulkServer) -> None:
    stranger = "https://other.example.org/fhir/Practitioner/anna"
    assert known(server, signed(claims(server, fhirUser=stranger))) == stranger


@pytest.mark.parametrize("named", [None, "", "anna", "Organization/1", "Practitioner/../1", 7, ["Practitioner/1"], {}])
def test_what_is_no_person_of_fhir_is_nobody(server: BulkServer, named: object) -> None:
    assert known(server, signed(claims(server, fhirUser=named))) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example.org"},
        {"iss": None},
        {"aud": "another app"},
        {"aud": None},
        {"aud": ["endplate", "another app"]},
        {"azp": "another app"},
        {"exp": 1_000_000},
        {"exp": None},
        {"iat": 10_000_000_000},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"sub": None},
    ],
    ids=str,
)
def test_a_word_that_is_not_for_us_and_now_is_not_believed(server: BulkServer, changed: dict[str, Any]) -> None:
    with pytest.raises(RemoteError, match="who signed in"):
        known(server, signed(claims(server, **changed)))


def test_only_the_keys_of_the_issuer_count(server: BulkServer) -> None:
    with pytest.raises(RemoteError, match="cannot be believed"):
        known(server, signed(claims(server), OTHER))
    body = signed(claims(server)).split(".")[1]
    for algorithm, secret in (("HS256", KEY.as_pem(private=False)), ("none", b"")):
        said = f"{encoded(json.dumps({'alg': algorithm, 'kid': '1'}).encode())}.{body}"
        word = f"{said}.{encoded(hmac.digest(secret, said.encode(), 'sha256')) if secret else ''}"
        with pytest.raises(RemoteError, match="cannot be believed"):
            known(server, word)


def test_a_key_set_of_secrets_is_none(server: BulkServer) -> None:
    secret = OctKey.generate_key(256, {"kid": "1"})
    server.on("/keys", answers(200, {"keys": [secret.as_dict(private=True)]}))
    app, kept = here(server)
    with pytest.raises(RemoteError, match="no keys"):
        person(app, kept.server, signed(claims(server), secret, "HS256"), NONCE, now=time.time(), patience=QUICK)


def test_an_issuer_of_the_settings_is_asked_itself_for_its_keys(server: BulkServer, elsewhere: BulkServer) -> None:
    app, kept = here(server)
    app = msgspec.structs.replace(app, issuer=elsewhere.origin)
    said = {"issuer": elsewhere.origin, "jwks_uri": f"{elsewhere.origin}/jwks"}
    elsewhere.on("/.well-known/openid-configuration", answers(200, said))
    elsewhere.on("/jwks", answers(200, KeySet([OTHER]).as_dict(private=False)))
    word = signed(claims(server, iss=elsewhere.origin), OTHER)
    assert person(app, kept.server, word, NONCE, now=time.time(), patience=QUICK) == "Practitioner/anna"
    assert server.to("GET", "/keys") == []


def test_an_issuer_that_calls_itself_otherwise_is_not_believed(server: BulkServer, elsewhere: BulkServer) -> None:
    app, kept = here(server)
    app = msgspec.structs.replace(app, issuer=elsewhere.origin)
    elsewhere.on("/.well-known/openid-configuration", answers(200, {"issuer": server.origin, "jwks_uri": "x"}))
    with pytest.raises(RemoteError, match="another name"):
        person(app, kept.server, "", NONCE, now=time.time(), patience=QUICK)


def test_a_server_that_names_no_issuer_cannot_say_who_signed_in(server: BulkServer) -> None:
    app, kept = here(server)
    nameless = msgspec.structs.replace(kept.server, issuer="")
    with pytest.raises(RemoteError, match="`issuer`"):
        person(app, nameless, signed(claims(server)), NONCE, now=time.time(), patience=QUICK)


def test_keys_are_not_fetched_over_an_open_line() -> None:
    open_line = Discovery("x", issuer="http://ehr.example.org", jwks_url="http://ehr.example.org/keys")
    with pytest.raises(SettingsError, match="https only"):
        person(APP, open_line, "", NONCE, now=0, patience=QUICK)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(word=st.one_of(st.text(max_size=80), st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode())))
def test_no_word_that_is_not_signed_is_believed(server: BulkServer, word: str) -> None:
    header, body, signature = signed(claims(server)).split(".")
    for token in (word, f"{word}.{body}.{signature}", f"{header}.{word}.{signature}", f"{header}.{body}.{word}"):
        with pytest.raises(RemoteError):
            known(server, token)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answer=st.dictionaries(
        st.sampled_from(["access_token", "expires_in", "scope", "patient", "encounter", "id_token", "appContext"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=5), max_size=3),
    )
)
def test_whatever_a_token_endpoint_answers_it_is_an_error_or_whole(server: BulkServer, answer: dict[str, Any]) -> None:
    server.acts.clear()
    gives(server, **answer)
    app, kept = here(server)
    try:
        found = returned(app, kept, "code", now=time.time(), patience=QUICK)
    except RemoteError:
        return
    assert found.token
    assert found.seconds > 0
    assert found.user == ""


# -- the next token


def test_a_token_is_renewed_with_what_came_with_it(server: BulkServer) -> None:
    app, kept = here(server)
    before = msgspec.structs.replace(BEFORE, user="Practitioner/anna")
    gives(server, refresh_token="r2", scope="patient/Patient.rs")  # noqa: S106
    after = renewed(app, kept.server, before, patience=QUICK)
    assert sent(server) == {"grant_type": "refresh_token", "refresh_token": "r1", "client_id": "endplate"}
    assert (after.token, after.refresh, after.user, after.patient) == ("a-token", "r2", "Practitioner/anna", "p1")
    assert after.scopes == ("patient/Patient.rs",)
    gives(server)
    assert renewed(app, kept.server, before, patience=QUICK).refresh == "r1"


def test_a_token_for_another_patient_is_not_taken(server: BulkServer) -> None:
    app, kept = here(server)
    gives(server, patient="p2")
    with pytest.raises(RemoteError, match="another patient"):
        renewed(app, kept.server, BEFORE, patience=QUICK)
