"""workbench.yaml: what a page of a patient shows beside the findings, criteria side by side and a map of the body.

    criteria:
    - title: Revised El Escorial
      fact: el-escorial                        # its value stands at the head
      note: what a reader must know of it
      lines:
      - {title: Progression is not denied, when: {progression: not absent}}      # a condition, as rules write them
      - {title: Three regions with both signs, case: definite}                   # or a case of the fact's own rule
      - {title: ..., when: ..., lines: [...]}                                    # parts of a line
    body:
      regions: {bulbar: Bulbar}                # region of tables/regions.yaml -> what it is called
      signs:
      - {short: UMN, title: Upper motor neuron, facts: [umn], sign: umn-sign}

A sign reads families of facts with a member for each region, the first that is known; `sign` names the concept whose
documented absence counts where no fact is known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine.document import Document
from engine.errors import Fault, nearest
from engine.rules.compile import Compiled
from engine.rules.conditions import Reader, any_of
from engine.rules.panels import Body, Criteria, Line, Panels, Sign
from engine.rules.program import Condition, Derived
from engine.rules.shape import Node, quoted

_DEEPEST = 2  # lines, and lines of lines


def read_panels(
    document: Document | None,
    compiled: Compiled,
    regions: Sequence[str],
    concepts: Collection[str],
    faults: list[Fault],
) -> Panels:
    """The panels of a ruleset whose rules are compiled; faults are added, with their place."""
    if document is None:
        return Panels()
    root = Node(document, (), faults)
    if not root.is_mapping("workbench.yaml"):
        return Panels()
    root.only(("criteria", "body"), "workbench.yaml")
    reader = Reader(document, compiled.vocabulary, faults)
    columns = [_criteria(node, compiled, reader) for node in root.items("criteria", "criteria")]
    body = _body(root.at("body"), compiled, regions, concepts) if "body" in root else None
    return Panels(tuple(one for one in columns if one is not None), body)


def _criteria(node: Node, compiled: Compiled, reader: Reader) -> Criteria | None:
    if not node.is_mapping("criteria"):
        return None
    node.only(("title", "fact", "note", "lines"), "criteria")
    title, fact, note = node.text("title", required=True), node.text("fact", required=True), node.text("note")
    derived = {name: one for name, one in compiled.rules.items() if isinstance(one, Derived) and not one.order}
    rule = derived.get(fact)
    if rule is None:
        if fact:
            node.fault(f"{quoted(fact)} is no derived fact of the patient", nearest(fact, derived), ("fact",))
        return None
    if "lines" not in node:
        node.fault("`lines` is missing")
    lines = _lines(node, rule, reader, 1)
    return Criteria(title=title, fact=fact, note=note, lines=lines)


def _lines(node: Node, rule: Derived, reader: Reader, depth: int) -> tuple[Line, ...]:
    found = [_line(one, rule, reader, depth) for one in node.items("lines", "lines")]
    return tuple(line for line in found if line is not None)


def _line(node: Node, rule: Derived, reader: Reader, depth: int) -> Line | None:
    if not node.is_mapping("a line"):
        return None
    node.only(("title", "when", "case", "lines") if depth < _DEEPEST else ("title", "when", "case"), "a line")
    title = node.text("title", required=True)
    if ("when" in node) == ("case" in node):
        node.fault("a line needs either `when` or `case`")
        return None
    when = _case(node, rule) if "case" in node else reader.read((*node.path, "when"))
    lines = _lines(node, rule, reader, depth + 1) if depth < _DEEPEST else ()
    return Line(title, when, lines) if when is not None else None


def _case(node: Node, rule: Derived) -> Condition | None:
    """When the rule of the criteria itself would give a value, whatever stands above it."""
    value = node.text("case", required=True)
    whens = [case.when for case in rule.cases if case.value == value]
    if not whens and value:
        values = sorted({case.value for case in rule.cases})
        node.fault(f"{quoted(value)} is no case of {quoted(rule.name)}", f"cases: {', '.join(values)}", ("case",))
    return any_of(whens) if whens else None


def _body(node: Node, compiled: Compiled, regions: Sequence[str], concepts: Collection[str]) -> Body | None:
    if not node.is_mapping("`body`"):
        return None
    node.only(("regions", "signs"), "`body`")
    if "regions" not in node or "signs" not in node:
        node.fault("`body` needs `regions` and `signs`")
        return None
    named = node.at("regions")
    if not named.is_mapping("`regions`"):
        return None
    named.only(regions, "`regions`, the regions of tables/regions.yaml")
    called = {region: named.text(region, required=True) for region in regions}
    signs = [_sign(one, compiled, regions, concepts) for one in node.items("signs", "signs")]
    return Body(called, tuple(sign for sign in signs if sign is not None))


def _sign(node: Node, compiled: Compiled, regions: Sequence[str], concepts: Collection[str]) -> Sign | None:
    if not node.is_mapping("a sign"):
        return None
    node.only(("short", "title", "facts", "sign"), "a sign")
    facts, sign = node.texts("facts"), node.text("sign")
    if not facts:
        node.fault("a sign needs `facts`")
    families = sorted({fact.definition for fact in compiled.base.values() if fact.definition})
    for number, fact in enumerate(facts):
        if fact not in compiled.base:
            node.fault(f"{quoted(fact)} is no fact", nearest(fact, families), ("facts", number))
        elif any(f"{fact}.{region}" not in compiled.base for region in regions):
            node.fault(f"{quoted(fact)} does not speak of body regions", "", ("facts", number))
    if sign and sign not in concepts:
        node.fault(f"{quoted(sign)} is no concept", nearest(sign, concepts), ("sign",))
    title, short = node.text("title", required=True), node.text("short", required=True)
    return Sign(short=short, title=title, facts=facts, sign=sign)
