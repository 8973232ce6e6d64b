"""Both backends on random programs and facts. With ENDPLATE_SOAK=1 (`make soak`) on many more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from house_alarm import HOUSE
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import facts, known, program, programs, reordered, seeded

from engine.inference.durable import DurableBackend
from engine.inference.plain import PlainBackend
from engine.inference.port import compare
from engine.rules.program import Conclusions, Program

pytestmark = pytest.mark.durable

SOAK = os.environ.get("ENDPLATE_SOAK") == "1"
LOTS, PROGRAMS = (300, 100) if SOAK else (1, 60)


def conclude(backend: PlainBackend | DurableBackend, values: dict[str, str]) -> tuple[Conclusions, Conclusions]:
    """The patient's conclusions, and those of one order."""
    patient = backend.infer(values).conclusions
    return patient, backend.infer({**values, **patient.values}, "order").conclusions


def lot(first: int, count: int) -> int:
    """Compare the backends on programs made from seeds; the number of evaluations."""
    evaluations = 0
    for seed in range(first, first + count):
        pick = seeded(seed)
        made = program(pick)
        plain, durable = PlainBackend(made), DurableBackend(made)
        for _ in range(20):
            values = known(pick, made)
            for ours, theirs in zip(conclude(plain, values), conclude(durable, values), strict=True):
                assert compare(ours, theirs) == (), f"seed {seed}, facts {values}"
                evaluations += 1
        assert durable.leftovers() == [], f"seed {seed}"
        durable.close()
    return evaluations


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_backends_agree_on_every_value_and_case(data: st.DataObject) -> None:
    made = data.draw(programs())
    plain, durable = PlainBackend(made), DurableBackend(made)
    for _ in range(3):
        values = data.draw(facts(made))
        assert conclude(plain, values) == conclude(durable, values)
    assert durable.leftovers() == []
    durable.close()


@pytest.mark.soak
@pytest.mark.parametrize("first", range(0, LOTS * PROGRAMS, PROGRAMS))
def test_the_backends_agree_on_many_programs(first: int) -> None:
    """In a process of its own: the engine never gives back the memory of a session."""
    code = f"from test_backends_agree import lot; print(lot({first}, {PROGRAMS}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == PROGRAMS * 40


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_order_of_facts_and_rules_never_matters(data: st.DataObject) -> None:
    made: Program = data.draw(programs())
    other = msgspec.structs.replace(
        made, patient=data.draw(reordered(made.patient)), order=data.draw(reordered(made.order))
    )
    values = data.draw(facts(made))
    shuffled = dict(data.draw(st.permutations(list(values.items()))))
    expected = conclude(PlainBackend(made), values)
    assert conclude(PlainBackend(other), shuffled) == expected
    for variant in (made, other):
        durable = DurableBackend(variant)
        assert conclude(durable, shuffled) == expected
        durable.close()


def test_the_backends_agree_on_every_state_of_the_house() -> None:
    plain, durable = PlainBackend(HOUSE), DurableBackend(HOUSE)
    states: list[dict[str, str]] = [{}]
    for fact, values in HOUSE.base.items():
        states = [{**state, fact: value} for state in states for value in values]
    assert len(states) == 324
    for state in states:
        known_only = {fact: value for fact, value in state.items() if value != "unknown"}
        assert conclude(plain, state) == conclude(durable, known_only) == conclude(plain, known_only)
