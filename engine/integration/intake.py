"""What was told is remembered: resources in their newest version, and whom that concerns. One transaction for many."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from engine.fhir.decode import decode
from engine.fhir.elements import obj
from engine.fhir.grouping import KINDS
from engine.fhir.lookup import Lookup
from engine.fhir.matters import SHARED, matters, owner_of, shared_in
from engine.fhir.references import identifiers_of, searched
from engine.integration.event import Event, Message, Source
from engine.integration.sequence import Range, progress
from engine.integration.versions import Stamp, is_newer
from engine.store import resources, sources, work
from engine.store.resources import Held, Key
from engine.store.sources import Heard, Pending

GAP_WAIT = 10_000  # milliseconds in which a missing event may still come by itself
ALL = ""  # a search for whatever has changed


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """An event, as far as it can be known without the store. `identifiers`: those of a Patient."""

    event: Event
    content: bytes = b""
    patient: str = ""
    identifier: str = ""
    identifiers: tuple[str, ...] = ()


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a source, ready to be written. `address`: from where it came; None: it was fetched."""

    source: Source
    address: str | None = None
    message: Message
    prepared: tuple[Prepared, ...] = ()
    fetches: tuple[Event, ...] = ()


class Taken(msgspec.Struct, kw_only=True):
    """What came of it. `known`: versions that were there already; `older`: than the ones that were there; `about`:
    letters, each with a patient of whom it says something, as far as is known."""

    marked: int = 0
    new: int = 0
    known: int = 0
    older: int = 0
    missing: int = 0  # event numbers
    about: list[tuple[Letter, str]] = []


def prepare(source: Source, message: Message, lookup: Lookup, address: str | None = None) -> Letter:
    """A message without what no rule could ever read."""
    prepared = [_prepared(event, lookup) for event in message.events if event.action != "fetch" and event.type in KINDS]
    fetches = tuple(
        event for event in message.events if event.action == "fetch" and (not event.type or event.type in KINDS)
    )
    return Letter(source=source, address=address, message=message, prepared=tuple(prepared), fetches=fetches)


def take(connection: Connection, letters: Sequence[Letter], at: int) -> Taken:
    """Remembers messages in the order in which they came. `at`: now, in milliseconds."""
    taken = Taken()
    told = [(letter, one) for letter in letters for one in letter.prepared]
    wanted = _heard(connection, letters, at, taken)
    if told:
        wanted += _take(connection, told, at, taken)
    sources.fetch(connection, wanted)
    return taken


# ---------------------------------------------------------------- resources


def _take(connection: Connection, told: list[tuple[Letter, Prepared]], at: int, taken: Taken) -> list[Pending]:
    ties = [one for _, one in told if one.identifier or any(shared_in(one.content))]
    alone = any(one.event.type == "Patient" or one.event.type in SHARED for _, one in told)
    if ties or alone:
        resources.lock(connection, alone=alone)
    before = resources.held(connection, [(one.event.type, one.event.id) for _, one in told])
    after, identifiers = dict(before), dict[str, Collection[str]]()
    for letter, one in told:
        row = _row(letter, one, after.get((one.event.type, one.event.id)), at)
        old = after.get(row.key)
        if old is not None and not is_newer(_stamp(row), _stamp(old)):
            taken.older += 1
        elif old is not None and (old.content, old.deleted, old.updated) == (row.content, row.deleted, row.updated):
            taken.known += 1
        else:
            taken.new += 1
            after[row.key] = row
            if row.type == "Patient":
                identifiers[row.patient] = one.identifiers
    changed = [row for key, row in after.items() if before.get(key) is not row]
    moved_by = resources.identify(connection, identifiers) if identifiers else set[str]()
    owners = resources.owners(connection, moved_by | {row.identifier for row in changed if row.identifier})
    changed = [_owned(row, owners) for row in changed]
    whose = {key: row.patient for key, row in after.items()} | {row.key: row.patient for row in changed}
    taken.about = [(letter, whose[one.event.type, one.event.id]) for letter, one in told]
    resources.write(
        connection,
        [row for row in changed if row.key not in before],
        [row for row in changed if row.key in before],
    )
    resources.refer(connection, [row for row in changed if _refers(row) or _refers(before.get(row.key))])
    marked = _concerned(changed, before) | _moved(connection, moved_by, owners)
    if shared := [f"{row.type}/{row.id}" for row in changed if row.type in SHARED]:
        marked |= resources.referring(connection, shared)
    taken.marked = work.mark(connection, marked - {""}, at)
    revived = [row for row in changed if row.content and (old := before.get(row.key)) is not None and old.deleted]
    senders = {letter.source.name: letter.source for letter, _ in told}
    return [
        *_lacking(connection, [row for row in changed if row.content], senders, at),
        # made anew, or an older version that its deletion has overtaken: the sender knows
        *(_read(row.source, "/".join(row.key), at + GAP_WAIT) for row in revived if senders[row.source].fhir_url),
    ]


def _prepared(event: Event, lookup: Lookup) -> Prepared:
    if event.action == "delete":
        patient = event.key if event.type == "Patient" else ""
        return Prepared(event=msgspec.structs.replace(event, resource={}), patient=patient)
    owner = owner_of(event.resource)
    kept = matters(event.resource, lookup)
    theirs = identifiers_of(event.resource) if event.type == "Patient" else ()
    return Prepared(
        event=msgspec.structs.replace(event, resource={}, raw=b""),
        content=event.raw if kept else b"",
        patient=owner.patient,
        identifier=owner.identifier,
        identifiers=tuple(sorted({"|".join(one) for one in theirs})),
    )


def _row(letter: Letter, one: Prepared, old: Held | None, at: int) -> Held:
    event = one.event
    row = Held(
        type=event.type, id=event.id, source=letter.source.name, patient=one.patient, identifier=one.identifier,
        version=event.version, updated=event.updated, content=one.content, at=at,
        subscription=letter.message.subscription if event.number else "", number=event.number,
    )  # fmt: skip
    if event.action != "delete":
        return row
    told = msgspec.structs.replace
    if old is not None:  # whose it was
        row = told(row, patient=old.patient, identifier=old.identifier)
    if row.updated:
        return told(row, deleted=1)
    if old is None:  # it happened when it was told
        return told(row, deleted=1, updated=at * 1000)
    return told(row, deleted=1, version=old.version, updated=old.updated)  # it ends what is known


def _stamp(row: Held) -> Stamp:
    return Stamp(updated=row.updated, version=row.version, subscription=row.subscription, number=row.number,
                 deleted=bool(row.deleted))  # fmt: skip


def _owned(row: Held, owners: Mapping[str, str]) -> Held:
    """The row with the patient who has its identifier, if exactly one does."""
    owner = owners.get(row.identifier) if row.identifier else ""
    return msgspec.structs.replace(row, patient=owner) if owner else row


def _refers(row: Held | None) -> bool:
    return row is not None and any(shared_in(row.content))


def _concerned(changed: Iterable[Held], before: Mapping[Key, Held]) -> set[str]:
    """Patients of whom something else is known than before."""
    found = set[str]()
    for row in changed:
        old = before.get(row.key)
        if old is not None and old.content:
            found |= {old.patient, row.patient}
        elif row.content:
            found.add(row.patient)
    return found


def _moved(connection: Connection, identifiers: Collection[str], owners: Mapping[str, str]) -> set[str]:
    """Gives what belongs to an identifier to who has it now; the patients whom that concerns."""
    rows = resources.of_identifiers(connection, identifiers) if identifiers else []
    moved = []
    for row in rows:
        own = owner_of(obj(decode(row.content))).patient if row.content else searched(row.identifier)
        patient = owners.get(row.identifier) or own
        if patient != row.patient:
            moved.append((row, msgspec.structs.replace(row, patient=patient)))
    resources.move(connection, [new for _, new in moved])
    return {one.patient for pair in moved if pair[0].content for one in pair}


# ---------------------------------------------------------------- what is not here


def _heard(connection: Connection, letters: Sequence[Letter], at: int, taken: Taken) -> list[Pending]:
    """Notes how far each subscription is; the events that are missing."""
    names = {(letter.source.name, letter.message.subscription) for letter in letters}
    before = sources.heard(connection, names)
    known: dict[tuple[str, str], Heard] = dict(before)
    wanted: list[Pending] = []
    late: list[Pending] = []
    for letter in letters:
        source, subscription = letter.source.name, letter.message.subscription
        old = known.get((source, subscription))
        since = old.last_heard if old else 0
        found = progress(old, source, letter.message, at)
        known[source, subscription] = found.heard
        late += [_events(source, subscription, (number, number), at) for number in found.late]
        wanted += [_pending(letter, event, at, since) for event in letter.fetches]
        for low, high in found.missing:
            taken.missing += high - low + 1
            if letter.source.fhir_url:
                wanted.append(_events(source, subscription, (low, high), at + GAP_WAIT, since))
    sources.filled(connection, late)
    sources.hear(connection, [row for key, row in known.items() if row != before.get(key)])
    return wanted


def _events(source: str, subscription: str, numbers: Range, at: int, since: int = 0) -> Pending:
    what = f"{numbers[0]}-{numbers[1]}"
    return Pending(source=source, subscription=subscription, kind="events", what=what, since=since, next_at=at)


def _pending(letter: Letter, event: Event, at: int, since: int) -> Pending:
    source, subscription = letter.source.name, letter.message.subscription
    if not event.id and event.number:
        return _events(source, subscription, (event.number, event.number), at, since)
    if not event.id:
        what = event.type or ALL
        return Pending(source=source, subscription="", kind="search", what=what, since=since, next_at=at)
    return _read(source, event.key, at)


def _read(source: str, key: str, at: int) -> Pending:
    patient = key if key.startswith("Patient/") else ""
    return Pending(source=source, subscription="", kind="read", what=key, patient=patient, next_at=at)


def _lacking(
    connection: Connection, rows: Iterable[Held], senders: Mapping[str, Source], at: int
) -> list[Pending]:
    """Patients and shared resources that rows name and of which nothing was ever heard."""
    wanted: dict[Key, str] = {}
    for row in rows:
        if senders[row.source].fhir_url:
            named = [row.patient] if row.patient.startswith("Patient/") else []
            for key in (*named, *shared_in(row.content)):
                kind, _, name = key.partition("/")
                wanted[kind, name] = row.source
    there = resources.known(connection, wanted) if wanted else set[Key]()
    return [_read(source, "/".join(key), at) for key, source in wanted.items() if key not in there]
