"""Mutants that no vignette notices: which of them can matter, and which are accepted with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from engine.errors import Fault
from engine.quality.examples import Example
from engine.quality.fact_mutants import FactMutant, fact_mutants
from engine.quality.fact_mutation import FactMutation
from engine.quality.files import Accepted
from engine.quality.mutants import Mutant, Mutants
from engine.quality.mutation import Mutation
from engine.quality.proofs import Prover
from engine.quality.wording import Wording
from engine.rules.ruleset import Ruleset

Matters = Literal["findings", "words", "conclusions", "nothing", ""]


class Survivor(msgspec.Struct, frozen=True, kw_only=True):
    """A change that no vignette notices. `matters`: the most that it can change, proved ("": a change of a fact, of
    which nothing is proved); `example`: base facts with which it shows another finding; `seen`: a vignette in which it
    made a difference that no expectation names."""

    name: str
    matters: Matters = ""
    seen: str = ""
    example: Mapping[str, str] = {}


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """All mutants of a ruleset. `redundant`: proved to change nothing at all, so that what they leave out is idle."""

    mutants: int
    killed: int
    redundant: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    survivors: tuple[Survivor, ...] = ()


def tally(
    ruleset: Ruleset, examples: Sequence[Example], accepted: Iterable[Accepted], *, prover: Prover, every: int = 1
) -> Tally:
    """Every mutant (or one of `every`, for a sample) against the vignettes; those that survive are proved or listed."""
    rule_mutants = list(Mutants(ruleset.program, Wording(ruleset)).all())[::every]
    of_facts = list(fact_mutants(ruleset.facts))[::every]
    fine = _Names(accepted)
    killed = 0
    redundant: list[str] = []
    let_live: list[str] = []
    survivors: list[Survivor] = []
    for survivor in _survivors(ruleset, examples, rule_mutants, of_facts, prover):
        if survivor is None:
            killed += 1
        elif survivor.matters == "nothing":
            redundant.append(survivor.name)
        elif fine.hold(survivor.name):
            let_live.append(survivor.name)
        else:
            survivors.append(survivor)
    return Tally(
        mutants=len(rule_mutants) + len(of_facts), killed=killed, redundant=tuple(redundant),
        accepted=tuple(let_live), survivors=tuple(survivors),
    )  # fmt: skip


def _survivors(
    ruleset: Ruleset,
    examples: Sequence[Example],
    rule_mutants: Sequence[Mutant],
    of_facts: Sequence[FactMutant],
    prover: Prover,
) -> Iterator[Survivor | None]:
    for mutant, result in zip(rule_mutants, Mutation(ruleset, examples).run(rule_mutants), strict=True):
        if result.fate == "killed":
            yield None
            continue
        difference = prover.difference(mutant)
        yield Survivor(
            name=mutant.name, matters=difference.what, seen=result.by, example=difference.example
        )
    for result in FactMutation(ruleset, examples).run(of_facts):
        yield None if result.fate == "killed" else Survivor(name=result.name, seen=result.by)


def stale(accepted: Iterable[Accepted], tally: Tally) -> Iterator[Fault]:
    """Entries of accepted survivors that name none any more."""
    for entry in accepted:
        for name in entry.names:
            if not any(_pattern(name).fullmatch(survivor) for survivor in tally.accepted):
                yield Fault(entry.place, f"no survivor is called `{name}`", "it is noticed, or no more: drop it")


class _Names:
    """The accepted names; `*` stands for any words."""

    def __init__(self, accepted: Iterable[Accepted]) -> None:
        names = [name for entry in accepted for name in entry.names]
        self._exact = {name for name in names if "*" not in name}
        self._patterns = [_pattern(name) for name in names if "*" in name]

    def hold(self, name: str) -> bool:
        return name in self._exact or any(pattern.fullmatch(name) for pattern in self._patterns)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in name.split("*")))
