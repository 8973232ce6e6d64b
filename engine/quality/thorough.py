"""The slow check of a ruleset (`endplate rules check --thorough`): proofs, mutation, leftovers.

A fault must be mended: a declared property that does not hold, a case that can never be the answer, a change that no
vignette notices and nobody accepted. A note is for the reader: what is idle, unused, or always comes together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, groupby, permutations
from pathlib import Path

import msgspec

from engine.errors import Fault, Place
from engine.model.fact import PRESENT
from engine.quality.examples import Example
from engine.quality.files import Files, Property
from engine.quality.leftovers import leftovers
from engine.quality.proofs import Prover
from engine.quality.survivors import Survivor, Tally, stale, tally
from engine.quality.wording import Wording
from engine.rules.program import Condition, Issue
from engine.rules.ruleset import Ruleset

_DECLARED = re.compile(r"([a-z][^\s:]*):")


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the slow check found."""

    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...]
    proved: tuple[str, ...]            # properties that hold
    tally: Tally


def check_thoroughly(
    folder: Path, ruleset: Ruleset, examples: Sequence[Example], files: Files, *, every: int = 1
) -> Verdict:
    """Everything; `every` takes a sample of the mutants (one of so many), in which accepted ones may be missing."""
    prover = Prover(ruleset.program, _conditions(files))
    faults = [*_never(ruleset, prover), *_failing(examples)]
    proved = []
    for held in files.properties:
        broken = list(_broken(held, prover, Wording(ruleset)))
        faults += broken
        proved += [] if broken else [held.id]
    counted = tally(ruleset, examples, files.accepted, prover=prover, every=every)
    places = _places(folder, ruleset)
    faults += [_survived(survivor, places) for survivor in counted.survivors]
    faults += stale(files.accepted, counted) if every == 1 else ()
    notes = [
        *_together(ruleset, examples, prover),
        *(Fault(_place(name, places), f"idle, proved: {name}") for name in counted.redundant),
        *_unused(folder, ruleset),
    ]
    return Verdict(faults=tuple(faults), notes=tuple(notes), proved=tuple(proved), tally=counted)


def _failing(examples: Iterable[Example]) -> Iterator[Fault]:
    """A vignette that fails as it is can notice nothing."""
    for example in examples:
        if example.wrong:
            yield Fault(example.place, f"the vignette `{example.id}` fails: {example.wrong[0]}")


def _never(ruleset: Ruleset, prover: Prover) -> Iterator[Fault]:
    for found in prover.never():
        what = f"case {found.case + 1} of `{found.rule}` is never the answer, whatever the facts"
        yield Fault(ruleset.info[found.rule].place, what, "drop it, or look at what stands before it")


def _broken(held: Property, prover: Prover, wording: Wording) -> Iterator[Fault]:
    """Counterexamples of a property."""
    if held.when is not None and held.then is not None:
        example = prover.counterexample([held.when], [held.then])
        if example is not None:
            yield Fault(held.place, f"`{held.id}` does not hold with {told(example)}", held.says)
    for one, other in combinations(held.at_most_one, 2):
        example = prover.counterexample([one, other], [])
        if example is not None:
            both = f"{wording.line(one)} and {wording.line(other)}"
            yield Fault(held.place, f"`{held.id}` does not hold: {both} with {told(example)}", held.says)


def _together(ruleset: Ruleset, examples: Sequence[Example], prover: Prover) -> Iterator[Fault]:
    """Issues that never stand without another one. Only pairs that no vignette parts are worth a proof."""
    states = [state for example in examples for state in example.states]
    issues = [r for r in (*ruleset.program.patient, *ruleset.program.order) if isinstance(r, Issue)]
    standing = {
        issue.name: {n for n, state in enumerate(states) if state.value(issue.name) == PRESENT} for issue in issues
    }
    pairs = [
        (one.name, other.name) for one, other in permutations(issues, 2)
        if one.order == other.order and standing[one.name] and standing[one.name] <= standing[other.name]
    ]
    for found in prover.together(pairs):
        message = f"`{found.issue}` never stands without `{found.also}`, whatever the facts"
        yield Fault(ruleset.info[found.issue].place, message)


def _unused(folder: Path, ruleset: Ruleset) -> Iterator[Fault]:
    """One note for each kind of thing in a file."""
    for (file, what), items in groupby(leftovers(folder, ruleset), key=lambda item: (item.file, item.what)):
        names = [f"`{item.name}`" for item in items]
        kinds = f"{len(names)} {what}s" if len(names) > 1 else f"one {what}"
        yield Fault(Place(file), f"nothing uses {kinds}: {', '.join(names)}")


def _survived(survivor: Survivor, places: Mapping[str, Place]) -> Fault:
    where = f"; `{survivor.seen}` has it and expects nothing of it" if survivor.seen else ""
    hint = {
        "findings": f"add a vignette with {told(survivor.example)}",
        "words": "add a vignette with `says`",
        "conclusions": "add a vignette with `derived`",
    }.get(survivor.matters, "add a vignette on each side of it")
    return Fault(_place(survivor.name, places), f"no vignette notices: {survivor.name}{where}", hint)


def _place(mutant: str, places: Mapping[str, Place]) -> Place:
    """Where that stands which a mutant changes; its name begins with it."""
    name = mutant.split(":", maxsplit=1)[0].split(",", maxsplit=1)[0]
    return places.get(name, Place(f"{name.split(maxsplit=1)[0]}s of ruleset.yaml"))


def _places(folder: Path, ruleset: Ruleset) -> dict[str, Place]:
    """Rules, facts, and `concept NAME` and `parameter NAME`: where each is declared."""
    found = {name: info.place for name, info in ruleset.info.items()}
    files = [(path, "") for path in sorted((folder / "facts").glob("*.yaml"))]
    files += [(folder / "concepts.yaml", "concept "), (folder / "parameters.yaml", "parameter ")]
    for path, kind in files:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            if declared := _DECLARED.match(line):
                place = Place(path.relative_to(folder).as_posix(), number, 1)
                found.setdefault(f"{kind}{declared[1]}", place)
    return found


def told(facts: Mapping[str, str]) -> str:
    """Base facts in a line; all others are unknown."""
    return ", ".join(f"{fact}: {value}" for fact, value in facts.items()) or "no known fact"


def _conditions(files: Files) -> list[Condition]:
    return [c for p in files.properties for c in (p.when, p.then, *p.at_most_one) if c is not None]
