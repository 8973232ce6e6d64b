"""Loading value sets: what is refused, and what a site may add."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import RulesetError
from engine.terminology import load_terminology

Write = Callable[..., Path]
SYSTEMS = "system,uri\ntree,http://tree.example\n"
HEADER = "concept,carriers,system,code\n"


def faults(folder: Path, *extra: Path) -> list[str]:
    with pytest.raises(RulesetError) as caught:
        load_terminology(folder, extra)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("planet,carriers\n", "`planet` names no kind of row"),
        ("concept,carriers,system\n", "column `code` is missing"),
        ("concept,carriers,system,code,colour\n", "column `colour` is not known"),
        ("concept,carriers,system,code,code\n", "a column stands twice"),
        (HEADER + "pear,condition,tree\n", "c.csv:2:1: has 3 cells under 4 columns"),
        (HEADER + "pear,condition,tree,\n", "c.csv:2:1: `code` is empty"),
        (HEADER + "pear,condition,bush,1\n", "`bush` is no known code system"),
        (HEADER + "pear,basket,tree,1\n", "`basket` is no carrier"),
        (
            "concept,carriers,system,code,use\npear,condition,tree,1,\npear,condition,tree,1,suspected\n",
            "c.csv:3:1: `tree|1` already stands for `pear`, with another use",
        ),
        ("concept,carriers,system,code,use\npear,condition,tree,1,maybe\n", "`maybe` is no use"),
        ("concept,carriers,system,code,match\npear,condition,tree,1,nearly\n", "`nearly` is no match"),
        ("ingredient,system,code\n,tree,1\n", "`ingredient` is empty"),
        ("ingredient,system,code,use\nmust,tree,1,\nmust,tree,1,minor\n", "already names `must`, with another use"),
        ("name,ingredient\n--,must\n", "holds no letter or digit"),
        ("answer,system,code\nyes,tree,1\nno,tree,1\n", "c.csv:3:1: `tree|1` already answers `yes`"),
        ("codeset,value,system,code\nside,left,tree,1\nside,right,tree,1\n", "already stands for `left`"),
        ("word,codeset,value\nlinks,side,left\nLinks,side,right\n", "already means `left`"),
        ("unit,spelling\nkg,kilo\ng,kilo\n", "`kilo` already means `kg`"),
        ("system,uri\nbush,http://tree.example\n", "already another name of"),
        ("system,uri,traits\nbush,http://bush.example,thorny\n", "`thorny` is no trait"),
        ("system,uri,traits,shape\nbush,http://bush.example,,[\n", "`[` is no pattern"),
        ('concept,carriers,system,code\npear,condition,tree,"1\n', "is not CSV"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_with_its_place(write_valuesets: Write, text: str, said: str) -> None:
    found = faults(write_valuesets(a_systems=SYSTEMS, c=text))
    assert any(said in fault for fault in found), found
    assert all("c.csv" in fault for fault in found)


def test_two_concepts_share_a_code_only_where_an_overlap_allows_it(write_valuesets: Write) -> None:
    rows = HEADER + "pear,condition,tree,1\nquince,condition,tree,1\n"
    (fault,) = faults(write_valuesets("one", a=SYSTEMS, c=rows))
    assert "c.csv:3:1: `tree|1` already states `pear`, and no overlap allows `quince` beside it" in fault
    assert load_terminology(write_valuesets("two", a=SYSTEMS, b="overlap,with\nquince,pear\n", c=rows))


def test_in_different_carriers_a_code_may_state_different_concepts(write_valuesets: Write) -> None:
    rows = HEADER + "pear,condition,tree,1\nquince,observation,tree,1\n"
    assert load_terminology(write_valuesets(a=SYSTEMS, c=rows))


def test_all_faults_are_told_at_once(write_valuesets: Write, tmp_path: Path) -> None:
    found = faults(
        write_valuesets(a=SYSTEMS, c=HEADER + "pear,basket,tree,1\npear,condition,bush,1\n"), tmp_path / "no"
    )
    assert len(found) == 3
    assert any("no such folder" in fault for fault in found)


def test_a_file_that_is_no_text_is_a_fault(write_valuesets: Write) -> None:
    folder = write_valuesets(a=SYSTEMS)
    (folder / "b.csv").write_bytes(b"\xff\xfe\x00concept")
    assert "cannot be read as UTF-8" in faults(folder)[0]


def test_a_byte_order_mark_and_empty_lines_do_no_harm(write_valuesets: Write) -> None:
    folder = write_valuesets(a="\ufeff" + SYSTEMS + "\n\n", c=HEADER + "\npear,condition,tree,1\n\n")
    assert load_terminology(folder).concepts("condition", [("http://tree.example", "1")])


def test_a_site_adds_codes_names_and_other_names_of_systems(write_valuesets: Write) -> None:
    own = write_valuesets()
    site = write_valuesets(
        "site",
        systems="system,uri\nfruit,http://hospital.example/diagnoses\n",
        results="concept,carriers,system,code\nripe,observation,http://hospital.example/lab,R-1\n",
        orders="ingredient,system,code,route\nmust,http://hospital.example/orders,M1,oral\n",
        texts="name,ingredient\nhousemark,must\n",
    )
    terminology = load_terminology(own, [site])
    assert terminology.concepts("condition", [("http://hospital.example/diagnoses", "A10.1")])
    assert terminology.concepts("observation", [("http://hospital.example/lab", "r-1")])
    assert terminology.drugs([("http://hospital.example/orders", "M1")])[0].ingredient == "must"
    assert terminology.drugs_named("Housemark")[0].ingredient == "must"


def test_a_longer_list_of_a_site_may_hold_our_rows_again(write_valuesets: Write) -> None:
    site = write_valuesets("site", c=HEADER + "apple,condition,fruit,A10.1\napple,condition,fruit,A10.7\n")
    terminology = load_terminology(write_valuesets(), [site])
    assert [m.concept for m in terminology.concepts("condition", [("FRUIT-10", "A10.7")])] == ["apple"]


def test_a_site_cannot_give_a_code_of_ours_another_meaning(write_valuesets: Write) -> None:
    site = write_valuesets("site", c=HEADER + "plum,condition,fruit,A10.1\n")
    assert "already states `apple`" in faults(write_valuesets(), site)[0]


def test_the_base_of_local_systems_is_a_setting(write_valuesets: Write) -> None:
    terminology = load_terminology(write_valuesets(), base="urn:hospital")
    assert terminology.concepts("observation", [("urn:hospital:garden", "ripe")])
    assert not terminology.concepts("observation", [("urn:endplate:garden", "ripe")])
