# ruff: noqa: E501
"""The rule book: everything of every rule is on its page, the same each time; the one in docs/ is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from quality_kit import TOY, folder, rewritten  # noqa: F401 - a fixture
from test_files import GOOD

from engine.cli.rules_quality import docs
from engine.errors import InputError
from engine.outputs.rule_book import anchor, cell, named, rule_book
from engine.outputs.traceability import traceability_page
from engine.quality.files import read_files
from engine.rules.load import load_ruleset

ROOT = Path(__file__).parents[2]


def book(of: Path) -> dict[str, str]:
    ruleset = load_ruleset(of)
    return rule_book(ruleset, of, read_files(of, ruleset))


def section(page: str, name: str) -> str:
    """The text under a heading of the third level."""
    return re.split(r"^#{2,3} ", page.split(f"### {name}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def test_there_is_a_page_for_each_folder_and_an_index() -> None:
    pages = book(TOY)
    assert sorted(pages) == ["drugs.md", "index.md", "lantern.md"]
    assert "| [drugs](drugs.md) | 3 | 1 |" in pages["index.md"]


def test_a_rule_is_told_in_full() -> None:
    told = section(book(TOY)["drugs.md"], "brightener-avoid")

    assert "**A brightener in lantern fever.** Issue, group drug-safety, DRG; for each order" in told
    assert "Version 1.0.0, **draft**; made up. `rules/drugs/brightener-avoid.yaml`" in told
    assert "1. **high** (adjusted by possible-fever, long-standing) when\n   - `order.bright-hazard: strong`" in told
    assert "   - says: {order.ingredient}: with care in lantern fever." in told
    assert "- advises: Choose another drug." in told
    assert "   - suggests: Remove this order" in told
    assert "[`fever-risk`](lantern.md#fever-risk) → [`order.bright-hazard`](#orderbright-hazard) → " in told
    assert "(the longest; 3 rules below it)" in told
    assert "*Entered only with* `antibody: present`" in told
    assert "- T1: it shines (Lamplighter A. Fevers of the lantern. 1899)" in told
    assert "Fires in 2: `T2`, `T4`. Must be silent in 1: `T3`." in told


def test_conditions_are_outlines_with_named_sets() -> None:
    told = section(book(TOY)["lantern.md"], "lantern-fever")
    assert (
        "4. **possible** when\n   - `glow: not absent`\n   - `glow: present`\n   - any of\n     - `hum: present`\n"
        "     - `scan: abnormal`\n"
    ) in told
    assert "   - at least 2 of\n     - `glow: present`" in told


def test_facts_thresholds_value_sets_and_sign_offs_stand_on_the_page() -> None:
    page = book(TOY)["lantern.md"]

    assert "| `pulse-fresh` | Pulse of the last days (common) | quantity | concept: pulse; within: fresh-days; " in page
    assert "bands: [{critical: {at_least: pulse-critical}}, {fast: {at_least: pulse-fast}}]; otherwise: calm" in page
    assert "| `pulse-critical` | 140 | /min | a pulse of at least this is critical | T1 | `pulse-fresh` |" in page
    assert "| `dimol-most` | 2.5 | g | advised at most (text only) | T2 | texts |" in page
    assert "| `pulse` | Pulse | 1 in concepts.csv |" in page
    assert "- `pulse-crisis` 1.0.0: draft; made up" in page
    assert "`glow-after-refutation`" in page                # a fact that takes another over shows its options
    assert "| concept: glow; after: {fact: fever-diagnosis, value: refuted} |" in page


def test_policies_and_properties_stand_in_the_index(folder) -> None:  # noqa: F811
    (folder / "properties.yaml").write_text(GOOD["properties.yaml"])
    index = book(folder)["index.md"]

    assert "- While `age: under-18 or record-inactive: present`, only crisis and drug-safety findings are shown." in index
    assert "- While `deceased: present`, nothing is shown." in index
    assert "- Adjustment `comfort`: while `resting: confirmed`, severity low, shown as information." in index
    assert "- `crisis-needs-risk`: No crisis without a risk. (T1)" in index


def test_debatable_points_stand_at_the_rules_concerned_and_on_a_page(folder) -> None:  # noqa: F811
    (folder / "debatable.yaml").write_text(GOOD["debatable.yaml"])
    pages = book(folder)

    assert "- [Point 1](debatable.md#point-1). How fast. *Chosen:* Very." in section(pages["lantern.md"], "pulse-crisis")
    assert "Point 1" not in section(pages["lantern.md"], "odd-features")
    assert "- rules: [`pulse-crisis`](lantern.md#pulse-crisis)" in pages["debatable.md"]


def test_the_traceability_table_has_rules_or_the_reason(folder) -> None:  # noqa: F811
    (folder / "traceability.yaml").write_text(GOOD["traceability.yaml"])
    ruleset = load_ruleset(folder)
    page = traceability_page(read_files(folder, ruleset), ruleset, "rules")

    assert "| It glows. | [`lantern-fever-found`](rules/lantern.md#lantern-fever-found), `glow`. Indeed. |" in page
    assert "| It was chosen. | None: nothing to check |" in page
    assert "1 have rules or\nfacts, 1 have none" in page


def test_the_book_is_the_same_each_time_and_every_link_leads_somewhere() -> None:
    pages = book(TOY)
    assert pages == book(TOY)
    anchors = {name: {anchor(h) for h in re.findall(r"^#+ (.+)$", text, re.M)} for name, text in pages.items()}
    for name, text in pages.items():
        for target, place in re.findall(r"\]\(([a-z.-]*)#([^)]+)\)", text):
            assert place in anchors[target or name], (name, target, place)


def test_check_tells_stale_missing_and_superfluous_pages(folder, tmp_path, capsysbinary) -> None:  # noqa: F811
    out, trace = tmp_path / "book", tmp_path / "trace.md"
    docs(folder, out, trace, check=False)
    docs(folder, out, trace, check=True)
    assert b"3 pages are up to date" in capsysbinary.readouterr().out

    (out / "gone.md").write_text("x")
    with pytest.raises(InputError, match=r"not up to date: `.*gone\.md`"):
        docs(folder, out, trace, check=True)
    rewritten(folder, "rules/lantern/odd-features.yaml", "Does not fit", "Hardly fits")
    with pytest.raises(InputError, match=r"lantern\.md"):
        docs(folder, out, trace, check=True)
    docs(folder, out, trace, check=False)
    assert sorted(path.name for path in out.iterdir()) == ["drugs.md", "index.md", "lantern.md"]


def test_names_and_cells_cannot_break_a_table() -> None:
    assert cell("a | b\nc") == "a \\| b c"
    assert named(["a", "b", "c"], 2) == "`a`, `b` and 1 more"


def test_the_rule_book_in_docs_is_up_to_date(capsysbinary) -> None:
    docs(None, ROOT / "docs/rules", ROOT / "docs/traceability.md", check=True)
    assert b"pages are up to date" in capsysbinary.readouterr().out
