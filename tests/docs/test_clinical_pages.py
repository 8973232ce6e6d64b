"""The clinical pages name what exists, leave nothing out, and hold every section that code and rules cite."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from engine.rules.load import load_ruleset
from engine.rules.ruleset import Ruleset

ROOT = Path(__file__).resolve().parents[2]
CONTENT = ROOT / "rulesets/neuromuscular"
PAGES = tuple(sorted((ROOT / "docs/clinical").glob("*.md")))
CITING = ("engine", "rulesets", "tests", "tools")
CARRIERS = {"R": "report", "P": "procedure", "C": "finding", "A": "allergy"}  # as the table abbreviates them
# words of FHIR and of the files of the ruleset that stand in code on these pages
WORDS = frozenset(
    {"absolute", "active", "carriers", "category", "code", "comparator", "concept", "count", "draft",
     "encounter", "finding", "focus", "gender", "high", "interpretation", "issued", "low", "method", "performer",
     "preferred", "preliminary", "route", "uncomputed", "unknown"}
)  # fmt: skip
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


# ---------------------------------------------------------------- what there is


@cache
def ruleset() -> Ruleset:
    return load_ruleset(CONTENT)


@cache
def yaml(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(path.read_text("utf-8"))
    return loaded


@cache
def rules() -> dict[str, dict[str, Any]]:
    return {rule["id"]: rule for path in CONTENT.glob("rules/*/*.yaml") for rule in [yaml(path)]}


@cache
def parameters() -> frozenset[str]:
    return frozenset(yaml(CONTENT / "parameters.yaml"))


@cache
def names() -> frozenset[str]:
    """Everything that a page may call by its name in code."""
    facts = ruleset().facts.values()
    definitions = [name for path in CONTENT.glob("facts/*.yaml") for name in yaml(path)]
    folders = [path.name for path in (CONTENT / "rules").iterdir()]
    files = [path.name for path in CONTENT.rglob("*") if path.is_file()]
    return frozenset(
        (*facts, *definitions, *folders, *files, *rules(), *parameters(), *yaml(CONTENT / "concepts.yaml"),
         *yaml(CONTENT / "tables/classes.yaml"), *WORDS)
    )  # fmt: skip


def text(page: Path) -> str:
    return page.read_text("utf-8")


def spans(page: Path) -> Iterator[str]:
    """The words in code that have the form of a name: lower case, with hyphens and dots."""
    for span in re.findall(r"`([^`\n]+)`", text(page)):
        if re.fullmatch(r"[a-z][a-z0-9]*([-._][a-z0-9]+)*", span):
            yield span


def everywhere() -> str:
    return "\n".join(text(page) for page in PAGES)


def numbered(page: Path) -> Iterator[tuple[str, str]]:
    """(number, title) of the headings of a page that have one."""
    yield from re.findall(r"^#+ (\d+(?:\.\d+)?) (.+)$", text(page), flags=re.MULTILINE)


def headings() -> dict[str, str]:
    return {number: title for page in PAGES for number, title in numbered(page)}


# ---------------------------------------------------------------- names


@each_page
def test_every_name_on_a_page_exists(page: Path) -> None:
    assert sorted(set(spans(page)) - names()) == []


def test_every_parameter_is_named() -> None:
    assert sorted(parameters() - set(spans(ROOT / "docs/clinical/facts.md"))) == []


def test_every_issue_is_said_in_the_criteria_or_under_medication() -> None:
    issues = {name for name, rule in rules().items() if "issue" in rule}
    said = {name for page in ("criteria", "medication") for name in spans(ROOT / f"docs/clinical/{page}.md")}
    assert sorted(issues - said) == []


def test_every_key_of_a_source_exists() -> None:
    references = yaml(CONTENT / "references.yaml")
    cited = set(re.findall(r"(?<![\w-])(R\d+[a-z]?|R-demos|S\d)(?![\w.])", everywhere()))
    assert sorted(cited - set(references)) == []


def test_every_source_of_the_references_says_what_it_is() -> None:
    for key, entry in yaml(CONTENT / "references.yaml").items():
        citation = entry if isinstance(entry, str) else entry["citation"]
        assert len(citation) >= 15, f"{key}: {citation}"
        for identifier in re.findall(r"PMC\d+|doi:\S+", citation):
            assert isinstance(entry, dict), f"{key} names {identifier} and has no address"


# ---------------------------------------------------------------- sections


def cited_sections() -> Iterator[tuple[str, str]]:
    """(where, number or title) of every mention of a section of the clinical specification."""
    number = r"\d+(?:\.\d+)?"
    mention = re.compile(
        rf"clinical spec(?:ification|\.)?[,:]? ?(?:opening of )?(?:section )?"
        rf"(?:\"([^\"]+)\"|({number}(?:(?:,| to| and) {number})*))"
    )
    files = [path for folder in CITING for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml", ".md")]
    for path in files:
        if path != Path(__file__):
            flat = re.sub(r"\s*\n\s*#?\s*", " ", path.read_text("utf-8"))
            for title, numbers in mention.findall(flat):
                yield from ((path.name, one) for one in ([title] if title else re.findall(number, numbers)))


def test_every_section_that_code_or_rules_cite_is_a_heading() -> None:
    known = headings()
    cited = list(cited_sections())
    assert len({section for _, section in cited}) >= 10
    wrong = sorted({one for one in cited if one[1] not in known and one[1] not in known.values()})
    assert wrong == []


def test_the_sections_are_complete_and_each_stands_once() -> None:
    found = [number for page in PAGES for number, _ in numbered(page)]
    assert len(found) == len(set(found))
    assert {int(number) for number in found if "." not in number} == set(range(1, 13))
    for whole in range(1, 13):
        parts = sorted(int(number.split(".")[1]) for number in found if number.startswith(f"{whole}."))
        assert parts == list(range(1, len(parts) + 1)), whole


@each_page
def test_every_section_that_a_page_refers_to_exists(page: Path) -> None:
    referred = re.findall(r"\((?:section )?(\d{1,2}\.\d{1,2})(?=[),]| to | and )", text(page))
    assert sorted(set(referred) - set(headings())) == []


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    without_code = re.sub(r"```.*?```|`[^`\n]*`", "", text(page), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists() and file.is_relative_to(ROOT), f"{page.name}: {target}"
        if anchor:
            assert anchor in {anchor_of(title) for title in re.findall(r"^#+ (.+)$", text(file), flags=re.MULTILINE)}


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_the_index_names_every_page() -> None:
    index = text(ROOT / "docs/clinical/README.md")
    assert [page.name for page in PAGES if page.name != "README.md" and f"]({page.name})" not in index] == []


# ---------------------------------------------------------------- nothing twice, nothing outside


def test_no_page_repeats_the_number_of_a_parameter() -> None:
    """A number with its unit may stand where a source is quoted (R or S in the same paragraph or row), nowhere else."""
    units = {"%": "%|per cent", "days": "days", "years": "years", "months": "months", "cm[H2O]": "cmH2O",
             "mm[Hg]": "mmHg", "nmol/L": "nmol/L", "mL/kg": "mL/kg", "mg": "mg", "mg/d": "mg", "U/L": "U/L",
             "Hz": "Hz", "mm": "mm", "g/L": "g/L", "mmol/L": "mmol/L", "g/kg": "g/kg", "mg/kg/d": "mg/kg"}  # fmt: skip
    repeated = []
    for page in PAGES:
        for block in re.split(r"\n\n|\n(?=[|-])", text(page)):
            if re.search(r"\bR\d|\bS\d|Silence after acknowledgement", block):
                continue
            for name, parameter in yaml(CONTENT / "parameters.yaml").items():
                unit = units.get(parameter["unit"])
                if unit and re.search(rf"(?<![\d.]){re.escape(str(parameter['value']))} ?(?:{unit})\b", block):
                    repeated.append((page.name, name, block[:60]))
    assert repeated == []


@each_page
def test_no_page_names_anything_outside_the_project(page: Path) -> None:
    assert not re.search(r"/work\b|/home\b|\bshared/|\.\./\.\./\.\./", text(page))


def test_no_code_or_rule_mentions_a_document_that_does_not_exist() -> None:
    known = {path.name for path in ROOT.glob("*.md")} | {path.name for path in ROOT.glob("[a-z]*/**/*.md")}
    missing = []
    for folder in ("engine", "rulesets", "tools"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml"):
                mentioned = re.findall(r"[\w/.-]*\w\.md\b", path.read_text("utf-8"))
                missing += [(path.name, one) for one in mentioned if one.rpartition("/")[2] not in known]
    assert missing == []


# ---------------------------------------------------------------- representation and sign-off


def rows(page: str) -> Iterator[list[str]]:
    """The cells of every table row of a page."""
    for line in text(ROOT / f"docs/clinical/{page}.md").splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def carriers() -> dict[str, set[str]]:
    """Concept -> the kinds of resources that may hold one of its codes."""
    found: dict[str, set[str]] = {}
    for path in sorted((CONTENT / "valuesets").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row.get("carriers") and row.get("use") != "exclude":
                    found.setdefault(row["concept"], set()).update(row["carriers"].split())
    return found


def test_every_concept_is_on_the_page_of_representation() -> None:
    assert sorted(set(yaml(CONTENT / "concepts.yaml")) - set(spans(ROOT / "docs/clinical/representation.md"))) == []


def test_results_have_the_carriers_that_the_value_sets_give_them() -> None:
    table = carriers()
    checked = 0
    wrong = []
    for cells in rows("representation"):
        concepts = [name for name in re.findall(r"`([^`]+)`", cells[0]) if name in table]
        if len(cells) != 3 or not concepts:
            continue
        also = {CARRIERS[letter] for letter in re.findall(r"\b[RPCA]\b", cells[2])}
        for concept in concepts:
            checked += 1
            given = table[concept] & set(CARRIERS.values())
            if given != also:
                wrong.append((concept, sorted(given), sorted(also)))
    assert checked > 90
    assert wrong == []


def test_the_sign_off_sheet_lists_every_rule_in_its_version_and_calls_open_what_is_a_draft() -> None:
    listed = {cells[0].strip("`"): cells[1:] for cells in rows("sign-off") if len(cells) == 4 and cells[0][:1] == "`"}
    assert sorted(listed) == sorted(rules())
    for name, (version, evidence, state) in listed.items():
        rule = rules()[name]
        assert version == rule["version"], name
        assert evidence == rule["evidence"].replace("-", " "), name
        assert (state == "open") == (rule["status"] == "draft"), name
