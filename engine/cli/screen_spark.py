"""`endplate screen --runner spark`: the same on a cluster, with files of any file system it knows."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import msgspec
import typer

from engine.batch.plan import partitions
from engine.batch.results import Counts
from engine.batch.shown import Shown
from engine.batch.sources import listing
from engine.cli.common import evaluator
from engine.cli.screen import INTERRUPTED, STOPPED, Options, conclude, new_setup, nothing_found
from engine.errors import InputError, RunError
from engine.evaluation import Evaluator
from engine.spark.session import settings, start

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_OURS = re.compile(r"engine\.errors\.\w+: (.+)")
_THEIRS = re.compile(r"(?:Caused by: |: )((?:[a-z]\w*\.)+[A-Z]\w*)")


def run(sources: list[str], out: str, options: Options, spark_conf: list[str]) -> None:
    """Screen every patient of the sources; exit codes are those of docs/screening.md."""
    _check(sources, options)
    asked = settings(spark_conf, options.workers)
    ready = evaluator(options.folder, options.valuesets, options.backend)
    spark = start(asked)
    try:
        shown, counts = _screened(spark, sources, out, options, ready)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was written\n")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if not isinstance(error, RunError) and not type(error).__module__.startswith(("py4j", "pyspark")):
            raise
        sys.stderr.write(f"error: {reason(error)}; nothing is lost but the time: start again\n")
        raise typer.Exit(STOPPED) from error
    conclude(out, shown, counts, options, ready)


def reason(error: Exception) -> str:
    """Why a run on Spark failed, without what it was working on."""
    if isinstance(error, RunError):
        return str(error)
    said = str(error)
    if ours := _OURS.findall(said):
        return str(ours[-1]).strip()
    theirs = _THEIRS.findall(said)
    what = theirs[-1] if theirs else type(error).__name__
    return f"Spark failed ({what}); `--spark-conf spark.log.level=ERROR` says more"


def _check(sources: list[str], options: Options) -> None:
    """Raises InputError for what a cluster cannot do."""
    cannot = {
        "-": ("-" in sources, "standard input is on this machine alone: write it to a file"),
        "--from-server": (options.server is not None, "export to files first"),
        "--limit": (options.limit, "patients have no order there: give fewer files"),
        "--resume": (options.resume, "Spark repeats by itself what failed: start again"),
        "--compare": (options.compare is not None, "it runs on one machine: `--runner local`"),
    }
    for name, (asked, why) in cannot.items():
        if asked:
            raise InputError(f"`{name}` does not work with `--runner spark`; {why}")


def _screened(
    spark: SparkSession, sources: list[str], out: str, options: Options, ready: Evaluator
) -> tuple[Shown, Counts]:
    from engine.spark.files import SparkFiles  # noqa: PLC0415 - PySpark, an extra
    from engine.spark.output import write  # noqa: PLC0415
    from engine.spark.run import run as run_stages  # noqa: PLC0415

    files = SparkFiles(spark)
    setup = new_setup(listing(sources, files), sources, options, ready)
    setup = msgspec.structs.replace(setup, partitions=partitions(setup.sources))
    outcome = run_stages(spark, files, setup, ready.ruleset, _say)
    try:
        shown = write(spark, files, out, outcome, setup=setup, ruleset=ready.ruleset)
    finally:
        outcome.release()
    if not outcome.counts.patients:
        raise nothing_found(out, setup, outcome.counts)
    return shown, outcome.counts


def _say(said: str) -> None:
    sys.stderr.write(f"{said}\n")
    sys.stderr.flush()
