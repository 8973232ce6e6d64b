"""Every vignette of the bundled ruleset, evaluated once: what the outputs are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from engine.evaluation import Evaluator
from engine.model.finding import Evaluation
from engine.rules.files import bundled
from engine.rules.info import RuleInfo
from engine.rules.load import load_ruleset
from engine.vignettes import cases_in, evaluate


@pytest.fixture(scope="session")
def evaluator() -> Evaluator:
    return Evaluator(load_ruleset())


@pytest.fixture(scope="session")
def info(evaluator: Evaluator) -> Mapping[str, RuleInfo]:
    return evaluator.ruleset.info


@pytest.fixture(scope="session")
def evaluations(evaluator: Evaluator) -> Sequence[Evaluation]:
    return [evaluate(evaluator, case) for case, _ in cases_in(bundled())]
