"""A server for a test, and another one that it may point to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bulk_server import BulkServer, serving


@pytest.fixture
def server() -> Iterator[BulkServer]:
    with serving() as bulk:
        yield bulk


@pytest.fixture
def elsewhere() -> Iterator[BulkServer]:
    with serving() as bulk:
        yield bulk
