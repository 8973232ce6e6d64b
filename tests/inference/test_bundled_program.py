"""Both backends on the program that comes with Endplate, with made-up facts."""

from __future__ import annotations

import random

import pytest

from engine.inference.backends import Both, make_backend
from engine.inference.network import build
from engine.inference.plain import PlainBackend
from engine.rules.load import load_ruleset
from engine.rules.program import Issue, Program

pytestmark = pytest.mark.durable


@pytest.fixture(scope="module")
def program() -> Program:
    return load_ruleset().program


@pytest.fixture(scope="module")
def both(program: Program) -> Both:
    backend = make_backend("both", program)
    assert isinstance(backend, Both)
    return backend


def made_up(program: Program, seed: int) -> dict[str, str]:
    chance = random.Random(seed)
    density = chance.choice([0.05, 0.2, 0.5, 0.95])
    known = [fact for fact in program.base if chance.random() < density]
    return {fact: chance.choice([value for value in program.base[fact] if value != "unknown"]) for fact in known}


def test_the_backends_agree_on_patients_and_orders(program: Program, both: Both) -> None:
    fired = set()
    for seed in range(600):
        values = made_up(program, seed)
        patient = both.infer(values)
        assert (patient.disagreements, patient.notes) == ((), ())
        order = both.infer({**values, **patient.conclusions.values}, "order")
        assert (order.disagreements, order.notes) == ((), ())
        concluded = {**patient.conclusions.values, **order.conclusions.values}
        fired |= {name for name, value in concluded.items() if value == "present"}
    issues = {rule.name for rule in (*program.patient, *program.order) if isinstance(rule, Issue)}
    assert len(fired & issues) > 0.8 * len(issues)     # the facts reach most of the program


def test_the_backends_agree_when_nothing_is_known(both: Both) -> None:
    inference = both.infer({})
    assert (inference.disagreements, inference.notes) == ((), ())
    assert "absent" not in {inference.conclusions.values[name] for name in ("als-in-play", "mg", "als-mg-outcome")}


def test_a_session_agrees_too(program: Program, both: Both) -> None:
    plain = PlainBackend(program)
    for seed in range(50):
        values = made_up(program, seed)
        session = plain.session(values)
        for name, value in both.infer(values).conclusions.values.items():
            assert session.value(name) == value


def test_the_durable_strata_are_in_the_order_of_the_compiled_ones(program: Program) -> None:
    for part in (program.patient, program.order):
        own = {closing.name: index for index, stratum in enumerate(build(part).strata) for closing in stratum}
        declared = {rule.name: rule.stratum for rule in part}
        assert all(own[name] <= declared[name] for name in own)
