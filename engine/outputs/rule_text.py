"""One rule as text: purpose, logic in words, chain, sources."""

from __future__ import annotations

from collections.abc import Iterator

from engine.rules.catalogue import Card


def rule_text(card: Card) -> str:
    """Everything about one rule, for a terminal."""
    return "\n".join(_lines(card))


def _lines(card: Card) -> Iterator[str]:
    info = card.info
    yield f"{info.id} {info.version} ({info.status}), {info.ruleset}: {info.title}"
    yield f"  purpose  {info.purpose}"
    yield f"  use      {info.use}"
    yield f"  misuse   {info.misuse}"
    yield f"  program  {'order' if card.order else 'patient'}, stratum {card.stratum}, group {info.group or '-'}"
    for case in card.cases:
        marks = ", ".join(mark for mark in (case.display, *case.adjust) if mark)
        yield f"  {case.gives}{f' ({marks})' if marks else ''} when"
        yield from (f"    {line}" for line in case.when)
        if case.summary:
            yield f"    summary: {case.summary}"
    if card.unless:
        yield "  unless"
        yield from (f"    {line}" for line in card.unless)
    if card.anchors:
        yield f"  entered only with  {', '.join(card.anchors)}"
    yield from (f"  reads    {fact}: {title}" for fact, title in card.reads.items())
    if card.read_by:
        yield f"  read by  {', '.join(card.read_by)}"
    yield from (f"  advice   {advice}" for advice in info.advice)
    yield from (f"  source   {s.ref}: {s.says}" + (f" [{s.citation}]" if s.citation else "") for s in info.sources)
    yield from (f"  not computed  {text}" for text in info.uncomputed)
    yield f"  evidence {info.evidence}; file {info.place}; content hash {info.hash}"
