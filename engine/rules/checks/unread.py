"""What nothing reads: base facts, derived facts, named sets, classes, parameters.

A fact is read by a rule, a policy, a text or another fact; a set by a condition; a class by a condition, a fact or a
kind; a parameter by a fact, a concept, a kind or a text. Something that nothing reads is a leftover, or the trace of a
rule that was forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engine.errors import Fault
from engine.rules.compile import Compiled
from engine.rules.declared import Declared
from engine.rules.program import Derived, literals
from engine.rules.shape import quoted
from engine.rules.strata import reads
from engine.rules.texts import names


def check_unread(
    compiled: Compiled, declared: Declared, needs: Collection[str], parameters: Collection[str], fixed: Collection[str]
) -> Iterator[Fault]:
    """`needs`: facts that other base facts read; `parameters`: those that a fact, concept or kind reads; `fixed`:
    classes that kinds read by their names."""
    told = _told(compiled)
    cases = [case for source in compiled.sources.values() for case in source.cases]
    by_text = {name for case in cases for text in (case.summary, *case.advice) for name in names(text)}
    read = told | by_text | set(needs)
    families = {family_of(fact, compiled) for fact in read}
    for name, place in declared.facts.items():
        if name not in families:
            yield Fault(place, f"nothing reads the fact {quoted(name)}", "remove it, or use it in a rule")
    for name, rule in compiled.rules.items():
        if isinstance(rule, Derived) and name not in read:
            place = compiled.sources[name].place("conclude")
            yield Fault(place, f"nothing reads the fact {quoted(name)}", "remove the rule, or use what it concludes")
    yield from _sets(compiled, declared)
    sets = {name for _, name in compiled.sets}
    for name, place in declared.classes.items():
        if name not in declared.words and name not in sets and name not in fixed:
            yield Fault(place, f"nothing reads the class {quoted(name)}", "remove it")
    for name, place in declared.parameters.items():
        if name not in parameters and name not in by_text:
            yield Fault(place, f"nothing reads the parameter {quoted(name)}", "remove it")


def _told(compiled: Compiled) -> set[str]:
    """Facts that a condition reads: of a rule, a gate, an adjustment or a list."""
    policies = compiled.policies
    conditions = [gate.when for gate in policies.gates] + [a.when for a in policies.adjustments.values()]
    conditions += [condition for listed in compiled.listed.values() for _, condition in listed]
    found = {literal.fact for condition in conditions for literal in literals(condition)}
    found |= {fact for listed in compiled.listed.values() for fact, _ in listed}
    return found.union(*(reads(rule) for rule in compiled.rules.values()))


def _sets(compiled: Compiled, declared: Declared) -> Iterator[Fault]:
    used = {(family_of(fact, compiled), name) for fact, name in compiled.sets}
    for (fact, name), place in declared.sets.items():
        if not any((heir, name) in used for heir in declared.heirs(fact)):
            yield Fault(place, f"nothing reads the set {quoted(name)} of {quoted(fact)}", "remove it")
    for fact, source in compiled.sources.items():
        for name in source.sets:
            if (fact, name) not in used:
                place = source.document.key_place((*source.path, "sets", name))
                yield Fault(place, f"nothing reads the set {quoted(name)} of {quoted(fact)}", "remove it")


def family_of(fact: str, compiled: Compiled) -> str:
    """The definition of a base fact; any other fact is its own."""
    known = compiled.base.get(fact)
    return known.definition or fact if known is not None else fact
