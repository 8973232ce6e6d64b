"""The rule book of one content, made ready for its pages: collected when it is first asked for, and then kept."""

from __future__ import annotations

import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from engine.errors import EndplateError, Fault
from engine.model.finding import SEVERITIES
from engine.outputs.rule_book_rules import Book
from engine.outputs.rule_book_vignettes import vignettes_in
from engine.quality.files import Files, read_files
from engine.rules.files import bundled, content_hash
from engine.rules.graph import Graph, graph
from engine.rules.ruleset import Ruleset
from engine.service.live import Content
from engine.service.workbench.web import environment
from engine.settings import Settings
from engine.terminology.load import rows_of
from engine.workbench.chain import around, of_folder, picture
from engine.workbench.rule_index import FACTS, PARAMETERS, SIGNED, Group, groups_of, matching, words_of

STEPS = (1, 2, 3, 4)
PICTURES = 64  # that are kept
_NOWHERE = Path(__file__).with_name("no-such-folder")


class Shelf:
    """Everything that pages show of a ruleset. `whole`: its files are those that were loaded, and could be read."""

    def __init__(self, ruleset: Ruleset, settings: Settings) -> None:
        self.ruleset = ruleset
        self.paths = {name: f"facts/{name}" for name in ruleset.fact_info}
        self.paths |= {info.definition: f"facts/{info.definition}" for info in ruleset.fact_info.values()}
        self.paths |= {name: info.id for name, info in ruleset.info.items()}
        self.names = {info.id: name for name, info in ruleset.info.items()} | {name: name for name in ruleset.info}
        self.members: dict[str, list[str]] = {}
        for name, info in ruleset.fact_info.items():
            self.members.setdefault(info.definition, []).append(name)
        self.whole = True
        self._settings = settings
        self._lock = threading.Lock()
        self._warmed = False
        self.drawn = lru_cache(PICTURES)(self._drawn)

    @property
    def book(self) -> Book:
        """What the folder of the rules says; of files that have changed since, nothing is told."""
        with self._lock:
            return self._book

    def warm(self) -> None:
        """Begins to collect what the pages of rules will show: it takes a second or two, and somebody is here."""
        if not self._warmed:
            self._warmed = True
            threading.Thread(target=lambda: self.book, name="rule-book", daemon=True).start()

    @cached_property
    def _book(self) -> Book:
        settings = self._settings
        extra = (*settings.valuesets, *((settings.site,) if settings.site else ()))
        faults: list[Fault] = []
        try:
            folder = settings.ruleset or bundled()
            if content_hash((folder, *extra), settings.base).startswith(self.ruleset.hash):
                files = read_files(folder, self.ruleset)
                rows = rows_of(folder / "valuesets", extra, faults)
                return Book(self.ruleset, folder, files, rows, vignettes_in(folder))
        except (EndplateError, OSError):
            pass
        self.whole = False
        return Book(self.ruleset, _NOWHERE, Files(), (), ())

    @cached_property
    def graph(self) -> Graph:
        """The forward chaining, with base facts."""
        return graph(self.ruleset.program)

    # -- the list -------------------------------------------------------------------------------------------------

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Every entry of the list."""
        return groups_of(self.ruleset)

    @cached_property
    def words(self) -> bytes:
        """What a search in the browser looks into: the words of each entry by their label, in the order of the page."""
        return msgspec.json.encode([dict(entry.words) for group in self.groups for entry in group.entries])

    @cached_property
    def whole_list(self) -> bytes:
        """The page of the list."""
        return self.list("")

    def list(self, query: str) -> bytes:
        """The page of the list, with what a query does not find hidden."""
        hits = {title: {hit.entry.path: hit for hit in found} for title, found in matching(self.groups, query)}
        rules = [info for name, info in self.ruleset.info.items()]
        found = sum(len(held) for held in hits.values())
        return _rendered(
            "rules.html", root=".", query=query, groups=self.groups, hits=hits, found=found, ruleset=self.ruleset,
            folded=(FACTS, PARAMETERS), searched=bool(words_of(query)), rules=len(rules),
            graveness=SEVERITIES,
            issues=sum(info.kind == "issue" for info in rules), signed=sum(info.status == SIGNED for info in rules),
        )  # fmt: skip

    # -- the graph ------------------------------------------------------------------------------------------------

    def _drawn(self, rule: str, folder: str, steps: int, facts: bool) -> bytes:
        """The page of a graph: around a rule, of a folder, or of everything ("" and "")."""
        shown = self.graph if facts else graph(self.ruleset.program, base=False)
        if rule:
            shown = around(shown, [rule], steps)
        elif folder:
            shown = of_folder(shown, self.ruleset, folder)
        return _rendered(
            "rule_graph.html", root="..", rule=rule, folder=folder, steps=steps, facts=facts, all_steps=STEPS,
            ruleset=self.ruleset, drawn=shown, picture=picture(shown, self.ruleset, rule), paths=self.paths,
            folders=sorted({info.ruleset for info in self.ruleset.info.values()}),
            named=sorted((info.title, name) for name, info in self.ruleset.info.items()),
            vertices={vertex.name: vertex for vertex in shown.vertices},
        )  # fmt: skip


_shelves: WeakKeyDictionary[Content, Shelf] = WeakKeyDictionary()
_making = threading.Lock()


def shelf_of(content: Content, settings: Settings) -> Shelf:
    """The shelf of a content; it goes when the content goes."""
    with _making:
        found = _shelves.get(content)
        if found is None:
            found = _shelves[content] = Shelf(content.evaluator.ruleset, settings)
        return found


def _rendered(template: str, **values: Any) -> bytes:
    return environment().get_template(template).render(**values).encode()
