"""axe-core, which finds what keeps people out of a page."""

from __future__ import annotations

from pathlib import Path

from peers.build import built, found

VERSION = "4.14.1"


def built_axe() -> Path:
    """The folder that holds the script. Raises MissingError."""
    found("node")
    pack = ("npm", "pack", f"axe-core@{VERSION}", "--silent")
    return built("axe", pack, ("tar", "--extract", "--gzip", f"--file=axe-core-{VERSION}.tgz", "package/axe.min.js"))


def axe_source() -> str:
    """The script. Raises MissingError."""
    return (built_axe() / "package/axe.min.js").read_text(encoding="utf-8")
