"""Fixtures and rules for all tests: what is left out is listed, and in continuous integration it fails."""

from __future__ import annotations

import os
import socketserver
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import errors
from engine.inference.backends import available

pytest_plugins = ["peers.fixtures"]

ROOT = Path(__file__).resolve().parent.parent
NO_DURABLE = "durable-rules is not installed"
_DEFECT = errors.defect


def pytest_configure(config: pytest.Config) -> None:
    errors.defect = _raised  # a defect costs its part in use, and a test here
    socketserver.TCPServer.request_queue_size = 128  # five callers at once are what Python's own servers let wait
    config.addinivalue_line("markers", "soak: has a long form, with ENDPLATE_SOAK=1")
    config.addinivalue_line("markers", "durable: needs durable-rules")


def _raised(error: Exception) -> str:
    raise error


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: there is always a test that waits for a server."""
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "durable" not in available():
        for item in items:
            if item.get_closest_marker("durable"):
                item.add_marker(pytest.mark.skip(reason=NO_DURABLE))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """With ENDPLATE_CI set nothing may be left out: a skipped test fails and says why."""
    report = yield
    if os.environ.get("ENDPLATE_CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out in continuous integration: {report.longrepr}"
    return report


@pytest.fixture
def contained(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Defects of our own are told, as in use, and not raised as in all other tests."""
    monkeypatch.setattr(errors, "defect", _DEFECT)
    return monkeypatch


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material (ENDPLATE_SHARED, else ../shared); a test that needs it is skipped without."""
    folder = Path(os.environ.get("ENDPLATE_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the shared folder")
    return folder
