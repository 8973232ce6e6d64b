"""Two versions of a ruleset on the same patients: who gains or loses which finding, and why."""

from __future__ import annotations

from quality_kit import TOY, folder, rewritten, toy, toy_examples  # noqa: F401 - a fixture

from engine.evaluation import Evaluator
from engine.outputs.quality_text import content_lines, patient_lines
from engine.quality.diff import PatientChange, Versions
from engine.rules.load import load_ruleset


def compared(folder) -> tuple[Versions, list[PatientChange]]:  # noqa: F811
    versions = Versions(toy(), load_ruleset(folder))
    new = Evaluator(versions.new)
    changes = [
        versions.patient(example.evaluation, new.evaluate(example.record, "none"), example.id)
        for example in toy_examples()
    ]
    return versions, [change for change in changes if change.changes]


def test_the_same_ruleset_changes_nothing(folder) -> None:  # noqa: F811
    versions, changes = compared(folder)
    assert changes == []
    assert list(content_lines(versions.content())) == ["the rulesets say the same"]


def test_a_moved_limit_is_the_reason_of_what_it_changes(folder) -> None:  # noqa: F811
    rewritten(folder, "parameters.yaml", "pulse-critical: {value: 140", "pulse-critical: {value: 160")
    versions, changes = compared(folder)
    (change,) = changes
    by_issue = {found.issue: found for found in change.changes}

    assert versions.content().parameters == {"pulse-critical": ("140 /min", "160 /min")}
    assert versions.content().facts_changed == ("pulse-fresh",)
    assert change.source == "T1"
    assert by_issue["pulse-crisis"].how == "lost"
    assert [(f.fact, f.old, f.new) for f in by_issue["pulse-crisis"].facts] == [
        ("pulse-crisis", "present", "absent"), ("pulse-fresh", "critical", "fast"),
    ]  # fmt: skip
    assert by_issue["pulse-crisis"].definitions == ("pulse-fresh",)
    assert by_issue["pulse-crisis"].rules == ()
    assert by_issue["odd-features"].how == "changed"                   # its text now lists the pulse


def test_a_changed_rule_is_the_reason_also_through_others(folder) -> None:  # noqa: F811
    rewritten(folder, "rules/lantern/fever-risk.yaml", "- established: {lantern-fever: in-play}",
              "- established: {lantern-fever: certain}")
    versions, changes = compared(folder)
    (change,) = changes
    (found,) = [f for f in change.changes if f.issue == "brightener-avoid"]

    assert versions.content().rules_changed == ("fever-risk",)
    assert found.how == "lost"
    assert found.rules == ("fever-risk",)
    assert found.order == "MedicationRequest/T4-03 bright-a"
    assert ("fever-risk", "established", "unknown") in [(f.fact, f.old, f.new) for f in found.facts]
    text = "\n".join(patient_lines(change))
    assert "- brightener-avoid about MedicationRequest/T4-03 bright-a: high, interruptive" in text
    assert "rules that differ: fever-risk" in text


def test_a_new_rule_a_lost_rule_and_texts_alone_are_told_apart(folder) -> None:  # noqa: F811
    (folder / "rules/lantern/antibody-missing.yaml").unlink()
    rewritten(folder, "rules/lantern/odd-features.yaml", "Does not fit", "Hardly fits")
    extra = (folder / "rules/lantern/pulse-crisis.yaml").read_text().replace("pulse-crisis", "pulse-alarm")
    (folder / "rules/lantern/pulse-alarm.yaml").write_text(extra)
    versions, changes = compared(folder)
    content = versions.content()
    by_patient = {change.source: {f.issue: f.how for f in change.changes} for change in changes}

    assert content.rules_added == ("pulse-alarm",)
    assert content.rules_removed == ("antibody-missing",)
    assert content.texts_changed == ("odd-features",)
    assert by_patient["T2"] == {"antibody-missing": "lost"}
    assert by_patient["T1"] == {"pulse-alarm": "gained", "odd-features": "changed"}


def test_a_changed_policy_is_seen_in_display_and_severity(folder) -> None:  # noqa: F811
    rewritten(folder, "ruleset.yaml", "severity: low, display: batch-only}", "severity: low, display: information}")
    versions, changes = compared(folder)
    (change,) = changes
    (found,) = change.changes

    assert versions.content().policies_changed
    assert (found.issue, found.how) == ("brightener-avoid", "changed")
    assert found.old is not None
    assert found.new is not None
    assert (found.old.display, found.new.display) == ("batch-only", "information")
    assert TOY.is_dir()
