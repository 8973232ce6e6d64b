"""GitHub-flavoured Markdown in which nothing that came from a record can become markup."""

from __future__ import annotations

import re

# CommonMark lets a backslash escape every ASCII punctuation character; HTML-relevant ones become entities besides
SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~^$:@/=\"'])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: str) -> str:
    """The text as literal words: no HTML, link, autolink, emphasis, table, heading, list or line break comes of it."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    without_html = "".join(ENTITIES.get(char, char) for char in SPECIAL.sub(r"\\\1", flat))
    # GFM links bare `www.` and `http` without any punctuation to escape in front: break the word for the renderer
    return re.sub(r"(?i)\b(www|https?|ftp|mailto)(?=\\)", "\\1\u200b", without_html)


def heading(text: str) -> str:
    """Bold words on a line of their own; for our own texts only."""
    return f"**{text}**"


def bullets(lines: list[str]) -> str:
    """One list item a line; the lines are escaped already."""
    return "\n".join(f"- {line}" for line in lines)
