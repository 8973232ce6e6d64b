"""The port of the inference room: what every backend offers, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from engine.rules.program import Conclusions

Part = Literal["patient", "order"]        # of a program: `order` runs once per order and ingredient, after `patient`


class Verdict(msgspec.Struct, frozen=True):
    """What one backend says of one rule: its value, and the index of its first true case."""

    value: str
    case: int | None = None


class Disagreement(msgspec.Struct, frozen=True):
    """A rule on which two backends differ. The plain verdict stands; the other one is a defect to be reported."""

    name: str
    plain: Verdict
    durable: Verdict


class Inference(msgspec.Struct, frozen=True):
    """The answer of a backend. A note says why the durable backend has no part in it, if it should have one."""

    conclusions: Conclusions
    disagreements: tuple[Disagreement, ...] = ()
    notes: tuple[str, ...] = ()


class Begun(msgspec.Struct, frozen=True):
    """What stands at once; `finish`, called once, waits for what it is held against. It raises BackendError."""

    conclusions: Conclusions
    finish: Callable[[], Inference]


class Backend(Protocol):
    """Decides every rule of one part of the program that it was made for.

    `values` are the known base facts (one that is left out is unknown) and, for an order, also the patient's
    conclusions; a value for a rule of the part itself is ignored. Raises BackendError if it cannot answer.
    """

    @property
    def name(self) -> str: ...

    def infer(self, values: Mapping[str, str], part: Part = "patient") -> Inference: ...

    def begin(self, values: Mapping[str, str], part: Part = "patient") -> Begun:
        """As `infer`, but it waits for nobody: whoever is held against the answer works on meanwhile."""

    def close(self) -> None: ...


class Shadow(Protocol):
    """A backend that is held against another one."""

    def ask(self, values: Mapping[str, str], part: Part = "patient") -> Callable[[], Inference]:
        """Puts the question; what comes back waits for the answer. Both raise BackendError if there is none."""

    def close(self) -> None: ...


def compare(plain: Conclusions, durable: Conclusions) -> tuple[Disagreement, ...]:
    """Every rule on which two backends differ in value or case, by name."""
    if plain == durable:
        return ()
    differing = []
    for name in sorted(plain.values.keys() | durable.values.keys()):
        ours, theirs = _verdict(plain, name), _verdict(durable, name)
        if ours != theirs:
            differing.append(Disagreement(name, ours, theirs))
    return tuple(differing)


def _verdict(conclusions: Conclusions, name: str) -> Verdict:
    return Verdict(conclusions.values.get(name, "missing"), conclusions.cases.get(name))
