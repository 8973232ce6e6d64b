"""Telling a FHIR server of findings: conditional updates, in order, through everything that a server may do to them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, TypeVar

import pytest
from decide_kit import STEADY, Hospital, example
from sink_server import Act, SinkServer, raw, refusing, sinking, slow

from engine.client.http import Patience
from engine.evaluation import Evaluator
from engine.integration.capability import read_capability
from engine.integration.deliver import Sink, Target
from engine.integration.delivering import GIVES_UP_MS, Lane
from engine.integration.rendering import Rules
from engine.outputs.needs import fact_resources
from engine.store import Database, outbox, retention

Json = dict[str, Any]
T = TypeVar("T")
DAY = date(2026, 4, 20)
HASTY = Patience(attempts=1, connect=1.0, read=0.3, answer=1.0)
ACHR = "achr-false-positive-achr-binding-1"


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    with sinking() as server:
        yield server


@pytest.fixture
def hospital(memory: Database, evaluator: Evaluator) -> Hospital:
    return Hospital(memory, evaluator, day=DAY)


@pytest.fixture
def rules(evaluator: Evaluator) -> Rules:
    return Rules(evaluator.ruleset.info, fact_resources(evaluator.ruleset), "urn:endplate")


class Delivering:
    """One lane to one sink, at the hospital's time."""

    def __init__(
        self, hospital: Hospital, url: str, rules: Rules, clock: list[float] | None = None, **target: Any
    ) -> None:
        self.hospital = hospital
        clock = clock if clock is not None else [0.0]
        self.sink = Sink(
            Target(name="ehr", url=url, **target), hospital.database, lambda: rules, patience=HASTY,
            clock=lambda: clock[0],
        )  # fmt: skip
        self.lane = Lane("sink/ehr", hospital.database, self.sink, name="one", now=lambda: hospital.now, backoff=STEADY)

    def all(self) -> int:
        """Delivers what is due; how many attempts."""
        count = 0
        while self.lane.step():
            count += 1
        return count

    def later(self, seconds: float) -> int:
        self.hospital.now += int(seconds * 1000)
        return self.all()


New = Callable[..., Delivering]


@pytest.fixture
def new(hospital: Hospital, sink: SinkServer, rules: Rules) -> Iterator[New]:
    """Makes one; `url` is that of the sink if it is not given."""
    made: list[Delivering] = []

    def one(url: str = "", clock: list[float] | None = None, **target: Any) -> Delivering:
        made.append(Delivering(hospital, url or sink.url, rules, clock, **target))
        return made[-1]

    yield one
    for each in made:
        each.sink.close()


@pytest.fixture
def delivering(new: New) -> Delivering:
    return new()


def states(hospital: Hospital) -> list[str]:
    return [letter.state for letter in hospital.letters()]


def only(found: list[T]) -> T:
    (one,) = found
    return one


def test_a_finding_is_created_updated_and_withdrawn_under_one_identifier(
    hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    record = example("als-niv-threshold")
    fvc = next(one for one in record if one["id"] == "als-niv-threshold-fvc-pct-3")
    snip = next(one for one in record if one["id"] == "als-niv-threshold-snip-1")
    hospital.send(*record)
    (new,) = hospital.decide()
    hospital.send({**fvc, "valueQuantity": {**fvc["valueQuantity"], "value": 44}})
    hospital.decide()
    hospital.send({**fvc, "status": "entered-in-error"}, {**snip, "status": "entered-in-error"})
    hospital.decide()

    assert delivering.all() == 3

    (versions,) = sink.kept.values()
    assert [one["status"] for one in versions] == ["preliminary", "preliminary", "entered-in-error"]
    assert ["FVC 46 %" in one["detail"] for one in versions] == [True, False, False]
    withdrawn = f"Withdrawn: FVC 44 % on 2026-04-13 (Observation/{fvc['id']}): entered in error"
    assert versions[2]["detail"].startswith(withdrawn)
    assert versions[2]["mitigation"][0]["action"]["text"].startswith(withdrawn)
    assert all("id" not in one for one in versions)
    first = sink.asked[0]
    assert (first.method, first.path) == ("PUT", "/fhir/DetectedIssue")
    assert first.query == f"identifier=urn:endplate:detected-issue|{new.identifier}"
    assert first.headers["content-type"] == "application/fhir+json"
    assert states(hospital) == ["done"] * 3


def come_and_gone(hospital: Hospital, delivering: Delivering) -> None:
    """A finding and its withdrawal are told."""
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()
    hospital.delete(next(one for one in record if one["id"] == ACHR))
    hospital.decide()
    delivering.all()


@pytest.mark.parametrize(
    ("fhir", "whose", "withdrawn"), [("4.3.0", "patient", "cancelled"), ("5.0.0", "subject", "mitigated")]
)
def test_it_is_written_in_the_version_that_the_server_speaks(
    fhir: str, whose: str, withdrawn: str, *, hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    sink.fhir = fhir
    come_and_gone(hospital, delivering)

    (versions,) = sink.kept.values()
    assert versions[0][whose] == {"reference": "Patient/achr-false-positive"}
    assert versions[1]["status"] == withdrawn
    named = [one for one in versions[1]["implicated"] if "reference" not in one]
    assert named == [{"type": "Observation", "display": f"Observation/{ACHR}"}]
    assert {"reference": f"Observation/{ACHR}"} in versions[0]["implicated"]
    assert {"reference": "#guidance"} in versions[0]["evidence"][0]["detail"]


def told(hospital: Hospital) -> None:
    """One finding of each of two patients."""
    hospital.send(*example("achr-false-positive"), *example("als-then-mg"))
    assert len(hospital.decide()) == 2


BUSY: list[tuple[str, Act]] = [
    ("429", refusing(429)),
    ("503", refusing(503, b"<html>down</html>")),
    ("502", refusing(502)),
    ("no answer", slow(0.6)),
    ("no HTTP", raw(b"\x00\x01 this is no HTTP\r\n\r\n")),
    ("hung up", raw(b"")),
    ("401", refusing(401)),
]


@pytest.mark.parametrize(("said", "act"), BUSY, ids=[name for name, _ in BUSY])
def test_a_server_that_is_down_rests_as_a_whole_and_is_asked_again(
    said: str, act: Act, hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    told(hospital)
    sink.acts = [act, act]

    assert delivering.all() == 1  # the second letter does not even try
    assert delivering.later(0.5) == 0
    assert delivering.later(0.6) == 1  # after a second the other one, which has waited longest, then a pause of two
    assert delivering.later(1.5) == 0
    assert delivering.later(1.0) >= 2

    assert states(hospital) == ["done", "done"]
    assert len([key for key in sink.kept if key != "taken"]) == 2


@pytest.mark.parametrize("status", [500, 408, 409, 425])
def test_one_that_fails_for_itself_holds_up_nobody_else(
    status: int, hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    told(hospital)
    sink.acts = [refusing(status)] * (5 if status == 409 else 1)

    delivering.all()

    assert sorted(states(hospital)) == ["done", "pending"]
    failed = only([letter for letter in hospital.letters() if letter.state == "pending"])
    assert (failed.attempts, failed.error) == (1, f"`ehr` answers {status}")
    assert delivering.later(1.1) == 1
    assert states(hospital) == ["done", "done"]


def test_a_conflict_is_tried_again_at_once(hospital: Hospital, sink: SinkServer, delivering: Delivering) -> None:
    told(hospital)
    sink.acts = [refusing(409)] * 4
    assert delivering.all() == 2
    assert len(sink.asked) == 6
    assert states(hospital) == ["done", "done"]


@pytest.mark.parametrize("status", [400, 403, 404, 410, 412, 422])
def test_what_is_refused_is_parked_with_the_reason_and_can_be_replayed(
    status: int, hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    told(hospital)
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": "invalid", "diagnostics": "Patient/secret"}]}
    sink.acts = [refusing(status, outcome)]

    delivering.all()

    dead = only([letter for letter in hospital.letters() if letter.state == "dead"])
    assert dead.error == f"`ehr` answers {status} (invalid)"
    with hospital.database.read() as connection:
        assert outbox.waiting(connection, hospital.now)["sink/ehr"].dead == 1
    assert delivering.later(1_000_000) == 0

    assert hospital.database.run(lambda c: outbox.replay(c, now=hospital.now, numbers=[dead.seq])) == 1
    assert delivering.all() == 1
    assert states(hospital) == ["done", "done"]


def test_a_dead_letter_lets_later_ones_go_on_and_never_replaces_them_when_it_is_replayed(
    hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    record = example("achr-false-positive")
    lab = next(one for one in record if one["id"] == ACHR)
    sink.acts = [refusing(422)]
    hospital.send(*record)
    hospital.decide()
    delivering.all()
    hospital.send({**lab, "status": "entered-in-error"})
    hospital.decide()
    delivering.all()
    assert states(hospital) == ["dead", "done"]

    hospital.database.run(lambda connection: outbox.replay(connection, now=hospital.now))
    delivering.all()

    assert states(hospital) == ["done", "done"]
    assert hospital.letters()[0].error == "a later version was delivered before"
    (versions,) = sink.kept.values()
    assert [one["status"] for one in versions] == ["entered-in-error"]


def test_letters_of_one_patient_keep_their_order_while_the_first_one_fails(
    hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    record = example("achr-false-positive")
    lab = next(one for one in record if one["id"] == ACHR)
    sink.acts = [refusing(500), refusing(500)]
    hospital.send(*record)
    hospital.decide()
    assert delivering.all() == 1
    hospital.send({**lab, "status": "entered-in-error"})
    hospital.decide()
    assert delivering.all() == 0  # the second one waits for its turn
    assert delivering.later(1.1) == 1
    assert delivering.later(2.1) == 2
    (versions,) = sink.kept.values()
    assert [one["status"] for one in versions] == ["preliminary", "entered-in-error"]


def test_retry_after_is_heeded(hospital: Hospital, sink: SinkServer, delivering: Delivering) -> None:
    told(hospital)
    sink.acts = [refusing(429, Retry_After="120")]
    assert delivering.all() == 1
    assert delivering.later(119) == 0
    assert delivering.later(2) == 2
    assert states(hospital) == ["done", "done"]


def test_pauses_grow_and_nothing_is_lost_while_a_server_is_down_for_an_hour(hospital: Hospital, new: New) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # a port on which nobody answers from now on
        port = taken.getsockname()[1]
    delivering = new(f"http://127.0.0.1:{port}/fhir")
    told(hospital)
    attempts = sum(delivering.later(10) for _ in range(360))
    assert 8 <= attempts <= 20
    assert states(hospital) == ["pending", "pending"]

    back = new()
    back.later(600)
    assert states(hospital) == ["done", "done"]


def test_one_that_an_answering_server_never_takes_is_parked_after_a_week(
    hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    hospital.send(*example("achr-false-positive"))
    hospital.decide()
    sink.always = refusing(500)
    delivering.all()
    assert states(hospital) == ["pending"]
    assert delivering.later(GIVES_UP_MS / 1000 + 1) == 1
    assert states(hospital) == ["dead"]


GARBLED: list[tuple[str, bytes]] = [
    ("no JSON", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<no json>"),
    ("cut short", b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{"),
    ("no gzip", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
    ("endless", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000),
    ("nothing", b"HTTP/1.1 204 No Content\r\n\r\n"),
]


@pytest.mark.parametrize(("kind", "data"), GARBLED, ids=[name for name, _ in GARBLED])
def test_what_follows_a_good_status_may_be_anything(
    kind: str, data: bytes, hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    hospital.send(*example("achr-false-positive"))
    hospital.decide()
    sink.acts = [raw(data)]
    assert delivering.all() == 1
    assert states(hospital) == ["done"]


@pytest.mark.parametrize(
    ("fallback", "kind", "statuses"),
    [("communication", "Communication", ["completed", "completed"]), ("flag", "Flag", ["active", "inactive"])],
)
def test_something_else_stands_in_where_no_detected_issue_is_taken(
    fallback: str, kind: str, statuses: list[str], *, hospital: Hospital, sink: SinkServer, new: New
) -> None:
    sink.types = {"Patient": {}, "Communication": {}, "Flag": {}}
    come_and_gone(hospital, new(fallback=fallback))

    (versions,) = sink.kept.values()
    assert [one["resourceType"] for one in versions] == [kind] * 2
    assert [one["status"] for one in versions] == statuses
    text = versions[1]["payload"][0]["contentString"] if kind == "Communication" else versions[1]["code"]["text"]
    assert "Withdrawn: AChR positive, not confirmed, 0.5 nmol/L" in text


def test_messages_are_only_ever_created_where_nothing_else_is_allowed(
    hospital: Hospital, sink: SinkServer, new: New
) -> None:
    create = {"interaction": [{"code": "create"}]}
    sink.types = {"DetectedIssue": create, "Communication": create}
    delivering = new(fallback="communication")
    hospital.send(*example("achr-false-positive"))
    (change,) = hospital.decide()
    delivering.all()
    asked = only(sink.asked)
    assert (asked.method, asked.path) == ("POST", "/fhir/Communication")
    wanted = f"identifier=urn%3Aendplate%3Adetected-issue|{change.identifier}-1"
    assert asked.headers["if-none-exist"] == wanted


def test_what_a_server_takes_in_no_form_is_kept_here(
    hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    sink.types = {"Patient": {}}
    told(hospital)
    delivering.all()
    assert sink.asked == []
    assert {letter.error.partition(":")[0] for letter in hospital.letters()} == {"kept here alone"}
    assert states(hospital) == ["done", "done"]


def test_a_server_without_conditional_update_is_searched_first(
    hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    sink.types = {"DetectedIssue": {"conditionalUpdate": False}}
    record = example("achr-false-positive")
    hospital.send(*record)
    hospital.decide()
    hospital.delete(next(one for one in record if one["id"] == ACHR))
    (change,) = hospital.decide()
    delivering.all()
    name = f"id-{change.identifier[:8]}"
    assert [(one.method, one.path) for one in sink.asked] == [
        ("POST", "/fhir/DetectedIssue"), ("PUT", f"/fhir/DetectedIssue/{name}"),
    ]  # fmt: skip
    assert sink.asked[1].body["id"] == name


def test_what_a_server_can_do_is_asked_once_an_hour(hospital: Hospital, sink: SinkServer, new: New) -> None:
    clock = [0.0]
    delivering = new(clock=clock)
    told(hospital)
    delivering.all()
    assert sink.statements == 1
    clock[0] = 3601.0
    hospital.send({**example("achr-false-positive")[-1], "id": "x"})
    hospital.send(*example("fluoroquinolone-in-mg"))
    hospital.decide()
    delivering.all()
    assert sink.statements == 2


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"resourceType":"Patient"}', b"{", b"", b"[" * 100_000])
def test_a_server_that_says_nonsense_of_itself_is_asked_again_unless_its_version_is_set(
    content: bytes, hospital: Hospital, sink: SinkServer, new: New
) -> None:
    sink.on_metadata = refusing(200, content)
    told(hospital)
    assert new().all() == 1
    assert states(hospital) == ["pending", "pending"]
    assert new(version="R4").later(2) == 2
    assert states(hospital) == ["done", "done"]


@pytest.mark.parametrize(
    "statement",
    [
        {"rest": "x"}, {"rest": [{"resource": [{"type": 3, "interaction": "update"}]}]}, {"fhirVersion": ["5.0.0"]},
        {"rest": [{"mode": "client", "resource": [{"type": "DetectedIssue"}]}]}, {},
    ],
)  # fmt: skip
def test_an_odd_statement_allows_nothing(statement: Json) -> None:
    found = read_capability({"resourceType": "CapabilityStatement", **statement})
    assert (found.version, found.way("DetectedIssue")) == ("R4", "")


def test_a_redirect_is_not_followed(hospital: Hospital, sink: SinkServer, delivering: Delivering) -> None:
    told(hospital)
    with sinking() as elsewhere:
        sink.acts = [refusing(307, Location=f"{elsewhere.url}/DetectedIssue")]
        delivering.all()
        assert elsewhere.asked == []
    assert states(hospital) == ["pending", "pending"]


def test_letters_of_a_purged_patient_are_gone_and_one_under_way_ends(
    hospital: Hospital, sink: SinkServer, delivering: Delivering
) -> None:
    told(hospital)
    taken = hospital.database.run(
        lambda c: outbox.claim(c, "sink/ehr", holder="t", now=hospital.now, until=hospital.now + 9, most=1)
    )
    hospital.database.run(lambda connection: retention.forget_patient(connection, taken[0].patient))
    assert delivering.sink(taken[0]).error == "the patient was purged"
    assert not hospital.database.run(lambda c: outbox.finish(c, taken[0], now=hospital.now))
    assert len(hospital.letters()) == 1
