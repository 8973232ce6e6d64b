"""The commands of `endplate store`, `deliveries`, `forms` and `site`, and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import AsOf, Rulesets, Site, TreeFormats, Valuesets, added

store = typer.Typer(help="Upgrade, check, purge and copy what the service remembers.", no_args_is_help=True)
deliveries = typer.Typer(help="Look at what waits to be told to others, and send again what they refused.",
                         no_args_is_help=True)
forms = typer.Typer(help="The forms in which clinicians answer what no system sends.", no_args_is_help=True)
site_commands = typer.Typer(help="Bring the rules to a site's data.", no_args_is_help=True)


@store.command("upgrade")
def store_upgrade() -> None:
    """Bring the store to the version of this program, or make it."""
    from engine.cli.store import upgrade  # noqa: PLC0415

    upgrade()


@store.command("check")
def store_check() -> None:
    """Look for damage, and say what is in the store."""
    from engine.cli.store import check  # noqa: PLC0415

    check()


@store.command("purge")
def store_purge(
    patient: Annotated[str, typer.Option(help="Forget everything of this patient.", metavar="ID")] = "",
    older_than: Annotated[int | None, typer.Option(help="Forget what came earlier than so many days ago.", min=0,
                                                   metavar="DAYS")] = None,
) -> None:
    """Forget a patient, or what is old; without an option, what nothing needs any more."""
    from engine.cli.store import purge  # noqa: PLC0415

    purge(patient, older_than)


@store.command("backup")
def store_backup(
    path: Annotated[Path, typer.Argument(help="The copy; there must be nothing yet.", dir_okay=False)],
) -> None:
    """Copy the SQLite file, whole, while the service runs."""
    from engine.cli.store import backup  # noqa: PLC0415

    backup(path)


@deliveries.command("list")
def deliveries_list(
    target: Annotated[str, typer.Option(help="Those to one target.", metavar="sink/NAME")] = "",
    pending: Annotated[bool, typer.Option("--pending", help="Also those that are still to be delivered.")] = False,
    limit: Annotated[int, typer.Option(help="Show at most so many.", min=1)] = 100,
) -> None:
    """List deliveries that were refused."""
    from engine.cli.deliveries import show  # noqa: PLC0415

    show(target, pending=pending, limit=limit)


@deliveries.command("replay")
def deliveries_replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of the list.", metavar="NUMBER...")] = None,
    target: Annotated[str, typer.Option(help="All those to one target.", metavar="sink/NAME")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Deliver again what was refused."""
    from engine.cli.deliveries import replay  # noqa: PLC0415

    replay(target, numbers or [], everything=everything)


@forms.command("build")
def forms_build(
    out: Annotated[Path, typer.Option(help="Folder of the Questionnaires.", file_okay=False)] = Path("forms"),
    ruleset: Rulesets = None,
) -> None:
    """Write the forms of a ruleset as FHIR Questionnaires, R4 and R5."""
    from engine.cli.forms import build  # noqa: PLC0415

    build(ruleset, out)


@forms.command("check")
def forms_check(
    out: Annotated[Path, typer.Option(help="Folder of the Questionnaires.", file_okay=False)] = Path("forms"),
    ruleset: Rulesets = None,
) -> None:
    """Say whether the written forms are those of the ruleset."""
    from engine.cli.forms import check  # noqa: PLC0415

    check(ruleset, out)


@site_commands.command("survey")
def site_survey(
    sources: Annotated[list[Path], typer.Argument(help="Files, folders, patterns or manifests; `-` is stdin.",
                                                  metavar="PATH...")],
    out: Annotated[Path, typer.Option(help="Folder for the page, the JSON and site.yaml.")] = Path("reports/site"),
    fewest: Annotated[int, typer.Option("--min-patients", help="A local code, display or unit is shown if so many "
                                                               "patients have it.", min=1, max=100)] = 2,
    as_of: AsOf = "",
    output: Annotated[TreeFormats, typer.Option("--format", help="How it is written.")] = TreeFormats.TEXT,
    ruleset: Rulesets = None,
    valuesets: Valuesets = None,
    site: Site = None,
) -> None:
    """Say how far the rules can see on a feed, and propose a site.yaml that makes them see further."""
    from engine.cli.site import Options, run  # noqa: PLC0415

    run(sources, out, Options(as_of=as_of, output=output.value, folder=ruleset, valuesets=added(valuesets, site),
                              fewest=fewest))
