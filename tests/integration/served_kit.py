"""`endplate serve` as a process of its own, set up by the environment alone; it may be killed and started again."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from peers.server import Server, free_port
from sqlalchemy import func, select

from engine.store import Database
from engine.store.tables import delivery, work

Json = dict[str, Any]
ISSUER = "https://engine.example.org"
KEY = ECKey.generate_key("P-384", {"kid": "k"})
SECRET = "a secret of the source"  # noqa: S105
SECRET_HEADER = "X-Endplate-Secret"  # noqa: S105
CLIENT = httpx2.Client(timeout=30, trust_env=False)  # making one takes longer than most answers
PROGRAM = [sys.executable, "-c", "from engine.cli import main; main()"]


class Served:
    """`database` is an address; without one, the store is a file in `folder`. `dev`: without authentication, and in
    memory. `settings` are those of the program."""

    def __init__(
        self, folder: Path, database: str = "", port: int = 0, *, dev: bool = False, **settings: object
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.place: Path | str = database or folder / "endplate.sqlite"
        usual: Json = {
            "data": folder,
            "public_url": self.url,
            "trusted_clients": [{"iss": ISSUER, "jwks": KeySet([KEY]).as_dict(private=False)}],
            "sources": [{"name": "ehr", "secret": SECRET}],
            "backend": "plain",
            "audit": "false",
            "timezone": "UTC",
            "requests_per_second": 0,
            **({"database": database} if database else {}),
        }
        self.settings = {f"ENDPLATE_{name.upper()}": text(value) for name, value in (usual | settings).items()}
        given = [f"{name}={value}" for name, value in self.settings.items()]
        command = ["env", *given, *PROGRAM, "serve", "--port", str(self.port), *(["--dev"] if dev else [])]
        self.server = Server(command, folder, probe=self.answers)

    def answers(self) -> bool:
        """Asked often while it starts, so without a client whose making costs what the start needs."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def headers(self, audience: str) -> dict[str, str]:
        """Of a client that is trusted."""
        now, once = int(time.time()), str(time.time_ns())
        claims = {"iss": ISSUER, "aud": f"{self.url}{audience}", "iat": now, "exp": now + 200, "jti": once}
        token = jwt.encode({"alg": "ES384", "kid": "k", "typ": "JWT"}, claims, KEY, ["ES384"])
        return {"Authorization": f"Bearer {token}"}

    def subscribe(self, resource: Json) -> str:
        """The id of a Subscription to our topic."""
        headers = self.headers("/fhir") | {"Content-Type": "application/fhir+json"}
        response = CLIENT.post(f"{self.url}/fhir/Subscription", json=resource, headers=headers)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def get(self, path: str) -> Json:
        response = CLIENT.get(f"{self.url}/fhir/{path}", headers=self.headers("/fhir"))
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def tell(self, resource: Json) -> None:
        """As a source does."""
        headers = {SECRET_HEADER: SECRET, "Content-Type": "application/fhir+json"}
        response = CLIENT.post(f"{self.url}/fhir-hook", json=resource, headers=headers)
        assert response.status_code == 200, response.text


def text(value: object) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def waiting(database: Database) -> tuple[int, int]:
    """Patients to be decided on, letters to be delivered."""
    with database.read() as connection:
        patients = connection.execute(select(func.count()).select_from(work)).scalar_one()
        pending = select(func.count()).select_from(delivery).where(delivery.c.state == "pending")
        return patients, connection.execute(pending).scalar_one()


def claimed(database: Database) -> tuple[int, int]:
    """Patients and letters that a process has taken, dead or alive."""
    with database.read() as connection:
        patients = select(func.count()).select_from(work).where(work.c.claimed_by != "")
        letters = select(func.count()).select_from(delivery).where(delivery.c.claimed_by != "")
        return connection.execute(patients).scalar_one(), connection.execute(letters).scalar_one()


def comes(what: Callable[[], object], seconds: float = 60, every: float = 0.05) -> bool:
    """Whether something is so before long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(every)
    return False


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Served]:
    """It serves until the block ends. Options are those of Served."""
    served = Served(folder, **options)
    try:
        served.server.start(90)
        yield served
    finally:
        served.server.stop()
