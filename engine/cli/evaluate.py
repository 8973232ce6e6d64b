"""`endplate evaluate`: patients in, findings out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from engine.cli.common import BackendName, evaluator, notice, records, scope, write
from engine.errors import BackendError
from engine.evaluation import Evaluator
from engine.model.finding import Evaluation
from engine.model.record import Record
from engine.outputs.settings import BASE
from engine.views import View, seen

Format = Literal["text", "json", "fhir", "cards"]


def run(
    files: list[Path],
    *,
    as_of: str,
    complete: bool,
    backend: BackendName,
    view: View,
    output: Format,
    version: Literal["R4", "R5"],
    folder: Path | None,
    valuesets: Iterable[Path],
) -> None:
    """Write one JSON object a line, or a text section, for each patient in the order of the input."""
    ready = evaluator(folder, valuesets, backend)
    for record, evaluation in evaluated(ready, records(files, ready, scope(as_of, complete=complete))):
        drafts = [entry.reference for entry in record.medications if entry.status == "draft"]
        write(rendered(seen(evaluation, view, drafts), ready, output, version, drafts))
        for note in evaluation.notes:
            notice(note)
        if evaluation.disagreements:
            said = f"the backends disagree on {evaluation.patient}: {'; '.join(evaluation.disagreements)}; the plain "
            said += "result was written; report this with the input"
            if backend == "both":
                raise BackendError(said)
            notice(said)


def evaluated(ready: Evaluator, records: Iterable[Record]) -> Iterator[tuple[Record, Evaluation]]:
    """Each record with its evaluation; what is missing is proved."""
    for record in records:
        yield record, ready.evaluate(record, "proved")


def rendered(
    evaluation: Evaluation,
    ready: Evaluator,
    output: Format,
    version: Literal["R4", "R5"] = "R4",
    drafts: Collection[str] = (),
) -> bytes | str:
    """One evaluation in one format. `drafts`: the draft orders at hand, which a card may offer to remove."""
    info = ready.ruleset.info
    match output:
        case "text":
            from engine.outputs.evaluation_text import evaluation_text  # noqa: PLC0415

            return evaluation_text(evaluation, info)
        case "json":
            from engine.outputs.evaluation_json import evaluation_json  # noqa: PLC0415

            return evaluation_json(evaluation, info)
        case "cards":
            from engine.outputs.cards import cards_response  # noqa: PLC0415

            return msgspec.json.encode(cards_response(evaluation, info, base=BASE, drafts=drafts))
        case "fhir":
            from engine.outputs.detected_issue import issue_bundle  # noqa: PLC0415
            from engine.outputs.needs import fact_resources  # noqa: PLC0415
            from engine.outputs.validation import check_output  # noqa: PLC0415

            types = fact_resources(ready.ruleset)
            bundle = issue_bundle(evaluation, info, base=BASE, version=version, types=types)
            check_output(bundle, version)
            return msgspec.json.encode(bundle)
