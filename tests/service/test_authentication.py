"""Only clients that are trusted are heard, and nobody else learns why not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from pydantic import AnyHttpUrl
from requests_kit import bundle, condition, order, patient, request
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.service.auth import Authenticator, Used
from engine.service.keys import FRESH_SECONDS, REREAD_SECONDS, STALE_SECONDS
from engine.service.outcome import RefusalError
from engine.settings import Settings, TrustedClient
from engine.store import Store

ADDRESS = "https://cds.example.org"
EHR, OTHER = "https://ehr.example.org", "https://other.example.org"
PATH = "/cds-services/endplate-patient-view"


@cache
def key(name: str) -> Any:
    kinds: dict[str, Callable[[], Any]] = {
        "ec": lambda: ECKey.generate_key("P-384", {"kid": "ec"}),
        "rsa": lambda: RSAKey.generate_key(2048, {"kid": "rsa"}),
        "p256": lambda: ECKey.generate_key("P-256", {"kid": "p256"}),
        "stranger": lambda: ECKey.generate_key("P-384", {"kid": "ec"}),
        "new": lambda: ECKey.generate_key("P-384", {"kid": "new"}),
        "secret": lambda: OctKey.generate_key(256, {"kid": "ec"}),
    }
    return kinds[name]()


def public(*names: str) -> dict[str, Any]:
    return dict(KeySet([key(name) for name in names]).as_dict(private=False))


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {"iss": EHR, "aud": f"{ADDRESS}{PATH}", "iat": now, "exp": now + 300, "jti": f"{time.perf_counter_ns()}"}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(signed_by: str = "ec", alg: str = "ES384", header: dict[str, Any] | None = None, **changed: Any) -> str:
    headers = {"alg": alg, "kid": key(signed_by).kid, "typ": "JWT"} | (header or {})
    headers = {name: value for name, value in headers.items() if value is not None}
    return jwt.encode(headers, claims(**changed), key(signed_by), algorithms=[alg])


def trusting(*clients: TrustedClient, **fields: Any) -> Settings:
    usual = TrustedClient(iss=EHR, jwks=public("ec", "rsa", "p256"))
    return Settings(trusted_clients=clients or (usual,), public_url=ADDRESS, **fields)


def accepts(authenticator: Authenticator, given: str, path: str = PATH, scheme: str = "Bearer") -> bool:
    try:
        authenticator.check(f"{scheme} {given}", path)
    except RefusalError as refusal:
        assert (refusal.status, refusal.message) == (401, "not authorised")
        return False
    return True


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(trusting())


# -- who is heard


@pytest.mark.parametrize(("signed_by", "alg"), [("ec", "ES384"), ("rsa", "RS384"), ("rsa", "RS256"), ("p256", "ES256")])
def test_a_trusted_client_is_heard(authenticator: Authenticator, signed_by: str, alg: str) -> None:
    assert accepts(authenticator, token(signed_by, alg))
    assert accepts(authenticator, token(signed_by, alg), scheme="bearer")
    assert accepts(authenticator, token(signed_by, alg, aud=["x", f"{ADDRESS}{PATH}"]))


def test_clocks_may_differ_a_little(authenticator: Authenticator) -> None:
    now = time.time()

    assert accepts(authenticator, token(iat=now + 30, exp=now + 300))
    assert accepts(authenticator, token(iat=now - 400, exp=now - 30))


def test_each_endpoint_has_its_own_audience(authenticator: Authenticator) -> None:
    for path in ("/cds-services", PATH, f"{PATH}/feedback"):
        assert accepts(authenticator, token(aud=f"{ADDRESS}{path}"), path)
        assert not accepts(authenticator, token(aud=f"{ADDRESS}{path}"), "/cds-services/endplate-order-sign")


def test_a_tenant_must_be_the_one_that_is_agreed() -> None:
    authenticator = Authenticator(trusting(TrustedClient(iss=EHR, jwks=public("ec"), tenant="north")))

    assert accepts(authenticator, token(tenant="north"))
    assert not accepts(authenticator, token(tenant="south"))
    assert not accepts(authenticator, token())


# -- who is not


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": OTHER}, {"iss": None}, {"iss": 3}, {"aud": None}, {"aud": ADDRESS}, {"aud": f"{ADDRESS}{PATH}/"},
        {"aud": []}, {"exp": None}, {"exp": "tomorrow"}, {"exp": True}, {"iat": None}, {"jti": None}, {"jti": ""},
        {"jti": 3}, {"jti": "x" * 300}, {"exp": 1}, {"exp": 99999999999}, {"iat": 99999999999},
    ],
)  # fmt: skip
def test_a_claim_that_is_missing_or_wrong_is_refused(authenticator: Authenticator, changed: dict[str, Any]) -> None:
    assert not accepts(authenticator, token(**changed))


@pytest.mark.parametrize("given", ["", "x", "a.b", "a.b.c", "a.b.c.d.e", "....", "e30.e30.e30", "x" * 20_000, "é.é.é"])
def test_what_is_no_token_is_refused(authenticator: Authenticator, given: str) -> None:
    assert not accepts(authenticator, given)
    assert not accepts(authenticator, given, scheme="Basic")


def test_a_foreign_signature_a_changed_token_and_an_unknown_key_are_refused(authenticator: Authenticator) -> None:
    good = token()
    head, body, signature = good.split(".")
    other = token(aud="x").split(".")[1]

    assert not accepts(authenticator, token("stranger"))
    assert not accepts(authenticator, f"{head}.{other}.{signature}")
    assert not accepts(authenticator, f"{head}.{body}.{signature[:-4]}AAAA")
    assert not accepts(authenticator, f"{head}.{body}.")
    assert not accepts(authenticator, token("new"))
    assert not accepts(authenticator, token(header={"kid": "rsa"}))
    assert accepts(authenticator, good)


def test_hmac_and_none_are_refused(authenticator: Authenticator) -> None:
    forged = jwt.encode({"alg": "HS256", "kid": "ec"}, claims(), key("secret"), algorithms=["HS256"])
    head = "eyJhbGciOiJub25lIiwia2lkIjoiZWMifQ"

    assert not accepts(authenticator, forged)
    assert not accepts(authenticator, f"{head}.{forged.split('.')[1]}.")


def test_a_token_is_used_once(authenticator: Authenticator) -> None:
    given = token()

    assert accepts(authenticator, given)
    assert not accepts(authenticator, given)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 400), st.integers(0, 90)), max_size=40))
def test_a_used_token_is_known_until_it_expires(uses: list[tuple[int, int, int]]) -> None:
    """Against a plain list of all that was ever used; `uses`: which one, seconds that it holds, seconds that pass."""
    used, until, now = Used(), dict[str, int](), 1_000_000
    for number, holds, passes in uses:
        now += passes
        name = f"token {number}"
        known, first = until.get(name, 0) > now, used.first_time(name, now + holds, now)
        assert not (first and known)
        assert first or until[name] > now - 60  # it may be known for the rest of the minute
        if first:
            until[name] = now + holds


def test_where_too_many_tokens_are_remembered_none_is_accepted_until_some_expire() -> None:
    used = Used(most=2)
    assert used.first_time("a", 100, 0) and used.first_time("b", 400, 0)
    assert not used.first_time("c", 400, 1)
    assert used.first_time("c", 400, 130) and not used.first_time("b", 400, 131)


def test_the_same_jti_of_two_clients_is_two_tokens() -> None:
    second = TrustedClient(iss=OTHER, jwks=public("rsa"))
    authenticator = Authenticator(trusting(TrustedClient(iss=EHR, jwks=public("ec")), second))

    assert accepts(authenticator, token(jti="1"))
    assert accepts(authenticator, token("rsa", "RS384", iss=OTHER, jti="1"))
    assert not accepts(authenticator, token("rsa", "RS384", iss=EHR))  # a client signs for itself alone


def test_a_replaced_file_of_keys_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(public("ec")))
    authenticator = Authenticator(trusting(TrustedClient(iss=EHR, jwks_file=file)))
    assert not accepts(authenticator, token("rsa", "RS384"))

    file.write_text(json.dumps(public("new")))
    authenticator = Authenticator(trusting(TrustedClient(iss=EHR, jwks_file=file)))
    file.write_text(json.dumps(public("new", "rsa")))

    assert accepts(authenticator, token("rsa", "RS384"))


def test_a_file_of_keys_that_breaks_leaves_the_keys_that_were_read(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(public("ec")))
    authenticator = Authenticator(trusting(TrustedClient(iss=EHR, jwks_file=file)))
    file.write_text("{")

    assert not accepts(authenticator, token("rsa", "RS384"))
    assert accepts(authenticator, token())


def test_the_log_says_why_and_never_the_token(authenticator: Authenticator) -> None:
    given = token(exp=1)
    with capture_logs() as logs:
        accepts(authenticator, given)

    assert logs == [{"event": "refused", "log_level": "warning", "reason": "expired", "iss": EHR}]


# -- over HTTP


def test_every_service_needs_a_token_and_says_no_more_than_401(evaluator: Evaluator) -> None:
    app = create_app(evaluator, trusting())
    with TestClient(app) as client:
        refused = [
            client.get("/cds-services"),
            client.post(PATH, json=request()),
            client.post(f"{PATH}/feedback", json={}),
            client.post("/cds-services/unknown", json={}),
            client.post(PATH, json=request(), headers={"authorization": f"Bearer {token(exp=1)}"}),
        ]
        good = client.post(PATH, json=request(), headers={"authorization": f"Bearer {token()}"})
        open_to_all = client.get("/healthz")

    assert {response.status_code for response in refused} == {401}
    assert {response.json()["issue"][0]["diagnostics"] for response in refused} == {"not authorised"}
    assert {response.headers["www-authenticate"] for response in refused} == {"Bearer"}
    assert good.status_code == 200
    assert open_to_all.status_code == 200


def test_a_preflight_needs_no_token_and_only_listed_origins_are_allowed(evaluator: Evaluator) -> None:
    app = create_app(evaluator, trusting(cors_origins=("https://ehr.example.org",)))
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    with TestClient(app) as client:
        listed = client.options(PATH, headers=asked | {"origin": "https://ehr.example.org"})
        other = client.options(PATH, headers=asked | {"origin": "https://evil.example"})
        refused = client.get("/cds-services", headers={"origin": "https://ehr.example.org"})

    assert listed.status_code == 200
    assert listed.headers["access-control-allow-origin"] == "https://ehr.example.org"
    assert {"GET", "POST"} <= set(listed.headers["access-control-allow-methods"].split(", "))
    assert "access-control-allow-origin" not in other.headers
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://ehr.example.org"


def test_without_authentication_only_pages_of_this_machine_may_call(client: TestClient) -> None:
    def allowed(origin: str) -> bool:
        headers = {"origin": origin, "access-control-request-method": "POST"}
        return client.options(PATH, headers=headers).headers.get("access-control-allow-origin") == origin

    assert allowed("http://localhost:8080")
    assert allowed("http://127.0.0.1:3000")
    assert not allowed("https://evil.example")
    assert not allowed("http://localhost.evil.example")


# -- settings


def test_nobody_trusted_is_refused_with_what_to_set(evaluator: Evaluator) -> None:
    with pytest.raises(SettingsError, match=r"`ENDPLATE_TRUSTED_CLIENTS`.*`--dev`"):
        create_app(evaluator, Settings())


def test_tokens_need_the_address_of_the_service() -> None:
    with pytest.raises(SettingsError, match="`ENDPLATE_PUBLIC_URL`"):
        Authenticator(Settings(trusted_clients=(TrustedClient(iss=EHR, jwks=public("ec")),)))


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({}, "no keys"),
        ({"jwks": {}}, "no keys"),
        ({"jwks": {"keys": []}}, "no keys"),
        ({"jwks": {"keys": [{"kty": "EC"}]}}, "no keys"),
        ({"jwks": {"keys": "x"}}, "no keys"),
        ({"jwks_file": "/nowhere/jwks.json"}, "/nowhere/jwks.json"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "1"}]}}, "EC or RSA"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_at_the_start(keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        Authenticator(trusting(TrustedClient(iss=EHR, **keys)))


# -- keys at an address


class KeyServer:
    """A server of public keys over the network."""

    def __init__(self) -> None:
        self.keys = public("ec")
        self.status = 200
        self.body: bytes | None = None
        self.asked = 0

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        handler.send_response(self.status)
        if self.status == 302:
            handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        handler.wfile.write(json.dumps(self.keys).encode() if self.body is None else self.body)


@pytest.fixture
def served() -> Iterator[tuple[KeyServer, TrustedClient]]:
    keys = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield keys, TrustedClient(iss=EHR, jku=AnyHttpUrl(f"http://127.0.0.1:{server.server_port}/jwks"))
        server.shutdown()
        thread.join(5)


def test_keys_at_an_address_are_fetched_once_and_again_when_one_is_new(
    served: tuple[KeyServer, TrustedClient],
) -> None:
    keys, client = served
    shift = [0.0]
    authenticator = Authenticator(trusting(client), lambda: time.time() + shift[0])
    assert keys.asked == 0

    assert all(accepts(authenticator, token()) for _ in range(5))
    assert keys.asked == 1
    assert not accepts(authenticator, token("new"))
    assert keys.asked == 1  # not more often than every 30 seconds
    keys.keys = public("new")
    shift[0] = REREAD_SECONDS + 1
    assert accepts(authenticator, token("new"))
    assert not accepts(authenticator, token("ec"))  # it was taken away


def test_keys_that_are_old_are_read_again_and_hold_for_a_day_if_they_cannot(
    served: tuple[KeyServer, TrustedClient],
) -> None:
    keys, client = served
    shift = [0.0]
    authenticator = Authenticator(trusting(client), lambda: time.time() + shift[0])
    assert accepts(authenticator, token())
    keys.status = 500

    shift[0] = FRESH_SECONDS + 1
    assert accepts(authenticator, token(iat=int(time.time() + shift[0]), exp=int(time.time() + shift[0] + 300)))
    assert keys.asked == 2
    shift[0] = STALE_SECONDS + 1
    assert not accepts(authenticator, token(iat=int(time.time() + shift[0]), exp=int(time.time() + shift[0] + 300)))


@pytest.mark.parametrize(
    ("status", "body"),
    [(302, None), (500, None), (200, b"<html>"), (200, b"[" * 10_000), (200, b'{"keys": []}'), (200, b"x" * 300_000)],
)
def test_an_address_that_gives_no_keys_trusts_nobody(
    status: int, body: bytes | None, served: tuple[KeyServer, TrustedClient]
) -> None:
    keys, client = served
    keys.status, keys.body = status, body

    assert not accepts(Authenticator(trusting(client)), token())
    assert keys.asked == 1


def test_the_address_in_a_token_is_never_followed(served: tuple[KeyServer, TrustedClient]) -> None:
    keys, client = served
    authenticator = Authenticator(trusting(client))

    assert accepts(authenticator, token(header={"jku": str(client.jku)}))
    assert not accepts(authenticator, token(header={"jku": f"{client.jku}/other"}))
    configured = Authenticator(trusting())
    before = keys.asked
    accepts(configured, token(header={"jku": str(client.jku)}))
    assert keys.asked == before


@pytest.mark.parametrize("jku", ["http://ehr.example.org/jwks", "http://10.0.0.1/jwks"])
def test_keys_are_not_fetched_in_clear(jku: str) -> None:
    with pytest.raises(SettingsError, match="https"):
        Authenticator(trusting(TrustedClient(iss=EHR, jku=AnyHttpUrl(jku))))


def test_keys_are_given_in_one_way() -> None:
    with pytest.raises(SettingsError, match="twice"):
        Authenticator(trusting(TrustedClient(iss=EHR, jwks=public("ec"), jku=AnyHttpUrl("https://ehr.example.org/k"))))


def test_a_token_is_used_once_over_several_processes() -> None:
    store = Store()
    first, second = (Authenticator(trusting(workers=2), first_time=store.first_time) for _ in range(2))
    one = token()

    assert accepts(first, one)
    assert not accepts(second, one)


def test_a_shared_store_that_fails_is_a_service_that_is_not_ready_and_no_fault(evaluator: Evaluator) -> None:
    store = Store()
    app = create_app(evaluator, trusting(workers=2), store=store)
    client = TestClient(app, raise_server_exceptions=False)
    with store.database.write() as connection:
        connection.exec_driver_sql("drop table used")

    answers = [
        client.get("/cds-services", headers={"Authorization": f"Bearer {token(aud=f'{ADDRESS}/cds-services')}"}),
        client.post(PATH, json={}, headers={"Authorization": f"Bearer {token()}"}),
        client.get("/fhir/PlanDefinition", headers={"Authorization": f"Bearer {token(aud=f'{ADDRESS}/fhir')}"}),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "transient")
        assert answer.json()["issue"][0]["diagnostics"] == "tokens cannot be checked now: ask again"
    assert 'endplate_failures_total{part="store"} 3.0' in client.get("/metrics").text


def test_clients_do_not_hear_of_each_others_cards(evaluator: Evaluator) -> None:
    """Feedback of one client on the card of another silences nothing."""
    other = TrustedClient(iss=OTHER, jwks=public("p256"))
    settings = trusting(TrustedClient(iss=EHR, jwks=public("ec")), other)
    client = TestClient(create_app(evaluator, settings))
    held = {"patient": patient(), "conditions": bundle(condition("91637004", "mg"), condition("86044005", "als"))}
    held["medications"] = bundle(order("q", "quinine", status="active"))
    body = request(prefetch=held, context={"encounterId": "e"})

    def call(path: str, content: object, signed_by: str = "ec", **changed: Any) -> Any:
        alg = "ES384" if signed_by == "ec" else "ES256"
        given = token(signed_by, alg, aud=f"{ADDRESS}{path}", **changed)
        return client.post(path, json=content, headers={"Authorization": f"Bearer {given}"})

    cards = call(PATH, body).json()["cards"]
    spoken = {"feedback": [{"card": card["uuid"], "outcome": "overridden"} for card in cards]}
    assert call(f"{PATH}/feedback", spoken, "p256", iss=OTHER).status_code == 200
    assert call(PATH, body).json()["cards"] == cards
    assert call(f"{PATH}/feedback", spoken).status_code == 200
    assert len(call(PATH, body).json()["cards"]) < len(cards)
