"""Records of patients, out of a Bundle or out of the rows of their single resources, for each version of the rules.

Single resources of one patient come from anywhere in the input; what patients share stands beside them once. A row is
read again here, so what is wrong with it is said here, with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import msgspec

from engine.batch.compare import Pair, Second
from engine.batch.sentinel import is_sentinel, with_a_patient
from engine.batch.spill import Row
from engine.batch.wants import references
from engine.errors import InputError
from engine.fhir.decode import Document, decode
from engine.fhir.elements import EMPTY, Json, obj, text
from engine.fhir.grouping import CARRIERS, Group
from engine.fhir.lookup import Lookup
from engine.fhir.problems import problem
from engine.fhir.record import Scope, read_records, records_of
from engine.model.problem import Problem
from engine.model.record import Record


class Beside(msgspec.Struct, frozen=True):
    """What a partition has beside the rows of its patients."""

    shared: Mapping[str, Row]              # by key
    gone: Mapping[str, Row]                # what an export no longer holds, by key
    given: bool                            # whether Patient resources stand among the single resources


class Records:
    """Reads records. `names`: of the files; `second`: the second version of the rules, if there is one."""

    def __init__(self, names: Sequence[str], scope: Scope, lookup: Lookup, second: Second | None) -> None:
        self._names = names
        self._scope = scope
        self._lookup = lookup
        self._second = second

    def of_bundle(self, document: Document, problems: list[Problem]) -> Iterable[Pair]:
        """The records of a Bundle for each version of the rules; the second one's problems are not told."""
        return self._pairs(
            read_records([document], self._lookup.terminology, self._scope, problems),
            lambda second: read_records([document], second.terminology, self._scope, []),
        )

    def of_rows(
        self, own: Sequence[Row], others: Sequence[Row], beside: Beside, problems: list[Problem]
    ) -> Iterable[Pair]:
        """The same of the rows of one patient, as each version sees them."""
        return self._pairs(
            self._of_rows(self._lookup, own, beside, problems),
            lambda second: self._of_rows(second.lookup, others, beside, []),
        )

    def seen_by_each(self, own: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
        """The rows of a patient as each version of the rules sees them; one sequence twice, if they see the same."""
        if self._second is None or self._second.reads_alike:
            return own, own
        return [_as_seen(row, self._lookup) for row in own], [_as_seen(row, self._second.lookup) for row in own]

    def living(self, versions: Iterable[Row], problems: list[Problem]) -> Iterator[Row]:
        """Of several versions of shared resources the newest ones."""
        by_key = sorted(versions, key=lambda row: (row.key, row.order))
        for _, held in groupby(by_key, key=lambda row: row.key):
            group = Group(self._lookup, problems)
            by_place = {self._where(row): row for row in held if self._add(group, row, problems)}
            for entry in group.entries:
                if not entry.dead:
                    yield by_place[entry.place]

    def _pairs(self, first: Iterable[Record], other: Callable[[Second], Iterable[Record]]) -> Iterable[Pair]:
        second = self._second
        if second is None:
            return ((record, None) for record in first)
        if second.reads_alike:
            return ((record, record) for record in first)
        return second.pairs(first, other(second))

    def _of_rows(
        self, lookup: Lookup, own: Sequence[Row], beside: Beside, problems: list[Problem]
    ) -> Iterator[Record]:
        is_plain = is_there(own) or not beside.given
        group = Group(lookup, problems) if is_plain else with_a_patient(lookup, problems)
        keys = {row.key for row in own if row.raw}
        for row in own:
            if row.raw or row.key in keys:
                self._add(group, row, problems)
        for key in sorted(keys & beside.gone.keys()):
            self._add(group, beside.gone[key], problems, deleted=True)
        for row in shared_by(own, beside.shared):
            self._add(group, row, problems)
        for record in records_of(group, lookup, self._scope):
            if not is_sentinel(record.person.reference):
                yield record

    def _add(self, group: Group, row: Row, problems: list[Problem], *, deleted: bool = False) -> bool:
        """Adds the resource of a row to a group; False if it is no JSON after all."""
        try:
            resource = _resource(row)
        except InputError as error:
            problems.append(problem("not-json", self._where(row), str(error)))
            return False
        group.add(resource, self._where(row), deleted=deleted)
        return True

    def _where(self, row: Row) -> str:
        return self._names[row.file] + row.suffix


def is_there(own: Iterable[Row]) -> bool:
    """Whether the Patient resource itself is among the rows."""
    return any(row.key.startswith("Patient/") or row.patient.startswith("Patient/_") for row in own if row.raw)


def shared_by(own: Iterable[Row], shared: Mapping[str, Row]) -> Iterator[Row]:
    """The shared resources that rows refer to, and those that these refer to."""
    seen: set[str] = set()
    stack = [row.raw for row in own]
    while stack:
        for key in references(stack.pop()):
            if key in shared and key not in seen:
                seen.add(key)
                stack.append(shared[key].raw)
    return (shared[key] for key in sorted(seen))


def _as_seen(row: Row, lookup: Lookup) -> Row:
    """A row by the meanings of one version of the rules: a mere version, if only the other one knows what it says."""
    if not row.raw or row.key.partition("/")[0] not in ("", *CARRIERS):
        return row
    try:
        resource = _resource(row)
    except InputError:
        return row
    group = Group(lookup, [])
    group.add(resource, "")
    if not group.entries or group.entries[0].resource is not EMPTY:
        return row
    meta = obj(resource.get("meta"))
    version, updated = text(meta.get("versionId")), text(meta.get("lastUpdated"))
    return msgspec.structs.replace(row, raw=b"", version=version, updated=updated, rare=False)


def _resource(row: Row) -> Json:
    """The resource of a row; of a mere version what names it."""
    if row.raw:
        found = decode(row.raw)
        return found if isinstance(found, dict) else {}
    kind, _, identity = row.key.partition("/")
    meta = {"versionId": row.version, "lastUpdated": row.updated}
    return {"resourceType": kind, "id": identity, "meta": {key: value for key, value in meta.items() if value}}
