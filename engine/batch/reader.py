"""What reads a part of the input: its Bundles are evaluated at once, its single resources go to the router, or wait."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from engine.batch.output import Output
from engine.batch.pieces import Block, documents_of, numbered, stretches_of
from engine.batch.plan import Piece
from engine.batch.routing import Router
from engine.batch.spill import TWICE, Named, Spill, Stretch
from engine.batch.tools import Tools
from engine.batch.waiting import Waiting
from engine.errors import InputError
from engine.fhir.decode import Document
from engine.fhir.elements import Json
from engine.fhir.problems import problem
from engine.model.problem import Problem

_HEAD = 200                                # bytes in which a Bundle says that it is one


class Reader:
    """Reads one part. What is found goes to `out`, rows for later stages to `spill`."""

    def __init__(self, tools: Tools, out: Output, spill: Spill) -> None:
        self._tools = tools
        self._setup = tools.setup
        self._out = out
        self._spill = spill
        self.router = Router(tools, spill, out.odd)
        self.waiting = Waiting(tools, self.router, spill)

    def read(self, piece: Piece) -> None:
        """All of a piece."""
        source = self._setup.sources[piece.source]
        self._out.counts.bytes += (piece.end if piece.end >= 0 else source.size) - piece.start
        if piece.lines:
            self.blocks(piece.source, self._tools.numbers.blocks_of(source, piece))
        else:
            self.documents(piece.source, documents_of(source))

    def fetch(self, held: Iterable[Stretch]) -> None:
        """Lines that waited and are needed after all."""
        for file, stretches in groupby(held, key=lambda stretch: stretch.file):
            source = self._setup.sources[file]
            for number, line in stretches_of(source, stretches):
                self.router.line(line, file, number, f": line {number}")
        self.count()

    def count(self) -> None:
        """What was kept, and what of it refers to something that patients share, is counted."""
        counts, router = self._out.counts, self.router
        counts.wants, counts.kept = router.wants.count, router.kept

    def end(self) -> None:
        """The part is read: what waits goes to its spill file, what was counted to its results."""
        self.waiting.end()
        self._out.end()
        self.count()
        counts, router = self._out.counts, self.router
        counts.given, counts.parked, counts.waiting = router.given, router.parked, self.waiting.count

    def blocks(self, file: int, held: Iterable[Block | Problem]) -> None:
        """Lines of a file, some at a time."""
        for found in held:
            self.lines(file, (found,) if isinstance(found, Problem) else self._now(file, found))

    def lines(self, file: int, held: Iterable[tuple[int, bytes] | Problem]) -> None:
        """Lines of a file with their numbers."""
        source = self._setup.sources[file]
        skims = not self._setup.thorough and not self._tools.scope.at_bundle_time
        for found in held:
            if isinstance(found, Problem):
                self._out.odd(found, source.name)
                continue
            self._out.counts.documents += 1
            number, line = found
            suffix = f": line {number}"
            is_bundle = b'"Bundle"' in line[:_HEAD]
            if skims and is_bundle and self._unconcerned(line, source.name + suffix):
                continue
            read = self.router.content if is_bundle else self.router.line
            try:
                decoded = None if source.deleted else read(line, file, number, suffix)
            except InputError as error:
                self._out.odd(problem("not-json", source.name + suffix, str(error)), source.name)
                continue
            if decoded is not None:
                self._document(decoded, file, number, suffix)

    def documents(self, file: int, held: Iterable[tuple[int, Document] | Problem]) -> None:
        """Documents of a file with their numbers."""
        source = self._setup.sources[file]
        for found in held:
            if isinstance(found, Problem):
                self._out.odd(found, source.name)
                continue
            self._out.counts.documents += 1
            number, document = found
            self._document(document.content, file, number, document.where[len(source.name) :])

    def may_wait(self, file: int, block: Block) -> bool:
        """Whether lines of a block may wait until it is known whose are needed."""
        setup = self._setup
        return not (setup.thorough or setup.sources[file].deleted or b'"Bundle"' in block.lines[0][:_HEAD])

    def _now(self, file: int, block: Block) -> Iterable[tuple[int, bytes]]:
        """The lines of a block that cannot wait."""
        if not self.may_wait(file, block):
            return numbered(block)
        now = tuple(self.waiting.add(file, block))
        self._out.counts.documents += len(block.lines) - len(now)
        if len(now) == len(block.lines):
            return numbered(block)
        return [one for index in now for one in numbered(block.line(index))]

    def _unconcerned(self, line: bytes, where: str) -> bool:
        """Whether a Bundle concerns no rule; then its patient is counted and that is all."""
        patient = self._tools.relevance.bundle(line)
        if patient:
            self._spill.put(TWICE, self._setup.partition(patient), Named(patient, where))
            self._out.unconcerned(patient)
        return bool(patient)

    def _document(self, content: object, file: int, seq: int, suffix: str) -> None:
        name = self._tools.names[file]
        for number, one in enumerate(content if isinstance(content, list) else [content], 1):
            place = f"{suffix}: {number}" if isinstance(content, list) else suffix
            if not isinstance(one, dict):
                self._out.odd(problem("not-an-object", name + place, "is no JSON object and was skipped"), name)
            elif one.get("resourceType") not in ("Bundle", "Parameters"):
                self.router.resource(one, b"", file, seq, place)
            elif self._setup.sources[file].deleted:
                self.router.deletions(one, file, seq, place)
            else:
                self._bundle(one, name + place)

    def _bundle(self, bundle: Json, where: str) -> None:
        problems: list[Problem] = []
        self._out.met.bundle(bundle)
        for record, other in self._tools.records.of_bundle(Document(bundle, where), problems):
            if record is None:
                self._out.compare((None, other), where=where)
                continue
            patient = record.person.reference
            if patient.startswith("Patient/"):  # a name that is more than one within its Bundle
                self._spill.put(TWICE, self._setup.partition(patient), Named(patient, where))
            self._out.evaluate(record, other, where)
        for found in problems:
            self._out.odd(found)
