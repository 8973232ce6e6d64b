"""Fixtures of the peers: real servers that tests start. Without what they need a test is skipped and says why."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeVar

import pytest
from peers.build import MissingError, cache
from peers.camel import Camel, own_camel
from peers.hapi import Hapi, own_hapi, shared_hapi
from peers.postgres import Postgres, own_postgres
from peers.server import Server
from peers.token_endpoint import TokenEndpoint, shared_endpoint

T = TypeVar("T")

LINGER = float(os.environ.get("ENDPLATE_PEERS_LINGER", "0"))  # seconds for which servers wait for a next run


def _entered(stack: ExitStack, peer: AbstractContextManager[T]) -> T:
    try:
        return stack.enter_context(peer)
    except MissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def peers_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the servers that are shared: by the workers of this run, or, if they linger, by all runs."""
    if LINGER:
        return cache() / "run"
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "peers"


@pytest.fixture(scope="session")
def hapi(peers_run: Path) -> Iterator[Hapi]:
    """HAPI FHIR R4, shared."""
    with ExitStack() as stack:
        yield _entered(stack, shared_hapi(peers_run, linger=LINGER))


@pytest.fixture(scope="session")
def hapi_r5(peers_run: Path) -> Iterator[Hapi]:
    """HAPI FHIR R5, shared."""
    with ExitStack() as stack:
        yield _entered(stack, shared_hapi(peers_run, version="r5", linger=LINGER))


@pytest.fixture(scope="session")
def token_endpoint(peers_run: Path) -> Iterator[TokenEndpoint]:
    """The token endpoint whose tokens `hapi.guarded` takes, shared."""
    with ExitStack() as stack:
        yield _entered(stack, shared_endpoint(peers_run, linger=LINGER))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL cluster of this worker: make a database for each test."""
    with ExitStack() as stack:
        yield _entered(stack, own_postgres())


@pytest.fixture
def new_hapi(peers_run: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Hapi, Server]]]:
    """Starts a HAPI of this test alone, with options, which it may kill; `new_hapi(*options, version="r4")`."""
    numbers = itertools.count()
    with ExitStack() as stack:
        yield lambda *options, version="r4": _entered(
            stack, own_hapi(tmp_path / f"hapi-{next(numbers)}", peers_run, *options, version=version)
        )


@pytest.fixture
def new_postgres() -> Iterator[Callable[..., Postgres]]:
    """Starts a PostgreSQL cluster of this test alone, which it may kill; `new_postgres(*settings)`."""
    with ExitStack() as stack:
        yield lambda *settings: _entered(stack, own_postgres(*settings))


@pytest.fixture
def new_camel(tmp_path: Path) -> Iterator[Callable[..., Camel]]:
    """Starts an integration engine; `new_camel(fhir=..., sink=..., query="")`, see own_camel."""
    numbers = itertools.count()
    with ExitStack() as stack:
        yield lambda **places: _entered(stack, own_camel(tmp_path / f"camel-{next(numbers)}", **places))
