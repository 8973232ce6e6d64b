"""Makes the peers once, in a cache outside the checkout; `python tests/peers/build.py` makes all of them now.

A project is copied to a folder that is named after its content, and built there with Maven, npm or pip. What is missing
for that is a MissingError, which fixtures turn into a skip with its reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD_SECONDS = 1500
STALE_DAYS = 30
PYTHON = ".venv/bin/python"  # of a Python project's own environment, in its folder


class MissingError(Exception):
    """Why a peer cannot run on this machine."""


def cache() -> Path:
    """Where peers are built: $XDG_CACHE_HOME/endplate-peers."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "endplate-peers"


def found(*programs: str) -> None:
    """Raises MissingError if one of the programs is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise MissingError(f"needs {' and '.join(f'`{program}`' for program in missing)}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def home(project: str) -> Path:
    """The folder in which a project is, or will be, built."""
    digest = hashlib.sha256()
    for path in sorted(path for path in (HERE / project).rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes() + b"\0")
    return cache() / f"{project}-{digest.hexdigest()[:12]}"


def built(project: str, *steps: tuple[str, ...]) -> Path:
    """The folder of a project after its steps, which are run once. Raises MissingError if one of them fails."""
    found(*(step[0] for step in steps if os.sep not in step[0]))  # a path: this Python, or one that a step makes
    folder = home(project)
    with locked(cache() / f"{project}.lock"):
        done = folder / "built"
        if not done.exists() or not _whole(folder):
            _forget_old(project)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(HERE / project, folder)
            for step in steps:
                _run(project, folder, step)
        done.touch()
    return folder


def _whole(folder: Path) -> bool:
    """Whether what a build leans on elsewhere is still there: jars in Maven's repository, an environment's Python."""
    python = folder / PYTHON
    if python.is_symlink() and not python.exists():
        return False
    path = folder / "cp.txt"
    return not path.exists() or all(Path(jar).exists() for jar in path.read_text("utf-8").strip().split(":"))


def _run(project: str, folder: Path, step: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(
            step,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise MissingError(f"`{project}` could not be built: `{step[0]}` took too long") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        reason = next((line for line in said if "ERR" in line), said[-1])
        raise MissingError(f"`{project}` could not be built: {reason}")


def _forget_old(project: str) -> None:
    """Builds of earlier forms of a project that nobody has used for long."""
    for old in cache().glob(f"{project}-*"):
        marker = old / "built"
        if not marker.exists() or time.time() - marker.stat().st_mtime > STALE_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)


def maven(project: str) -> tuple[tuple[str, ...], ...]:
    """The steps of a Java project: its jar, and the class path in cp.txt."""
    quiet = ("mvn", "--quiet", "--batch-mode", "-Dstyle.color=never", "-Dmaven.test.skip=true")
    return ((*quiet, "package", "dependency:build-classpath", "-Dmdep.outputFile=cp.txt"),)


def pip() -> tuple[tuple[str, ...], ...]:
    """The steps of a Python project: an environment of its own, and in it what requirements.txt names."""
    install = (PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "-r", "requirements.txt")
    return (sys.executable, "-m", "venv", ".venv"), install


def java(folder: Path, main: str, *options: str) -> list[str]:
    """The command of a built Java project. Its first compiler alone: a test is over before the second one pays."""
    classes = f"{folder}/target/peer.jar:{(folder / 'cp.txt').read_text('utf-8').strip()}"
    modest = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")
    return ["java", *modest, *options, "-cp", classes, f"endplate.peers.{main}"]


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    from peers import axe, camel, hapi, lforms, token_endpoint
    from peers.build import MissingError as NotHereError  # as the modules know it

    for make in (hapi.built_hapi, camel.built_camel, token_endpoint.built_endpoint, lforms.built_lforms,
                 axe.built_axe):
        began = time.monotonic()
        try:
            sys.stdout.write(f"{make().name}: {time.monotonic() - began:.0f} s\n")
        except NotHereError as missing:
            sys.exit(str(missing))
