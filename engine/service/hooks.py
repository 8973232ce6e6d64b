"""The services that are offered: for which hook, with which view, and what of the context is part of the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.service.needs import Needs
from engine.views import View


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One CDS service. `added`: what the context holds that the user is about to write; what is shown rests on it.
    `version`: that of the published definition of the hook."""

    id: str
    hook: str
    version: str
    title: str
    description: str
    view: View
    added: str = ""


HOOKS: Mapping[str, Hook] = {
    hook.id: hook
    for hook in (
        Hook(
            id="endplate-patient-view",
            hook="patient-view",
            version="1.0",
            title="Endplate: the chart that is opened",
            description="Findings in the chart that is opened, each with its reasons and with what is not known.",
            view="patient-view",
        ),
        Hook(
            id="endplate-order-select",
            hook="order-select",
            version="1.0",
            title="Endplate: the orders that are selected",
            description="What speaks against the orders that were just selected, for this patient.",
            view="order",
            added="draftOrders",
        ),
        Hook(
            id="endplate-order-sign",
            hook="order-sign",
            version="1.0",
            title="Endplate: the orders that are signed",
            description="What speaks against the orders that are about to be signed, for this patient.",
            view="order",
            added="draftOrders",
        ),
        Hook(
            id="endplate-problem-list-item-create",
            hook="problem-list-item-create",
            version="0.1.0",
            title="Endplate: a diagnosis that is added",
            description="What a diagnosis that is being added means beside the rest of the record.",
            view="order",
            added="conditions",
        ),
    )
}
REQUIREMENTS = (
    "Needs the patient in prefetch. What is not supplied counts as unknown, never as absent, and is named as such. "
    "For the safety of drugs connect order-sign, whatever else is connected: cards of one hook are not renewed by "
    "another. Supports clinical judgement and does not replace it."
)
SPECIFICATION = "2.0.1"  # of CDS Hooks


def discovery(needs: Needs, rules: str) -> dict[str, Any]:
    """The answer to `GET /cds-services`; `rules` is the title of the ruleset.

    `version` and `hookVersion` are of the ballot of 3.0; a client of 2.0.1 ignores what it does not know.
    """
    return {
        "services": [
            {
                "hook": hook.hook,
                "title": hook.title,
                "description": f"{hook.description} Rules: {rules}.",
                "id": hook.id,
                "prefetch": dict(needs.templates),
                "usageRequirements": REQUIREMENTS,
                "version": SPECIFICATION,
                "hookVersion": hook.version,
            }
            for hook in HOOKS.values()
        ]
    }
