"""GitHub-flavoured Markdown in which nothing that came from a record can become markup.

What is escaped is what has a meaning where it stands, so that the source stays readable for clients that show it as it
is: `FVC 46 % on 2025-05-20` is unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

BREAK = "\N{HAIR SPACE}"
_INLINE = re.compile(r"[\\`*\[\]~|$]|(?<![^\W_])_|_(?![^\W_])")  # `_` inside a word has no meaning
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LEADING = re.compile(r"^(?:[#+\-]|\d+(?=[.)]))")  # heading, list, rule at the start of a line
# Renderers make links of addresses, www names and e-mail by themselves, some even of escaped ones: a thin space breaks
# them for all. Of bare domains only a few do, and those heed a backslash.
_ADDRESS = re.compile(r"(?i)(?<=:)(?=//)|(?<=//)(?=\w)|(?<=www)(?=\.)|(?<=@)(?=\S)")
_DOMAIN = re.compile(r"(?<=\w)\.(?=[^\W\d_])")


@lru_cache(maxsize=4_096)
def plain(text: str) -> str:
    """One line of printable characters (no control, bidirectional or invisible ones)."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())


@lru_cache(maxsize=4_096)
def escaped(text: str) -> str:
    """The text as literal words: no HTML, link, emphasis, table, heading, list or line break comes of it."""
    text = _INLINE.sub(r"\\\g<0>", _ADDRESS.sub(BREAK, plain(text))).translate(_ENTITIES)
    return _LEADING.sub(_shielded, _DOMAIN.sub(r"\\.", text))


def _shielded(start: re.Match[str]) -> str:
    """A backslash before a mark; after a number, before the mark that would make it a list."""
    return f"{start[0]}\\" if start[0][0].isdigit() else f"\\{start[0]}"


def heading(text: str) -> str:
    """Bold words on a line of their own; the text is escaped already."""
    return f"**{text}**"


def bullets(lines: Iterable[str]) -> str:
    """One list item a line; the lines are escaped already."""
    return "\n".join(f"- {line}" for line in lines)
