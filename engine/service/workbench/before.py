"""What the data of a case say without any answer: worked out once for all pages of the case and all answers on them.

The last few cases are held in memory, so that an answer costs one reading of the record and not two, and a page that
is shown again none.
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


class Judged(msgspec.Struct, frozen=True):
    """The reasoning over a record, and what it says, without what is missing."""

    reasoning: Explaining
    evaluation: Evaluation


class Before:
    """What is known before anything is answered. Safe to use from several threads."""

    def __init__(self, evaluator: Evaluator, record: Record) -> None:
        self.record = record
        self._evaluator = evaluator
        self._lock = threading.Lock()
        self._judged: Judged | None = None

    @property
    def judged(self) -> Judged:
        """Worked out when it is first asked for: a page without answers judges the record by itself."""
        with self._lock:
            if self._judged is None:
                reasoning = self._evaluator.reasoning(self.record)
                self._judged = Judged(reasoning, reasoning.evaluation("none"))
            return self._judged


_lock = threading.Lock()
_held: OrderedDict[tuple[object, ...], Before] = OrderedDict()


def before_answers(evaluator: Evaluator, case: Case) -> Before:
    """What is known before anything is answered. Raises InputError as reading does."""
    whose = (case.content, case.unread, case.title, case.patient)
    key = (evaluator.ruleset.hash, evaluator.tenant, *whose, case.as_of, case.complete, case.hook, case.encounter)
    with _lock:
        found = _held.get(key)
        if found is not None:
            _held.move_to_end(key)
            return found
    found = Before(evaluator, record_of(case, evaluator.ruleset.terminology, hypothetical=False))
    with _lock:
        _held[key] = found
        while len(_held) > MOST:
            _held.popitem(last=False)
    return found
