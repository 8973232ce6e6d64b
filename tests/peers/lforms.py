"""LHC-Forms, a renderer of Questionnaires, in Chromium: fills a form as a person would and gives the response back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from peers.build import MissingError, built, found

VERSION = "40.1.3"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 180
Json = dict[str, Any]


def built_lforms() -> Path:
    """The project with its packages; of LHC-Forms only what a page loads. Raises MissingError."""
    found("node")
    pack = ("npm", "pack", f"lforms@{VERSION}", "--silent")
    unpack = ("tar", "--extract", "--gzip", "--exclude=*.map", f"--file=lforms-{VERSION}.tgz")
    return built("lforms", ("npm", "ci", "--no-audit", "--no-fund"), pack, unpack)


def browser() -> str:
    """A browser of the machine. Raises MissingError."""
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        raise MissingError("needs `chromium`")
    return path


def filled(
    questionnaire: Json, version: str, fill: Iterable[Json] = (), *, width: int = 1100, screenshot: Path | None = None
) -> Json:
    """`faults` of the page (errors, requests to elsewhere), the ids of the questions `before` and `after`, and the
    `response`. `fill`: `{link, option}` clicks an answer, `{link, text}` types one. Raises MissingError."""
    task = {
        "questionnaire": questionnaire, "version": version, "fill": list(fill), "browser": browser(), "width": width,
        "screenshot": str(screenshot) if screenshot else None,
    }  # fmt: skip
    done = subprocess.run(
        ["node", "render.mjs"],
        cwd=built_lforms(),
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    result: Json = json.loads(done.stdout)
    return result
