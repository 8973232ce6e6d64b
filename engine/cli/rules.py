"""`endplate rules`: the catalogue, one rule, the checker, the vignettes, the graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec
import typer

from engine.cli.common import BackendName, cache_dir, evaluator, notice, ruleset, write
from engine.rules.catalogue import card, rows
from engine.rules.files import bundled
from engine.rules.graph import dot, mermaid
from engine.rules.graph import graph as drawn
from engine.rules.load import load_ruleset


def show_list(folder: Path | None, output: Literal["text", "json"]) -> None:
    """Every rule, a line each."""
    listed = rows(ruleset(folder))
    if output == "json":
        for row in listed:
            write(msgspec.json.encode(row))
        return
    width = max((len(row.id) for row in listed), default=0)
    for row in listed:
        severities = "/".join(row.severities) or "fact"
        write(f"{row.id:<{width}}  {row.ruleset:<22}  {severities:<17}  {row.title}")
    counts = Counter(row.kind for row in listed)
    notice(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))


def show_one(folder: Path | None, name: str, output: Literal["text", "json"]) -> None:
    """All that is known of one rule."""
    from engine.outputs.rule_text import rule_text  # noqa: PLC0415

    shown = card(ruleset(folder), name)
    write(msgspec.json.encode(shown) if output == "json" else rule_text(shown))


def check(folder: Path | None) -> None:
    """Compile from the sources, whatever the cache holds; RulesetError lists every fault."""
    loaded = load_ruleset(folder, cache_dir=cache_dir(), with_vignettes=True)
    rules, facts = len(loaded.program.patient) + len(loaded.program.order), len(loaded.program.base)
    write(f"{loaded.id} {loaded.version} ({loaded.hash}): {rules} rules, {facts} facts, no faults")


def test(folder: Path | None, only: str, backend: BackendName) -> None:
    """Run the vignettes; exit code 1 if one fails."""
    from engine.vignettes import cases_in, run  # noqa: PLC0415

    ready = evaluator(folder, (), backend)
    cases = (
        (case, place) for case, place in cases_in(folder or bundled()) if only in str(case.get("id")) + place.file
    )
    count = failed = 0
    for outcome in run(ready, cases):
        count += 1
        if outcome.wrong:
            failed += 1
            write(f"{outcome.place}: {outcome.id} {outcome.title}")
            for wrong in outcome.wrong:
                write(f"    {wrong}")
    write(f"{count - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


def graph(folder: Path | None, output: Literal["dot", "mermaid"], of: str, *, base: bool) -> None:
    """The forward-chaining graph as text."""
    picture = drawn(ruleset(folder).program, of=of, base=base)
    write(dot(picture) if output == "dot" else mermaid(picture))
