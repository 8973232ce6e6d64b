#!/usr/bin/env python3
"""Write what the code says into the pages (outputs of commands, tables): `python tools/refresh_docs.py [PAGE...]`.

For when an output has changed on purpose; read the difference before you commit it. A block keeps its form: as many
lines before its first `...` and after its last one as it had. Lines that still fit are left as they are, hashes are
left out, long lines are cut. `make test` is not run.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/docs")]

from pages import NOT_RUN, PAGES, Block, Workspace, blocks, commands, says  # noqa: E402
from tables import with_tables  # noqa: E402

LONGEST = 170
BROKEN = re.compile(r"^(Traceback|error: )", re.MULTILINE)
HASHES = ((r"\([0-9a-f]{12,16}\)", "(...)"), (r"content hash [0-9a-f]+", "content hash ..."))


def refreshed(page: Path, workspace: Workspace) -> str:
    """The page with the outputs of today."""
    lines = page.read_text("utf-8").splitlines()
    changes: list[tuple[int, int, list[str]]] = []          # first line, end, what stands there instead
    for block in blocks(page):
        if block.into:
            workspace.write(block)
        if block.language == "console":
            changes += _changes(block, workspace)
    for first, end, instead in reversed(changes):
        lines[first:end] = instead
    return with_tables("\n".join(lines) + "\n")


def _changes(block: Block, workspace: Workspace) -> Iterator[tuple[int, int, list[str]]]:
    for one in commands(block):
        if one.command in NOT_RUN:
            continue
        printed = workspace.run(one.command)
        if says(one.expected, printed):
            continue
        if BROKEN.search(printed) and not BROKEN.search(one.expected):
            print(f"line {one.line} is left as it is, its command fails: {one.command}")
            continue
        old = one.expected.splitlines()
        yield one.output, one.output + len(old), fitted(old, printed.splitlines())


def fitted(old: list[str], new: list[str]) -> list[str]:
    """The new lines in the form of the old ones."""
    dots = [number for number, line in enumerate(old) if line == "..."]
    kept = {line for line in old if line.endswith(" ...")}
    new = [_shortened(line, kept) for line in new]
    if not dots:
        return new
    head, tail = dots[0], len(old) - dots[-1] - 1
    if head + tail >= len(new):
        return new
    return [*new[:head], "...", *(new[-tail:] if tail else [])]


def _shortened(line: str, kept: set[str]) -> str:
    for known in kept:
        if says(known, line):
            return known
    for pattern, instead in HASHES:
        line = re.sub(pattern, instead, line)
    return line if len(line) <= LONGEST + 20 else line[:LONGEST].rsplit(" ", 1)[0] + " ..."


def main(names: list[str]) -> None:
    pages = [Path(name).resolve() for name in names] or list(PAGES)
    with tempfile.TemporaryDirectory() as cache:
        for page in pages:
            with tempfile.TemporaryDirectory() as folder:
                workspace = Workspace(Path(folder), Path(cache))
                try:
                    text = refreshed(page, workspace)
                finally:
                    workspace.close()
            if text != page.read_text("utf-8"):
                page.write_text(text, "utf-8")
                print(f"wrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
