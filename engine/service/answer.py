"""From a call to cards: the same evaluation as everywhere, at today's date, in the view of the hook.

What a user has acknowledged is left out of the cards (alert memory) and stays in the evaluation and on its page.
"""

from __future__ import annotations

import hmac
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from engine import __version__
from engine.fhir import Scope, read_prefetch
from engine.model.finding import Evaluation, Finding
from engine.model.record import Record
from engine.outputs.cards import Card, card_uuid, cards_response, grouped
from engine.outputs.detected_issue import evaluation_id, stable_uuid
from engine.outputs.validation import check_output
from engine.service.call import Call
from engine.service.hooks import Hook
from engine.service.live import Content
from engine.service.memory import Situation, mitigations, silent
from engine.service.needs import PATIENT
from engine.service.outcome import RefusalError
from engine.service.servers import allowed
from engine.service.state import Service
from engine.store import Acknowledged, Kept, Shown, StoreError
from engine.views import seen

EXTENSION = "org.endplate.evaluation"
HOUR = 3600
FAST = 1  # of zlib's levels; the best one saves a tenth more, and takes three times as long
_MAP = b"\x84"  # the first byte of a page in msgpack
_T = TypeVar("_T")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The response, and what is behind it: the evaluation as the hook shows it, and what was kept back."""

    response: dict[str, Any]
    evaluation: Evaluation
    id: str
    silenced: tuple[Finding, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an evaluation for its page."""

    id: str
    client: str
    evaluation: Evaluation
    silenced: tuple[str, ...] = ()  # identifiers of findings

    def packed(self) -> bytes:
        """As it is kept."""
        return zlib.compress(msgspec.msgpack.encode(self), FAST)

    @staticmethod
    def of(content: bytes) -> Page:
        """A page that was kept, also by a version that did not pack it."""
        return msgspec.msgpack.decode(content if content[:1] == _MAP else zlib.decompress(content), type=Page)


class Responder:
    """Answers calls of one service with the content that it is given."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.settings
        pages = service.settings.pages_url
        self._pages = str(pages).rstrip("/") if pages else ""
        self._ehrs = [server.base for server in service.settings.smart_servers]

    def begin(self, content: Content, call: Call, hook: Hook, client: str = "") -> Callable[[], Answer]:
        """The cards of one call, but for what the backend holds against them, which is worked out elsewhere.

        Who asks does something else meanwhile, and then finishes. Raises RefusalError 412 if the patient cannot be had.
        """
        reasoning = content.evaluator.reasoning(self._record(content, call))
        evaluation = seen(reasoning.unheard(self._settings.missing), hook.view, call.selected)
        identity = stable_uuid(f"{evaluation_id(evaluation)} {call.instance}")
        names = [finding.identifier for finding in evaluation.findings]
        known = self._kept(partial(self._service.store.acknowledged, names, client))
        shown, silenced = self._heard(evaluation, known or (), call)
        respond = partial(self._response, content, shown, call, known or ())
        response = respond("" if known is None else identity)

        def finish() -> Answer:
            whole = reasoning.heard(evaluation)
            told = msgspec.structs.replace(whole, findings=shown.findings)
            about = self._about(content, whole, call, identity)
            remember = partial(self._remember, told, silenced, call, client, identity, whole=whole)
            cards = response
            if names and (known is None or self._kept(remember) is None):
                cards = respond("")
                about["notes"] = [*about.get("notes", ()), "what was shown could not be remembered"]
            about |= {"silenced": len(silenced)} if silenced else {}
            cards["extension"] = {EXTENSION: about}
            return Answer(response=cards, evaluation=told, id=identity, silenced=silenced)

        return finish

    def _kept(self, work: Callable[[], _T]) -> _T | None:
        """What the store gives; None if it fails, which costs no card."""
        try:
            return work()
        except StoreError as error:
            self._service.failed("store", error)
            return None

    def _record(self, content: Content, call: Call) -> Record:
        scope = Scope(as_of=self._service.today(), complete=False, current_encounter=call.encounter)
        asked = content.needs.asked
        drafts = [call.drafts.bundle] if call.drafts.names else []
        terminology = content.evaluator.ruleset.terminology
        record = read_prefetch(call.prefetch, call.patient, terminology, scope, asked=asked, drafts=drafts)
        if any(problem.code == "patient-missing" for problem in record.problems):
            query = f"prefetch `{PATIENT}` ({content.needs.templates[PATIENT]})"
            raise RefusalError(412, f"the patient is needed and cannot be had: {query} {_fate(call)}")
        return record

    def _heard(
        self, evaluation: Evaluation, known: Sequence[Acknowledged], call: Call
    ) -> tuple[Evaluation, tuple[Finding, ...]]:
        """The evaluation without what is kept back, and that."""
        situation = Situation(
            user=call.user,
            encounter=call.encounter,
            drafts=call.selected,
            specialists=self._settings.specialists,
            now=self._service.seconds(),
        )
        kept_back = tuple(f for f in evaluation.findings if silent(f, known, situation)) if known else ()
        if not kept_back:
            return evaluation, ()
        rest = tuple(f for f in evaluation.findings if f not in kept_back)
        return msgspec.structs.replace(evaluation, findings=rest), kept_back

    def _remember(
        self,
        shown: Evaluation,
        silenced: tuple[Finding, ...],
        call: Call,
        client: str,
        identity: str,
        *,
        whole: Evaluation,
    ) -> bool:
        """Which findings stand on which card, and the evaluation for its page. Raises StoreError."""
        groups, beyond = grouped(shown)
        now = self._service.seconds()
        rows = [
            Shown(
                card=card_uuid(group, call.instance), finding=f.identifier, evidence=f.evidence_hash, issue=f.issue,
                severity=f.severity, client=client, user=call.user, encounter=call.encounter, evaluation=identity,
                at=now, patient=whole.patient,
            )
            for group in groups
            for f in group
        ]  # fmt: skip
        pages = []
        if groups or silenced or beyond:
            page = Page(
                id=identity, client=client, evaluation=whole, silenced=tuple(one.identifier for one in silenced)
            )
            name, content = page_name(self._service.page_key, identity), page.packed()
            until = now + self._settings.pages_hours * HOUR
            pages.append(Kept(id=name, content=content, until=until, patient=whole.patient, at=now))
        self._service.backlog.add(rows, pages)
        return True

    def _response(
        self, content: Content, shown: Evaluation, call: Call, known: Sequence[Acknowledged], identity: str
    ) -> Card:
        settings = self._settings
        explained = f"{self._pages}/evaluations/{page_name(self._service.page_key, identity)}"
        response = cards_response(
            shown,
            content.evaluator.ruleset.info,
            base=settings.base,
            pages=self._pages,
            instance=call.instance,
            drafts=call.selected,
            explained_at=explained if self._pages and identity else "",
            launch_at=f"{self._pages}/smart/launch" if self._launches(call) else "",
            askable=content.askable,
            issues=settings.suggest_issues,
            mitigations=mitigated(shown, known, settings.base),
        )
        if settings.check_output:
            for resource in _suggested(response):
                check_output(resource)
        return response

    def _launches(self, call: Call) -> bool:
        """Whether the EHR of a call is one from which the workbench can be opened."""
        return bool(self._pages) and allowed(call.server, self._ehrs) is not None

    def _about(self, content: Content, evaluation: Evaluation, call: Call, identity: str) -> dict[str, Any]:
        """Which evaluation this is, what could not be used, what was not supplied. No element is empty.

        The id may stand in logs: it does not tell the patient to those who do not know the call.
        """
        ruleset = evaluation.ruleset
        about: dict[str, Any] = {
            "id": identity,
            "asOf": evaluation.as_of.isoformat(),
            "engine": __version__,
            "ruleset": f"{ruleset.id}|{ruleset.version}",
            "hash": ruleset.hash,
            "backend": evaluation.backend,
            "problems": dict(Counter(problem.code for problem in evaluation.problems)),
            "notSupplied": [key for key in content.needs.templates if key not in call.prefetch],
            "notFetched": dict(call.failures),
            "notes": list(evaluation.notes),
        }
        return {key: value for key, value in about.items() if value}


def mitigated(evaluation: Evaluation, known: Sequence[Acknowledged], base: str) -> dict[str, list[dict[str, Any]]]:
    """Identifier of each finding that a user acknowledged -> what was done about it."""
    by_finding: dict[str, list[Acknowledged]] = {}
    for one in known:
        by_finding.setdefault(one.finding, []).append(one)
    found = {f.identifier for f in evaluation.findings}
    return {name: mitigations(ones, base) for name, ones in by_finding.items() if name in found}


def page_name(key: bytes, identity: str) -> str:
    """The name of the page of an evaluation: only who was given the link knows it, not who reads the log."""
    return hmac.new(key, identity.encode(), "sha256").hexdigest()


def _fate(call: Call) -> str:
    """What became of the query for the patient."""
    if failure := call.failures.get(PATIENT):
        return f"was not supplied and could not be fetched: {failure}"
    if PATIENT not in call.prefetch:
        return "was not supplied"
    value = call.prefetch[PATIENT]
    if value is None:
        return "was null: the EHR found no such patient"
    if isinstance(value, dict) and value.get("resourceType") == "OperationOutcome":
        return "was answered with an error"
    return "does not hold the patient of the call"


def _suggested(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for card in response["cards"]:
        for suggestion in card.get("suggestions", ()):
            yield from (action["resource"] for action in suggestion["actions"] if "resource" in action)
