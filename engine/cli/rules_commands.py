"""The commands of `endplate rules` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import AsOf, Backend, Complete, GraphFormats, Rulesets, TreeFormats, chosen_backend

rules = typer.Typer(help="Look at, check and test the rules.", no_args_is_help=True)


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

    test(ruleset, only, chosen_backend(backend))


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
