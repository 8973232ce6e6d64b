"""An explanation as text: a tree that a clinician can follow down to the resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.explanation.tree import Node
from engine.explanation.verdict import Explanation
from engine.outputs.markdown import plain
from engine.outputs.wording import because_line, evidence_line, missing_line

MARK = {"true": "+", "false": "-", "unknown": "?"}


def explanation_text(explanation: Explanation) -> str:
    """Verdict, tree, what is missing, sources; one section."""
    lines = [
        f"{explanation.rule} {explanation.version} ({explanation.status}): {explanation.title}",
        plain(f"{explanation.patient} as of {explanation.as_of}, {explanation.order}").rstrip(" ,"),
        f"verdict: {explanation.verdict}" + (f", {explanation.severity}" if explanation.severity else ""),
    ]
    lines += [
        f"held back by {held.by}: {'; '.join(map(because_line, held.because)) or 'it holds'}"
        for held in explanation.held_back_by
    ]
    lines += tree_lines(explanation.tree)
    if explanation.missing:
        lines += ["missing:", *(f"  ? {missing_line(missing)}" for missing in explanation.missing)]
    lines += ["sources:", *(f"  {s.ref}: {s.says or s.citation}" for s in explanation.sources)]
    return "\n".join(lines)


def tree_lines(nodes: Iterable[Node], depth: int = 0) -> Iterator[str]:
    """A tree, each line with its truth (+ holds, - does not, ? unknown), value and evidence."""
    for node in nodes:
        yield f"{'  ' * depth}{MARK[node.truth]} {node.text}{_found(node)}"
        for evidence in node.evidence:
            yield f"{'  ' * (depth + 1)}  {evidence_line(evidence)}"
        yield from tree_lines(node.children, depth + 1)


def _found(node: Node) -> str:
    if not node.fact:
        return ""
    found = f" [{node.value}{': ' + node.reason if node.reason else ''}]"
    return found + (f" ({node.rule})" if node.rule else "")
