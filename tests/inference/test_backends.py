from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pytest
from house_alarm import HOUSE, is_, issue, plain

import engine.inference.durable as durable_module
from engine.errors import BackendError
from engine.inference.anchors import Anchors
from engine.inference.backends import Both, Name, available, make_backend
from engine.inference.plain import PlainBackend
from engine.inference.port import Disagreement, Inference, Part, Verdict
from engine.rules.program import Conclusions, Program

FIRE = {"smoke": "seen", "heat": "present", "cooking": "absent"}


class Stubborn:
    """A backend that always answers the same, or fails."""

    name = "durable"

    def __init__(self, answer: Conclusions | BackendError) -> None:
        self.answer = answer
        self.closed = False

    def infer(self, values: Mapping[str, str], part: Part = "patient") -> Inference:
        if isinstance(self.answer, BackendError):
            raise self.answer
        return Inference(self.answer)

    def ask(self, values: Mapping[str, str], part: Part = "patient") -> Callable[[], Inference]:
        return partial(self.infer, values, part)

    def close(self) -> None:
        self.closed = True


NEEDS_DURABLE = [pytest.param(name, marks=pytest.mark.durable) for name in ("durable", "both")]


@pytest.mark.parametrize("name", ["plain", *NEEDS_DURABLE])
def test_every_backend_gives_the_same_answer(name: Name) -> None:
    backend = make_backend(name, HOUSE)
    assert backend.name == name
    assert backend.infer(FIRE) == PlainBackend(HOUSE).infer(FIRE)
    assert backend.infer({"order.water": "much", "fire": "absent"}, "order").conclusions.values == {"flood": "present"}
    backend.close()


@pytest.mark.durable
def test_a_guarded_backend_gives_it_too() -> None:
    backend = make_backend("both", HOUSE, guarded=True)
    assert backend.infer(FIRE) == PlainBackend(HOUSE).infer(FIRE)
    backend.close()


def test_a_disagreement_is_reported_rule_by_rule_and_the_plain_verdict_stands() -> None:
    plain_ = PlainBackend(HOUSE)
    right = plain_.infer(FIRE).conclusions
    wrong = Conclusions(
        values={**right.values, "fire": "likely", "hot": "present"}, cases={**right.cases, "fire": 1, "hot": 3}
    )
    inference = Both(plain_, Stubborn(wrong)).infer(FIRE)
    assert inference.conclusions == right
    assert inference.disagreements == (
        Disagreement("fire", Verdict("sure", 0), Verdict("likely", 1)),
        Disagreement("hot", Verdict("present", 0), Verdict("present", 3)),
    )
    assert inference.notes == ()


def test_a_rule_that_the_other_backend_left_out_is_a_disagreement() -> None:
    inference = Both(PlainBackend(HOUSE), Stubborn(Conclusions(values={}, cases={}))).infer({})
    assert [found.name for found in inference.disagreements] == ["alarm", "fire", "hot", "look", "signs"]
    assert inference.disagreements[0] == Disagreement("alarm", Verdict("unknown"), Verdict("missing"))


def test_a_failure_of_the_durable_backend_becomes_a_note() -> None:
    backend = Both(PlainBackend(HOUSE), Stubborn(BackendError("the durable backend is tired")))
    assert backend.infer(FIRE) == Inference(
        PlainBackend(HOUSE).infer(FIRE).conclusions, notes=("the durable backend is tired",)
    )


def test_what_stands_is_there_before_the_durable_backend_answers_and_to_finish_is_to_compare() -> None:
    waited: list[str] = []

    class Slow(Stubborn):
        def infer(self, values: Mapping[str, str], part: Part = "patient") -> Inference:
            waited.append(part)
            return super().infer(values, part)

    begun = Both(PlainBackend(HOUSE), Slow(Conclusions(values={"fire": "likely"}, cases={}))).begin(FIRE)

    assert begun.conclusions == PlainBackend(HOUSE).infer(FIRE).conclusions
    assert waited == []
    assert "fire" in {found.name for found in begun.finish().disagreements}
    assert waited == ["patient"]


def test_closing_both_closes_the_durable_one() -> None:
    stubborn = Stubborn(BackendError("closed"))
    Both(PlainBackend(HOUSE), stubborn).close()
    assert stubborn.closed


@pytest.mark.parametrize("name", ["durable", "both"])
def test_the_durable_backend_never_answers_alone(name: Name, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Stubborn(Conclusions(values={"fire": "likely"}, cases={}))
    monkeypatch.setattr("engine.inference.backends.DurableBackend", lambda _program: wrong)
    backend = make_backend(name, HOUSE)
    inference = backend.infer(FIRE)
    assert backend.name == name
    assert inference.conclusions == PlainBackend(HOUSE).infer(FIRE).conclusions
    assert "fire" in {disagreement.name for disagreement in inference.disagreements}


@pytest.mark.durable
def test_available_tells_what_can_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available() == ("plain", "durable", "both")

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(durable_module, "import_module", missing)
    assert available() == ("plain",)
    with pytest.raises(BackendError, match="not installed"):
        make_backend("both", HOUSE)
    assert make_backend("plain", HOUSE).infer(FIRE).conclusions.values["fire"] == "sure"


def test_a_part_is_worth_running_when_an_anchor_holds() -> None:
    anchors = Anchors(HOUSE)
    assert anchors.hold({"smoke": "smelt"})
    assert anchors.hold({"heat": "present", "smoke": "absent"})
    assert not anchors.hold({"heat": "absent", "smoke": "absent", "occupied": "present"})
    assert not anchors.hold({})
    assert anchors.hold({"order.water": "much"}, "order")
    assert not anchors.hold({"order.water": "little", "smoke": "seen"}, "order")


def test_without_an_anchor_no_issue_fires() -> None:
    backend, anchors = PlainBackend(HOUSE), Anchors(HOUSE)
    for smoke in HOUSE.base["smoke"]:
        for heat in HOUSE.base["heat"]:
            values = {"smoke": smoke, "heat": heat}
            fired = {name for name, value in backend.infer(values).conclusions.values.items() if value == "present"}
            assert anchors.hold(values) or not fired & {"alarm", "look"}


def test_an_issue_without_anchors_makes_nobody_relevant() -> None:
    bare = Program(patient=(plain("x", is_("a", "present")), issue("i", is_("x", "present"))), order=(), base={})
    assert not Anchors(bare).hold({"a": "present"})
    assert not Anchors(bare).hold({}, "order")
