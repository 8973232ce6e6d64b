"""What stands in the audit trail of what sources tell, and of what is decided on it.

It is written before the store takes the event, or the findings, for good: what is durable is never without its line. A
line may stand there twice, or of something that was then not taken and is told again.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.integration.intake import Letter, Taken
from engine.model.finding import Evaluation
from engine.outputs.detected_issue import evaluation_id
from engine.service.audit import Json, of_evaluation
from engine.service.state import Service

US = "Endplate"  # who decides on what was told
_EVENTLESS = frozenset({"handshake", "heartbeat", "status"})


def received(service: Service, letters: Sequence[Letter], taken: Taken) -> None:
    """What was told: by which source, from where, about whom. Raises StoreError."""
    whose: dict[int, dict[str, None]] = {}
    for letter, patient in taken.about:
        whose.setdefault(id(letter), {})[patient] = None
    for letter in letters:
        named = (one.key for one in letter.fetches if one.type == "Patient" and one.id)
        whose.setdefault(id(letter), {}).update(dict.fromkeys(named))
    service.audit.put([
        _received(service, letter, list(whose[id(letter)])) for letter in letters
        if letter.message.events or letter.message.kind not in _EVENTLESS
    ])  # fmt: skip


def _received(service: Service, letter: Letter, patients: Sequence[str]) -> Json:
    events = letter.message.events
    deleted = bool(events) and all(one.action == "delete" for one in events)
    what = f"{'fetched' if letter.address is None else 'received'}/{letter.message.kind}"
    more = {"client": letter.source.name, "address": letter.address or "", "patient": patients}
    return service.event("D" if deleted else "C", what, **more)


def decided(service: Service, evaluations: Sequence[Evaluation]) -> None:
    """Which evaluation was made about whom, and which rules answered. Raises StoreError."""
    service.audit.put([
        service.event("E", "decided", client=US, evaluation=evaluation_id(one), **of_evaluation(one))
        for one in evaluations
    ])  # fmt: skip
