# ruff: noqa: E501
"""The files about a ruleset: read whole, or refused with every fault and its place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_kit import TOY, folder, toy  # noqa: F401 - a fixture

from engine.errors import RulesetError
from engine.quality.files import Files, read_files
from engine.rules.files import bundled
from engine.rules.load import load_ruleset

GOOD = {
    "properties.yaml": """
- id: crisis-needs-risk
  says: No crisis without a risk.
  source: T1
  when: {pulse-crisis: present}
  then: {fever-risk: [established, possible]}
- id: one-finding
  says: One of them.
  source: T1
  at_most_one: [{lantern-fever-found: present}, {dark-scan-alone: present}]
""",
    "accepted-survivors.yaml": "- {mutants: [one, 'two: *'], reason: for a reason}\n",
    "traceability.yaml": """
- {source: T1, says: It glows., rules: [lantern-fever-found], facts: [glow], note: Indeed.}
- {source: T2, says: It was chosen., reason: nothing to check}
""",
    "debatable.yaml": """
- {number: 1, point: How fast., chosen: Very., rules: [pulse-crisis], facts: [pulse-fresh], parameters: [pulse-fast], sources: [T2]}
""",
}  # fmt: skip


def faults(folder, name: str, text: str) -> list[str]:  # noqa: F811
    (folder / name).write_text(text)
    with pytest.raises(RulesetError) as error:
        read_files(folder, toy())
    return [str(fault).removeprefix(f"{(folder / name).as_posix()}:") for fault in error.value.faults]


def test_a_ruleset_without_such_files_says_nothing_more() -> None:
    assert read_files(TOY, toy()) == Files(references=("T1", "T2"))


def test_all_of_them_are_read(folder) -> None:  # noqa: F811
    for name, text in GOOD.items():
        (folder / name).write_text(text)
    found = read_files(folder, toy())

    assert [(p.id, p.when is not None, len(p.at_most_one)) for p in found.properties] == [
        ("crisis-needs-risk", True, 0), ("one-finding", False, 2),
    ]  # fmt: skip
    assert found.accepted[0].names == ("one", "two: *")
    assert found.statements[0].rules == ("lantern-fever-found",)
    assert found.statements[1].reason == "nothing to check"
    assert found.points[0].parameters == ("pulse-fast",)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("traceability.yaml", "- {source: T1, says: x, rules: [lantern-fever-fund]}",
         "1:33: `lantern-fever-fund` is no rule; did you mean `lantern-fever-found`?"),
        ("traceability.yaml", "- {source: T1, says: x}",
         "1:3: a statement has `rules` or `facts`, or else the `reason` why there are none"),
        ("traceability.yaml", "- {source: T1, says: x, rules: [pulse-crisis], reason: y}",
         "1:3: a statement has `rules` or `facts`, or else the `reason` why there are none"),
        ("traceability.yaml", "- {source: T7, says: x, reason: y}", "1:12: `T7` is not among the references"),
        ("debatable.yaml", "- {number: 2, point: x, chosen: y}", "1:12: the points are numbered in order: this is number 1"),
        ("debatable.yaml", "- {number: 1, point: x, chosen: y, parameters: [pulse-fats]}",
         "1:49: `pulse-fats` is no parameter; did you mean `pulse-fast`?"),
        ("properties.yaml", "- {id: a, says: x, source: T1, when: {glow: present}}",
         "1:3: a property has `when` and `then`, or `at_most_one`"),
        ("properties.yaml", "- {id: a, says: x, source: T1, when: {glow: bright}, then: {hum: present}}",
         "1:45: `bright` is no value or named set of `glow`; values: present, absent, unknown"),
        ("accepted-survivors.yaml", "- {mutants: [], reason: y}",
         "1:3: `mutants` is missing; name them as `endplate rules check --thorough` does"),
        ("accepted-survivors.yaml", "- {mutants: [x]}", "1:3: `reason` is missing"),
        ("debatable.yaml", "{}", "1:1: the file is a list"),
        ("debatable.yaml", "- [", "1:4: expected the node content, but found '<stream end>'"),
    ],
)  # fmt: skip
def test_a_fault_has_its_place_and_says_what_to_do(folder, name: str, text: str, expected: str) -> None:  # noqa: F811
    assert expected in faults(folder, name, text)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_no_damage_of_a_file_raises_anything_else(tmp_path_factory, name: str, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("toy")  # noqa: F811
    text = GOOD[name]
    at = data.draw(st.integers(0, len(text)))
    upto = data.draw(st.integers(at, len(text)))
    (folder / name).write_text(text[:at] + data.draw(st.text(max_size=8)) + text[upto:], "utf-8", "surrogateescape")
    try:
        read_files(folder, toy())
    except RulesetError as error:
        assert error.faults


def test_the_bundled_files_are_accepted_and_complete() -> None:
    found = read_files(bundled(), load_ruleset())

    assert len(found.points) == 46
    assert {statement.source for statement in found.statements} == {"S0", "S1", "S2", "S3", "S4"}
    assert len(found.statements) > 100
    named = {name for statement in found.statements for name in statement.rules}
    cited = {
        info.id for info in load_ruleset().info.values()
        if info.kind == "issue" and any(source.ref in ("S0", "S1", "S2", "S3", "S4") for source in info.sources)
    }
    assert cited <= named | {name for point in found.points for name in point.rules}, sorted(cited - named)
