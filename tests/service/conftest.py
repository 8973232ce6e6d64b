"""The service without authentication, on a day that a test may set; hook requests made of vignettes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from requests_kit import Day
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.rules.load import load_ruleset
from engine.service.app import create_app
from engine.service.feedback import Feedback
from engine.settings import Settings


@pytest.fixture(scope="session")
def evaluator() -> Evaluator:
    return Evaluator(load_ruleset())


@pytest.fixture(scope="session")
def day() -> Day:
    return Day()


@pytest.fixture(scope="session")
def kept() -> list[Feedback]:
    return []


@pytest.fixture(scope="session")
def app(evaluator: Evaluator, day: Day, kept: list[Feedback]) -> FastAPI:
    settings = Settings(max_body_bytes=2_000_000, check_output=True)
    return create_app(evaluator, settings, dev=True, today=day, keep=kept.extend)


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
