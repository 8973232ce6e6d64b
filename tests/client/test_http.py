"""Calls to other servers stay within their bounds: origins, tokens, redirects, bytes, time, attempts."""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest
from bulk_server import BulkServer, answers, cut, drip, serving
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.client.http import Http, Patience, StrangeError, origin, parsed, retry_after
from engine.errors import InputError, RemoteError

QUICK = Patience(attempts=3, first=0.01, most=2.0, connect=2.0, read=2.0, answer=1.0)


class Tokens:
    """Tokens in a row: a new one when the last one was refused."""

    def __init__(self) -> None:
        self.number = 1

    def token(self, refused: str = "") -> str:
        if refused == f"token-{self.number}":
            self.number += 1
        return f"token-{self.number}"


@contextmanager
def calling(*servers: BulkServer, trusted: bool = True, patience: Patience = QUICK) -> Iterator[Http]:
    with Http(
        [server.base for server in servers],
        tokens=Tokens(),
        trusted=[servers[0].base] if trusted else [],
        patience=patience,
    ) as http:
        yield http


# -- tokens and origins


def test_the_token_goes_to_the_trusted_origin_alone(server: BulkServer, elsewhere: BulkServer) -> None:
    with calling(server, elsewhere) as http:
        http.call("GET", f"{server.base}/a")
        http.call("GET", f"{elsewhere.base}/b")
        http.call("GET", f"{server.base}/c", token=False)
    assert [one.token for one in server.asked] == ["token-1", ""]
    assert [one.token for one in elsewhere.asked] == [""]


def test_a_redirect_to_a_listed_origin_is_followed_without_the_token(server: BulkServer, elsewhere: BulkServer) -> None:
    server.on("/a", answers(307, Location="/b"))
    server.on("/b", answers(302, Location=f"{elsewhere.origin}/c"))
    elsewhere.on("/c", answers(200, b"here"))
    with calling(server, elsewhere) as http:
        assert http.call("GET", f"{server.origin}/a").body == b"here"
    assert [one.token for one in server.asked] == ["token-1", "token-1"]
    assert [one.token for one in elsewhere.asked] == [""]


def test_a_redirect_to_another_origin_is_not_followed(server: BulkServer, elsewhere: BulkServer) -> None:
    server.on("/a", answers(302, Location=f"{elsewhere.origin}/secret/Patient/1"))
    with calling(server) as http, pytest.raises(StrangeError) as refused:
        http.call("GET", f"{server.origin}/a")
    assert elsewhere.asked == []
    assert refused.value.origin == elsewhere.origin
    assert "secret" not in str(refused.value)


def test_a_redirect_of_something_that_changes_data_is_not_followed(server: BulkServer) -> None:
    server.on("/a", answers(307, Location="/b"))
    with calling(server) as http, pytest.raises(RemoteError, match="sent a redirect"):
        http.call("POST", f"{server.origin}/a", content=b"{}")
    assert len(server.asked) == 1


def test_redirects_without_end_end(server: BulkServer) -> None:
    server.on("/a", *[answers(302, Location="/a")] * 50)
    with calling(server) as http, pytest.raises(RemoteError, match="sent a redirect"):
        http.call("GET", f"{server.origin}/a")
    assert len(server.asked) == 6


def test_another_origin_is_not_called(server: BulkServer, elsewhere: BulkServer) -> None:
    with calling(server) as http, pytest.raises(StrangeError, match="not among the servers"):
        http.call("GET", elsewhere.base)
    assert elsewhere.asked == []


def test_a_refused_token_is_replaced_once(server: BulkServer) -> None:
    server.on("/a", answers(401), answers(200, b"now"))
    server.on("/b", answers(401), answers(401))
    with calling(server) as http:
        assert http.call("GET", f"{server.origin}/a").body == b"now"
        assert http.call("GET", f"{server.origin}/b").status == 401
    assert [one.token for one in server.asked] == ["token-1", "token-2", "token-2", "token-3"]


def test_a_token_is_not_sent_over_an_open_line() -> None:
    with pytest.raises(InputError, match="over https only"):
        Http(["http://ehr.example.org/fhir"], tokens=Tokens(), trusted=["http://ehr.example.org/fhir"])
    with Http(["http://ehr.example.org/fhir"]):
        pass


def test_cookies_are_not_kept(server: BulkServer) -> None:
    server.on("/a", answers(200, Set_Cookie="session=1; Path=/"))
    with calling(server) as http:
        http.call("GET", f"{server.origin}/a")
        http.call("GET", f"{server.origin}/b")
    assert "cookie" not in server.asked[1].headers


# -- patience


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: BulkServer, status: int) -> None:
    server.on("/a", answers(status), answers(status), answers(200, b"now"))
    with calling(server) as http:
        assert http.call("GET", f"{server.origin}/a").body == b"now"
    assert len(server.asked) == 3


def test_a_busy_server_is_given_up_after_some_attempts(server: BulkServer) -> None:
    server.on("/a", *[answers(503)] * 9)
    with calling(server) as http, pytest.raises(RemoteError, match="answers 503"):
        http.call("GET", f"{server.origin}/a")
    assert len(server.asked) == 3


def test_it_is_asked_when_it_said(server: BulkServer) -> None:
    server.on("/a", answers(429, Retry_After="1"), answers(200, b"now"))
    begun = time.monotonic()
    with calling(server) as http:
        assert http.call("GET", f"{server.origin}/a").body == b"now"
    assert time.monotonic() - begun >= 1.0


def test_nobody_waits_for_hours(server: BulkServer) -> None:
    server.on("/a", answers(503, Retry_After="7200"))
    with calling(server) as http, pytest.raises(RemoteError, match="asks to come back after 7200 s"):
        http.call("GET", f"{server.origin}/a")
    assert len(server.asked) == 1


def test_what_may_have_been_done_is_not_done_again(server: BulkServer) -> None:
    server.on("/a", answers(504), answers(200))
    server.on("/b", answers(503), answers(200))
    with calling(server) as http:
        with pytest.raises(RemoteError, match="answers 504"):
            http.call("POST", f"{server.origin}/a")
        assert http.call("POST", f"{server.origin}/b").status == 200
    assert len(server.to("POST", "/a")) == 1
    assert len(server.to("POST", "/b")) == 2


def test_an_answer_that_breaks_off_is_asked_for_again(server: BulkServer) -> None:
    server.files["Patient.1"] = b"0123456789"
    server.on("/file/Patient.1", cut(0.5))
    with calling(server) as http:
        assert http.call("GET", server.link("Patient.1")).body == b"0123456789"
    assert len(server.asked) == 2


def test_a_server_that_is_not_there_is_named_by_its_origin(server: BulkServer) -> None:
    with Http(["http://127.0.0.1:9/fhir"], patience=QUICK) as http, pytest.raises(RemoteError) as failed:
        http.call("GET", "http://127.0.0.1:9/fhir/Patient/secret")
    assert str(failed.value) == "`http://127.0.0.1:9` does not answer (ConnectError)"


# -- bounds


def test_too_large_an_answer_is_not_read(server: BulkServer) -> None:
    server.on("/a", answers(200, b" " * 3_000_000))
    with calling(server) as http, pytest.raises(RemoteError, match="more than 1 MiB"):
        http.call("GET", f"{server.origin}/a", largest=2**20)


def test_too_slow_an_answer_is_not_read(server: BulkServer) -> None:
    server.on("/a", drip)
    begun = time.monotonic()
    with calling(server) as http, pytest.raises(RemoteError, match="too slowly"):
        http.call("GET", f"{server.origin}/a")
    assert time.monotonic() - begun < 3


def test_what_is_no_json_is_said_without_its_content(server: BulkServer) -> None:
    server.on("/a", answers(200, b"<html>Jane Doe</html>"))
    with calling(server) as http, pytest.raises(RemoteError, match="no JSON") as failed:
        http.call("GET", f"{server.origin}/a").json()
    assert "Jane" not in str(failed.value)


# -- the line


def test_a_server_that_cannot_prove_who_it_is_is_not_spoken_to(tmp_path: Path) -> None:
    """A certificate that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    certificate = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with serving(context) as server:
        base = server.base.replace("http:", "https:")
        http = Http([base], tokens=Tokens(), trusted=[base], patience=QUICK)
        with http, pytest.raises(RemoteError, match=r"does not answer \(ConnectError\)"):
            http.call("GET", base)
        assert server.asked == []


# -- addresses and headers


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://a/b",
        "https://",
        "https://u:p@host/x",
        "https://host\\@other/x",
        "javascript:1",
        "https://h/" + "x" * 9000,
        "//host/x",
        "https://[::1/x",
        "https://host:x/",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(RemoteError, match="none that can be called"):
        parsed(url)


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("https://EHR.example.org:443/fhir?x#y") == "https://ehr.example.org"
    assert origin("http://ehr.example.org:8080/fhir") == "http://ehr.example.org:8080"
    assert origin("http://[::1]:8080/fhir") == "http://[::1]:8080"
    assert origin("https://ehr.example.org") != origin("http://ehr.example.org")


def test_a_pause_is_seconds_or_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    assert retry_after("120") == 120.0
    assert 80 < (retry_after(format_datetime(soon, usegmt=True)) or 0) <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert [retry_after(odd) for odd in ("", "soon", "-1", "1e9", "٣", "9" * 12)] == [None] * 6


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_header_is_a_pause_or_none(value: str) -> None:
    found = retry_after(value)
    assert found is None or found >= 0


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="htps:/@\\.[]?#%0aé", max_size=40))
def test_any_link_stays_an_http_address_or_is_refused(link: str) -> None:
    base = httpx2.URL("https://ehr.example.org/fhir/job/1")
    try:
        found = parsed(link, base)
    except RemoteError:
        return
    assert found.scheme in ("http", "https")
    assert found.host
    assert not found.userinfo
    assert origin(str(found)).startswith(f"{found.scheme}://")
