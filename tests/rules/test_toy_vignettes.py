"""The made-up ruleset does what its own vignettes say, so that tests of other rooms may lean on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.evaluation import Evaluator
from engine.rules.load import load_ruleset
from engine.vignettes import cases_in, run

TOY = Path(__file__).parents[1] / "rulesets/toy"
OUTCOMES = {outcome.id: outcome for outcome in run(Evaluator(load_ruleset(TOY)), cases_in(TOY))}


@pytest.mark.parametrize("name", ["T1", "T2", "T3", "T4"])
def test_a_vignette_of_the_made_up_ruleset_passes(name):
    assert not OUTCOMES[name].wrong
