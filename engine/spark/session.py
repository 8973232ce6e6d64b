"""A Spark session of ours: what must not be otherwise, and what is said if Spark cannot start."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from engine.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MASTER = "spark.master"
_ATTEMPTS = 4                              # of a task, as on a cluster
_OURS = {
    "spark.sql.files.ignoreCorruptFiles": "false",         # what cannot be read is said, not dropped
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.files.ignoreCorruptFiles": "false",
    "spark.files.ignoreMissingFiles": "false",
}
_USUAL = {
    "spark.app.name": "endplate screen",
    "spark.ui.showConsoleProgress": "false",
    "spark.hadoop.mapreduce.input.fileinputformat.list-status.num-threads": "32",
    "spark.python.worker.reuse": "true",                   # a worker reads the rules once
    "spark.log.level": "OFF",                              # what went wrong is said by us
}
_LOCAL = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false"}


def settings(asked: Iterable[str], workers: int = 0) -> dict[str, str]:
    """The settings of a session out of `name=value`. `workers`: this machine alone, so many cores.

    Raises InputError for what is no setting, or one that would let data be lost unseen.
    """
    said = dict(_pair(one) for one in asked)
    if workers:
        if said.get(_MASTER, "local").partition("[")[0] != "local":
            raise InputError(f"`--workers` is for this machine alone; `{_MASTER}={said[_MASTER]}` has executors")
        said[_MASTER] = f"local[{workers},{_ATTEMPTS}]"
    for name, value in _OURS.items():
        if said.get(name, value) != value:
            raise InputError(f"`{name}` must be {value}: else files that cannot be read would be missing unseen")
    local = _LOCAL if said.get(_MASTER, "").startswith("local") else {}
    return {**_USUAL, **local, **said, **_OURS}


def start(asked: Mapping[str, str]) -> SparkSession:
    """A session, or the one that runs. Raises InputError: no PySpark, no Java, or Spark does not start with them."""
    if importlib.util.find_spec("pyspark") is None:
        raise InputError("`--runner spark` needs PySpark: install `endplate[spark]`")
    if not _java():
        raise InputError("`--runner spark` (`endplate[spark]`) needs Java 17, 11 or 8: install it, or set JAVA_HOME")
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

    python = asked.get("spark.pyspark.python") or os.environ.get("PYSPARK_PYTHON") or sys.executable
    os.environ["PYSPARK_PYTHON"] = python  # of the executors: by itself Spark takes any `python3`
    builder = SparkSession.builder
    for name, value in asked.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:             # Java of another version, a master that is not there, a setting refused
        raise InputError(
            f"Spark does not start ({type(error).__name__}): its messages above say why; it needs Java 17, 11 or 8, "
            "and a master that answers"
        ) from error


def _pair(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals or not name.strip().startswith("spark."):
        raise InputError(f"`{said}` is no setting of Spark: write `spark.name=value`")
    return name.strip(), value.strip()


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=os.path.join(home, "bin")) if home else shutil.which("java")  # noqa: PTH118
