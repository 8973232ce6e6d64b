"""The survey of a feed: walk over it once, then say what was met, what looks relevant, and what no rule can see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date

import msgspec

from engine.batch.sources import Listing
from engine.facts.concept import Concept
from engine.facts.quantity import factor_of
from engine.rules.ruleset import Ruleset
from engine.survey.book import Book
from engine.survey.feed import Feed
from engine.survey.proposals import Proposals
from engine.survey.reach import blind
from engine.survey.result import (
    Code,
    CodeSeen,
    ConceptSeen,
    DrugSeen,
    Hidden,
    KindSeen,
    Proposal,
    Survey,
    SystemSeen,
    Unit,
)
from engine.survey.showing import Showing
from engine.survey.tally import Tally
from engine.survey.watch import Watch
from engine.terminology.names import Names
from engine.terminology.rows import Row

TOP = 20                                   # codes and units of one concept or drug
MOST_SHOWN = 500                           # entries of the other lists
EVERY = 20_000                             # resources between two words to `watched`


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller says beside the sources. `fewest`: in how many patients a code, display or unit of the feed's
    own must be met to be shown (what the value sets know is shown always)."""

    as_of: date
    fewest: int = 2
    paths: tuple[str, ...] = ()
    site: tuple[str, ...] = ()


def survey(
    listing: Listing,
    ruleset: Ruleset,
    rows: Iterable[Row],
    scope: Scope,
    watched: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Reads all of the sources. `rows`: the value sets of the ruleset, for the names of their codes; `watched` is told
    now and then how many resources were read. Raises nothing for what is wrong in the input: it is counted."""
    titles = {name: concept.title for name, concept in ruleset.facts.tables.concepts.items()}
    watch = Watch(ruleset, Names(rows, titles), scope.fewest, scope.as_of)
    feed = Feed(listing)
    for number, (kind, resource, patient) in enumerate(feed.resources(), 1):
        watch.add(kind, resource, patient)
        if not number % EVERY:
            watched(number)
    return _Report(watch.book, feed, ruleset, scope).survey(len(listing.sources))


class _Report:
    def __init__(self, book: Book, feed: Feed, ruleset: Ruleset, scope: Scope) -> None:
        self._book = book
        self._showing = Showing(book, ruleset.terminology)
        self._feed = feed
        self._ruleset = ruleset
        self._scope = scope
        self._tables = ruleset.facts.tables.concepts
        self._rare: Counter[str] = Counter()
        self._more: Counter[str] = Counter(book.more)

    def survey(self, files: int) -> Survey:
        book, ruleset = self._book, self._ruleset
        proposals = Proposals(book, self._showing, ruleset, self._rare, self._more)
        proposed = list(proposals.all())
        more_concepts, more_drugs = proposals.opened()
        concepts = {name for name, cells in book.concepts.items() if cells.count}
        drugs = {name for name, cells in book.drugs.items() if cells.count}
        now = blind(ruleset, concepts, drugs)
        after = {
            one.rule
            for one in blind(
                ruleset,
                concepts | more_concepts | _named(proposed, "concept"),
                drugs | more_drugs | _named(proposed, "drug"),
            )
        }
        known = ruleset.terminology.concept_names & ruleset.facts.touched_concepts()
        return Survey(
            ruleset=ruleset.id,
            version=ruleset.version,
            hash=ruleset.hash,
            sources=self._scope.paths,
            site=self._scope.site,
            files=files,
            documents=self._feed.documents,
            resources=dict(sorted(self._feed.kinds.items())[:MOST_SHOWN]),
            patients=self._feed.patients,
            fewest=self._scope.fewest,
            concepts=tuple(self._concepts()),
            unmet=len(known - concepts),
            drugs=tuple(self._drugs()),
            systems=self._cut("systems", list(self._systems())),
            codes=self._cut("codes", list(self._codes())),
            units=self._cut("units", proposals.units()),
            kinds=tuple(self._kinds()),
            textual={carrier: count for carrier, count in sorted(book.textual.items()) if count},
            worded=dict(sorted(book.worded.items())),
            blind=now,
            opened=tuple(one.rule for one in now if one.rule not in after),
            rules=len(ruleset.program.patient) + len(ruleset.program.order),
            proposals=tuple(proposed),
            problems=dict(sorted(self._feed.problems.items())),
            hidden=Hidden(
                rare={name: count for name, count in sorted(self._rare.items()) if count},
                more={name: count for name, count in sorted(self._more.items()) if count},
            ),
        )

    def _cut(self, name: str, found: Sequence[msgspec.Struct]) -> tuple:  # type: ignore[type-arg]
        self._more[name] += max(len(found) - MOST_SHOWN, 0)
        return tuple(found[:MOST_SHOWN])

    # ------------------------------------------------------------ what was met

    def _codes_of(self, tally: Tally[tuple[str, str]]) -> tuple[tuple[Code, ...], int]:
        """The most frequent codes, all of which the value sets know, and how many more there are."""
        ranked = [
            (key, cell) for key, cell in tally.ranked()
            if self._showing.is_plain(key[1], key[0]) or self._book.enough(cell)
        ]
        self._rare["codes"] += len(tally.cells) - len(ranked)
        shown = tuple(Code(system, code, cell.display, cell.count) for (system, code), cell in ranked[:TOP])
        return shown, max(len(ranked) - TOP, 0)

    def _concepts(self) -> Iterator[ConceptSeen]:
        for name, cells in sorted(self._book.concepts.items(), key=lambda item: (-item[1].count, item[0])):
            if not cells.count:
                continue
            concept = self._tables.get(name) or Concept(name=name)
            codes, more = self._codes_of(cells.codes)
            yield ConceptSeen(
                concept=name,
                title=concept.title or name,
                entries=cells.count,
                undated=cells.undated,
                carriers=dict(sorted(cells.carriers.items())),
                codes=codes,
                more=more,
                numbers=cells.numbers,
                without_range=cells.without_range,
                units=tuple(self._units(cells.units, concept)),
            )

    def _units(self, tally: Tally[str], concept: Concept) -> Iterator[Unit]:
        ours = self._ruleset.content.units
        for unit, cell in list(tally.ranked())[:TOP]:
            understood = not concept.unit or (bool(unit) and factor_of(unit, concept) is not None)
            if unit in ours or understood or not unit or cell.patients.enough:
                yield Unit(unit, cell.count, understood)
            else:
                yield Unit("(another)", cell.count, understood)

    def _drugs(self) -> Iterator[DrugSeen]:
        for name, cells in sorted(self._book.drugs.items(), key=lambda item: (-item[1].count, item[0])):
            if cells.count:
                codes, more = self._codes_of(cells.codes)
                yield DrugSeen(drug=name, entries=cells.count, by_name=cells.by_name, codes=codes, more=more)

    # ------------------------------------------------------------ what is unknown

    def _systems(self) -> Iterator[SystemSeen]:
        for uri, system in sorted(self._book.systems.found.items(), key=lambda item: (-item[1].cell.count, item[0])):
            if not self._book.enough(system.cell):
                self._rare["systems"] += 1
                continue
            like = system.like
            why = system.why(like) if like else ""
            yield SystemSeen(system=uri, entries=system.cell.count, codes=len(system.codes), like=like, why=why)

    def _codes(self) -> Iterator[CodeSeen]:
        for (system, code), one in sorted(
            self._book.unknown.items(), key=lambda item: (-item[1].cell.count, item[0])
        ):
            if not self._showing.shown(one):
                continue                                       # counted where proposals are made
            display = self._showing.display_of(one)
            yield CodeSeen(
                code=Code(system, code, display, one.cell.count),
                carriers=tuple(sorted(one.carriers)),
                why=self._showing.why(one),
                concepts=tuple(sorted({concept for concept, _ in one.matches})),
            )

    def _kinds(self) -> Iterator[KindSeen]:
        for name, kind in sorted(self._book.kinds.items()):
            yield KindSeen(
                resource=name,
                entries=self._feed.kinds[name],
                relevant=kind.relevant,
                undated=kind.undated,
                without_status=kind.without_status,
                not_used=kind.unused,
            )


def _named(proposals: Iterable[Proposal], key: str) -> frozenset[str]:
    return frozenset(name for one in proposals if one.section == "codes" and (name := one.values.get(key)))


