"""site.yaml: accepted entries become rows of value sets, every fault is named with its place, nothing else is read."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from survey_kit import CONTENT, LAB, ruleset

from engine.errors import Fault, RulesetError
from engine.rules.load import load_ruleset
from engine.terminology.load import load_terminology
from engine.terminology.rows import Row, read_folder
from engine.terminology.site import SECTIONS, known_of, read_site
from engine.terminology.terminology import Terminology

KNOWN = known_of(read_folder(CONTENT / "valuesets", []))
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(tmp_path: Path, text: str) -> tuple[list[Row], list[Fault]]:
    path = tmp_path / "site.yaml"
    path.write_text(text, "utf-8")
    faults: list[Fault] = []
    return read_site(path, KNOWN, faults), faults


def said(faults: list[Fault]) -> list[tuple[int, int, str]]:
    return [(fault.place.line, fault.place.column, fault.message) for fault in faults]


def terminology(tmp_path: Path, text: str) -> Terminology:
    path = tmp_path / "site.yaml"
    path.write_text(text, "utf-8")
    return load_terminology(CONTENT / "valuesets", [path])


SITE = f"""\
systems:
- {{accept: yes, uri: "https://hospital.example.org/dx", system: icd10cm}}
codes:
- {{accept: yes, system: "{LAB}", code: "4711", concept: alt, in: observation}}
- {{accept: yes, system: "FORMULARY", code: "R-50", drug: riluzole, route: oral}}
units:
- {{accept: yes, spelling: "Units p. L", unit: U/L}}
ranges:
- {{accept: yes, concept: alt, unit: U/L, low: 5, high: 40.5, plausible: [0, 30000]}}
"""


def test_accepted_entries_are_read_like_value_sets(tmp_path: Path) -> None:
    site = terminology(tmp_path, SITE)
    assert [m.concept for m in site.concepts("condition", [("https://hospital.example.org/dx", "G1221")])] == ["als"]
    assert [m.concept for m in site.concepts("observation", [(LAB, "4711")])] == ["alt"]
    assert site.concepts("condition", [(LAB, "4711")]) == ()
    assert [(d.ingredient, d.route) for d in site.drugs([("formulary", "r-50")])] == [("riluzole", "oral")]
    assert site.unit("Units p. L") == "U/L"
    limits = site.range("alt")
    assert limits is not None
    assert (limits.low, limits.high, limits.unit) == (5, Decimal("40.5"), "U/L")


def test_what_is_not_accepted_changes_nothing(tmp_path: Path) -> None:
    for answer in ("no", "false", '"no"', ""):
        rows, faults = read(tmp_path, SITE.replace("accept: yes", f"accept: {answer}"))
        assert (rows, faults) == ([], [])
    without = read(tmp_path, SITE.replace("accept: yes, ", ""))
    assert without == ([], [])


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ([], [])
    assert read(tmp_path, "systems:\ncodes: []\n") == ([], [])


def test_every_fault_is_named_with_its_place(tmp_path: Path) -> None:
    text = f"""\
system:
- accept: yes
codes:
- accept: perhaps
- accept: yes
  system: "{LAB}"
  code: 4711
  concept: alt
- accept: yes
  system: "{LAB}"
  code: "1"
  concept: altt
  in: observation
- accept: yes
  system: "{LAB}"
  code: "2"
  concept: alt
  in: somewhere
- accept: yes
  system: "{LAB}"
  code: "3"
  concept: alt
  drug: riluzole
- accept: yes
  system: "{LAB}"
  code: "4"
  drug: riluzole
  region: bulbar
- accept: yes
  system: "{LAB}"
  code: "5"
  drug: riluzolee
- accept: yes
  code: "6"
  drug: riluzole
- accept: yes
  system: "{LAB}"
  code: "7"
  drug: riluzole
  use: sometimes
- not a mapping
units:
- {{accept: yes, spelling: x, unit: U/Liter}}
- {{accept: yes, spelling: y, unti: U/L}}
ranges:
- {{accept: yes, concept: alt, unit: U/L, low: high}}
- {{accept: yes, concept: alt, unit: U/L, plausible: 7}}
- {{accept: yes, concept: alt, unit: U/L}}
"""
    rows, faults = read(tmp_path, text)
    assert rows == []
    assert said(faults) == [
        (1, 1, "`system` is no section"),
        (4, 11, "`accept` is yes or no"),
        (7, 9, "`code` must be text"),
        (12, 12, "`altt` is no concept of the ruleset"),
        (18, 7, "`in` names the kinds of resource"),
        (19, 3, "a code stands for a `concept` or for a `drug`"),
        (28, 11, "`region` says nothing of a drug"),
        (32, 9, "`riluzolee` is no drug of the ruleset"),
        (33, 3, "`system` is missing in an entry that is accepted"),
        (40, 8, "`sometimes` is no use"),
        (41, 3, "an entry must be a mapping"),
        (43, 36, "`U/Liter` is no unit of the ruleset"),
        (44, 30, "`unti` is not known in `units`"),
        (46, 47, "`low` must be a number"),
        (47, 53, "`plausible` is a lower and an upper limit"),
        (48, 3, "a range states `low`, `high` or `plausible`"),
    ]
    assert faults[2].hint == "quote it"
    assert faults[12].hint == "did you mean `unit`?"


def test_a_faulty_site_refuses_the_ruleset_with_all_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text('units:\n- {accept: yes, spelling: x, unit: y}\nranges:\n- {accept: yes, concept: z, unit: U/L}\n')
    with pytest.raises(RulesetError) as refused:
        load_ruleset(extra_valuesets=(path,))
    assert [str(fault).rpartition("/")[2].split("; ")[0] for fault in refused.value.faults] == [
        "site.yaml:2:36: `y` is no unit of the ruleset", "site.yaml:4:26: `z` is no concept of the ruleset"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("systems:\n- {accept: yes, uri: 'http://loinc.org', system: sct}", "already another name of `loinc`"),
        (f"codes:\n- {{accept: yes, system: '{LAB}', code: a, concept: alt, in: observation}}\n"
         f"- {{accept: yes, system: '{LAB}', code: A, concept: ck, in: observation}}", "already states `alt`"),
        ("units:\n- {accept: yes, spelling: U/L, unit: g/L}", "already means `U/L`"),
        ("ranges:\n- {accept: yes, concept: alt, unit: U/L, low: 3}\n- {accept: yes, concept: alt, unit: U/L, high: 4}",
         "already has a range"),
        ("ranges:\n- {accept: yes, concept: alt, unit: U/L, low: 9, high: 4}", "must lie below"),
        ("ranges:\n- {accept: yes, concept: alt, unit: mmol/L, high: 4}", "`alt` is not read in `mmol/L`"),
    ],
)  # fmt: skip
def test_what_contradicts_the_value_sets_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(RulesetError) as refused:
        load_ruleset(extra_valuesets=(path,))
    (fault,) = refused.value.faults
    assert message in fault.message
    assert fault.place.line in (2, 3)


def test_a_missing_site_is_an_error_and_no_silence(tmp_path: Path) -> None:
    with pytest.raises(RulesetError, match="cannot be read"):
        load_ruleset(extra_valuesets=(tmp_path / "site.yaml",))


def test_the_hash_and_the_cache_follow_the_content(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("accept: yes", "accept: no"), "utf-8")
    before = load_ruleset(extra_valuesets=(path,), cache_dir=tmp_path)
    path.write_text(SITE, "utf-8")
    after = load_ruleset(extra_valuesets=(path,), cache_dir=tmp_path)
    again = load_ruleset(extra_valuesets=(path,), cache_dir=tmp_path)
    assert len({ruleset().hash, before.hash, after.hash}) == 3
    assert after.content.ranges == again.content.ranges
    assert after.hash == again.hash
    assert again.facts.tables.concepts["alt"].plausible == (0, 30000)
    assert ruleset().facts.tables.concepts["alt"].plausible == (0, 20000)


# -- hostile input ----------------------------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 10**30), st.text(max_size=12),
    st.sampled_from(["yes", "no", "als", "alt", "riluzole", "U/L", "icd10", "observation", LAB, "x" * 600]),
)  # fmt: skip
NAMES = sorted({key for found in SECTIONS.values() for key in found} | {"accept", "why"})
keys = st.one_of(st.sampled_from(NAMES), st.text(max_size=6))
entries = st.one_of(scalars, st.dictionaries(keys, st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=7))
sites = st.dictionaries(
    st.one_of(st.sampled_from(sorted(SECTIONS)), st.text(max_size=5)),
    st.one_of(scalars, st.lists(entries, max_size=4)),
    max_size=4,
)  # fmt: skip


@FUZZ
@given(sites)
def test_any_structure_gives_rows_or_faults_with_places(tmp_path: Path, site: object) -> None:
    import json  # noqa: PLC0415

    rows, faults = read(tmp_path, json.dumps(site))
    assert all(fault.place.line and fault.place.column for fault in faults)
    assert all(row.place.line for row in rows)
    assert all(isinstance(value, str) for row in rows for value in row.cells.values())


@FUZZ
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: str | bytes) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    faults: list[Fault] = []
    assert read_site(path, KNOWN, faults) == [] or not faults


def test_values_that_nest_without_end_are_refused(tmp_path: Path) -> None:
    assert read(tmp_path, "codes: &a\n- *a\n")[1]
    assert read(tmp_path, "codes: " + "[" * 5000)[1]
    assert read(tmp_path, "codes: !!python/object:os.system {}\n")[1]
