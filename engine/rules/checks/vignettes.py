"""Vignettes: every issue has one in which it fires (`must`) and one in which it must not (`must_not`).

A vignette is a small patient with the expected findings; its facts are read where it is run, not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.document import Document
from engine.errors import Fault, Place, nearest
from engine.model.finding import DISPLAYS, SEVERITIES
from engine.rules.compile import Compiled
from engine.rules.program import Issue
from engine.rules.shape import Node, quoted

NEEDED = ("id", "title", "now")


def check_vignettes(compiled: Compiled, documents: Iterable[Document]) -> Iterator[Fault]:
    issues = {name for name, rule in compiled.rules.items() if isinstance(rule, Issue)}
    fires: set[str] = set()
    silent: set[str] = set()
    ids: dict[str, Place] = {}
    faults: list[Fault] = []
    for document in documents:
        node = Node(document, (), faults)
        if not isinstance(node.value, list):
            node.fault("a file of vignettes is a list")
            continue
        for index in range(len(node.value)):
            vignette = node.at(index)
            if not vignette.is_mapping("a vignette"):
                continue
            _identity(vignette, ids)
            must, must_not = _expected(vignette, "must", issues, SEVERITIES), _named(vignette, "must_not", issues)
            fires |= must
            silent |= must_not
            _expected(vignette, "display", issues, DISPLAYS)
            _said(vignette, issues)
            _derived(vignette, compiled)
            for name in sorted(must & must_not):
                vignette.fault(f"{quoted(name)} must fire and must not", below=("must_not",))
    yield from faults
    for name in sorted(issues):
        place = compiled.sources[name].place()
        if name not in fires:
            yield Fault(place, f"no vignette fires {quoted(name)}", "add one that names it under `must`")
        if name not in silent:
            yield Fault(place, f"no vignette keeps {quoted(name)} silent", "add one that names it under `must_not`")


def _identity(vignette: Node, ids: dict[str, Place]) -> None:
    for key in NEEDED:
        vignette.text(key, required=True)
    name = vignette.value.get("id")
    if isinstance(name, str) and name in ids:
        vignette.fault(f"the vignette {quoted(name)} stands already at {ids[name]}", below=("id",))
    elif isinstance(name, str):
        ids[name] = vignette.place("id")


def _expected(vignette: Node, key: str, issues: set[str], words: tuple[str, ...]) -> set[str]:
    """Issues of a mapping `issue: word`."""
    value = vignette.value.get(key) or {}
    if not isinstance(value, dict):
        vignette.fault(f"`{key}` is a mapping of issues", below=(key,))
        return set()
    for name in value:
        if name not in issues:
            vignette.at(key).fault_at_key(name, f"{quoted(name)} is no issue", nearest(name, issues))
        vignette.at(key).word(name, words, required=True)
    return issues.intersection(value)


def _said(vignette: Node, issues: set[str]) -> None:
    """Words that the summary of an issue must hold."""
    if "says" in vignette and vignette.at("says").is_mapping("`says`"):
        says = vignette.at("says")
        for name in says.value:
            says.text(name, required=True)
            if name not in issues:
                says.fault_at_key(name, f"{quoted(name)} is no issue", nearest(name, issues))


def _named(vignette: Node, key: str, issues: set[str]) -> set[str]:
    """Issues of a list."""
    names = vignette.texts(key)
    for index, name in enumerate(names):
        if name not in issues:
            vignette.fault(f"{quoted(name)} is no issue", nearest(name, issues), (key, index))
    return issues.intersection(names)


def _derived(vignette: Node, compiled: Compiled) -> None:
    """Values of facts: one of its own, true for present, false for not present, null for none or unknown."""
    value = vignette.value.get("derived") or {}
    if not isinstance(value, dict):
        vignette.fault("`derived` is a mapping of facts and values", below=("derived",))
        return
    for name, expected in value.items():
        word = compiled.vocabulary.get(name)
        if word is None:
            vignette.at("derived").fault_at_key(name, f"{quoted(name)} is no fact", nearest(name, compiled.vocabulary))
        elif isinstance(expected, bool | None):
            continue
        elif not isinstance(expected, str) or word.expand(expected) is None:
            hint = nearest(str(expected), word.values)
            vignette.fault(f"{quoted(expected)} is no value of {quoted(name)}", hint, ("derived", name))
