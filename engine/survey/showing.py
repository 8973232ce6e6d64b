"""What may be shown of a feed: nothing that one patient alone could be known by."""

from __future__ import annotations

import re

from engine.survey.book import Book, Unknown
from engine.terminology.systems import plain_code
from engine.terminology.terminology import Terminology

_REGULAR = re.compile(r"[A-Z]?\d[0-9A-Z]{1,2}\.?[0-9A-Z]{0,4}")


class Showing:
    """Judges codes and their names. What the value sets hold can be shown, all else if enough patients have it."""

    def __init__(self, book: Book, terminology: Terminology) -> None:
        self._book = book
        self._terminology = terminology

    def shown(self, one: Unknown) -> bool:
        """Whether a code may be shown: enough patients have it, or nothing of it is one patient's own. That is a code
        of a known system or of one of its reported families, with a name that the value sets hold, under a system that
        enough patients have."""
        ours = bool(one.same or one.family) and self.is_plain(one.code) and any(m.whole for m in one.matches.values())
        common = one.system is None or self._book.enough(one.system.cell)
        return (ours and common) or self._book.enough(one.cell)

    def is_plain(self, code: str, system: str = "") -> bool:
        """Whether a code can hold no words of anybody's: it stands in the value sets as it is, or is as short and
        regular as members of families are, of which only the beginning stands there."""
        name = self._terminology.short_name(system)
        written = plain_code(code, self._terminology.content.systems[name].dotless) if name else ""
        content = self._terminology.content
        exact = written in content.entries.get(name, {}) or written in content.drugs.get(name, {})
        return exact or _REGULAR.fullmatch(code) is not None

    def display_of(self, one: Unknown) -> str:
        """What a code is called: as enough patients have it, else by the name of ours that it is."""
        return one.cell.display or next((match.name for match in one.matches.values() if match.whole), "")

    def why(self, one: Unknown) -> str:
        """Why a code looks relevant."""
        reasons = [f"the same code means something in `{', '.join(one.same)}`"] if one.same else []
        if one.family and not one.same:
            reasons.append(f"it lies in a family of `{one.family}` of which all members are reported")
        whole = sorted({match.concept for match in one.matches.values() if match.whole})
        within = sorted({match.concept for match in one.matches.values()} - {*whole})
        if whole:
            reasons.append(f"its name is one of `{', '.join(whole)}`")
        if within:
            reasons.append(f"its name is near to one of `{', '.join(within)}`")
        return "; ".join(reasons)
