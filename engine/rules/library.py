"""references.yaml and orders.yaml: what the sources of rules are, and which orders a card may suggest.

    R33: {citation: "Farrugia ME, Goodfellow JA 2020", url: https://...}       # or the citation alone
    repeat-achr: {title: Repeat the AChR antibody, system: http://loinc.org, code: ..., display: ...}
    cancel-order: {title: Remove this order, replaces: true}
"""

from __future__ import annotations

from engine.document import Document
from engine.errors import Fault
from engine.rules.info import Source, Suggestion
from engine.rules.shape import Node

RESOURCES = ("ServiceRequest", "MedicationRequest")


def read_references(document: Document | None, faults: list[Fault]) -> dict[str, Source] | None:
    """The bibliography by key; None if there is none."""
    if document is None:
        return None
    node = Node(document, (), faults)
    if not node.is_mapping("references"):
        return {}
    found = {}
    for key, value in node.value.items():
        item = node.at(key)
        if isinstance(value, str):
            found[key] = Source(key, citation=value.strip())
        elif item.is_mapping("a reference"):
            item.only(("citation", "url"), "a reference")
            found[key] = Source(key, citation=item.text("citation", required=True), url=item.text("url"))
    return found


def read_orders(document: Document | None, faults: list[Fault]) -> dict[str, Suggestion] | None:
    """The orders by name; None if the ruleset describes none."""
    if document is None:
        return None
    node = Node(document, (), faults)
    if not node.is_mapping("orders"):
        return {}
    return {name: _order(node.at(name), name) for name in node.value if node.at(name).is_mapping("an order")}


def _order(node: Node, name: str) -> Suggestion:
    node.only(("title", "resource", "system", "code", "display", "replaces"), "an order")
    code, system = node.text("code"), node.text("system")
    if bool(code) != bool(system):
        node.fault("`code` and `system` stand together")
    replaces = node.value.get("replaces", False)
    if not isinstance(replaces, bool):
        node.fault("`replaces` is true or false", below=("replaces",))
    return Suggestion(
        name=name,
        title=node.text("title", required=True),
        resource=node.word("resource", RESOURCES) or RESOURCES[0],
        system=system,
        code=code,
        display=node.text("display"),
        replaces=replaces is True,
    )
