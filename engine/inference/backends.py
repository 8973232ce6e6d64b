"""Which backends there are, and the one that runs two and compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from engine.errors import BackendError
from engine.inference.durable import DurableBackend, load_engine
from engine.inference.guarded import GuardedDurable
from engine.inference.plain import PlainBackend
from engine.inference.port import Backend, Begun, Inference, Part, Shadow, compare
from engine.rules.program import Conclusions, Program

Name = Literal["plain", "durable", "both"]


def available() -> tuple[Name, ...]:
    """The backends that can run here."""
    try:
        load_engine()
    except BackendError:
        return ("plain",)
    return ("plain", "durable", "both")


def make_backend(name: Name, program: Program, *, guarded: bool = False) -> Backend:
    """A backend for a program. `guarded` runs durable-rules in a process of its own (for a service).

    durable-rules never answers alone: `durable` and `both` hold it against plain, whose answer stands. They differ in
    what a caller makes of a disagreement: with `both` it is an error.

    Raises BackendError if durable-rules is asked for and not installed, or the program is beyond its limits.
    """
    if name == "plain":
        return PlainBackend(program)
    durable = GuardedDurable(program) if guarded else DurableBackend(program)
    return Both(PlainBackend(program), durable, name)


class Both:
    """The plain backend answers, the durable one is held against it in every evaluation."""

    def __init__(self, plain: Backend, durable: Shadow, name: Name = "both") -> None:
        self.name = name
        self.plain = plain
        self.durable = durable

    def close(self) -> None:
        self.plain.close()
        self.durable.close()

    def infer(self, values: Mapping[str, str], part: Part = "patient") -> Inference:
        """Plain's conclusions, with each disagreement, or a note if the durable backend gave no answer."""
        return self.begin(values, part).finish()

    def begin(self, values: Mapping[str, str], part: Part = "patient") -> Begun:
        """Plain's conclusions; the durable backend, asked first, may still be at work. To finish is to compare."""
        answer: Callable[[], Inference] | BackendError
        try:
            answer = self.durable.ask(values, part)
        except BackendError as failure:
            answer = failure
        plain = self.plain.infer(values, part).conclusions
        return Begun(plain, partial(_compared, plain, answer))


def _compared(plain: Conclusions, answer: Callable[[], Inference] | BackendError) -> Inference:
    try:
        if isinstance(answer, BackendError):
            raise answer
        durable = answer().conclusions
    except BackendError as failure:
        return Inference(plain, notes=(str(failure),))
    return Inference(plain, disagreements=compare(plain, durable))
