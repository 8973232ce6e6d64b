"""The pages say what is true: their commands print what they show, their links resolve, nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from pages import NOT_RUN, PAGES, ROOT, Workspace, blocks, commands, says

from engine.cli.app import app

CONSOLE = [page for page in PAGES if any(block.language == "console" for block in blocks(page))]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("page", CONSOLE, ids=name)
def test_every_command_of_a_page_prints_what_the_page_shows(page: Path, tmp_path: Path, cache: Path) -> None:
    workspace = Workspace(tmp_path, cache)
    wrong = []
    try:
        for block in blocks(page):
            if block.into:
                workspace.write(block)
            if block.language != "console":
                continue
            for one in commands(block):
                if one.command in NOT_RUN:
                    continue
                printed = workspace.run(one.command)
                if "Traceback" in printed or not says(one.expected, printed):
                    wrong.append(f"{name(page)}:{one.line}: $ {one.command}\n{printed}")
    finally:
        workspace.close()
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{name(page)}: {target}"


def links(page: Path) -> Iterator[str]:
    """Links into the repository; what stands in a block of code is none."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            yield target


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    }


def test_every_command_and_option_is_documented() -> None:
    page = (ROOT / "docs/commands.md").read_text("utf-8")
    sections = dict(re.findall(r"^## `endplate ?([^`]*)`\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    for command, options in everything().items():
        assert command in sections, f"`endplate {command}` has no section in docs/commands.md"
        for option in options:
            assert f"`{option}" in sections[command], f"`{option}` of `endplate {command}` is not documented"
    assert set(sections) == set(everything())


def everything() -> Mapping[str, list[str]]:
    """Command -> its options and arguments, as the command line knows them."""
    found: dict[str, list[str]] = {}

    def walk(command: object, path: tuple[str, ...]) -> None:
        inside = getattr(command, "commands", {})
        if not inside or not path:
            found[" ".join(path)] = [
                max(parameter.opts, key=len) if parameter.param_type_name == "option" else metavar(parameter)
                for parameter in command.params  # type: ignore[attr-defined]
                if parameter.name != "help"
            ]
        for key, one in inside.items():
            walk(one, (*path, key))

    walk(typer.main.get_command(app), ())
    return found


def metavar(argument: Any) -> str:
    """How the help names an argument."""
    return argument.metavar or argument.name


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:^\$ |`)make ([a-z]+)", page.read_text("utf-8"), flags=re.MULTILINE):
            assert target in targets, f"{name(page)}: make {target}"


def test_a_block_that_is_not_run_says_no_more_than_its_command_prints() -> None:
    """`make test` cannot run inside the tests: what the README shows of it is elided but for the words of pytest."""
    shown = [one for page in PAGES for block in blocks(page) if block.language == "console"
             for one in commands(block) if one.command in NOT_RUN]  # fmt: skip
    assert shown
    for one in shown:
        assert re.fullmatch(r"(\.\.\.\n)?\.\.\. passed.*", one.expected), one.expected
