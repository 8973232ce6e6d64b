"""Make the project's own environment: `python tools/setup.py .venv`. Needs Python 3.11 or newer and nothing else.

Installs the pinned dependencies and the project, then durable-rules where it builds and imports. Where it does not, the
set-up still succeeds, the plain backend runs, and one line says so and how to get the other.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DURABLE = "durable-rules==2.0.28"
HOW = (
    "for the durable backend use Python 3.11 or 3.12 with a C compiler and the Python headers (Debian: gcc python3-dev)"
)


def main(folder: str) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this script is what tells the user
        say(f"python {sys.version.split()[0]} is too old: Endplate needs 3.11 or newer; `make PYTHON=python3.12 demo`")
        return 2
    target = Path(folder)
    if not (target / "bin" / "python").exists():
        say(f"making {target} with Python {sys.version.split()[0]}")
        venv.create(target, with_pip=True, symlinks=True)
    python = str(target / "bin" / "python")
    say("installing the pinned dependencies and the project")
    if not pip(python, "-r", str(ROOT / "requirements.lock"), "--no-deps", "-e", str(ROOT)):
        say("the installation failed: see the lines above")
        return 1
    say(durable(python))
    return 0


def durable(python: str) -> str:
    """Install durable-rules if it can be built and imported; the line that says which backend runs."""
    if runs(python):
        return "backends: durable and plain"
    if sys.version_info >= (3, 13):
        return f"backend: plain (durable-rules cannot be imported on Python 3.13 and newer); {HOW}"
    pip(python, DURABLE, quiet=True)
    if runs(python):
        return "backends: durable and plain"
    pip_remove(python)
    return f"backend: plain (durable-rules could not be built here); {HOW}"


def runs(python: str) -> bool:
    code = "import durable_rules_engine"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0  # noqa: S603


def pip(python: str, *what: str, quiet: bool = False) -> bool:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, capture_output=quiet, check=False).returncode == 0  # noqa: S603


def pip_remove(python: str) -> None:
    command = [python, "-m", "pip", "uninstall", "--quiet", "--yes", DURABLE.split("==", maxsplit=1)[0]]
    subprocess.run(command, capture_output=True, check=False)  # noqa: S603


def say(text: str) -> None:
    sys.stderr.write(f"endplate set-up: {text}\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or [".venv"]))
