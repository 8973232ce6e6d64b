"""Fixtures of the workbench: a service without authentication on a day of its own, and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from functools import partial

import pytest
from fastapi import FastAPI
from peers.axe import built_axe
from peers.build import MissingError
from peers.lforms import browser as browser_path
from peers.listening import listening
from playwright.sync_api import Browser, sync_playwright
from starlette.testclient import TestClient
from workbench_kit import Seen, seen

from engine.evaluation import Evaluator
from engine.rules.load import load_ruleset
from engine.service.app import create_app
from engine.settings import Settings

TODAY = date(2026, 3, 1)


@pytest.fixture(scope="session")
def evaluator() -> Evaluator:
    return Evaluator(load_ruleset())


@pytest.fixture(scope="session")
def app(evaluator: Evaluator) -> FastAPI:
    return create_app(evaluator, Settings(max_body_bytes=2_000_000), dev=True, today=lambda: TODAY)


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[TestClient]:
    """Without a browser: pages as text."""
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def workbench(app: FastAPI) -> Iterator[str]:
    """The address of the service."""
    with listening(app) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of this machine. While it lives its thread has an event loop, and no test of other rooms can run one."""
    try:
        path = browser_path()
        built_axe()
    except MissingError as missing:
        pytest.skip(str(missing))
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def window(browser: Browser, workbench: str) -> Callable[[dict[str, int]], AbstractContextManager[Seen]]:
    """Opens a window of a size: `with window(PHONE) as shown: shown.open("/workbench")`."""
    return partial(seen, browser, workbench)
