"""What the quality tools found, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.quality.coverage import Coverage
from engine.quality.diff import Change, ContentChange, PatientChange, Shown
from engine.quality.thorough import Verdict

MOST = 12                              # names that are written out in a line


def coverage_lines(coverage: Coverage) -> Iterator[str]:
    """The figures, then everything that no vignette reaches."""
    (cases, all_cases), (values, all_values) = coverage.cases, coverage.values
    yield f"{coverage.vignettes} vignettes, {coverage.reasonings} reasonings (patients and orders)"
    yield f"cases of rules: {cases} of {all_cases} reached"
    yield f"values of base facts: {values} of {all_values} reached"
    for rule in coverage.rules:
        if rule.unreached:
            yield f"  {rule.rule}: case {_listed(map(str, rule.unreached))} is reached by none"
        if rule.has_unless and not rule.held_back:
            yield f"  {rule.rule}: its `unless` holds in none"
    for rule in coverage.rules:
        missed = [value for value, count in rule.values.items() if not count]
        if missed:
            yield f"  {rule.rule} is never {_listed(missed)}"
    for fact in coverage.facts:
        if fact.unreached:
            yield f"  {fact.fact} is never {_listed(fact.unreached)}"


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """Faults, notes, and the figures."""
    yield from (f"fault: {fault}" for fault in verdict.faults)
    yield from (f"note: {note}" for note in verdict.notes)
    tally = verdict.tally
    yield (
        f"{tally.mutants} changes: {tally.killed} noticed by vignettes, {len(tally.redundant)} proved idle, "
        f"{len(tally.accepted)} accepted with a reason, {len(tally.survivors)} noticed by none"
    )
    names = ", ".join(verdict.proved) or "-"
    yield f"{len(verdict.proved)} properties proved over all values of the base facts: {names}"
    yield f"{len(verdict.faults)} faults, {len(verdict.notes)} notes"


def content_lines(content: ContentChange) -> Iterator[str]:
    """What differs between two rulesets."""
    named = (
        ("rules added", content.rules_added), ("rules removed", content.rules_removed),
        ("rules with another logic", content.rules_changed), ("rules with other texts", content.texts_changed),
        ("facts added", content.facts_added), ("facts removed", content.facts_removed),
        ("facts computed otherwise", content.facts_changed),
    )  # fmt: skip
    found = False
    for what, names in named:
        if names:
            found = True
            yield f"{what}: {', '.join(names)}"
    for name, (old, new) in content.parameters.items():
        found = True
        yield f"parameter {name}: {old or 'new'} -> {new or 'removed'}"
    if content.policies_changed:
        yield "gates or adjustments differ"
    if content.codes_changed:
        yield "value sets differ"
    if not (found or content.policies_changed or content.codes_changed):
        yield "the rulesets say the same"


def patient_lines(patient: PatientChange) -> Iterator[str]:
    """Who gains or loses which finding, and why."""
    yield f"{patient.patient} ({patient.source})"
    for change in patient.changes:
        yield from (f"  {line}" for line in _change(change))


def _change(change: Change) -> Iterator[str]:
    about = f" about {change.order}" if change.order else ""
    if change.old is None:
        yield f"+ {change.issue}{about}: {_shown(change.new)}"
    elif change.new is None:
        yield f"- {change.issue}{about}: {_shown(change.old)}"
    else:
        yield f"~ {change.issue}{about}: {_shown(change.old)} -> {_shown(change.new)}"
    for fact in change.facts:
        yield f"    {fact.fact}: {fact.old} -> {fact.new}" + (f" ({fact.shown})" if fact.shown else "")
    if change.rules:
        yield f"    rules that differ: {', '.join(change.rules)}"
    if change.definitions:
        yield f"    facts computed otherwise: {', '.join(change.definitions)}"


def _shown(shown: Shown | None) -> str:
    return f"{shown.severity}, {shown.display}, `{shown.summary}`" if shown is not None else "-"


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - MOST} more" if len(known) > MOST else ""
    return ", ".join(known[:MOST]) + more
