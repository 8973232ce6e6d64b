"""What vignettes reach, and what a ruleset declares and nothing uses."""

from __future__ import annotations

from quality_kit import TOY, folder, rewritten, toy, toy_examples  # noqa: F401 - a fixture

from engine.outputs.quality_text import coverage_lines
from engine.quality.coverage import coverage
from engine.quality.leftovers import leftovers
from engine.rules.load import load_ruleset


def test_cases_and_values_are_counted_over_patients_and_orders() -> None:
    found = coverage(toy(), toy_examples())
    rules = {rule.rule: rule for rule in found.rules}
    facts = {fact.fact: fact for fact in found.facts}

    assert (found.vignettes, found.reasonings) == (4, 9)              # four patients, five orders
    assert rules["lantern-fever-found"].cases == (1, 1)
    assert rules["lantern-fever"].unreached == (1,)                    # nobody is refuted
    assert rules["dark-scan-alone"].has_unless
    assert not rules["dark-scan-alone"].held_back
    assert facts["glow"].values == {"present": 2, "absent": 0, "unknown": 2}
    assert facts["order.status"].values["active"] == 4
    assert facts["order.status"].values["draft"] == 1
    assert facts["scan"].unreached == ("pale", "clear")


def test_the_figures_are_those_of_the_parts_and_the_text_names_what_is_missed() -> None:
    found = coverage(toy(), toy_examples())
    lines = list(coverage_lines(found))

    assert found.cases[1] == sum(len(rule.cases) for rule in (*toy().program.patient, *toy().program.order))
    assert found.cases[0] == found.cases[1] - sum(len(rule.unreached) for rule in found.rules)
    assert "  lantern-fever: case 1 is reached by none" in lines
    assert "  scan is never pale, clear" in lines
    assert lines[1].startswith("cases of rules: ")


def test_what_nothing_uses_is_named(folder) -> None:  # noqa: F811
    assert list(leftovers(TOY, toy())) == []
    with (folder / "valuesets/concepts.csv").open("a") as file:
        file.write("echo,observation,toy,echo,\n")
    rewritten(folder, "orders.yaml", "lantern-antibody: {title", "spare: {title: Spare}\nlantern-antibody: {title")
    rewritten(folder, "references.yaml", "T2: ", "T9: A spare paper\nT2: ")

    found = {(item.what, item.name) for item in leftovers(folder, load_ruleset(folder))}

    assert found == {("concept", "echo"), ("order", "spare"), ("reference", "T9")}
