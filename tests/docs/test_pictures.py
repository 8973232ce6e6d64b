"""The pictures of the pages are there, are small, and are those that the tool takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT
from peers.build import MissingError
from peers.lforms import browser

FOLDER = ROOT / "docs/images"
TOOL = ROOT / "tools/screenshots.py"
LARGEST = 150_000  # bytes
PNG = b"\x89PNG\r\n\x1a\n"


def shown() -> dict[str, list[str]]:
    """File of each picture -> what the pages say it shows."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for said, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text("utf-8")):
            found.setdefault(str((page.parent / target).resolve().relative_to(ROOT)), []).append(said)
    return found


@pytest.fixture(scope="module")
def taken() -> set[str]:
    """What the tool takes."""
    done = subprocess.run([sys.executable, TOOL, "--list"], capture_output=True, text=True, check=True)
    return {f"docs/images/{name}.png" for name in done.stdout.split()}


def test_every_picture_that_is_taken_is_shown_and_every_one_that_is_shown_is_taken(taken: set[str]) -> None:
    assert set(shown()) == taken
    assert {path.relative_to(ROOT).as_posix() for path in FOLDER.iterdir()} == taken


def test_the_tool_takes_a_picture(tmp_path: Path) -> None:
    try:
        browser()
    except MissingError as missing:
        pytest.skip(str(missing))
    name = "workbench-operations"
    subprocess.run([sys.executable, TOOL, "--into", tmp_path, name], capture_output=True, check=True)
    [taken] = tmp_path.iterdir()
    assert taken.name == f"{name}.png"
    assert taken.read_bytes().startswith(PNG)
    assert 10_000 < taken.stat().st_size < LARGEST


def test_every_picture_is_a_small_image_and_said_in_words() -> None:
    for path, said in shown().items():
        content = (ROOT / path).read_bytes()
        assert content.startswith(PNG) and len(content) <= LARGEST, path
        assert all(len(one) > 10 for one in said), path


def test_the_page_of_the_workbench_shows_all_of_them_and_the_readme_some() -> None:
    page, readme = ((ROOT / name).read_text("utf-8") for name in ("docs/workbench.md", "README.md"))
    assert page.count("](images/") == len(shown())
    assert readme.count("](docs/images/") == 2
