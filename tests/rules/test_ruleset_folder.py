# ruff: noqa: E501
"""A folder of rules as a whole: its hash, its compiled cache, independence of names and order, hostile files."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.document import load_document
from engine.errors import RulesetError
from engine.rules import cache
from engine.rules.files import bundled, content_files, content_hash
from engine.rules.load import load_ruleset
from engine.rules.program import Issue
from engine.rules.ruleset import Ruleset

TOY = Path(__file__).parents[1] / "rulesets/toy"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(TOY, tmp_path / "toy"))


# -- content hash


@pytest.mark.parametrize("path", [path.relative_to(TOY).as_posix() for path in content_files(TOY)])
def test_any_change_of_any_file_changes_the_hash(folder, path):
    before = content_hash([folder])
    with (folder / path).open("ab") as file:
        file.write(b" ")
    assert content_hash([folder]) != before


def test_the_hash_depends_on_names_and_not_on_place_or_time(folder, tmp_path):
    before = content_hash([folder])
    os.utime(folder / "ruleset.yaml", (1, 1))
    moved = folder.rename(tmp_path / "elsewhere")
    assert content_hash([moved]) == before == content_hash([TOY])
    (moved / "rules/lantern").rename(moved / "rules/lamp")
    assert content_hash([moved]) != before


def test_hidden_files_are_no_content(folder):
    before = content_hash([folder])
    (folder / ".DS_Store").write_text("x")
    (folder / "rules/.swap").write_text("x")
    assert content_hash([folder]) == before


def test_the_border_between_two_files_is_part_of_the_hash(tmp_path):
    for name, one, two in (("a", "12", "3"), ("b", "1", "23")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(one)
        (tmp_path / name / "y").write_text(two)
    assert content_hash([tmp_path / "a"]) != content_hash([tmp_path / "b"])


def test_a_sites_value_sets_and_the_base_of_local_systems_are_part_of_the_hash(folder, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "x.csv").write_text("concept,carriers,system,code\nglow,observation,toy,glimmer\n")
    plain = load_ruleset(folder)
    extended = load_ruleset(folder, extra_valuesets=[site])
    assert len({plain.hash, extended.hash, load_ruleset(folder, base="urn:other").hash}) == 3
    assert extended.terminology.concepts("observation", [("urn:example:toy", "glimmer")])[0].concept == "glow"


def test_a_rule_has_the_hash_of_its_own_file(folder):
    before = load_ruleset(folder).info
    with (folder / "rules/lantern/dark-scan.yaml").open("a") as file:
        file.write("# a remark\n")
    after = load_ruleset(folder).info
    assert [name for name in before if before[name].hash != after[name].hash] == ["dark-scan"]


# -- what a ruleset holds


def test_a_ruleset_tells_header_texts_sources_and_place_of_each_rule():
    info = load_ruleset(TOY).info["lantern-fever-found"]
    assert (info.ruleset, info.kind, info.version, info.status) == ("lantern", "issue", "1.0.0", "draft")
    assert [(source.ref, source.says, source.citation) for source in info.sources] == [
        ("T1", "it shines", "Lamplighter A. Fevers of the lantern. 1899"), ("T2", "", "Engineering choice"),
    ]  # fmt: skip
    assert info.advice == ("Give dimol, at most 2.5 g a day.",)
    assert [offer.code for offer in info.suggestions] == ["lantern-antibody"]
    assert str(info.place) == "rules/lantern/lantern-fever-found.yaml:1:1"
    assert info.reads == ("lantern-fever", "dark-scan-alone")


def test_the_chain_leads_from_a_fact_to_the_rules_that_read_it():
    ruleset = load_ruleset(TOY)
    assert ruleset.chain["fever-risk"] == ("dimol-without-fever", "order.bright-hazard", "pulse-crisis")
    assert ruleset.chain["scan"] == ("dark-scan", "lantern-fever", "odd-features")
    assert ruleset.title_of("scan") == "Scan" and ruleset.title_of("fever-risk") == "Risk of lantern fever for drugs"


def test_a_case_knows_its_own_suggestions():
    rules = {rule.name: rule for rule in load_ruleset(TOY).program.order}
    assert [case.suggest for case in rules["brightener-avoid"].cases] == [("stop-this-order",), ()]


def test_anchors_of_the_made_up_ruleset():
    ruleset = load_ruleset(TOY)
    anchors = {rule.name: [a.fact for a in rule.anchors] for rule in (*ruleset.program.patient, *ruleset.program.order)
               if isinstance(rule, Issue)}  # fmt: skip
    assert anchors["dq-unit-missing"] == []
    assert anchors["pulse-crisis"] == ["antibody", "fever-diagnosis", "glow"]
    assert anchors["dimol-without-fever"] == ["order.ingredient"]


def test_parameters_in_texts_are_filled_in_and_facts_are_not():
    (issue,) = (rule for rule in load_ruleset(TOY).program.patient if rule.name == "lantern-fever-found")
    assert issue.cases[0].summary == "Lantern fever: {glow | hum}, {antibody}. Missing: {missing}."


def test_names_of_folders_and_the_order_of_files_decide_nothing(folder):
    before = load_ruleset(folder).program
    for number, path in enumerate(sorted((folder / "rules").glob("*/*.yaml"), reverse=True)):
        target = folder / "rules" / f"{number % 3}" / path.name
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    for number, path in enumerate(sorted((folder / "facts").glob("*.yaml"), reverse=True)):
        path.rename(path.with_name(f"{number}.yaml"))
    assert load_ruleset(folder).program == before


# -- compiled cache


def test_a_ruleset_from_the_cache_equals_the_compiled_one(tmp_path):
    compiled, stored = load_ruleset(TOY, cache_dir=tmp_path), load_ruleset(TOY, cache_dir=tmp_path)
    assert compiled == stored and compiled is not stored
    assert len(list(tmp_path.iterdir())) == 1


def test_a_start_from_the_cache_reads_no_yaml(tmp_path):
    load_ruleset(TOY, cache_dir=tmp_path)
    code = (
        "import sys; from pathlib import Path; from engine.rules.load import load_ruleset\n"
        f"r = load_ruleset(Path({str(TOY)!r}), cache_dir=Path({str(tmp_path)!r}))\n"
        "assert r.id == 'toy'; sys.exit('ruamel.yaml' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:3000] + bytes([data[3000] ^ 1]) + data[3001:],
        lambda data: b"\x00" * len(data),
        lambda data: data.replace(cache.MAGIC, b"endplate-ruleset-0\n"),
    ],
)
def test_a_damaged_cache_is_compiled_again_and_replaced(tmp_path, damage):
    compiled = load_ruleset(TOY, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    file.write_bytes(damage(good))
    assert load_ruleset(TOY, cache_dir=tmp_path) == compiled
    assert file.read_bytes() == good


def test_a_cache_file_of_another_key_is_not_taken(tmp_path):
    load_ruleset(TOY, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    file.rename(cache.path_for(tmp_path, "0" * 64))
    assert cache.read(tmp_path, "0" * 64, Ruleset) is None


def test_a_value_of_another_form_is_not_taken(tmp_path):
    cache.write(tmp_path, "k", {"id": 5})
    assert cache.read(tmp_path, "k", Ruleset) is None


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert load_ruleset(TOY, cache_dir=tmp_path / "file" / "below").id == "toy"


def test_a_change_is_seen_through_the_cache(folder, tmp_path):
    before = load_ruleset(folder, cache_dir=tmp_path / "c")
    path = folder / "rules/lantern/dark-scan-alone.yaml"
    path.write_text(path.read_text().replace("severity: low", "severity: moderate"))
    after = load_ruleset(folder, cache_dir=tmp_path / "c")
    assert before.hash != after.hash
    (issue,) = (rule for rule in after.program.patient if rule.name == "dark-scan-alone")
    assert issue.cases[0].severity == "moderate"


def test_a_refused_ruleset_is_not_kept(folder, tmp_path):
    (folder / "ruleset.yaml").write_text("id: toy\n")
    for _ in range(2):
        with pytest.raises(RulesetError):
            load_ruleset(folder, cache_dir=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_ruleset_is_one_value():
    ruleset = load_ruleset(TOY)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(ruleset), type=Ruleset) == ruleset


def test_the_bundled_ruleset_is_found():
    assert bundled().name == "neuromuscular" and bundled().is_dir()


# -- hostile files

YAML_FILES = [path.relative_to(TOY).as_posix() for path in content_files(TOY) if path.suffix == ".yaml"]
SCALARS = st.one_of(
    st.text(max_size=12), st.integers(-3, 10**30), st.booleans(), st.none(), st.floats(allow_nan=False, width=32),
    st.sampled_from(["not present", "unknown", "any", "{", "glow", "order.ingredient", "present", "*a", "{missing}"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def loads_or_is_refused(folder):
    try:
        load_ruleset(folder, with_vignettes=True)
    except RulesetError as error:
        assert error.faults
        for fault in error.faults:
            assert fault.message and "Traceback" not in str(fault) and fault.place.file


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return Path(shutil.copytree(TOY, tmp_path_factory.mktemp("hostile") / "toy"))


@given(file=st.sampled_from(YAML_FILES), seed=st.integers(0, 2**32), value=VALUES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_any_place_of_any_file_is_accepted_or_refused(scratch, file, seed, value):
    data = load_document(TOY / file).data
    positions = list(walk(data, ()))
    path = random.Random(seed).choice(positions)
    (scratch / file).write_text(json.dumps(replaced(data, path, value), default=float), encoding="utf-8")
    try:
        loads_or_is_refused(scratch)
    finally:
        shutil.copy(TOY / file, scratch / file)


@given(file=st.sampled_from(YAML_FILES), seed=st.integers(0, 2**32), text=st.text(max_size=20), cut=st.integers(0, 40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_in_any_place_of_any_file_is_accepted_or_refused(scratch, file, seed, text, cut):
    whole = (TOY / file).read_text(encoding="utf-8")
    at = random.Random(seed).randrange(len(whole))
    damaged = (whole[:at] + text + whole[at + cut :]).encode("utf-8", "surrogatepass")
    (scratch / file).write_bytes(damaged)
    try:
        loads_or_is_refused(scratch)
    finally:
        shutil.copy(TOY / file, scratch / file)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"\x00", b"a: &x [*x]", b"a: *nowhere", b"- " * 3000, b"[" * 3000, b"? {a: b}\n: c", b"%YAML 9.9\n---\na: b",
     b"--- a\n--- b", b"!!python/object:os.system {}", b"a: b\na: c", b"\t- x", b"a: 1e999999", b"a: " + b"9" * 6000],
)  # fmt: skip
@pytest.mark.parametrize("file", ["ruleset.yaml", "rules/lantern/dark-scan.yaml", "vignettes/lantern.yaml", "orders.yaml"])
def test_known_traps_of_yaml_are_refused(folder, file, content):
    (folder / file).write_bytes(content)
    with pytest.raises(RulesetError) as refused:
        load_ruleset(folder, with_vignettes=True)
    assert any(fault.place.file.endswith(file) for fault in refused.value.faults)


def walk(data, path):
    yield path
    if isinstance(data, dict):
        for key in data:
            yield from walk(data[key], (*path, key))
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from walk(item, (*path, index))


def replaced(data, path, value):
    if not path:
        return value
    if isinstance(data, dict):
        return {key: replaced(item, path[1:], value) if key == path[0] else item for key, item in data.items()}
    return [replaced(item, path[1:], value) if index == path[0] else item for index, item in enumerate(data)]


def test_numbers_of_rules_stay_exact():
    assert load_ruleset(TOY).facts.parameters["dimol-most"].value == Decimal("2.5")
