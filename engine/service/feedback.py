"""What users did with cards (CDS Hooks 2.0.1, "Feedback"), read tolerantly."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.service.outcome import RefusalError

OUTCOMES = ("accepted", "overridden")
MOST = 1000


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """One card's fate. `comment` is what the user wrote: it may hold patient data and never goes to the log."""

    card: str
    outcome: str
    timestamp: str = ""
    suggestions: tuple[str, ...] = ()  # uuids of those that were accepted
    reason: tuple[str, str] = ("", "")  # system and code
    comment: str = ""


def read_feedback(content: dict[str, Any]) -> list[Feedback]:
    """All feedback of a body. Raises RefusalError 400 if one entry names no card or no outcome."""
    entries = content.get("feedback", content if "card" in content else None)
    if isinstance(entries, dict):  # a single object, as older clients send it
        entries = [entries]
    if not isinstance(entries, list) or not entries:
        raise RefusalError(400, "`feedback` is missing: it is a list of objects")
    if len(entries) > MOST:
        raise RefusalError(413, f"`feedback` has more than {MOST} entries: send fewer at a time")
    return [_read(entry, number) for number, entry in enumerate(entries)]


def _read(entry: object, number: int) -> Feedback:
    where = f"`feedback[{number}]`"
    if not isinstance(entry, dict):
        raise RefusalError(400, f"{where} is no object")
    card = _text(entry.get("card"))
    if not card:
        raise RefusalError(400, f"{where}: `card` is missing: it is the uuid of a card")
    outcome = _text(entry.get("outcome"))
    if outcome not in OUTCOMES:
        raise RefusalError(400, f"{where}: `outcome` is one of {', '.join(OUTCOMES)}")
    override = entry.get("overrideReason")
    override = override if isinstance(override, dict) else {}
    reason = override.get("reason", override)  # older clients put the coding in its place
    reason = reason if isinstance(reason, dict) else {}
    return Feedback(
        card=card,
        outcome=outcome,
        timestamp=_text(entry.get("outcomeTimestamp")),
        suggestions=_suggestions(entry.get("acceptedSuggestions")),
        reason=(_text(reason.get("system")), _text(reason.get("code"))),
        comment=_text(override.get("userComment")),
    )


def _suggestions(accepted: object) -> tuple[str, ...]:
    """Objects with an id; plain texts too, which some clients send."""
    listed = accepted if isinstance(accepted, list) else []
    found = (_text(one.get("id") if isinstance(one, dict) else one) for one in listed)
    return tuple(identity for identity in found if identity)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
