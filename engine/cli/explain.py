"""`endplate explain`: why a rule fires, does not fire, or cannot be decided."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from engine.cli.common import evaluator, records, scope, write
from engine.errors import InputError, nearest
from engine.outputs.explanations import explanation_text


def run(
    file: Path,
    rule: str,
    *,
    as_of: str,
    complete: bool,
    output: Literal["text", "json"],
    folder: Path | None,
    valuesets: Iterable[Path],
) -> None:
    """One explanation for each patient (and, of an order rule, for each current order)."""
    ready = evaluator(folder, valuesets, "plain")
    if rule not in ready.rules:
        raise InputError(f"`{rule}` is no rule; {nearest(rule, ready.rules) or 'see `endplate rules list`'}")
    for record in records([file], ready, scope(as_of, complete=complete)):
        for explanation in ready.explain(record, rule):
            write(msgspec.json.encode(explanation) if output == "json" else explanation_text(explanation) + "\n")
