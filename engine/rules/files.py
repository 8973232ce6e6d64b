"""The files of a ruleset's folder, and the hash of all that they hold."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from engine.errors import Fault, Place, RulesetError, SettingsError

NAME = "neuromuscular"


def bundled(name: str = NAME) -> Path:
    """The folder of a ruleset that comes with the package: inside it, or beside it in a checkout."""
    engine = Path(__file__).resolve().parent.parent
    for folder in (engine / "_rulesets" / name, engine.parent / "rulesets" / name):
        if folder.is_dir():
            return folder
    raise SettingsError(f"the ruleset `{name}` is not installed; name a folder of rules")


def content_files(folder: Path) -> list[Path]:
    """Every file that belongs to the content, in a fixed order; what begins with a dot or `_` does not."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    )


def content_hash(folders: Iterable[Path], *more: str) -> str:
    """SHA-256, in hex, over names and bytes of all files of the folders (or of a single file), and further texts.

    Raises RulesetError if a file cannot be read.
    """
    digest = sha256()
    for folder in folders:
        files = [folder] if folder.is_file() else content_files(folder)
        digest.update(len(files).to_bytes(8, "big"))
        for path in files:
            try:
                data = path.read_bytes()
            except OSError as error:
                reason = (error.strerror or "error").lower()
                raise RulesetError([Fault(Place(path.as_posix()), f"cannot be read: {reason}")]) from None
            for part in (path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape"), data):
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
    for text in more:
        digest.update(len(text).to_bytes(8, "big"))
        digest.update(text.encode())
    return digest.hexdigest()

