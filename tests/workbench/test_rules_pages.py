"""The pages of the rule book: each rule and fact has one, every link leads somewhere, hostile text stays text."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from starlette.testclient import TestClient

from engine.evaluation import Evaluator
from engine.rules.load import load_ruleset
from engine.service.app import create_app
from engine.service.workbench.rule_shelf import shelf_of
from engine.settings import Settings

BASE = "http://127.0.0.1"
LINK = re.compile(r'href="([^"]*)"')
ID = re.compile(r'\bid="([^"]*)"')
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"
TOY = Path(__file__).parents[1] / "rulesets/toy"


@pytest.fixture(scope="module")
def book(evaluator: Evaluator) -> Iterator[TestClient]:
    """Without a limit of requests: all pages are opened."""
    app = create_app(evaluator, Settings(requests_per_second=0), dev=True)
    with TestClient(app, base_url=BASE) as client:
        yield client


def text_of(client: TestClient, path: str) -> str:
    page = client.get(path)
    assert page.status_code == 200, path
    return html.unescape(page.text)


def test_every_page_is_there_and_every_link_leads_to_one(book: TestClient, evaluator: Evaluator) -> None:
    ruleset = evaluator.ruleset
    waiting = ["/rules", *(f"/rules/{info.id}" for info in ruleset.info.values())]
    waiting += [f"/rules/facts/{name}" for name in ruleset.fact_info]
    pages: dict[str, set[str]] = {}
    fragments: set[tuple[str, str]] = set()
    while waiting:
        path = waiting.pop()
        if path in pages:
            continue
        page = book.get(path)
        assert page.status_code == 200, path
        pages[path] = set(ID.findall(page.text))
        for link in map(html.unescape, LINK.findall(page.text)):
            target, fragment = urldefrag(urljoin(BASE + path, link))
            if target.startswith(f"{BASE}/"):
                waiting.append(target.removeprefix(BASE))
                if fragment:
                    fragments.add((target.removeprefix(BASE), fragment))
            else:
                assert target.startswith("https://"), (path, link)
    assert len(pages) > len(ruleset.info) + len(ruleset.fact_info)
    assert [one for one in fragments if not {one[1], unquote(one[1])} & pages[one[0]]] == []


def test_a_rule_says_all_that_the_rule_book_says(book: TestClient, evaluator: Evaluator) -> None:
    info = evaluator.ruleset.info["mimic-mmn"]
    told = text_of(book, "/rules/mimic-mmn")
    for said in (info.title, info.purpose, info.use, info.misuse, info.version, info.hash[:12], *info.advice):
        assert said in told
    for source in info.sources:
        assert source.ref in told and source.says in told and source.citation in told
    assert "awaits clinical sign-off" in told and "verified in a source" in told
    assert '<a href="../rules/facts/gm1"><code>gm1</code></a>: present' in told
    assert '<a href="../rules/mmn-picture"><code>mmn-picture</code></a>: present' in told
    assert '<a href="../rules/mimic-found">' in told  # who reads it
    assert "GM1 IgM antibody" in told and "8 codes" in told
    assert "MMN labelled ALS" in told and "<code>V34</code>" in told
    assert "patients in whom it must be silent" in told


def test_a_rule_names_the_numbers_and_the_drugs_behind_it(book: TestClient) -> None:
    told = text_of(book, "/rules/achr-positive-without-mg-phenotype")
    assert re.search(r"achr-repeat-days</code></a> <b>28 days</b>", told)
    assert "Source: S0 asks for repetition" in told
    drugs = text_of(book, "/rules/order.mg-hazard")
    assert "ciprofloxacin" in drugs and "<td>rx</td>" in drugs


def test_points_that_can_be_argued_with_stand_on_the_rule(book: TestClient) -> None:
    told = text_of(book, "/rules/als-atypical-feature")
    assert "S3 takes any rise of CSF protein or cells" in told
    assert "No data can show" in told


def test_a_fact_says_what_it_is_made_of_and_who_reads_it(book: TestClient, evaluator: Evaluator) -> None:
    told = text_of(book, "/rules/facts/achr")
    assert "AChR repeated or by another assay" in told
    assert "achr-repeat-days" in told and "28 days" in told
    assert "in nmol/L" in told and "11034-6" in told
    for reader in evaluator.ruleset.chain["achr"]:
        assert f"<code>{reader}</code>" in told
    family = text_of(book, "/rules/facts/lmn-clinical.bulbar")
    assert "one of the facts of" in family


def test_the_numbers_stand_on_one_page_with_their_sources(book: TestClient, evaluator: Evaluator) -> None:
    told = text_of(book, "/rules/parameters")
    for name, parameter in evaluator.ruleset.facts.parameters.items():
        assert f'id="{name}"' in told
        assert parameter.meaning in told


def test_a_search_without_a_script_hides_what_is_not_found(book: TestClient) -> None:
    told = text_of(book, "/rules?q=Conduction+block")
    shown = re.findall(r'<li data-entry="\d+"><a href="./rules/([^"]*)"', told)
    assert "mimic-mmn" in shown and "mg-drug-avoid" not in shown
    assert f"{len(shown)} found" in told
    assert "found in" in told
    assert "Nothing is said of this" in text_of(book, "/rules?q=zebra")


def test_the_words_of_the_list_are_kept_by_the_browser_as_long_as_the_rules_are_the_same(book: TestClient) -> None:
    [path] = re.findall(r'data-words="\.(/[^"]*)"', book.get("/rules").text)
    words = book.get(path)
    assert "immutable" in words.headers["cache-control"]
    assert len(words.json()) == book.get("/rules").text.count("data-entry")
    assert book.get("/rules/words/0123.json").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/rules/no", "/rules/facts/no-such", "/rules/graph?rule=no-such", "/rules/graph?ruleset=no", f"/rules/{EVIL}"],
)
def test_what_is_not_there_is_told_on_a_page(book: TestClient, path: str) -> None:
    page = book.get(path)
    assert page.status_code == 404
    assert "there is no" in page.text and "<script" not in page.text


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/rules/graph?rule=mimic-mmn", {"mimic-mmn", "mmn-picture", "gm1", "mimic-found"}),
        ("/rules/graph?rule=achr&steps=odd", {"achr", "mg-likely"}),
        ("/rules/graph?ruleset=als-mimics&facts=none", {"mimic-mmn", "mimic-kennedy"}),
        ("/rules/graph", {"mimic-mmn", "order.mg-hazard", "umn"}),
    ],
)
def test_a_graph_is_a_picture_of_links_and_a_table(book: TestClient, path: str, names: set[str]) -> None:
    told = text_of(book, path)
    drawn = set(re.findall(r"<title>[^<]*\(([^<)]*)\)</title>", told.partition("<svg")[2]))
    assert names <= drawn
    assert told.count("<path ") == told.partition("<tbody>")[2].count("<tr>")
    assert ("facts=none" in path) == ("gm1" not in drawn and "umn" not in drawn and "achr" not in drawn)


def test_pages_of_rules_are_for_everybody_and_load_nothing_from_elsewhere(evaluator: Evaluator) -> None:
    """No sign-in, by whatever name the service is known."""
    app = create_app(evaluator, Settings(requests_per_second=0), dev=True)
    client = TestClient(app, base_url="https://cds.example.org")
    for path in ("/rules", "/rules/mimic-mmn", "/rules/graph?rule=mimic-mmn", "/rules/parameters"):
        page = client.get(path)
        assert page.status_code == 200
        assert "unsafe" not in page.headers["content-security-policy"]
        assert not re.search(r'\sstyle=|\son\w+=|src="(?!\.)', page.text)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """The made-up ruleset with markup wherever a site may write words."""
    folder = Path(shutil.copytree(TOY, tmp_path_factory.mktemp("hostile") / "toy"))
    for file, old in [
        ("rules/lantern/lantern-fever-found.yaml", "Lantern fever by its criteria"),
        ("rules/lantern/lantern-fever-found.yaml", "Shows one part of the rule language."),
        ("rules/lantern/lantern-fever-found.yaml", "Patients of the tests."),
        ("rules/lantern/lantern-fever-found.yaml", "made up"),
        ("rules/lantern/lantern-fever-found.yaml", "it shines"),
        ("rules/lantern/lantern-fever-found.yaml", "Lantern fever is likely."),
        ("rules/lantern/lantern-fever-found.yaml", "Give dimol,"),
        ("references.yaml", "Fevers of the lantern."),
        ("parameters.yaml", "a pulse not older than this speaks of now"),
        ("concepts.yaml", "Pulse"),
        ("vignettes/lantern.yaml", "Lantern fever with glow and antibody, a critical pulse"),
        ("ruleset.yaml", "Lantern fever, a disease that does not exist"),
    ]:
        path = folder / file
        text = path.read_text("utf-8")
        assert old in text, (file, old)
        path.write_text(text.replace(old, EVIL, 1), "utf-8")
    references = folder / "references.yaml"
    references.write_text(references.read_text("utf-8").replace("https://example.org/lantern", "javascript:alert(1)"))
    codes = folder / "valuesets/concepts.csv"
    codes.write_text(codes.read_text("utf-8").replace("glow,Glow", f"glow,{EVIL}"), "utf-8")
    ruleset = load_ruleset(folder)
    app = create_app(Evaluator(ruleset), Settings(ruleset=folder, requests_per_second=0), dev=True)
    assert shelf_of(app.state.service.live.content, app.state.service.settings).book.value_sets
    return TestClient(app, base_url=BASE)


def test_hostile_text_of_a_ruleset_stays_text(hostile: TestClient) -> None:
    pages = ["/rules", f"/rules?q={EVIL}", "/rules/lantern-fever-found", "/rules/facts/glow"]
    pages += ["/rules/facts/pulse-fresh", "/rules/parameters", "/rules/graph", "/rules/graph?rule=lantern-fever-found"]
    escaped = 0
    for path in pages:
        page = hostile.get(path)
        assert page.status_code == 200, path
        assert "<script>" not in page.text and "<img" not in page.text and "javascript:" not in page.text
        escaped += page.text.count("&lt;script&gt;")
    assert escaped > 15


def test_files_that_have_changed_since_are_not_mixed_with_the_rules_that_run(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TOY, tmp_path / "toy"))
    ruleset = load_ruleset(folder)
    with (folder / "references.yaml").open("a", encoding="utf-8") as file:
        file.write("T3: Another\n")
    app = create_app(Evaluator(ruleset), Settings(ruleset=folder), dev=True)
    client = TestClient(app, base_url=BASE)
    for path in ("/rules/lantern-fever-found", "/rules/facts/glow"):
        told = text_of(client, path)
        assert "have changed since they were read" in told
        assert "Lantern fever" in told or "Glow" in told
