"""The rule book: what a ruleset says, generated as Markdown from the ruleset itself.

One page a folder of rules, an index, and a page of the debatable points. The same ruleset always gives the same pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.outputs.rule_book_rules import Book, Reading, RuleText
from engine.outputs.rule_book_vignettes import vignettes_in
from engine.quality.files import Files
from engine.rules.ruleset import Ruleset
from engine.rules.strata import chain
from engine.terminology.rows import read_folder

SHOWN = 12                             # vignettes of a rule that are named


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of rules."""

    folder: str
    issues: tuple[RuleText, ...]
    derived: tuple[RuleText, ...]
    reading: Reading

    @property
    def rules(self) -> tuple[RuleText, ...]:
        return (*self.issues, *self.derived)

    @property
    def open(self) -> int:
        """Rules that no clinician has signed."""
        return sum(rule.info.status != "accepted" for rule in self.rules)


def rule_book(ruleset: Ruleset, folder: Path, files: Files) -> dict[str, str]:
    """File name -> text of each page."""
    book = Book(ruleset, folder, files, read_folder(folder / "valuesets", []), vignettes_in(folder))
    where = {name: info.ruleset for name, info in ruleset.info.items()}
    pages = [_page(book, name) for name in sorted(set(where.values()))]
    environment = _environment(where)
    shared: dict[str, Any] = {"ruleset": ruleset, "pages": pages, "words": book.words}
    found = {
        f"{page.folder}.md": environment.get_template("page.md").render(page=page, **shared) for page in pages
    }
    found["index.md"] = environment.get_template("index.md").render(
        chain=chain(book.rules), properties=files.properties, points=files.points,
        marks=Counter(rule.mark for page in pages for rule in page.rules), references=_references(book), **shared,
    )  # fmt: skip
    if files.points:
        found["debatable.md"] = environment.get_template("debatable.md").render(points=files.points, **shared)
    return found


def _page(book: Book, folder: str) -> Page:
    texts = [book.rule(name) for name, info in sorted(book.ruleset.info.items()) if info.ruleset == folder]
    return Page(
        folder=folder,
        issues=tuple(text for text in texts if text.info.kind == "issue"),
        derived=tuple(text for text in texts if text.info.kind != "issue"),
        reading=book.reading(texts),
    )


def _references(book: Book) -> list[tuple[str, str, str]]:
    """Every reference that a rule cites: key, citation, address."""
    cited = {source.ref: source for info in book.ruleset.info.values() for source in info.sources}
    return [(key, cited[key].citation, cited[key].url) for key in book.files.references if key in cited]


def _environment(where: Mapping[str, str]) -> Environment:
    environment = Environment(
        loader=PackageLoader("engine.outputs", "templates/rule_book"), autoescape=False,  # noqa: S701 - Markdown
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip

    def links(names: Iterable[str], page: str) -> str:
        return ", ".join(link(name, where, page) for name in names)

    def path(names: Iterable[str], page: str) -> str:
        return " → ".join(link(name, where, page) for name in names)

    environment.filters |= {
        "anchor": anchor, "cell": cell, "links": links, "named": named, "outline": outline, "path": path,
    }  # fmt: skip
    return environment


def cell(text: object) -> str:
    """A text inside a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def outline(lines: Iterable[tuple[int, str]], indent: int = 0) -> str:
    """A condition as nested list items."""
    return "\n".join(f"{' ' * indent}{'  ' * depth}- {_literal(text)}" for depth, text in lines)


def named(names: Iterable[str], most: int = SHOWN) -> str:
    """Names in a line, cut when they are many."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(f"`{name}`" for name in known[:most]) + more


def _literal(text: str) -> str:
    return f"`{text}`" if ":" in text else text


def link(name: str, where: Mapping[str, str], page: str) -> str:
    """A rule as a link to its place in the book, anything else as it is."""
    if name not in where:
        return f"`{name}`"
    return f"[`{name}`]({'' if where[name] == page else where[name] + '.md'}#{anchor(name)})"


def anchor(name: str) -> str:
    """The anchor that Markdown renderers give to a heading of that name."""
    return "".join(char for char in name.lower() if char.isalnum() or char in "-_")
