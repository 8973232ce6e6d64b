"""Evidence: what one entry of the record said, in words, and the texts of facts that rest on it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date as Day  # noqa: N812 - `date` is a slot of the texts

from engine.facts.definition import Definition
from engine.facts.reading import Reading, concept_of
from engine.facts.view import View
from engine.model.fact import ABSENT, PRESENT, UNKNOWN, Evidence, Fact, Reason
from engine.model.record import Diagnosis, Quantity, Result


def evidence_of(view: View, result: Result) -> Evidence:
    """What a result said, e.g. `FVC < 70 % (L)`, and the date as written."""
    found: Evidence | None = view.cache.get(id(result))
    if found is None:
        title = concept_of(view, result.concept).title or result.concept
        said = f"{title} {said_by(result)}".rstrip()
        found = Evidence(result.reference, said, result.written or (result.day.isoformat() if result.day else ""))
        view.cache[id(result)] = found
    return found


def diagnosis_evidence(view: View, diagnosis: Diagnosis) -> Evidence:
    """What a diagnosis entry said, e.g. `ptosis confirmed`."""
    title = concept_of(view, diagnosis.concept).title or diagnosis.concept
    day = diagnosis.recorded or diagnosis.onset
    said = f"{title} {diagnosis.certainty}{', ended' if diagnosis.ended else ''}"
    return Evidence(diagnosis.reference, said, diagnosis.written or (day.isoformat() if day else ""))


def said_by(result: Result) -> str:
    """The value of a result as its source states it, with place, components and flag."""
    words = []
    if result.quantity is not None:
        words.append(amount(result.quantity))
    elif result.answer:
        words.append(result.answer)
    elif result.date_value is not None:
        words.append(result.date_value.isoformat())
    elif result.done_only:
        words.append("done")
    if result.region or result.muscle or result.site or result.nerve:
        place = (result.side, result.muscle, result.nerve, result.site, result.region)
        words.append("in " + " ".join([word for word in place if word]))
    if result.sign:
        words.append(result.sign)
    if result.parts:
        words.append(", ".join([_part(name, part) for name, part in sorted(result.parts.items())]))
    if result.flag:
        words.append(f"({result.flag})")
    return " ".join(words)


_PLAIN_UNIT = str.maketrans({"[": None, "]": None, "*": "^"})


def amount(quantity: Quantity) -> str:
    """A number with comparator and unit as people write it: cmH2O for UCUM's `cm[H2O]`, 10^9/L for `10*9/L`."""
    number = f"{quantity.comparator} {quantity.value}" if quantity.comparator else str(quantity.value)
    unit = quantity.unit.translate(_PLAIN_UNIT)
    return f"{number} {unit}" if unit else number


def evidence_for(view: View, readings: Iterable[Reading]) -> tuple[Evidence, ...]:
    """The evidence of readings and of what they rest on besides, each resource once, in a fixed order."""
    found = []
    for reading in readings:
        found.append(evidence_of(view, reading.result))
        if reading.other is not None:
            found.append(evidence_of(view, reading.other))
    return tuple(found) if len(found) == 1 else ordered(found)


def ordered(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Evidence without repetition, newest first, undated last."""
    unique = {(one.date, one.reference, one.said): one for one in evidence}
    return tuple([unique[key] for key in sorted(unique, reverse=True)])


def known(
    definition: Definition,
    value: str,
    evidence: tuple[Evidence, ...],
    since: Day | None,
    *,
    name: str = "",
    said: str = "",
    date: str = "",
    **slots: str,
) -> Fact:
    """A known fact with its text: the definition's `shown`, with its slots filled, or title, value and date.

    Slots: `value` (what was said, else the fact's value), `date`, `title` and those that the kind adds.
    """
    shown = definition.shown
    if "{" in shown or not shown:
        title = definition.title or name or definition.name
        day = date[:10] or (since.isoformat() if since else "")  # the day alone: its time is in the evidence
        if shown:
            shown = shown.replace("{value}", said or value).replace("{date}", day or "unknown date")
            shown = shown.replace("{title}", title)
            for slot, text in slots.items():
                shown = shown.replace("{" + slot + "}", text)
        else:
            text = said or ("" if value == PRESENT else value)
            shown = " ".join(filter(None, (title, text, f"({day})" if day else "")))
    return Fact(name or definition.name, value, None, evidence, since, shown)


def tests(definition: Definition, view: View, concepts: Iterable[str]) -> dict[str, str]:
    """The slots `test` and `concept`: titles of the concepts that decided, if the text of the fact asks for them."""
    if "{test}" not in definition.shown and "{concept}" not in definition.shown:
        return {}
    found = ", ".join(dict.fromkeys(concept_of(view, name).title or name for name in concepts))
    return {"test": found, "concept": found}


def unknown(name: str, reason: Reason, evidence: Iterable[Evidence] = ()) -> Fact:
    """A fact that is unknown although something was found."""
    return Fact(name, UNKNOWN, reason, ordered(evidence))


def _part(name: str, part: bool | Quantity) -> str:
    if isinstance(part, Quantity):
        return f"{name} {amount(part)}"
    return name if part else f"{name} {ABSENT}"
