"""What the data of a case say without any answer: worked out once for all the answers that are tried on them.

The last few cases are held in memory, so that an answer costs one reading of the record and not two.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import msgspec

from engine.evaluation import Evaluator, Explaining
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.workbench.case import Case, record_of

MOST = 8


class Before(msgspec.Struct, frozen=True):
    """The record, the reasoning over it, and what it says, without what is missing."""

    record: Record
    reasoning: Explaining
    evaluation: Evaluation


_lock = threading.Lock()
_held: OrderedDict[tuple[object, ...], Before] = OrderedDict()


def before_answers(evaluator: Evaluator, case: Case) -> Before:
    """What is known before anything is answered. Raises InputError as reading does."""
    parts = (case.content, case.title, case.patient, case.as_of, case.complete, case.hook, case.encounter)
    key = (evaluator.ruleset.hash, evaluator.tenant, *parts)
    with _lock:
        found = _held.get(key)
        if found is not None:
            _held.move_to_end(key)
            return found
    record = record_of(case, evaluator.ruleset.terminology, hypothetical=False)
    reasoning = evaluator.reasoning(record)
    found = Before(record, reasoning, reasoning.evaluation("none"))
    with _lock:
        _held[key] = found
        while len(_held) > MOST:
            _held.popitem(last=False)
    return found
