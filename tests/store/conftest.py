"""The three databases that every test of the store runs on, each empty."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.store import Database, Store, schema

Place = Path | str | None
PLACES = ("sqlite file", "sqlite memory", "postgresql")
LASTING = ("sqlite file", "postgresql")  # what several processes share


def _place(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    if kind != "postgresql":
        yield folder / "store.sqlite" if kind == "sqlite file" else None
        return
    server, name = request.getfixturevalue("postgres"), f"store_{uuid.uuid4().hex}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database of each kind."""
    yield from _place(request.param, request, tmp_path)


@pytest.fixture(params=LASTING)
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """An empty database of each kind that outlives a connection."""
    for one in _place(request.param, request, tmp_path):
        assert one is not None
        yield one


@pytest.fixture
def on_postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database in PostgreSQL."""
    for one in _place("postgresql", request, tmp_path):
        yield str(one)


@pytest.fixture
def opened() -> Iterator[Any]:
    """Makes stores and databases, and closes them at the end: `opened(Store, place)`."""
    made: list[Store | Database] = []

    def one(kind: type[Store] | type[Database], place: Place, **options: Any) -> Any:
        made.append(kind(place, **options))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def store(place: Place, opened: Any) -> Store:
    found: Store = opened(Store, place)
    return found


@pytest.fixture
def database(place: Place, opened: Any) -> Database:
    """With its tables."""
    found: Database = opened(Database, place)
    schema.upgrade(found)
    return found
