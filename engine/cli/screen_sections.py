"""What `endplate screen` prints beside its findings: two versions compared, and rates against an earlier run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import RenderableType
from rich.table import Table

from engine.batch.rates import Rates
from engine.batch.shown import Shown
from engine.outputs.markdown import plain

_MOST_CODES = 10
_COUNTED = ("first", "second", "gained", "lost", "severity", "display")
_HEADS = ("here", "compared", "gained", "lost", "severity", "display")


def sections(shown: Shown) -> Iterator[RenderableType]:
    """Tables and lines, in their order."""
    if shown.comparison is not None:
        yield from _comparison(shown.comparison)
    if shown.rates is not None:
        yield from _rates(shown.rates)


def _comparison(said: Mapping[str, Any]) -> Iterator[RenderableType]:
    ruleset, patients = said["ruleset"], said["patients"]
    table = _table("issue", *_HEADS)
    for issue, held in said["by_issue"].items():
        if held["gained"] or held["lost"] or held["changed"]:
            table.add_row(issue, *(str(held[name] or "") for name in _COUNTED))
    if table.row_count:
        yield table
    yield (
        f"compared with {ruleset['id']} {ruleset['version']} ({ruleset['hash'][:12]}): "
        f"{patients['differing']} patients with other findings"
    )


def _rates(rates: Rates) -> Iterator[RenderableType]:
    table = _table("rule", "verdict", "then", "now", "p")
    for one in rates.warnings:
        note = one.note or ("the rule changed" if one.rule_changed else "")
        table.add_row(one.issue + (f" ({note})" if note else ""), one.verdict, str(one.then), str(one.now), str(one.p))
    if table.row_count:
        yield table
    for code in rates.new_codes[:_MOST_CODES]:
        like = f" ({', '.join(code.like)})" if code.like else ""
        yield plain(f"new unknown code `{code.code}` of `{code.system}`, {code.entries} entries: {code.why}{like}")
    if len(rates.new_codes) > _MOST_CODES:
        yield f"and {len(rates.new_codes) - _MOST_CODES} more new unknown codes"
    for note in rates.notes:
        yield note
    fired = [one for one in rates.rates if one.then or one.now]
    judged = sum(one.verdict != "unjudged" for one in fired)
    yield (
        f"rates against {rates.ruleset.id} {rates.ruleset.version}: {len(rates.warnings)} warnings, "
        f"{len(rates.new_codes)} new unknown codes; {judged} of {len(fired)} rates are frequent enough to judge"
    )


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="left" if name == "verdict" else "right")
    return table
