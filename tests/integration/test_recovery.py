"""What was not told is fetched: by $events, by history, by search, by id; and who is silent is noticed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from stream_kit import Json, letter, posted, stamped
from test_messages import bundle, newer, parameters
from test_receiver import held, pending, result, tell

from engine.client.http import Patience
from engine.client.smart import Client
from engine.evaluation import Evaluator
from engine.fhir.lookup import lookup_for
from engine.fhir.matters import KINDS
from engine.integration.backoff import Backoff
from engine.integration.event import Event, Message, Source
from engine.integration.intake import GAP_WAIT, prepare, take
from engine.integration.recovery import Recovery
from engine.store import Database, sources
from engine.store.sources import Pending
from engine.store.tables import pending_fetch as p

HASTY = Patience(attempts=1, first=0.01, most=0.1, connect=2, read=5, answer=10)
NOW = 1_770_000_000_000


class Served:
    """A FHIR server that answers by paths. An answer: (status, body)."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object] | Callable[[dict[str, list[str]]], tuple[int, object]]] = {}
        self.asked: list[str] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                path = url.path.removeprefix("/fhir/")
                served.asked.append(self.path.removeprefix("/fhir/"))
                found = served.answers.get(path, (404, {"resourceType": "OperationOutcome"}))
                status, body = found(parse_qs(url.query)) if callable(found) else found
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.http.server_port}/fhir"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def nothing_changed(self) -> None:
        """Every type has a history, in which nothing stands."""
        for kind in KINDS:
            self.answers.setdefault(f"{kind}/_history", (200, bundle("history")))


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    yield found
    found.http.shutdown()
    found.http.server_close()


class Setting:
    """A recovery with its source, on a database."""

    def __init__(self, database: Database, evaluator: Evaluator, source: Source) -> None:
        self.database, self.evaluator, self.source = database, evaluator, source
        self.notes: list[str] = []
        self.now = NOW
        self.recovery = Recovery(
            database, [source], self.remember, name="one", note=lambda _, what: self.notes.append(what),
            patience=HASTY, backoff=Backoff(first=2_000, chance=lambda: 1.0),
        )  # fmt: skip

    def remember(self, source: Source, message: Message) -> None:
        found = prepare(source, message, lookup_for(self.evaluator.ruleset.terminology))
        self.database.run(lambda connection: take(connection, [found], self.now))

    def hear(self, body: Json | bytes, at: int = NOW) -> None:
        tell(self.database, posted(self.evaluator, body, source=self.source), at=at)

    def all(self, now: int = NOW + GAP_WAIT) -> None:
        """Steps until nothing is due."""
        self.now = now
        for _ in range(50):
            if not self.recovery.step(now):
                return
        raise AssertionError("it never ends")

    def ids(self, *names: str) -> set[str]:
        return {row.id for row in held(self.database, *(("Observation", name) for name in names)) if row.content}


@pytest.fixture
def setting(database: Database, evaluator: Evaluator, served: Served) -> Iterator[Setting]:
    found = Setting(database, evaluator, Source(name="ehr", fhir_url=served.base, heartbeats={"s1": 60}))
    served.answers["Patient/p"] = (200, {"resourceType": "Patient", "id": "p"})
    yield found
    found.recovery.close()


def notice(number: int, *resources: Json) -> Json:
    """A notification of one event with its resource."""
    event = {"eventNumber": str(number), "focus": {"reference": f"Observation/o{number}"}}
    entries = [{"resource": one, "fullUrl": f"x/{one['resourceType']}/{one['id']}"} for one in resources]
    return bundle("history", {"resource": newer("event-notification", str(number), event)}, *entries)


def test_a_named_resource_is_read_and_so_is_its_patient(setting: Setting, served: Served) -> None:
    served.answers["Observation/o1"] = (200, result("o1"))
    setting.hear(notice(1))
    setting.all()
    assert setting.ids("o1") == {"o1"}
    assert {row.id for row in held(setting.database, ("Patient", "p"))} == {"p"}
    assert pending(setting.database) == {}


def test_one_that_is_gone_is_deleted_and_one_that_never_was_is_let_go(setting: Setting, served: Served) -> None:
    setting.hear(result("o1"))
    served.answers["Observation/o1"] = (410, {"resourceType": "OperationOutcome"})
    setting.hear(notice(1))
    setting.hear(notice(2))
    setting.all()
    assert setting.ids("o1", "o2") == set()
    assert pending(setting.database) == {}


def test_missed_events_are_asked_for_by_their_numbers(setting: Setting, served: Served) -> None:
    def events(query: dict[str, list[str]]) -> tuple[int, object]:
        low, high = int(query["eventsSinceNumber"][0]), int(query["eventsUntilNumber"][0])
        listed = [{"eventNumber": str(n), "focus": {"reference": f"Observation/o{n}"}} for n in range(low, high + 1)]
        told = newer("query-event", "9", *listed)
        return 200, bundle("subscription-notification", {"resource": told},
                           *({"resource": result(f"o{n}")} for n in range(low, high + 1)))  # fmt: skip

    served.answers["Subscription/s1/$events"] = events
    setting.hear(notice(1, result("o1")))
    setting.hear(notice(4, result("o4")))
    assert pending(setting.database)["events", "2-2"] == NOW + GAP_WAIT
    setting.hear(notice(3, result("o3")))  # it was only late
    assert ("events", "3-3") not in pending(setting.database)
    setting.all()
    assert setting.ids("o1", "o2", "o3", "o4") == {"o1", "o2", "o3", "o4"}
    assert [one for one in served.asked if "$events" in one] == [
        "Subscription/s1/$events?eventsSinceNumber=2&eventsUntilNumber=2&content=full-resource"
    ]
    assert pending(setting.database) == {}


def test_where_events_are_not_offered_what_has_changed_is_looked_for(setting: Setting, served: Served) -> None:
    """As with HAPI; deletions are told by the history."""
    served.answers["Subscription/s1/$events"] = (400, {"resourceType": "OperationOutcome"})
    gone = {"request": {"method": "DELETE", "url": "Observation/o1"}, "response": {"lastModified": "2026-02-02"}}
    served.answers["Observation/_history"] = (200, bundle("history", gone, {"resource": result("o2")}))
    served.nothing_changed()
    setting.hear(notice(1, stamped(result("o1"), 1)), at=NOW - 3_600_000)
    setting.hear(notice(3, result("o3")))
    setting.all()
    assert setting.ids("o1", "o2", "o3") == {"o2", "o3"}
    (since,) = parse_qs(next(one for one in served.asked if one.startswith("Observation/_history")).partition("?")[2])[
        "_since"
    ]
    assert since == "2026-02-02T01:35:00Z"  # when the subscription was heard before, and a little earlier
    setting.hear(notice(9, result("o9")))
    setting.all()
    assert len([one for one in served.asked if "$events" in one]) == 1  # it is not asked again


def test_events_that_the_server_no_longer_has_are_looked_for(setting: Setting, served: Served) -> None:
    served.answers["Subscription/s1/$events"] = (200, bundle("history", {"resource": newer("query-event", "3")}))
    served.answers["Observation/_history"] = (200, bundle("history", {"resource": result("o2")}))
    served.nothing_changed()
    setting.hear(notice(1, result("o1")))
    setting.hear(notice(3, result("o3")))
    setting.all()
    assert setting.ids("o1", "o2", "o3") == {"o1", "o2", "o3"}


def test_where_there_is_no_history_changes_are_searched_page_by_page(setting: Setting, served: Served) -> None:
    more = f"{served.base}/Observation?page=2"

    def search(query: dict[str, list[str]]) -> tuple[int, object]:
        if "page" in query:
            return 200, bundle("searchset", {"resource": result("o2")})
        assert query["_lastUpdated"][0].startswith("ge20")
        return 200, {**bundle("searchset", {"resource": result("o1")}), "link": [{"relation": "next", "url": more}]}

    served.answers["Observation"] = search
    setting.hear(b"")
    setting.all()
    assert setting.ids("o1", "o2") == {"o1", "o2"}
    assert pending(setting.database) == {}


def test_a_next_page_on_another_server_is_not_followed(setting: Setting, served: Served) -> None:
    page = {**bundle("searchset"), "link": [{"relation": "next", "url": "http://127.0.0.1:1/fhir/Observation"}]}
    served.answers["Observation/_history"] = (200, page)
    setting.hear(b"")
    setting.all()
    assert setting.notes == ["not-fetched"]
    assert ("search", "") in pending(setting.database)


@pytest.mark.parametrize("answer", [(500, b""), (503, b""), (401, b"{}"), (200, b"no json"), (200, [1]), (200, {})])
def test_a_server_that_fails_is_asked_again_later_and_less_often(
    setting: Setting, served: Served, answer: tuple[int, object]
) -> None:
    served.answers["Observation/o1"] = answer
    setting.hear(notice(1))
    pauses, now = [], NOW
    for _ in range(4):
        assert setting.recovery.step(now) == 1
        pauses.append(pending(setting.database)["read", "Observation/o1"] - now)
        now += pauses[-1]
    assert pauses == [2_000, 4_000, 8_000, 16_000]
    served.answers["Observation/o1"] = (200, result("o1"))
    setting.all(now)
    assert setting.ids("o1") == {"o1"}


def test_a_server_that_is_down_loses_nothing(database: Database, evaluator: Evaluator) -> None:
    setting = Setting(database, evaluator, Source(name="ehr", fhir_url="http://127.0.0.1:9/fhir"))
    for number in range(1, 9):
        setting.hear(notice(number))
    for step in range(6):
        setting.recovery.step(NOW + step)
    assert len(pending(database)) == 8
    assert set(setting.notes) == {"not-fetched"}
    setting.recovery.close()


def test_who_is_silent_is_noticed_and_asked_how_it_is(setting: Setting, served: Served) -> None:
    served.answers["Subscription/s1/$status"] = (200, bundle("searchset", {"resource": {
        **parameters("query-status", {"valueString": "3"}), "id": "x"}}))  # fmt: skip
    setting.hear(notice(1, result("o1")))
    setting.all(NOW)
    assert setting.recovery.silent == frozenset()
    setting.all(NOW + 121_000)
    assert setting.recovery.silent == {("ehr", "s1")}
    assert setting.notes.count("silent") == 1
    assert [one for one in served.asked if "$status" in one] == ["Subscription/s1/$status"]
    waiting = {what for kind, what in pending(setting.database) if kind == "events"}
    assert waiting == {"2-2", "3-3"}  # it had more to say
    setting.hear(bundle("history", {"resource": newer("heartbeat", "3")}), at=NOW + 122_000)
    setting.recovery.step(NOW + 122_000)
    assert setting.recovery.silent == frozenset()


def test_a_subscription_that_has_ended_is_said_to_have(setting: Setting, served: Served) -> None:
    served.answers["Subscription/s1"] = (200, {"resourceType": "Subscription", "id": "s1", "status": "error"})
    setting.recovery.step(NOW)
    setting.all(NOW + 121_000)
    assert "subscription-ended" in setting.notes
    assert pending(setting.database) == {}


def test_several_processes_do_not_fetch_the_same(setting: Setting, served: Served, place: Path | str) -> None:
    other = Database(place)
    second = Setting(other, setting.evaluator, setting.source)
    for number in range(1, 9):
        served.answers[f"Observation/o{number}"] = (200, result(f"o{number}", patient="q"))
        setting.hear(notice(number))
    steps = [threading.Thread(target=one.all, args=[NOW]) for one in (setting, second)]
    for step in steps:
        step.start()
    for step in steps:
        step.join(60)
    reads = [one for one in served.asked if one.startswith("Observation/")]
    assert len(reads) == len(set(reads)) == 8
    second.recovery.close()
    other.close()


# ---------------------------------------------------------------- a real server


def test_changes_are_fetched_from_hapi_with_a_token(
    memory: Database, evaluator: Evaluator, hapi: Any, token_endpoint: Any, tmp_path: Path
) -> None:
    client = token_endpoint.register("system/*.rs", algorithm="ES384", seconds=300)
    key = tmp_path / "key.json"
    key.write_text(json.dumps(client.key.as_dict(private=True)))
    source = Source(
        name="ehr", fhir_url=hapi.guarded,
        client=Client(id=client.client_id, key=key, token_url=token_endpoint.address, scope="system/*.rs"),
    )  # fmt: skip
    setting = Setting(memory, evaluator, source)
    name = f"recovered-{token_endpoint.address.rpartition(':')[2].partition('/')[0]}"
    hapi.put([{"resourceType": "Patient", "id": f"{name}-p"}, result(f"{name}-1", f"{name}-p"),
              result(f"{name}-2", f"{name}-p")])  # fmt: skip
    hapi.client.delete(f"Observation/{name}-2")
    told = [Event(action="fetch", type="Observation", id=f"{name}-{n}") for n in (1, 2)]
    tell(memory, letter(evaluator, *told, source=source), at=NOW)
    setting.all()
    assert setting.ids(f"{name}-1", f"{name}-2") == {f"{name}-1"}
    assert {row.id for row in held(memory, ("Patient", f"{name}-p"))} == {f"{name}-p"}
    setting.recovery.close()


def test_hapi_tells_what_has_changed_by_its_history(memory: Database, evaluator: Evaluator, hapi: Any) -> None:
    source = Source(name="ehr", fhir_url=hapi.base)
    setting = Setting(memory, evaluator, source)
    hapi.put([{"resourceType": "Patient", "id": "history-p"}, result("history-1", "history-p"),
              result("history-2", "history-p")])  # fmt: skip
    hapi.client.delete("Observation/history-2")
    with memory.write() as connection:
        asked = Pending(source="ehr", subscription="", kind="search", what="", since=1_700_000_000_000)
        sources.fetch(connection, [asked])
    setting.all()
    assert setting.ids("history-1", "history-2") == {"history-1"}
    with memory.read() as connection:
        assert connection.execute(p.select().where(p.c.kind == "search")).all() == []
    setting.recovery.close()
