"""Filling the texts of rules: summaries of at most 139 characters, whatever is put in.

Placeholders (rule language, "Texts"): `{fact}` is the fact's text, `{a | b}` the first of them that the finding rests
on, `{list}` and `{missing}` enumerations. An enumeration is cut with "and N more" before anything else is; then texts
of facts are shortened; the words of the rule itself stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

LIMIT = 139           # CDS Hooks 2.0.1: a summary has fewer than 140 characters
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
LISTS = ("list", "missing")


def enumerate_texts(texts: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: the first `most` texts and how many are left out."""
    texts = list(dict.fromkeys(text for text in texts if text))
    if len(texts) <= most:
        return ", ".join(texts)
    shown = ", ".join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if shown else f"{len(texts)} items"


def fill(
    template: str,
    shown: Callable[[str], str],
    rests_on: Collection[str] = (),
    lists: Mapping[str, Sequence[str]] | None = None,
    limit: int = LIMIT,
) -> str:
    """The template with its placeholders filled, at most `limit` characters long.

    The longer enumeration is cut first, each down to one entry; then the texts are shortened, all to one width.
    """
    lists = lists or {}
    shares = {name: len(texts) for name, texts in lists.items()}
    width = limit
    while True:
        text = _filled(template, shown, rests_on, {n: enumerate_texts(lists[n], shares[n]) for n in lists}, width)
        if len(text) <= limit:
            return text
        longest = max(shares, key=lambda name: shares[name], default="")
        if longest and shares[longest] > 1:
            shares[longest] -= 1
        elif width > 1:
            width = min(width - 1, max(limit - len(PLACEHOLDER.sub("", template)), 1))
        else:
            return text[:limit]


def _filled(
    template: str, shown: Callable[[str], str], rests_on: Collection[str], lists: Mapping[str, str], width: int
) -> str:
    def value(match: re.Match[str]) -> str:
        names = [name.strip() for name in match[1].split("|")]
        if names[0] in LISTS:
            return shorten(lists.get(names[0]) or "nothing further", width)
        chosen = next((name for name in names if name in rests_on), names[0])
        return shorten(shown(chosen), width)

    return " ".join(PLACEHOLDER.sub(value, template).split())


def shorten(text: str, width: int) -> str:
    """The text, cut at a word where it can be, with an ellipsis."""
    if len(text) <= width:
        return text
    cut = text[: max(width - 1, 0)]
    return (cut.rsplit(" ", 1)[0] if " " in cut[width // 2 :] else cut).rstrip(" ,;:") + "…"
