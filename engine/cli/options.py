"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.common import BackendName


class Runners(StrEnum):
    LOCAL = "local"
    SPARK = "spark"


class Backends(StrEnum):
    PLAIN = "plain"
    DURABLE = "durable"
    BOTH = "both"


class Views(StrEnum):
    BATCH = "batch"
    PATIENT_VIEW = "patient-view"
    ORDER = "order"
    SUBSCRIPTION = "subscription"


class Formats(StrEnum):
    TEXT = "text"
    JSON = "json"
    FHIR = "fhir"
    CARDS = "cards"


class TreeFormats(StrEnum):
    TEXT = "text"
    JSON = "json"


class GraphFormats(StrEnum):
    DOT = "dot"
    MERMAID = "mermaid"


class FhirVersions(StrEnum):
    R4 = "R4"
    R5 = "R5"


Files = Annotated[
    list[Path], typer.Argument(help="Bundles of any type, NDJSON or single resources; `-` is stdin.", metavar="FILE...")
]
AsOf = Annotated[str, typer.Option(help="Date of evaluation (YYYY-MM-DD), or `bundle`: each Bundle's own timestamp. "
                                        "Default: today.")]
Complete = Annotated[bool, typer.Option("--complete", help="The record is complete: what is not in it was not done.")]
Backend = Annotated[Backends | None, typer.Option(help="What infers. Default: durable where it is installed, held "
                                                       "against plain; else plain.")]
Rulesets = Annotated[Path | None, typer.Option("--ruleset", help="Folder of another ruleset.", file_okay=False)]
Valuesets = Annotated[list[Path] | None, typer.Option("--valuesets", help="Folder with a site's own value sets; may be "
                                                                          "given more than once.", file_okay=False)]
Site = Annotated[Path | None, typer.Option("--site", help="A site.yaml whose accepted entries count as value sets "
                                                          "(`endplate site survey` proposes them).",
                                           envvar="ENDPLATE_SITE", dir_okay=False)]


def added(valuesets: list[Path] | None, site: Path | None) -> tuple[Path, ...]:
    """What is added to the value sets of the ruleset."""
    return (*(valuesets or ()), *((site,) if site else ()))


def chosen_backend(asked: Backends | None) -> BackendName:
    """The backend that was asked for; by default both where durable-rules is installed."""
    from engine.inference.backends import available  # noqa: PLC0415

    if asked is not None:
        return asked.value
    return "both" if "durable" in available() else "plain"
