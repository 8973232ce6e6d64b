"""The value of an Observation or of a component: a number, an answer, a date, or nothing that can be used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import msgspec

from engine.fhir.context import Context
from engine.fhir.dates import resolve_day
from engine.fhir.elements import Json, codings, flag, items, obj, text, words
from engine.fhir.quantities import read_quantity, read_text
from engine.model.record import Quantity
from engine.terminology.content import Meaning

AFFIRMED = frozenset({"present", "positive", "detected"})
DENIED = frozenset({"absent", "negative", "not-detected"})
# code set of texts and codings by which senders say that there is no result
NOT_DONE = "not-done"
# v3-ObservationInterpretation: the codes that say something of a single result
_POSITIVE_FLAGS = frozenset({"POS", "DET", "RR", "A", "AA", "WR", "H", "HH", "HU", "HX", ">"})
_NEGATIVE_FLAGS = frozenset({"NEG", "ND", "NR", "N", "<"})
FLAGS = _POSITIVE_FLAGS | _NEGATIVE_FLAGS | {"IND", "E", "I", "L", "LL", "LU", "LX"}
_FLAG_OF_ANSWER = {
    "present": "POS", "positive": "POS", "detected": "DET", "absent": "NEG", "negative": "NEG", "not-detected": "ND",
    "equivocal": "IND", "normal": "N", "abnormal": "A",
}  # fmt: skip


class Value(msgspec.Struct, frozen=True):
    """What was read. `stated`: there is a value, be it unreadable; `withheld`: the source says that there is none."""

    quantity: Quantity | None = None
    answer: str = ""
    date_value: date | None = None
    stated: bool = True
    withheld: bool = False


NONE = Value(stated=False)
WITHHELD = Value(stated=False, withheld=True)
UNREADABLE = Value()


def read_value(holder: Json, context: Context) -> Value:
    """The value of a resource or component; what cannot be used is noted."""
    if "dataAbsentReason" in holder:
        return WITHHELD
    found = [name for name in _READERS if holder.get(name) is not None]
    if len(found) == 1:
        return _READERS[found[0]](holder[found[0]], context)
    if found:
        context.note("contradicting-value", "has more than one value; none was used")
        return UNREADABLE
    for name in holder:
        if name.startswith("_value"):  # an extension says why the value is missing
            return WITHHELD
        if name.startswith("value"):
            return _unusable(None, context)
    return NONE


def read_flag(interpretation: object, context: Context) -> str:
    """The interpretation as its code in upper case; "" for none, for one that is not known, and for contradictions."""
    if not interpretation:
        return ""
    found: list[str] = []
    for one in items(interpretation):
        coded = codings(one)
        code = next((code for _, written in coded if (code := written.strip().upper()) in FLAGS), "")
        code = code or _FLAG_OF_ANSWER.get(context.lookup.answer(coded), "")
        code = code or next((c for said in words(one) if (c := _FLAG_OF_ANSWER.get(answer_in(said, context), ""))), "")
        if code:
            found.append(code)
    if _POSITIVE_FLAGS.intersection(found) and _NEGATIVE_FLAGS.intersection(found):
        context.note("contradicting-value", "is flagged as positive and as negative; no flag was used")
        return ""
    return found[0] if found else ""


def answer_for(meaning: Meaning, answer: str) -> str:
    """What an answer means under a code that itself names a finding: `true` under a code of abnormality is abnormal."""
    if answer in AFFIRMED:
        return meaning.answer or answer
    return (meaning.denied or answer) if answer in DENIED else answer


def answer_in(said: str, context: Context) -> str:
    """The answer that a whole text is; a question mark asks and answers nothing."""
    return "" if "?" in said else context.terminology.answer_of_text(said)


def says_not_done(concept: object, context: Context) -> bool:
    """Whether a coded value or a text says that there is no result: not performed, cancelled, unknown."""
    found = context.lookup.code
    if not isinstance(concept, str) and found(NOT_DONE, codings(concept)):
        return True
    return any(found(NOT_DONE, (("", said),)) for said in words(concept))


# ---------------------------------------------------------------- value[x]


def _quantity(value: object, context: Context) -> Value:
    written = obj(value).get("value")
    if isinstance(written, str) and says_not_done(written, context):
        return WITHHELD
    return Value(quantity=read_quantity(value, context.terminology, context.note))


def _coded(value: object, context: Context) -> Value:
    if says_not_done(value, context):
        return WITHHELD
    coded = codings(value)
    answer = context.lookup.answer(coded)
    if answer:
        return Value(answer=answer)
    if len(coded) > 1 and any(context.lookup.answer((one,)) for one in coded):
        context.note("contradicting-value", "has a coded value that contradicts itself; it was not used")
        return UNREADABLE
    for said in words(value):
        if answer := answer_in(said, context):
            return Value(answer=answer)
    return _unusable(value, context)


def _string(value: object, context: Context) -> Value:
    said = text(value)
    if answer := answer_in(said, context):
        return Value(answer=answer)
    if says_not_done(said, context):
        return WITHHELD
    quantity = read_text(said, context.terminology)
    return Value(quantity=quantity) if quantity else _unusable(value, context)


def _boolean(value: object, context: Context) -> Value:
    stated = flag(value)
    return _unusable(value, context) if stated is None else Value(answer="present" if stated else "absent")


def _moment(value: object, context: Context) -> Value:
    day = resolve_day(value, context.as_of)
    return Value(date_value=day) if day else _unusable(value, context)


def _unusable(value: object, context: Context) -> Value:
    context.note("unreadable-value", "has a value that cannot be understood; it counts as unknown")
    return UNREADABLE


_READERS: dict[str, Callable[[object, Context], Value]] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": _coded,
    "valueBoolean": _boolean,
    "valueInteger": _quantity,
    "valueString": _string,
    "valueDateTime": _moment,
    "valueRange": _unusable,
    "valueRatio": _unusable,
    "valueSampledData": _unusable,
    "valueTime": _unusable,
    "valuePeriod": _unusable,
}
