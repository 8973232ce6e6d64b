"""The commands and their options. What they do stands in the other modules of this room."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engine import __version__
from engine.cli.common import BackendName

app = typer.Typer(
    name="endplate",
    help="Clinical rules over FHIR for neuromuscular disease: findings with their reasons, and what is still unknown.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
rules = typer.Typer(help="Look at, check and test the rules.", no_args_is_help=True)
app.add_typer(rules, name="rules")


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


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """Print the version, or go on to the command."""
    if version:
        typer.echo(f"endplate {__version__}")
        raise typer.Exit


@app.command()
def evaluate(
    files: Files,
    as_of: AsOf = "",
    complete: Complete = False,
    backend: Backend = None,
    view: Annotated[Views, typer.Option(help="Which findings are shown.")] = Views.BATCH,
    output: Annotated[Formats, typer.Option("--format", help="How they are written.")] = Formats.TEXT,
    fhir_version: Annotated[FhirVersions, typer.Option(help="Of the `fhir` format.")] = FhirVersions.R4,
    ruleset: Rulesets = None,
    valuesets: Valuesets = None,
) -> None:
    """Evaluate patients: every finding with its reasons and with what is missing."""
    from engine.cli.evaluate import run  # noqa: PLC0415

    run(files, as_of=as_of, complete=complete, backend=_backend(backend), view=view.value, output=output.value,
        version=fhir_version.value, folder=ruleset, valuesets=valuesets or ())


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="Bundle, NDJSON or single resources; `-` is stdin.")],
    rule: Annotated[str, typer.Argument(help="Id of an issue or derived fact.")],
    as_of: AsOf = "",
    complete: Complete = False,
    output: Annotated[TreeFormats, typer.Option("--format", help="How it is written.")] = TreeFormats.TEXT,
    ruleset: Rulesets = None,
    valuesets: Valuesets = None,
) -> None:
    """Say why a rule fires, does not fire, or cannot be decided, down to the resources."""
    from engine.cli.explain import run  # noqa: PLC0415

    run(file, rule, as_of=as_of, complete=complete, output=output.value, folder=ruleset, valuesets=valuesets or ())


@app.command()
def screen(
    sources: Annotated[list[Path], typer.Argument(help="Files, folders, patterns or manifests; `-` is stdin.",
                                                  metavar="PATH...")],
    out: Annotated[Path, typer.Option(help="Folder for the report and the findings.")] = Path("reports/screen"),
    as_of: AsOf = "",
    complete: Complete = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this ruleset or issue; may be given more than once.",
                                                   metavar="RULESET|ISSUE")] = None,
    limit: Annotated[int, typer.Option(help="Stop after so many patients; 0 = all.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 = one for each core.", min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in the folder.")] = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="Read also patients whom no rule can concern, and list "
                                                              "their data problems.")] = False,
    validate: Annotated[bool, typer.Option("--validate", help="Hold every output against the FHIR classes.")] = False,
    backend: Backend = None,
    ruleset: Rulesets = None,
    valuesets: Valuesets = None,
) -> None:
    """Screen many patients: a table of findings here, a report and the findings in a folder."""
    from engine.cli.screen import Options, run  # noqa: PLC0415

    run(sources, out, Options(as_of=as_of, complete=complete, backend=_backend(backend), folder=ruleset,
                              valuesets=tuple(valuesets or ()), only=tuple(only or ()), limit=limit, workers=workers,
                              resume=resume, thorough=thorough, validate=validate))


@app.command()
def serve(
    dev: Annotated[bool, typer.Option("--dev", help="No authentication, loopback only: for trying out.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on; `--dev` allows loopback only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
) -> None:
    """Serve CDS Hooks."""
    from engine.service.serve import serve as start  # noqa: PLC0415

    start(host=host, port=port, dev=dev)


@rules.command("list")
def rules_list(
    output: Annotated[TreeFormats, typer.Option("--format", help="How it is written.")] = TreeFormats.TEXT,
    ruleset: Rulesets = None,
) -> None:
    """List every rule: id, ruleset, severities, title."""
    from engine.cli.rules import show_list  # noqa: PLC0415

    show_list(ruleset, output.value)


@rules.command("show")
def rules_show(
    rule: Annotated[str, typer.Argument(help="Id of an issue or derived fact.", metavar="ID")],
    output: Annotated[TreeFormats, typer.Option("--format", help="How it is written.")] = TreeFormats.TEXT,
    ruleset: Rulesets = None,
) -> None:
    """Show one rule: purpose, logic in words, what it reads, who reads it, sources."""
    from engine.cli.rules import show_one  # noqa: PLC0415

    show_one(ruleset, rule, output.value)


@rules.command("check")
def rules_check(
    thorough: Annotated[bool, typer.Option("--thorough", help="Also proofs, mutation of every rule and fact, and what "
                                                              "nothing uses: minutes.")] = False,
    output: Annotated[TreeFormats, typer.Option("--format", help="Of what --thorough finds.")] = TreeFormats.TEXT,
    ruleset: Rulesets = None,
) -> None:
    """Check a ruleset; every fault with file, line and column."""
    from engine.cli import rules_quality  # noqa: PLC0415
    from engine.cli.rules import check  # noqa: PLC0415

    if thorough:
        rules_quality.check(ruleset, output.value)
        return
    check(ruleset)
    rules_quality.check_files(ruleset)


@rules.command("test")
def rules_test(
    only: Annotated[str, typer.Option(help="Run only vignettes whose id or file holds this text.")] = "",
    backend: Backend = None,
    ruleset: Rulesets = None,
) -> None:
    """Run the vignettes: small patients with the findings that are expected."""
    from engine.cli.rules import test  # noqa: PLC0415

    test(ruleset, only, _backend(backend))


@rules.command("graph")
def rules_graph(
    output: Annotated[GraphFormats, typer.Option("--format", help="Graphviz DOT or Mermaid.")] = GraphFormats.DOT,
    of: Annotated[str, typer.Option(help="Only what leads to and follows from this rule or fact.")] = "",
    base: Annotated[bool, typer.Option("--base/--no-base", help="With base facts.")] = True,
    ruleset: Rulesets = None,
) -> None:
    """Draw the forward chaining."""
    from engine.cli.rules import graph  # noqa: PLC0415

    graph(ruleset, output.value, of, base=base)


@rules.command("coverage")
def rules_coverage(
    output: Annotated[TreeFormats, typer.Option("--format", help="How it is written.")] = TreeFormats.TEXT,
    ruleset: Rulesets = None,
) -> None:
    """Say which cases of which rules, and which values of which facts, the vignettes reach."""
    from engine.cli.rules_quality import cover  # noqa: PLC0415

    cover(ruleset, output.value)


@rules.command("diff")
def rules_diff(
    old: Annotated[Path, typer.Argument(help="Folder of a ruleset.", metavar="OLD")],
    new: Annotated[Path, typer.Argument(help="Folder of another version of it.", metavar="NEW")],
    on: Annotated[list[Path], typer.Option("--on", metavar="PATIENTS", help="Folders and files of Bundles or NDJSON; "
                                                                            "may be given more than once.")],
    as_of: AsOf = "",
    complete: Complete = False,
    output: Annotated[TreeFormats, typer.Option("--format", help="How it is written.")] = TreeFormats.TEXT,
) -> None:
    """Compare two rulesets on the same patients: who gains or loses which finding, and why."""
    from engine.cli.rules_quality import diff  # noqa: PLC0415

    diff(old, new, on, as_of=as_of, complete=complete, output=output.value)


@rules.command("docs")
def rules_docs(
    out: Annotated[Path, typer.Option(help="Folder of the rule book.", file_okay=False)] = Path("docs/rules"),
    trace: Annotated[Path, typer.Option(help="Page of the traceability table.", dir_okay=False)] = Path(
        "docs/traceability.md"
    ),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a page is not up to date.")] = False,
    ruleset: Rulesets = None,
) -> None:
    """Write the rule book: a page for each folder of rules, an index, the debatable points, the traceability table."""
    from engine.cli.rules_quality import docs  # noqa: PLC0415

    docs(ruleset, out, trace, check=check)


def _backend(asked: Backends | None) -> BackendName:
    """The backend that was asked for; by default both where durable-rules is installed."""
    from engine.inference.backends import available  # noqa: PLC0415

    if asked is not None:
        return asked.value
    return "both" if "durable" in available() else "plain"
