"""Lookups: what codings mean. Every method takes codings as pairs (system, code) in any order and tries all of them.

Nothing here raises on odd input: what is not known means nothing, and `unrecognised` says when that is suspicious.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from engine.terminology.content import Coding, Content, Drug, DrugEntry, Entry, Meaning, Range
from engine.terminology.systems import plain_code, plain_text, plain_uri

Codings = Iterable[tuple[str, str]]
_T = TypeVar("_T")
_Row = TypeVar("_Row", Entry, DrugEntry)

_AFFIRMED = frozenset({"present", "positive", "detected"})
_DENIED = frozenset({"absent", "negative", "not-detected"})
_LONGEST_NAME = 14  # words
_LONGEST_TEXT = 80
_LONGEST_CODE = 9
_SPELLINGS_KEPT = 2000
_NAMES_KEPT = 8192
_LONGEST_KEPT = 200  # characters of a name that is remembered


class Terminology:
    """The value sets of a ruleset, ready for lookup; `content` is what a cache stores."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.minor_of_many = content.minor_of_many
        self._aliases = content.aliases
        self._seen: dict[str, str] = {}
        self._named = lru_cache(maxsize=_NAMES_KEPT)(self._find_named)  # most names of real orders are no drug of ours
        self._systems = content.systems
        self._dotless = frozenset(name for name, system in content.systems.items() if system.dotless)
        self._tables = _by_carrier(content.entries)
        self._shapes = [
            (re.compile(system.shape, re.IGNORECASE), name) for name, system in content.systems.items() if system.shape
        ]

    # ------------------------------------------------------------ systems

    def system(self, uri: str) -> str:
        """The canonical URI of a code system; an unknown one comes back as it is."""
        name = self._name(uri)
        return self._systems[name].uri if name else uri

    def short_name(self, uri: str) -> str:
        """The short name of a code system; "" if it is not known."""
        return self._name(uri)

    def _name(self, uri: str) -> str:
        name = self._aliases.get(uri)
        if name is None:
            name = self._seen.get(uri)
        if name is None:
            name = self._spelled(uri)
            if len(self._seen) < _SPELLINGS_KEPT:
                self._seen[uri] = name
        return name

    def _spelled(self, uri: str) -> str:
        plain = plain_uri(uri)
        while plain:  # an edition or a value set below a known system is that system
            name = self._aliases.get(plain)
            if name is not None:
                return name
            plain = plain.rpartition("/")[0] if plain.startswith("http://") else ""
        return ""

    def _located(self, codings: Codings) -> Iterator[tuple[str, str]]:
        for system, code in codings:
            if isinstance(code, str) and isinstance(system, str):
                name = self._name(system)
                if name:
                    yield name, plain_code(code, name in self._dotless)

    # ------------------------------------------------------------ concepts

    def concepts(self, carrier: str, codings: Codings) -> tuple[Meaning, ...]:
        """What the codings of one resource mean; () = nothing known, or excluded.

        carrier: observation, report, condition, procedure or allergy. A coding of an exclusion takes its concept away
        whatever the others say. One meaning per concept (several only if they fix different regions or signs).
        """
        table = self._tables.get(carrier)
        if table is None:
            return ()
        found: list[Entry] = []
        for system, code in self._located(codings):
            codes = table.get(system)
            if codes is not None:
                entries = codes.get(code) or (_by_prefix(codes, code) if self._systems[system].hierarchic else ())
                found.extend(entries)
        if not found:
            return ()
        if len(found) == 1:
            return () if found[0].exclude else (found[0].meaning,)
        excluded = {entry.meaning.concept for entry in found if entry.exclude}
        return _merged([e.meaning for e in found if not e.exclude and e.meaning.concept not in excluded])

    # ------------------------------------------------------------ answers, code sets, units

    def answer(self, codings: Codings) -> str:
        """The answer that the codings of a value state; "" if they state none or contradict each other."""
        answers = [
            answer
            for system, code in self._located(codings)
            if (answer := self.content.answers.get(system, _NONE).get(code))
        ]
        if not answers or (_AFFIRMED.intersection(answers) and _DENIED.intersection(answers)):
            return ""
        return answers[0]

    def answer_of_text(self, text: str) -> str:
        """The answer that a whole text is, out of a closed multilingual list; "" for anything longer or unknown."""
        return self.content.answer_words.get(_whole(text), "")

    def code(self, codeset: str, codings: Codings) -> str:
        """The value of a code set. A coding with an empty system is a text: ("", "by mouth"). In code sets whose words
        are looked for anywhere in a text (routes), the code of an unknown system is read as a text too (IV, PO)."""
        table = self.content.codesets.get(codeset, _NO_TABLE)
        for system, code in codings:
            if not isinstance(system, str) or not isinstance(code, str):
                continue
            name = self._name(system) if system else ""
            value = table.get(name, _NONE).get(plain_code(code, name in self._dotless), "")
            if not value and not name and (not system or codeset in self.content.phrases):
                value = self._worded(codeset, code)
            if value:
                return value
        return ""

    def _worded(self, codeset: str, text: str) -> str:
        whole = _whole(text)
        value = self.content.words.get(codeset, _NONE).get(whole)
        if value:
            return value
        return next((value for _, value in _phrases(whole, self.content.phrases.get(codeset, _NONE))), "")

    def region_of(self, muscle: str) -> str:
        """The body region of a muscle of the code set `muscle`; "" for any other word."""
        regions = self.content.codesets.get("muscle-region", _NO_TABLE).get("muscle", _NONE)
        return regions.get(muscle, "")

    def unit(self, text: str) -> str:
        """The UCUM code of a unit's spelling out of a closed list; "" if the spelling is not known."""
        if not isinstance(text, str):
            return ""
        return self.content.units.get(text) or self.content.units.get("".join(text.split()), "")

    def range(self, concept: str) -> Range | None:
        """What a site says of the results of a concept; None: nothing."""
        return self.content.ranges.get(concept)

    # ------------------------------------------------------------ drugs

    def drugs(self, codings: Codings) -> tuple[Drug, ...]:
        """The drugs of a product, ingredient, substance or vaccine code; () = no code is known."""
        found: list[Drug] = []
        for system, code in self._located(codings):
            codes = self.content.drugs.get(system)
            if codes is not None:
                hierarchic = self._systems[system].hierarchic
                entries = codes.get(code) or (_by_prefix(codes, code) if hierarchic else ())
                found.extend(entry.drug for entry in entries if not entry.silent)
        return _merged_drugs(found) if len(found) > 1 else tuple(found)

    def drugs_named(self, text: str) -> tuple[Drug, ...]:
        """The drugs that a text names by whole words, the longest name first; the route if the text states a form."""
        if not isinstance(text, str):
            return ()
        return self._named(text) if len(text) <= _LONGEST_KEPT else self._find_named(text)

    def _find_named(self, text: str) -> tuple[Drug, ...]:
        parts = text.count("/") + 1
        words = _whole(text)
        route = self._worded("route", text)
        found = [
            Drug(d.ingredient, d.route or route, d.minor or (parts > 2 and d.ingredient in self.minor_of_many))
            for _, drugs in _phrases(words, self.content.names)
            for d in drugs
        ]
        return _merged_drugs(found)

    # ------------------------------------------------------------ what is not known

    def known(self, codings: Codings) -> bool:
        """Whether any coding stands in the value sets, be it without a meaning for the rules."""
        return any(
            self._means(system, code) or code in self.content.context.get(system, ())
            for system, code in self._located(codings)
        )

    def _means(self, system: str, code: str) -> bool:
        entries = self.content.entries.get(system, _NO_ENTRIES)
        drugs = self.content.drugs.get(system, _NO_DRUGS)
        if code in entries or code in drugs:
            return True
        return self._systems[system].hierarchic and bool(_by_prefix(entries, code) or _by_prefix(drugs, code))

    def unrecognised(self, codings: Codings) -> bool:
        """Whether an unknown coding looks as if it mattered: a code with a meaning, but under an unknown system, an
        unlisted member of a disease family, or any code of our own systems. False as soon as one coding of the resource
        is known."""
        codings = [(s, c) for s, c in codings if isinstance(s, str) and isinstance(c, str)]
        return not self.known(codings) and any(self._suspicious(system, code) for system, code in codings)

    def misspelt(self, codings: Codings) -> bool:
        """Whether a coding is one of our own systems and means nothing there."""
        located = list(self._located(codings))
        return any(self._is_ours(system) for system, _ in located) and not self.known(codings)

    def _is_ours(self, name: str) -> bool:
        return self._systems[name].uri.startswith(f"{self.content.base}:")

    def _suspicious(self, system: str, code: str) -> bool:
        name = self._name(system)
        if name:
            family = self.content.families.get(name, _NO_FAMILY)
            return self._is_ours(name) or plain_code(code, name in self._dotless).startswith(family)
        return any(
            shape.fullmatch(code.strip()) and self._means(known, plain_code(code, known in self._dotless))
            for shape, known in self._shapes
        )

    # ------------------------------------------------------------ names for checkers

    @property
    def concept_names(self) -> frozenset[str]:
        """Every concept that a code can state."""
        return frozenset(
            row.meaning.concept for codes in self.content.entries.values() for rows in codes.values() for row in rows
        )

    @property
    def ingredients(self) -> frozenset[str]:
        """Every drug that a code or a name can state."""
        coded = (row.drug for codes in self.content.drugs.values() for rows in codes.values() for row in rows)
        named = (drug for drugs in self.content.names.values() for drug in drugs)
        return frozenset(drug.ingredient for drug in (*coded, *named) if drug.ingredient)

    def values(self, codeset: str) -> tuple[str, ...]:
        """The closed list of a code set, in the order of the files."""
        systems = self.content.codesets.get(codeset, _NO_TABLE)
        return tuple(dict.fromkeys(value for codes in systems.values() for value in codes.values()))

    # ------------------------------------------------------------ emitting

    def preferred(self, concept: str, kind: str) -> Coding | None:
        """The coding to emit; kind: a carrier, `medication`, `answer` or the name of a code set. None: no code."""
        return self.content.preferred.get(kind, _NO_CODINGS).get(concept)


_NONE: Mapping[str, str] = {}
_NO_TABLE: Mapping[str, Mapping[str, str]] = {}
_NO_ENTRIES: Mapping[str, tuple[Entry, ...]] = {}
_NO_DRUGS: Mapping[str, tuple[DrugEntry, ...]] = {}
_NO_CODINGS: Mapping[str, Coding] = {}
_NO_FAMILY = ("\0",)


def _by_carrier(
    entries: Mapping[str, Mapping[str, tuple[Entry, ...]]],
) -> dict[str, dict[str, dict[str, tuple[Entry, ...]]]]:
    """carrier -> system -> code -> rows; a `finding` row is a row of the Condition."""
    tables: dict[str, dict[str, dict[str, tuple[Entry, ...]]]] = {}
    for system, codes in entries.items():
        for code, rows in codes.items():
            for row in rows:
                for carrier in row.carriers:
                    codes_of = tables.setdefault(carrier, {}).setdefault(system, {})
                    codes_of[code] = (*codes_of.get(code, ()), row)
    return tables


def _by_prefix(codes: Mapping[str, tuple[_Row, ...]], code: str) -> tuple[_Row, ...]:
    """The rows of the longest shorter code to which this one belongs."""
    for length in range(min(len(code), _LONGEST_CODE) - 1, 2, -1):
        rows = codes.get(code[:length])
        if rows and (rows := tuple(row for row in rows if row.prefix)):
            return rows
    return ()


def _merged(meanings: list[Meaning]) -> tuple[Meaning, ...]:
    """One meaning per concept: confirmed before suspected, what one coding leaves open is filled from the other."""
    confirmed = {m.concept for m in meanings if not m.suspected}
    merged: dict[str, Meaning] = {}
    extra: list[Meaning] = []
    for m in meanings:
        if m.suspected and confirmed:
            continue  # a coarse code beside a code that decides adds nothing
        old = merged.get(m.concept)
        if old is None:
            merged[m.concept] = m
        elif all(a == b or not a or not b for a, b in ((m.region, old.region), (m.sign, old.sign))):
            merged[m.concept] = Meaning(
                m.concept, m.suspected and old.suspected, old.answer or m.answer, old.region or m.region,
                old.sign or m.sign, old.denied or m.denied, old.finding, old.study and m.study, old.only or m.only,
            )  # fmt: skip
        elif m not in extra:
            extra.append(m)
    return (*merged.values(), *extra)


def _merged_drugs(drugs: list[Drug]) -> tuple[Drug, ...]:
    """One drug per ingredient: a minor one takes the ingredient away, the more precise route stays."""
    merged: dict[str, Drug] = {}
    for drug in drugs:
        old = merged.get(drug.ingredient)
        if old is None:
            merged[drug.ingredient] = drug
        else:
            route = drug.route if old.route in ("", "systemic") and drug.route else old.route
            strengths = dict.fromkeys(strength for strength in (old.strength, drug.strength) if strength)
            merged[drug.ingredient] = Drug(drug.ingredient, route, old.minor or drug.minor, "; ".join(strengths))
    return tuple(merged.values())


def _whole(text: str) -> str:
    return plain_text(text) if isinstance(text, str) else ""


def _phrases(text: str, table: Mapping[str, _T]) -> Iterator[tuple[str, _T]]:
    """Entries of the table whose words stand in the text, left to right, the longest first, none overlapping."""
    words = text.split()[:_LONGEST_TEXT]
    at = 0
    while at < len(words) and table:
        for length in range(min(_LONGEST_NAME, len(words) - at), 0, -1):
            phrase = " ".join(words[at : at + length])
            if phrase in table:
                yield phrase, table[phrase]
                at += length - 1
                break
        at += 1
