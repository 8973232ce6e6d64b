"""Code systems that no table knows, and which known one each of them may be another name of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from engine.survey.tally import LONGEST, Cell
from engine.terminology.rows import CARRIERS
from engine.terminology.systems import plain_code
from engine.terminology.terminology import Terminology

_MOST = 500
_MOST_CODES = 1_000                        # codes of one system that are compared
_SHORTEST = 3                              # characters of a short name that is looked for in an address
_WINDOW = 4                                # words of an address that make up one name
_WORDS = re.compile(r"[^0-9a-z]+")


class System:
    """One unknown system: how often it was met, and in which known systems its codes mean something."""

    def __init__(self, uri: str, systems: Systems, fewest: int) -> None:
        self.uri = uri
        self.cell = Cell(fewest)
        self.named = systems.named_in(uri)
        self.codes: set[str] = set()
        self.same: dict[str, set[str]] = {}                   # known system -> codes that it knows
        self._systems = systems

    def add(self, patient: int, through: int = 0) -> None:
        """One entry with a code of it."""
        self.cell.add(patient, "", through)

    def judge(self, code: str) -> tuple[tuple[str, ...], str]:
        """(known systems in which the code means something, the one in whose reported families it lies)."""
        if len(self.codes) < _MOST_CODES and len(code) <= LONGEST:
            self.codes.add(code)
        known = tuple(self._systems.knowing(code, self.named))
        for name in known:
            held = self.same.setdefault(name, set())
            if len(held) < _MOST_CODES:
                held.add(code)
        return tuple(name for name in known if self._systems.means(name, code)), self._systems.family(code, self.named)

    @property
    def like(self) -> str:
        """The known system that it may be: the one that has most of its codes, as they are before as members of a
        group, else the one that its address names."""
        return next(iter([*self.ranked, *self.named]), "")

    @property
    def ranked(self) -> list[str]:
        """The known systems that have codes of it, the most likely first."""

        def rank(name: str) -> tuple[int, int, bool, str]:
            codes = self.same[name]
            return -self._systems.exact(name, codes), -len(codes), name not in self.named, name

        return sorted(self.same, key=rank)

    def why(self, like: str) -> str:
        """Why it may be that known system."""
        count = len(self.same.get(like, ()))
        others = ", ".join(f"{len(self.same[name])} of `{name}`" for name in self.ranked if name != like)
        said = f"{count} of its codes are codes of `{like}`" + (f" ({others})" if others else "") if count else ""
        named = f"its address names `{like}`" if like in self.named else ""
        return "; ".join(part for part in (said, named) if part)


class Systems:
    """The unknown systems of a feed."""

    def __init__(self, terminology: Terminology, fewest: int) -> None:
        self._terminology = terminology
        self._content = terminology.content
        self._fewest = fewest
        self.found: dict[str, System] = {}

    def system(self, uri: str) -> System | None:
        """The system of a URI that no table knows; None: there are too many."""
        found = self.found.get(uri)
        if found is None and len(self.found) < _MOST and len(uri) <= LONGEST:
            found = self.found[uri] = System(uri, self, self._fewest)
        return found

    def named_in(self, uri: str) -> tuple[str, ...]:
        """The known systems that the words of an address name (`.../diagnosis-icd9` names one), the longest first, and
        those that have the same codes under another address."""
        words = [word for word in _WORDS.split(uri.lower()) if word]
        found: dict[str, None] = {}
        for length in range(_WINDOW, 0, -1):
            for at in range(len(words) - length + 1):
                name = self._short.get("".join(words[at : at + length]))
                if name is not None:
                    found[name] = None
        return tuple(found)

    def means(self, system: str, code: str) -> bool:
        """Whether a code of a known system stands for a concept or a drug."""
        coding = ((self._content.systems[system].uri, code),)
        concepts = (self._terminology.concepts(carrier, coding) for carrier in CARRIERS)
        return any(concepts) or bool(self._terminology.drugs(coding))

    def exact(self, system: str, codes: Iterable[str]) -> int:
        """How many codes stand in a known system as they are, and not as members of a group."""
        tables = (self._content.entries, self._content.drugs, self._content.context)
        dotless = self._content.systems[system].dotless
        return sum(any(plain_code(code, dotless) in table.get(system, ()) for table in tables) for code in codes)

    def knowing(self, code: str, named: tuple[str, ...]) -> Iterator[str]:
        """The known systems that have a code: of those that are named, and those of its typical shape."""
        shaped = [name for name, shape in self._shapes.items() if shape.fullmatch(code.strip())]
        for name in dict.fromkeys((*named, *shaped)):
            if self._terminology.known(((self._content.systems[name].uri, code),)):
                yield name

    def family(self, code: str, named: tuple[str, ...]) -> str:
        """The known system in whose reported families a code lies, of those that are named or have its shape."""
        shaped = [name for name, shape in self._shapes.items() if shape.fullmatch(code.strip())]
        for name in dict.fromkeys((*named, *shaped)):
            families = self._content.families.get(name, ())
            if families and plain_code(code, self._content.systems[name].dotless).startswith(families):
                return name
        return ""

    @cached_property
    def _short(self) -> Mapping[str, str]:
        """Names without an address, such as `LOINC`, and the ends of addresses, in one spelling."""
        short: dict[str, str] = {}
        for alias, name in self._content.aliases.items():
            if alias.startswith("urn:oid:"):
                continue
            word = "".join(_WORDS.split(alias.rstrip("/").rpartition("/")[2].lower()))
            if len(word) >= _SHORTEST and not word.isdecimal():
                short.setdefault(word, name)
        return short

    @cached_property
    def _shapes(self) -> Mapping[str, re.Pattern[str]]:
        systems = self._content.systems.items()
        return {name: re.compile(system.shape, re.IGNORECASE) for name, system in systems if system.shape}
