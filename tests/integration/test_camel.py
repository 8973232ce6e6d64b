"""Apache Camel as a hospital's integration engine: laboratory messages in, findings out, and a subscriber itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from decide_kit import example
from peers.camel import Camel
from peers.server import free_port
from served_kit import SECRET, SECRET_HEADER, comes, serving
from sink_server import sinking
from subscriber_server import answers, subscribed
from subscription_kit import four

RESULT = "achr-false-positive-achr-binding-1"
PATIENT = "achr-false-positive"
HOLDER = f"{SECRET_HEADER}: {SECRET}"
NOBODY = f"{SECRET_HEADER}: another secret"


def hook(port: int) -> str:
    return f"http://127.0.0.1:{port}/fhir-hook"


def laboratory(value: str, judged: str, status: str, number: int) -> list[str]:
    """HL7 v2: the patient's antibodies against acetylcholine receptors, as a first result (F) or a correction (C)."""
    return [
        f"MSH|^~\\&|LAB|H|EHR|H|20260410120000||ORU^R01^ORU_R01|{number}|P|2.5",
        f"PID|1||{PATIENT}^^^H^MR",
        f"OBR|1||{RESULT}|11034-6^AChR binding antibodies^LN",
        f"OBX|1|NM|11034-6^AChR binding antibodies^LN||{value}|nmol/L||{judged}|||{status}|||20260410113000",
    ]


def test_a_laboratory_message_becomes_a_finding_and_its_correction_withdraws_it(
    tmp_path: Path, new_camel: Callable[..., Camel]
) -> None:
    """The engine sends results to the receiver, and relays what it is notified of as a subscriber."""
    record = [one for one in example("achr-false-positive") if one["id"] != RESULT]
    port = free_port()
    with sinking() as sink, subscribed() as behind:
        behind.acts.append(answers(503))  # the engine delivers again by itself
        camel = new_camel(sink=f"{behind.url}/findings", hook=hook(port), secret=HOLDER)
        settings = {"sinks": [{"name": "ehr", "url": sink.url}], "subscribers": [camel.notify]}
        with serving(tmp_path / "served", port=port, **settings) as served:
            identity = served.subscribe(four(channel={"endpoint": camel.notify}))
            assert comes(lambda: served.get(f"Subscription/{identity}")["status"] == "active")
            for one in record:
                served.tell(one)

            assert "MSA|AA|1" in camel.send(*laboratory("0.5", "H", "F", 1))
            assert comes(lambda: sink.kept)
            ((issue,),) = sink.kept.values()
            assert issue["status"] == "preliminary"
            assert issue["patient"]["reference"] == f"Patient/{PATIENT}"
            assert "AChR" in issue["detail"]

            assert "MSA|AA|2" in camel.send(*laboratory("0.1", "N", "C", 2))
            assert comes(lambda: len(sink.asked) == 2)
            (versions,) = sink.kept.values()
            assert [one["status"] for one in versions] == ["preliminary", "entered-in-error"]
            assert "corrected" in versions[-1]["detail"]

            assert comes(lambda: len(behind.told) == 3)
    assert behind.kinds() == ["handshake", "event-notification", "event-notification"]
    assert behind.numbers() == [1, 2]
    assert [one.resources[0]["status"] for one in behind.told[1:]] == ["preliminary", "entered-in-error"]


def test_what_the_receiver_does_not_take_the_laboratory_is_told(
    tmp_path: Path, new_camel: Callable[..., Camel]
) -> None:
    with serving(tmp_path / "served") as served:
        camel = new_camel(sink="http://127.0.0.1:9/none", hook=hook(served.port), secret=NOBODY)
        assert "MSA|AA" not in camel.send(*laboratory("0.5", "H", "F", 1))
