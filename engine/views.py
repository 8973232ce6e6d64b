"""One evaluation, several views: what each entrance shows (clinical specification, "Where each ruleset runs").

The evaluation is the same everywhere; a view only leaves findings out. `batch` shows all.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import msgspec

from engine.model.finding import Evaluation, Finding
from engine.reasoning import CLOSED_WORLD, QUALITY

View = Literal["batch", "patient-view", "order", "subscription"]
VIEWS: tuple[View, ...] = get_args(View)
NEVER_ON_CARDS = (CLOSED_WORLD, QUALITY)  # groups


def seen(evaluation: Evaluation, view: View, drafts: Collection[str] = ()) -> Evaluation:
    """The evaluation with the findings that the view shows. `drafts` are the references of the draft orders at hand."""
    findings = tuple(f for f in evaluation.findings if shows(f, view, drafts))
    return msgspec.structs.replace(evaluation, findings=findings)


def shows(finding: Finding, view: View, drafts: Collection[str]) -> bool:
    """Whether a view shows a finding.

    patient-view: no data quality, no closed world, nothing that is for batch only. order: only what rests on one of the
    draft orders, of either program, and no data quality. subscription: no closed world.
    """
    match view:
        case "batch":
            return True
        case "subscription":
            return finding.group != CLOSED_WORLD
        case "patient-view":
            return finding.group not in NEVER_ON_CARDS and finding.display != "batch-only"
        case "order":
            rests_on_draft = finding.order in drafts or any(r in drafts for r in finding.references)
            return rests_on_draft and finding.group not in NEVER_ON_CARDS
