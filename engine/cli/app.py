"""The commands and their options. What they do stands in the other modules of this room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine import __version__
from engine.cli.groups import deliveries, forms, site_commands, store
from engine.cli.options import (
    AsOf,
    Backend,
    Complete,
    FhirVersions,
    Files,
    Formats,
    Rulesets,
    Runners,
    Site,
    TreeFormats,
    Valuesets,
    Views,
    added,
    chosen_backend,
)
from engine.cli.rules_commands import rules
from engine.errors import InputError

SERVER = "From a FHIR server"

app = typer.Typer(
    name="endplate",
    help="Clinical rules over FHIR for neuromuscular disease: findings with their reasons, and what is still unknown.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(rules, name="rules")
app.add_typer(store, name="store")
app.add_typer(deliveries, name="deliveries")
app.add_typer(forms, name="forms")
app.add_typer(site_commands, name="site")


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
    site: Site = None,
) -> None:
    """Evaluate patients: every finding with its reasons and with what is missing."""
    from engine.cli.evaluate import run  # noqa: PLC0415

    run(files, as_of=as_of, complete=complete, backend=chosen_backend(backend), view=view.value, output=output.value,
        version=fhir_version.value, folder=ruleset, valuesets=added(valuesets, site))


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="Bundle, NDJSON or single resources; `-` is stdin.")],
    rule: Annotated[str, typer.Argument(help="Id of an issue or derived fact.")],
    as_of: AsOf = "",
    complete: Complete = False,
    output: Annotated[TreeFormats, typer.Option("--format", help="How it is written.")] = TreeFormats.TEXT,
    ruleset: Rulesets = None,
    valuesets: Valuesets = None,
    site: Site = None,
) -> None:
    """Say why a rule fires, does not fire, or cannot be decided, down to the resources."""
    from engine.cli.explain import run  # noqa: PLC0415

    run(file, rule, as_of=as_of, complete=complete, output=output.value, folder=ruleset,
        valuesets=added(valuesets, site))


@app.command()
def screen(
    sources: Annotated[list[str] | None, typer.Argument(help="Files, folders, patterns or manifests; `-` is stdin.",
                                                        metavar="PATH...")] = None,
    out: Annotated[str, typer.Option(help="Folder for the report and the findings.",
                                     metavar="PATH")] = "reports/screen",
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
    compare: Annotated[Path | None, typer.Option(help="A second version of the rules: who would gain or lose what.",
                                                 metavar="RULESET", exists=True, file_okay=False)] = None,
    rates: Annotated[Path | None, typer.Option(help="`summary.json` of an earlier run: which rules went silent or "
                                                    "noisy, which codes are new and unknown.",
                                               metavar="SUMMARY", dir_okay=False)] = None,
    fail_on_drift: Annotated[bool, typer.Option("--fail-on-drift", help="With --rates: exit code 4 if it "
                                                                        "warns.")] = False,
    runner: Annotated[Runners, typer.Option(help="This machine, or Apache Spark (`endplate[spark]`), for files of any "
                                                 "file system that it knows.")] = Runners.LOCAL,
    spark_conf: Annotated[list[str] | None, typer.Option(help="A setting of Spark, such as spark.master=yarn; may be "
                                                              "given more than once.", metavar="NAME=VALUE")] = None,
    backend: Backend = None,
    ruleset: Rulesets = None,
    valuesets: Valuesets = None,
    site: Site = None,
    from_server: Annotated[str, typer.Option(help="A FHIR server whose Bulk Data export is screened.", metavar="URL",
                                             rich_help_panel=SERVER)] = "",
    group: Annotated[str, typer.Option(help="Id of a Group: only its patients.", rich_help_panel=SERVER)] = "",
    patients: Annotated[bool, typer.Option("--patients", help="Export all patients instead of the whole server.",
                                           rich_help_panel=SERVER)] = False,
    since: Annotated[str, typer.Option(help="Only what changed since, such as 2026-01-31T00:00:00Z.",
                                       rich_help_panel=SERVER)] = "",
    client_id: Annotated[str, typer.Option(help="Our id at the server (SMART Backend Services).",
                                           rich_help_panel=SERVER)] = "",
    client_key: Annotated[Path | None, typer.Option(help="File with our private key, JWK or PEM: RSA or EC P-384.",
                                                    dir_okay=False, rich_help_panel=SERVER)] = None,
    key_id: Annotated[str, typer.Option(help="Which key of the file, or its `kid`.", rich_help_panel=SERVER)] = "",
    scope: Annotated[str, typer.Option(help="Scopes to ask for; default: those of what the rules read.",
                                       rich_help_panel=SERVER)] = "",
    token_url: Annotated[str, typer.Option(help="Token endpoint; default: as the server says.", metavar="URL",
                                           rich_help_panel=SERVER)] = "",
    allow_origin: Annotated[list[str] | None, typer.Option(help="Another origin from which files may come, without "
                                                                "the token; may be given more than once.",
                                                           metavar="URL", rich_help_panel=SERVER)] = None,
    wait_hours: Annotated[float, typer.Option(help="How long to wait for the export, downloads included.", min=0.001,
                                              rich_help_panel=SERVER)] = 24.0,
    poll_seconds: Annotated[float, typer.Option(help="Longest pause between two questions whether it is done.",
                                                min=0.05, rich_help_panel=SERVER)] = 600.0,
    downloads: Annotated[int, typer.Option(help="Files downloaded side by side.", min=1, max=64,
                                           rich_help_panel=SERVER)] = 4,
) -> None:
    """Screen many patients: a table of findings here, a report and the findings in a folder."""
    from engine.cli.screen import Options, run  # noqa: PLC0415

    server = None
    if from_server:
        from engine.cli.export import Asked  # noqa: PLC0415

        server = Asked(url=from_server, group=group, patients=patients, since=since, client_id=client_id,
                       client_key=client_key, key_id=key_id, scope=scope, token_url=token_url,
                       allow_origin=tuple(allow_origin or ()), wait_hours=wait_hours, poll_seconds=poll_seconds,
                       downloads=downloads)
    elif group or patients or since or client_id or client_key or key_id or scope or token_url or allow_origin:
        raise InputError("options for a server need `--from-server URL`")
    elif not sources:
        raise InputError("nothing to screen: give files, or `--from-server URL`")
    if fail_on_drift and rates is None:
        raise InputError("`--fail-on-drift` needs `--rates SUMMARY`")

    if spark_conf and runner is not Runners.SPARK:
        raise InputError("`--spark-conf` needs `--runner spark`")

    options = Options(as_of=as_of, complete=complete, backend=chosen_backend(backend), folder=ruleset,
                      valuesets=added(valuesets, site), only=tuple(only or ()), limit=limit, workers=workers,
                      resume=resume, thorough=thorough, validate=validate, server=server, compare=compare, rates=rates,
                      fail_on_drift=fail_on_drift)
    if runner is Runners.SPARK:
        from engine.cli.screen_spark import run as run_on_spark  # noqa: PLC0415

        run_on_spark(sources or [], out, options, spark_conf or [])
    else:
        run([Path(source) for source in sources or []], Path(out), options)


@app.command()
def serve(
    dev: Annotated[bool, typer.Option("--dev", help="No authentication, loopback only: for trying out.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on; `--dev` allows loopback only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
) -> None:
    """Serve CDS Hooks."""
    from engine.service.serve import serve as start  # noqa: PLC0415

    start(host=host, port=port, dev=dev)


@app.command()
def extract(
    file: Annotated[Path, typer.Argument(help="QuestionnaireResponses, alone, in NDJSON or in Bundles; `-` is stdin.")],
    recorded: Annotated[str, typer.Option(help="Instant of the Provenance; default: now.")] = "",
    ruleset: Rulesets = None,
    valuesets: Valuesets = None,
    site: Site = None,
) -> None:
    """Turn answers to a form into Observations: a transaction for each response, with its Provenance."""
    from engine.cli.extract import run  # noqa: PLC0415

    run(file, recorded=recorded, folder=ruleset, valuesets=added(valuesets, site))
