"""What was not told is fetched: named resources, missed events, whatever has changed; and who is silent is noticed.

    read      GET {type}/{id}; 410: it was deleted
    events    GET Subscription/{id}/$events; where that is not offered, a search
    search    GET {type}/_history?_since=..., which tells of deletions too; where that is not offered, _lastUpdated
    status    GET Subscription/{id}/$status, else Subscription/{id}; when heartbeats are missing

Each is a row of `pending_fetch` until what it brought is remembered, in the way that everything is. A server that does
not answer is asked again, less and less often; nothing is given up.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import msgspec
import structlog

from engine.client.http import Answer, Http, Patience
from engine.client.smart import SmartTokens, endpoint
from engine.errors import RemoteError
from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.grouping import KINDS
from engine.integration import messages
from engine.integration.backoff import Backoff
from engine.integration.event import Event, Message, Source
from engine.integration.notifications import status_of
from engine.integration.parts import put
from engine.store import Database, StoreError, sources
from engine.store.sources import Heard, Pending

AT_ONCE = 4  # requests
LEASE = 600_000  # milliseconds; who fetches longer is thought dead
LOOK_BACK = 24 * 3_600_000  # of the search for a source that was never heard before
OVERLAP = 300_000  # by which searches overlap, for clocks that differ
PAGE, MOST_PAGES = 200, 5_000
SILENT = 2  # heartbeats that may be missing
FHIR = {"Accept": "application/fhir+json"}
_BACKOFF = Backoff(first=2_000)
_PATIENCE = Patience(attempts=2, first=0.2, most=5.0, connect=5.0, read=30.0, answer=60.0)
_UNASKED = frozenset({400, 404, 405, 410, 422, 501})  # the server does not offer it
_FIRST = ("Patient", "Medication", "Organization", "Encounter")

log = structlog.get_logger("endplate.recovery")


class Recovery:
    """Fetches from sources. `remember` writes a message durably, or raises; `note` counts (source, what). `name` is
    unlike that of any other process.

    May be used by one thread at a time; several processes share the work.
    """

    def __init__(
        self,
        database: Database,
        sources: Iterable[Source],
        remember: Callable[[Source, Message], None],
        *,
        name: str,
        note: Callable[[str, str], None] = lambda _source, _what: None,
        patience: Patience = _PATIENCE,
        backoff: Backoff = _BACKOFF,
    ) -> None:
        self._database = database
        self._sources = {source.name: source for source in sources}
        self._fetched = [name for name, source in self._sources.items() if source.fhir_url]
        self._remember = remember
        self._note = note
        self._patience = patience
        self._backoff = backoff
        self._name = name
        self._claims = itertools.count()
        self._https: dict[str, Http] = {}
        self._making = threading.Lock()
        self._refused: set[tuple[str, str]] = set()  # what a server does not offer
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="recovery")
        self._since = 0
        self._closed = False
        self._alarmed: dict[tuple[str, str], int] = {}
        self.silent: frozenset[tuple[str, str]] = frozenset()
        """(source, subscription) whose heartbeats are missing."""

    def step(self, now: int) -> int:
        """Fetches what is due at `now` (milliseconds); how much that was. Raises StoreError."""
        self._since = self._since or now
        self._listen(now)
        if not self._fetched or self._closed:
            return 0
        holder = f"{self._name}.fetch.{next(self._claims)}"
        due = self._database.run(
            lambda connection: sources.claim(
                connection, holder=holder, now=now, until=now + LEASE, sources=self._fetched, most=AT_ONCE
            )
        )
        list(self._pool.map(lambda row: self._one(row, now), due))
        return len(due)

    def close(self) -> None:
        """Ends what it uses; a later step does nothing."""
        self._closed = True
        self._pool.shutdown(cancel_futures=True)
        for http in self._https.values():
            http.__exit__()

    # ------------------------------------------------------------ silence

    def _listen(self, now: int) -> None:
        """Notices whose heartbeats are missing; they are asked for their status, once in such a time."""
        expected = {
            (name, subscription): seconds * 1000 * SILENT
            for name, source in self._sources.items()
            for subscription, seconds in source.heartbeats.items()
            if seconds
        }
        if not expected:
            return
        with self._database.write(durable=False) as connection:
            heard = sources.heard(connection, expected)
            silent = {
                key for key, longest in expected.items() if now - _last(heard.get(key), self._since) > longest
            }
            asked = [
                Pending(source=name, subscription=subscription, kind="status", what="", next_at=now)
                for name, subscription in sorted(silent)
                if self._sources[name].fhir_url
                and now - self._alarmed.get((name, subscription), 0) > expected[name, subscription]
            ]
            sources.fetch(connection, asked)
        for name, subscription in sorted(silent - self.silent):
            log.error("heartbeats are missing", source=name, subscription=subscription)
            self._note(name, "silent")
        self._alarmed |= {(one.source, one.subscription): now for one in asked}
        self.silent = frozenset(silent)

    # ------------------------------------------------------------ one fetch

    def _one(self, row: Pending, now: int) -> None:
        fetch = {"read": self._read, "events": self._events, "search": self._search, "status": self._status}[row.kind]
        try:
            fetch(self._sources[row.source], row, now)
            self._database.run(lambda connection: sources.done(connection, row, now))
            self._note(row.source, "fetched")
        except Exception as error:  # whatever it is, the row is tried again
            told = isinstance(error, RemoteError | StoreError)
            at = now + self._backoff.pause(row.attempts - 1)
            log.warning("not fetched", source=row.source, kind=row.kind, attempts=row.attempts,
                        reason=str(error) if told else type(error).__name__)  # fmt: skip
            self._note(row.source, "not-fetched")
            try:
                self._database.run(lambda connection: sources.later(connection, row, at))
            except StoreError:
                return  # its lease ends, and it is tried again then

    def _read(self, source: Source, row: Pending, _now: int) -> None:
        kind, _, identity = row.what.partition("/")
        answer = self._get(source, f"{kind}/{quote(identity, safe='')}")
        if answer.status == 404:
            return  # nobody has it
        if answer.status == 410:
            event = Event(action="delete", type=kind, id=identity)
        else:
            found = _good(answer).json()
            if text(found.get("resourceType")) != kind:
                raise RemoteError(f"`{source.name}` answered a read with something else")
            event = put(found, identity)
        self._remember(source, Message(kind="resource", events=(event,)))

    def _events(self, source: Source, row: Pending, now: int) -> None:
        low, _, high = row.what.partition("-")
        offered = "/" not in row.subscription and (row.source, "$events") not in self._refused
        if offered:
            asked = urlencode({"eventsSinceNumber": low, "eventsUntilNumber": high, "content": "full-resource"})
            answer = self._get(source, f"Subscription/{quote(row.subscription, safe='')}/$events?{asked}")
            if answer.status not in _UNASKED:
                found = _bundle(_good(answer))
                if found.kind == "events" or found.events:
                    named = tuple(event for event in found.events if event.id or event.action != "fetch")
                    told = msgspec.structs.replace(found, kind="events", events=named)
                    self._remember(source, msgspec.structs.replace(told, subscription=row.subscription))
                    if _all_of(named, int(low), int(high)):
                        return
            else:
                self._refused.add((row.source, "$events"))
                log.warning("not offered", source=row.source, way="$events", status=answer.status)
        self._later(msgspec.structs.replace(row, subscription="", kind="search", what="", next_at=now))

    def _search(self, source: Source, row: Pending, now: int) -> None:
        """All that has changed since the source was heard before, of one type or of all."""
        since = (row.since or now - LOOK_BACK) - OVERLAP
        kinds = [row.what] if row.what else sorted(KINDS, key=lambda kind: (kind not in _FIRST, kind))
        offered = [kind for kind in kinds if self._changes(source, kind, since)]
        if not offered:
            raise RemoteError(f"`{source.name}` offers neither _history nor a search by _lastUpdated")

    def _changes(self, source: Source, kind: str, since: int) -> bool:
        """Remembers what has changed of a type; whether the server tells."""
        instant = datetime.fromtimestamp(since / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        ways: Mapping[str, str] = {
            f"{kind}/_history": urlencode({"_since": instant, "_count": PAGE}),
            kind: urlencode({"_lastUpdated": f"ge{instant}", "_count": PAGE}),
        }
        for way, asked in ways.items():
            if (source.name, way) in self._refused:
                continue
            first = self._get(source, f"{way}?{asked}")
            if first.status in _UNASKED:
                self._refused.add((source.name, way))
                log.warning("not offered", source=source.name, way=way, status=first.status)
                continue
            for page in self._pages(source, first):
                self._remember(source, msgspec.structs.replace(page, kind="transaction", subscription="", since=-1))
            return True
        return False

    def _status(self, source: Source, row: Pending, _now: int) -> None:
        base = f"Subscription/{quote(row.subscription, safe='')}"
        answer = self._get(source, f"{base}/$status")
        if answer.status in _UNASKED:
            found = _good(self._get(source, base)).json()
            said = Message(kind="status", status=text(found.get("status"))[:40])
        else:
            status = next((one for held in _held(_good(answer).json()) if (one := status_of(held))), None)
            if status is None:
                raise RemoteError(f"`{source.name}` answered `$status` with something else")
            said = Message(kind="status", since=status.since, status=status.status)
        if said.status in ("error", "off"):
            log.error("a subscription has ended", source=source.name, subscription=row.subscription, status=said.status)
            self._note(source.name, "subscription-ended")
        self._remember(source, msgspec.structs.replace(said, subscription=row.subscription))

    # ------------------------------------------------------------ parts of them

    def _later(self, row: Pending) -> None:
        self._database.run(lambda connection: sources.fetch(connection, [row]))

    def _pages(self, source: Source, answer: Answer) -> Iterator[Message]:
        for _ in range(MOST_PAGES):
            found = _good(answer).json()
            if objects(found.get("entry")):
                yield _bundle(answer)
            links = (text(link.get("url")) for link in objects(found.get("link")) if link.get("relation") == "next")
            following = next(links, "")
            if not following:
                return
            answer = self._http(source).call("GET", following, headers=FHIR)
        raise RemoteError(f"`{source.name}` gives more than {MOST_PAGES} pages")

    def _get(self, source: Source, path: str) -> Answer:
        return self._http(source).call("GET", f"{source.fhir_url.rstrip('/')}/{path}", headers=FHIR)

    def _http(self, source: Source) -> Http:
        with self._making:
            if source.name not in self._https:
                self._https[source.name] = _opened(source, self._patience)
            return self._https[source.name]


def _opened(source: Source, patience: Patience) -> Http:
    base, client = source.fhir_url.rstrip("/"), source.client
    if client is None:
        return Http([base], patience=patience)
    with Http([base], patience=patience) as http:
        known = endpoint(client, base, http)
    tokens = SmartTokens(client, known, client.scope or "system/*.rs", patience=patience)
    return Http([base], tokens=tokens, trusted=[base], patience=patience)


def _all_of(events: Iterable[Event], low: int, high: int) -> bool:
    """Whether every number from `low` to `high` is among the events."""
    return len({event.number for event in events if low <= event.number <= high}) == high - low + 1


def _last(heard: Heard | None, since: int) -> int:
    """When a subscription was heard; one that never was, from the beginning of listening."""
    return max(heard.last_heard if heard else 0, since)


def _good(answer: Answer) -> Answer:
    if answer.status != 200:
        raise RemoteError(f"a server answered {answer.status}")
    return answer


def _bundle(answer: Answer) -> Message:
    try:
        return messages.answer(answer.json())
    except messages.MessageError as error:
        raise RemoteError(f"a server answered with a Bundle that cannot be read: {error}") from None


def _held(resource: Json) -> Iterator[Json]:
    """The resource, and those of its entries."""
    yield resource
    for entry in objects(resource.get("entry")):
        yield obj(entry.get("resource"))
