"""The databases that every test of the integration runs on, each empty, and the rules."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.evaluation import Evaluator
from engine.rules.load import load_ruleset
from engine.store import Database, schema

PLACES = ("sqlite file", "postgresql")


@pytest.fixture(scope="session")
def evaluator() -> Evaluator:
    return Evaluator(load_ruleset())


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """An empty database of each kind."""
    if request.param != "postgresql":
        yield tmp_path / "store.sqlite"
        return
    server, name = request.getfixturevalue("postgres"), f"integration_{uuid.uuid4().hex}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    """With its tables."""
    database = Database(place)
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def memory() -> Iterator[Database]:
    """In memory, with its tables: for what is not about the database."""
    database = Database()
    schema.upgrade(database)
    yield database
    database.close()
