"""Memory of the service over many calls, with everything on: tokens, store, audit trail, pages.

With ENDPLATE_SOAK=1 (`make soak`) over 200,000 calls.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from requests_kit import bundle, condition, order, patient, request

SOAK = bool(os.environ.get("ENDPLATE_SOAK"))
CALLS = 200_000 if SOAK else 1_200
WARM = 20_000 if SOAK else 600
MOST_MB = 12  # of pages of the allocator, and of what SQLite caches
START_SECONDS = 90
SIGN = "/cds-services/endplate-order-sign"
ISSUER = "https://ehr.example.org"


@contextmanager
def serving(folder: Path, key: ECKey) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = {
        "CACHE": str(folder),
        "DATA": str(folder / "data"),
        "BACKEND": "plain",
        "TRUSTED_CLIENTS": json.dumps([{"iss": ISSUER, "jwks": KeySet([key]).as_dict(private=False)}]),
        "PUBLIC_URL": "https://cds.example.org",
        "PAGES_URL": "https://cds.example.org",
        "REQUESTS_PER_SECOND": "0",
    }
    environment = os.environ | {f"ENDPLATE_{name}": value for name, value in settings.items()}
    code = f"from engine.service.serve import serve; serve(port={port})"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.soak
def test_memory_is_flat_and_nothing_is_lost(tmp_path: Path) -> None:
    """Each call is about another patient; every third one has a finding, with a card and a page."""
    key = ECKey.generate_key("P-384", {"kid": "k"})

    def call(number: int) -> bytes:
        held = {"patient": patient(f"p{number}")}
        if number % 3 == 0:
            held["conditions"] = bundle(condition("91637004", "mg", subject={"reference": f"Patient/p{number}"}))
        drafts = bundle(order("a", subject={"reference": f"Patient/p{number}"}))
        context = {"patientId": f"p{number}", "draftOrders": drafts}
        return json.dumps(request("endplate-order-sign", prefetch=held, context=context)).encode()

    def token(number: int) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": f"https://cds.example.org{SIGN}", "iat": now, "exp": now + 60}
        return jwt.encode({"alg": "ES384", "kid": "k"}, claims | {"jti": str(number)}, key, ["ES384"])

    with serving(tmp_path, key) as (port, process):

        def send(first: int, last: int) -> int:
            cards = 0
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                for number in range(first, last):
                    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(number)}"}
                    connection.request("POST", SIGN, call(number), headers)
                    response = connection.getresponse()
                    answer = response.read()
                    assert response.status == 200, answer
                    cards += len(json.loads(answer)["cards"])
            return cards

        cards = send(0, WARM)
        before = process.memory_info().rss
        cards += send(WARM, CALLS)
        after = process.memory_info().rss

    assert (after - before) / 2**20 < MOST_MB
    assert cards == CALLS // 3
    audited = sum(len(file.read_bytes().splitlines()) for file in (tmp_path / "data/audit").iterdir())
    assert audited == CALLS
