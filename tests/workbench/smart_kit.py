"""A workbench that is opened from an EHR, who opens it, and EHRs that go wrong."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import uvicorn
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from peers.server import free_port
from peers.token_endpoint import PLAIN, Person, TokenEndpoint

from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.service.audit import Audit
from engine.settings import Settings
from engine.store import Store

Json = dict[str, Any]
KEY = ECKey.generate_key("P-384", {"kid": "k"})
CDS = {"iss": "https://ehr.example.org", "jwks": KeySet([KEY]).as_dict(private=False)}
COOKIE = "endplate"


@cache
def new_store() -> bytes:
    """The file of a store that holds nothing yet: its migrations run once for all desks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"
        Store(path).close()
        return path.read_bytes()


class Clock:
    """The time of this machine, and what a test has it ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Desk:
    """A workbench on a port of its own, with authentication, for users of the servers that a test adds."""

    def __init__(self, evaluator: Evaluator, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.back = f"{self.url}/smart/callback"
        self.clock = Clock()
        self.folder = folder
        self.browsers: list[httpx2.Client] = []
        self._evaluator = evaluator
        self.app: FastAPI

    @contextmanager
    def serving(self, *servers: Json, **more: Any) -> Iterator[Desk]:
        settings = Settings(
            public_url=self.url, pages_url=self.url, trusted_clients=[CDS], smart_servers=list(servers),
            data=self.folder, timezone="UTC", **more,
        )  # fmt: skip
        place = self.folder / "store.sqlite"
        if not place.exists():
            place.write_bytes(new_store())
        self.app = create_app(
            self._evaluator, settings, now=self.clock, store=Store(place),
            audit=Audit(self.folder / "audit"),
        )  # fmt: skip
        running = uvicorn.Server(uvicorn.Config(self.app, port=self.port, log_config=None, access_log=False))
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not running.started and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield self
        finally:
            for browser in self.browsers:
                browser.close()
            running.should_exit = True
            thread.join(20)
            self.app.state.service.close()

    def call(self, service: str, body: Json) -> Json:
        """The answer to a call of CDS Hooks."""
        now, address = int(time.time()), f"{self.url}/cds-services/{service}"
        claims = {"iss": CDS["iss"], "aud": address, "iat": now, "exp": now + 200, "jti": str(time.time_ns())}
        token = jwt.encode({"alg": "ES384", "kid": "k", "typ": "JWT"}, claims, KEY, ["ES384"])
        response = httpx2.post(address, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def audited(self) -> list[Json]:
        """What the trail says of signing in and out, in order."""
        self.app.state.service.flush()
        files = sorted((self.folder / "audit").glob("*.ndjson"))
        events = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
        return [one for one in events if one["subtype"][0]["code"].startswith("smart-")]


class Visitor:
    """Somebody with a browser: it keeps cookies, and follows redirects where a test lets it."""

    def __init__(self, desk: Desk, person: Person | None = None) -> None:
        self.desk = desk
        self.person = person or Person()
        self.browser = httpx2.Client(follow_redirects=False, trust_env=False, timeout=60, verify=PLAIN)
        desk.browsers.append(self.browser)

    def get(self, path: str) -> httpx2.Response:
        return self.browser.get(self.desk.url + path)

    def leave(self, iss: str = "", launch: str = "", server: str = "") -> str:
        """From an EHR, or from our page: the address at which to sign in."""
        query = {"server": server} if server else {"iss": iss, "launch": launch}
        response = self.browser.get(f"{self.desk.url}/smart/{'start' if server else 'launch'}", params=query)
        assert response.status_code == 303, response.text
        return response.headers["location"]

    def sign_in(self, iss: str = "", launch: str = "", server: str = "") -> httpx2.Response:
        """All of it: the answer of the workbench to who comes back."""
        return self.browser.get(self.person.answer(self.browser, self.leave(iss, launch, server)))

    @property
    def secret(self) -> str:
        """The cookie of the session; "" if there is none."""
        return next((cookie.value or "" for cookie in self.browser.cookies.jar if cookie.name == COOKIE), "")

    @property
    def signed_in(self) -> bool:
        """Whether the workbench lets them in."""
        response = self.get("/workbench")
        assert response.status_code == 200 or response.headers["location"] == "/smart"
        return response.status_code == 200


def asked(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query))


class OddEhr:
    """A FHIR server whose users sign in at `endpoint`, or at itself; `acts` say what is at which path instead."""

    def __init__(self, endpoint: TokenEndpoint, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.base = f"{self.url}/fhir"
        self.paths: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.acts: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.said: Json = {
            "issuer": endpoint.issuer,
            "jwks_uri": f"{endpoint.issuer}/jwks",
            "authorization_endpoint": f"{endpoint.issuer}/auth",
            "token_endpoint": endpoint.address,
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["permission-v2", "sso-openid-connect"],
        }

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.paths.append(path)
        self.forms.append({name: one[0] for name, one in parse_qs(body.decode()).items()})
        if path in self.acts:
            self.acts[path](handler)
        elif path == "/fhir/.well-known/smart-configuration":
            gives(200, self.said)(handler)
        else:
            gives(404)(handler)


def gives(status: int, content: Json | bytes = b"") -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that is always the same."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return act


def late(seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """No answer, for long."""
    return lambda _: time.sleep(seconds)


@contextmanager
def odd_ehr(endpoint: TokenEndpoint) -> Iterator[OddEhr]:
    """A server that runs."""
    held: list[OddEhr] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            held[0].answer(self)

        do_POST = do_GET  # noqa: N815 - a name of the library

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        held.append(OddEhr(endpoint, server.server_port))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield held[0]
        server.shutdown()
