# ruff: noqa: E501
"""The checker on a whole ruleset: one mistake in the made-up ruleset, and the fault that it gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import RulesetError
from engine.rules.load import load_ruleset

TOY = Path(__file__).parents[1] / "rulesets/toy"
L, D = "rules/lantern", "rules/drugs"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(TOY, tmp_path / "toy"))


def faults_of(folder: Path) -> list[str]:
    with pytest.raises(RulesetError) as refused:
        load_ruleset(folder, with_vignettes=True)
    assert str(refused.value) == "\n".join(map(str, refused.value.faults))
    return [str(fault).replace(f"{folder.as_posix()}/", "") for fault in refused.value.faults]


def changed(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text, (file, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_made_up_ruleset_is_accepted():
    ruleset = load_ruleset(TOY, with_vignettes=True)
    assert (ruleset.id, ruleset.version) == ("toy", "1.2.0")
    assert len(ruleset.info) == 13


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        # headers
        (f"{L}/dark-scan.yaml", "id: dark-scan", "id: dark-skan",
         f"{L}/dark-scan.yaml:1:5: the id `dark-skan` is not the file's name; use one name"),
        (f"{L}/pulse-crisis.yaml", "issue: pulse-crisis", "issue: pulse-criss",
         f"{L}/pulse-crisis.yaml:10:8: the issue `pulse-criss` stands in the rule `pulse-crisis`; use one id"),
        (f"{L}/dark-scan.yaml", "purpose: Shows", "porpose: Shows", f"{L}/dark-scan.yaml:1:1: `purpose` is missing"),
        (f"{L}/dark-scan.yaml", "purpose: Shows", "porpose: Shows",
         f"{L}/dark-scan.yaml:5:1: `porpose` is no key of a derived fact; did you mean `purpose`?"),
        (f"{L}/dark-scan.yaml", "version: 1.0.0", "version: 1.0", "`version` must be text; quote a number"),
        (f"{L}/dark-scan.yaml", "version: 1.0.0", "version: v1", "`v1` is no version; use three numbers, as in 1.0.0"),
        (f"{L}/dark-scan.yaml", "status: draft", "status: drafted", "`drafted` is no status; did you mean `draft`?"),
        (f"{L}/dark-scan.yaml", "sources: [{ref: T1, says: it shines}, T2]", "sources: []", "`sources` is missing"),
        (f"{L}/dark-scan.yaml", "T2]", "T3]", "`T3` is not among the references"),
        # logic
        (f"{L}/dark-scan.yaml", "scan: dark", "scan: drak",
         "`drak` is no value or named set of `scan`; did you mean `dark`?"),
        (f"{L}/fever-risk.yaml", "lantern-fever: in-play", "lantern-fever: in-plya", "did you mean `in-play`?"),
        (f"{L}/lantern-fever.yaml", "in-play: [certain, likely]", "likely: [certain, likely]",
         "the set `likely` is named like a value"),
        ("facts/signs.yaml", "abnormal: [dark, pale]", "pale: [dark, pale]", "the set `pale` is named like a value"),
        ("facts/signs.yaml", "{critical: {at_least: pulse-critical}}, {fast: {at_least: pulse-fast}}",
         "{fast: {at_least: pulse-fast}}, {critical: {at_least: pulse-critical}}", "can never be reached after"),
        # cases
        (f"{L}/dark-scan.yaml", "glow: not present", "glow: not present, all: [{scan: clear}]",
         f"{L}/dark-scan.yaml:11:1: `dark-scan` can never hold; its tests contradict each other"),
        (f"{D}/order.bright-hazard.yaml", "- strong: {order.ingredient: [bright-a, dextrobright]}",
         "- strong: {order.ingredient: brightener}",
         "case 3 of `order.bright-hazard` is never reached; an earlier case holds whenever it does"),
        (f"{L}/dark-scan-alone.yaml", "unless: {fever-diagnosis: confirmed}", "unless: {dark-scan: [present, absent]}",
         "`dark-scan-alone` never fires; the `unless` holds whenever it does"),
        (f"{L}/dark-scan-alone.yaml", "unless: {fever-diagnosis: confirmed}",
         "unless: {fever-diagnosis: confirmed, all: [{fever-diagnosis: refuted}]}", "the `unless` can never hold"),
        (f"{L}/antibody-missing.yaml", "{glow: present, antibody: unknown}", "{antibody: unknown, pulse-fresh: calm}",
         "`antibody-missing` has no anchor: it could fire in anybody"),
        (f"{L}/dark-scan-alone.yaml", "severity: low", "severity: low\ndisplay: interruptive",
         "an interruptive case rests on nothing current"),
        (f"{L}/pulse-crisis.yaml", "adjust: [comfort]", "adjust: [comfrt]",
         "`comfrt` is no adjustment; did you mean `comfort`?"),
        (f"{L}/pulse-crisis.yaml", "adjust: [comfort]", "adjust: [comfort, long-standing]",
         "the adjustment `long-standing` reads the order, and `pulse-crisis` is about no order"),
        # policies
        ("ruleset.yaml", "{deceased: present}", "{order.ingredient: dimol}", "a gate reads the order"),
        ("ruleset.yaml", "{deceased: present}", "{deceased: present, age: under-18, all: [{age: from-18}]}",
         "the gate can never hold"),
        ("ruleset.yaml", "  comfort:", "  comforts: {when: {resting: confirmed}, severity: low}\n  comfort:",
         "no rule names the adjustment `comforts`"),
        ("ruleset.yaml", 'language: "1"', 'language: "2"', "the rule language `2` is not known; this engine reads 1"),
        ("ruleset.yaml", "version: 1.2.0", "version: 1.2", "`version` must be text"),
        ("ruleset.yaml", "id: toy", "id: To y", "`To y` cannot name a ruleset"),
        ("ruleset.yaml", "gates:", "gaits:", "`gaits` is no key of a ruleset; did you mean `gates`?"),
        # texts
        (f"{L}/pulse-crisis.yaml", "{pulse-fresh} in lantern fever", "x" * 130, "the summary has 143 characters"),
        (f"{L}/pulse-crisis.yaml", "{pulse-fresh} in", "{pulse-frsh} in",
         "`pulse-frsh` is no fact or parameter; did you mean `pulse-fresh`?"),
        (f"{L}/pulse-crisis.yaml", "{pulse-fresh} in", "{order.ingredient} in",
         "`order.ingredient` is about an order, and `pulse-crisis` is about none"),
        (f"{L}/pulse-crisis.yaml", "{pulse-fresh} in", "{pulse-fresh in", "a placeholder is not closed"),
        (f"{L}/pulse-crisis.yaml", "in lantern fever", "in 11034-6", "`11034-6` is a code or a path; say it in words"),
        (f"{L}/pulse-crisis.yaml", "in lantern fever", "in Observation.value", "`Observation.value` is a code or a path"),
        (f"{L}/pulse-crisis.yaml", "summary:", "summaries:", "a case has no summary"),
        (f"{L}/pulse-crisis.yaml", "category: COND\n", "", "`category` is missing"),
        (f"{L}/odd-features.yaml", "{list}", "this", "no summary shows the `list`"),
        (f"{L}/odd-features.yaml", "list: [{scan: dark}, {hum: absent}, {pulse-fresh: fast}]\n", "",
         "the summary shows a `list`, and there is none"),
        (f"{L}/lantern-fever-found.yaml", "Give dimol, at most {dimol-most} g", "Give dimol if {glow}",
         "`glow` cannot be filled in here; advice shows parameters only"),
        (f"{L}/lantern-fever-found.yaml", "order: lantern-antibody", "order: lantern-antibodies",
         "`lantern-antibodies` is no order of orders.yaml; did you mean `lantern-antibody`?"),
        # what nothing reads
        ("parameters.yaml", "taking-days:", "spare-days: {value: 1}\ntaking-days:",
         "parameters.yaml:7:1: nothing reads the parameter `spare-days`; remove it"),
        (f"{L}/lantern-fever-found.yaml", ", at most {dimol-most} g", "", "nothing reads the parameter `dimol-most`"),
        ("facts/quality.yaml", "dq:", "spare: {kind: result, concept: glow}\ndq:",
         "facts/quality.yaml:1:1: nothing reads the fact `spare`"),
        (f"{L}/lantern-fever.yaml", "{scan: abnormal}", "{scan: dark}", "nothing reads the set `abnormal` of `scan`"),
        (f"{L}/fever-risk.yaml", "{at-risk: [established, possible]}", "{at-risk: [established, possible], spare: [none]}",
         f"{L}/fever-risk.yaml:11:42: nothing reads the set `spare` of `fever-risk`"),
        ("tables/classes.yaml", "brightener:", "spare:\n- dimol\nbrightener:",
         "tables/classes.yaml:1:1: nothing reads the class `spare`; remove it"),
        # vignettes
        ("vignettes/lantern.yaml", "dimol-without-fever: low", "dimol-with-brightener: low",
         "no vignette fires `dimol-without-fever`; add one that names it under `must`"),
        ("vignettes/lantern.yaml", "must_not: [dimol-without-fever]", "must_not: []",
         "no vignette keeps `dimol-without-fever` silent; add one that names it under `must_not`"),
        ("vignettes/lantern.yaml", "odd-features: low}", "odd-feature: low}", "`odd-feature` is no issue; did you mean"),
        ("vignettes/lantern.yaml", "odd-features: low}", "odd-features: grave}", "`grave` is no odd-features"),
        ("vignettes/lantern.yaml", "must_not: [dark-scan-alone,", "must_not: [pulse-crisis, dark-scan-alone,",
         "`pulse-crisis` must fire and must not"),
        ("vignettes/lantern.yaml", "{lantern-fever: certain,", "{lantern-fever: sure,", "`sure` is no value of `lantern-fever`"),
        ("vignettes/lantern.yaml", "{lantern-fever: certain,", "{lanten-fever: certain,", "`lanten-fever` is no fact"),
        ("vignettes/lantern.yaml", "- id: T2", "- id: T1", "the vignette `T1` stands already at"),
        ("vignettes/lantern.yaml", "title: Glow alone", "titel: Glow alone", "`title` is missing"),
        # beside the rules
        ("orders.yaml", "title: Remove", "titel: Remove", "`titel` is no key of an order"),
        ("orders.yaml", "replaces: true", "replaces: maybe", "`replaces` is true or false"),
        ("orders.yaml", ", code: lantern-antibody", "", "`code` and `system` stand together"),
        ("references.yaml", "citation:", "cite:", "`cite` is no key of a reference; allowed: citation, url"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused(folder, file, old, new, fault):
    changed(folder, file, old, new)
    assert any(fault in found for found in faults_of(folder)), faults_of(folder)


def test_a_place_leads_to_the_mistake(folder):
    changed(folder, f"{L}/dark-scan.yaml", "scan: dark", "scan: drak")
    (fault,) = faults_of(folder)
    file, line, column, _ = fault.split(":", 3)
    text = (folder / file).read_text().splitlines()[int(line) - 1]
    assert text[int(column) - 1 :].startswith("drak")


def test_two_files_cannot_have_one_id(folder):
    (folder / "rules/other").mkdir()
    shutil.copy(folder / f"{L}/dark-scan.yaml", folder / "rules/other/dark-scan.yaml")
    found = faults_of(folder)
    assert any("other/dark-scan.yaml:1:5: the id `dark-scan` is taken by" in fault for fault in found)


def test_faults_of_several_rooms_are_told_together(folder):
    changed(folder, f"{L}/dark-scan.yaml", "status: draft", "status: finished")
    changed(folder, f"{D}/order.bright-hazard.yaml", "evidence: made up", "evidence:")
    changed(folder, "facts/quality.yaml", "kind: data-quality", "kind: data-qualities")
    found = faults_of(folder)
    assert [fault.split(":")[0] for fault in found] == [
        "facts/quality.yaml", f"{D}/order.bright-hazard.yaml", f"{L}/dark-scan.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["ruleset.yaml", "parameters.yaml", "rules", "facts", "valuesets"])
def test_a_folder_without_a_needed_part_is_refused(folder, name):
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert any(name in fault for fault in faults_of(folder))


def test_references_and_orders_may_be_left_out(folder):
    (folder / "references.yaml").unlink()
    (folder / "orders.yaml").unlink()
    found = faults_of(folder)
    assert {fault.split(": ", 1)[1] for fault in found} == {
        "`lantern-antibody` is no order of orders.yaml", "`stop-this-order` is no order of orders.yaml",
    }  # fmt: skip


def test_a_withdrawn_rule_is_kept_for_reference_and_takes_no_part(folder):
    changed(folder, f"{L}/odd-features.yaml", "status: draft", "status: withdrawn")
    changed(folder, "vignettes/lantern.yaml", ", odd-features: low", "")
    changed(folder, "vignettes/lantern.yaml", ", odd-features", "")
    ruleset = load_ruleset(folder, with_vignettes=True)
    assert ruleset.info["odd-features"].status == "withdrawn"
    assert all(rule.name != "odd-features" for rule in ruleset.program.patient)


def test_an_empty_folder_is_refused_with_reasons(tmp_path):
    (tmp_path / "empty").mkdir()
    assert faults_of(tmp_path / "empty")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    assert faults_of(tmp_path / "nowhere")


def test_a_code_system_may_be_left_out_with_drugs_that_only_it_states(folder):
    rows = (folder / "valuesets/drugs.csv").read_text()
    (folder / "valuesets/drugs.csv").write_text("\n".join(row for row in rows.splitlines() if "dextrobright" not in row))
    assert "dextrobright" in load_ruleset(folder).program.base["order.ingredient"]


def test_a_misspelled_drug_of_a_class_is_refused(folder):
    changed(folder, "tables/classes.yaml", "- dextrobright", "- dextrobrigth")
    assert any("`dextrobrigth` in the class `brightener` is no known ingredient" in fault for fault in faults_of(folder))


def test_a_rule_that_cannot_be_read_is_one_fault_and_not_one_for_each_reader(folder):
    changed(folder, f"{L}/fever-risk.yaml", "sets: {", "sets: {{")
    found = faults_of(folder)
    assert len(found) == 1 and found[0].startswith(f"{L}/fever-risk.yaml:"), found


def test_a_case_that_cannot_be_read_is_one_fault_and_not_one_for_each_reader(folder):
    changed(folder, f"{L}/fever-risk.yaml", "- possible: {", "- Possible one: {")
    found = faults_of(folder)
    assert all(fault.startswith(f"{L}/fever-risk.yaml:") for fault in found), found
