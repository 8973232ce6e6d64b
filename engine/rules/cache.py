"""A compiled ruleset on disk, under the hash of everything that it was made from.

A file that is missing, damaged, older or not ours is not an error: the ruleset is compiled again and the file replaced.
"""

from __future__ import annotations

import gc
import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

MAGIC = b"endplate-ruleset-1\n"
T = TypeVar("T")


def fingerprint() -> str:
    """Changes with the code of the rooms whose values are stored, so that an upgraded engine never reads old ones."""
    engine = Path(__file__).resolve().parent.parent
    digest = sha256()
    for room in ("model", "terminology", "facts", "forms", "rules"):
        for path in sorted((engine / room).rglob("*.py")):
            stat = path.stat()
            digest.update(f"{path.relative_to(engine)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def path_for(folder: Path, key: str) -> Path:
    """Where the compiled form is kept."""
    return folder / f"ruleset-{key[:32]}.msgpack"


def read(folder: Path, key: str, kind: type[T]) -> T | None:
    """The stored value, or None. The digest guards against half-written and damaged files."""
    head = MAGIC + key.encode() + b"\n"
    try:
        data = path_for(folder, key).read_bytes()
    except OSError:
        return None
    body = data[len(head) + 32 :]
    if data[: len(head)] != head or data[len(head) : len(head) + 32] != sha256(body).digest():
        return None
    collecting = gc.isenabled()
    gc.disable()                              # nothing of what is built is garbage, and looking for it doubles the time
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None
    finally:
        if collecting:
            gc.enable()


def write(folder: Path, key: str, value: object) -> None:
    """Store a value; a folder that cannot be written to costs nothing but the time to compile."""
    body = msgspec.msgpack.encode(value)
    data = MAGIC + key.encode() + b"\n" + sha256(body).digest() + body
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".ruleset-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).replace(path_for(folder, key))
        except OSError:
            Path(name).unlink(missing_ok=True)
