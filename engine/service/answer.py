"""From a call to cards: the same evaluation as everywhere, at today's date, in the view of the hook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from engine import __version__
from engine.evaluation import Evaluator
from engine.fhir import Scope, read_prefetch
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.outputs.cards import cards_response
from engine.outputs.detected_issue import evaluation_id, stable_uuid
from engine.outputs.validation import check_output
from engine.service.call import Call
from engine.service.hooks import Hook
from engine.service.needs import PATIENT, Needs
from engine.service.outcome import RefusalError
from engine.settings import Settings
from engine.views import seen

EXTENSION = "org.endplate.evaluation"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The response, and the evaluation behind it as the hook shows it."""

    response: dict[str, Any]
    evaluation: Evaluation


class Responder:
    """Answers calls with one ruleset. `today` is asked once a call."""

    def __init__(self, evaluator: Evaluator, settings: Settings, needs: Needs, today: Callable[[], date]) -> None:
        self._evaluator = evaluator
        self._settings = settings
        self._needs = needs
        self._today = today

    def answer(self, call: Call, hook: Hook) -> Answer:
        """The cards of one call. Raises RefusalError 412 if the patient cannot be had."""
        settings = self._settings
        whole = self._evaluator.evaluate(self._record(call), settings.missing)
        evaluation = seen(whole, hook.view, call.selected)
        response = cards_response(
            evaluation,
            self._evaluator.ruleset.info,
            base=settings.base,
            pages=str(settings.pages_url or ""),
            instance=call.instance,
            drafts=call.selected,
        )
        if settings.check_output:
            for resource in _suggested(response):
                check_output(resource)
        response["extension"] = {EXTENSION: self._about(evaluation, call)}
        return Answer(response=response, evaluation=evaluation)

    def _record(self, call: Call) -> Record:
        scope = Scope(as_of=self._today(), complete=False, current_encounter=call.encounter)
        terminology = self._evaluator.ruleset.terminology
        asked = self._needs.asked
        drafts = [call.drafts.bundle] if call.drafts.names else []
        record = read_prefetch(call.prefetch, call.patient, terminology, scope, asked=asked, drafts=drafts)
        if any(problem.code == "patient-missing" for problem in record.problems):
            query = f"prefetch `{PATIENT}` ({self._needs.templates[PATIENT]})"
            raise RefusalError(412, f"the patient is needed and cannot be had: {query} {_fate(call.prefetch)}")
        return record

    def _about(self, evaluation: Evaluation, call: Call) -> dict[str, Any]:
        """Which evaluation this is, what could not be used, what was not supplied. No element is empty.

        The id may stand in logs: it does not tell the patient to those who do not know the call.
        """
        ruleset = evaluation.ruleset
        about: dict[str, Any] = {
            "id": stable_uuid(f"{evaluation_id(evaluation)} {call.instance}"),
            "asOf": evaluation.as_of.isoformat(),
            "engine": __version__,
            "ruleset": f"{ruleset.id}|{ruleset.version}",
            "hash": ruleset.hash,
            "backend": evaluation.backend,
            "problems": dict(Counter(problem.code for problem in evaluation.problems)),
            "notSupplied": [key for key in self._needs.templates if key not in call.prefetch],
            "notes": list(evaluation.notes),
        }
        return {key: value for key, value in about.items() if value}


def _fate(prefetch: Mapping[str, object]) -> str:
    """What became of the query for the patient."""
    if PATIENT not in prefetch:
        return "was not supplied"
    value = prefetch[PATIENT]
    if value is None:
        return "was null: the EHR found no such patient"
    if isinstance(value, dict) and value.get("resourceType") == "OperationOutcome":
        return "was answered with an error"
    return "does not hold the patient of the call"


def _suggested(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for card in response["cards"]:
        for suggestion in card.get("suggestions", ()):
            yield from (action["resource"] for action in suggestion["actions"] if "resource" in action)
