"""What an export keeps in its folder: its state, its files by lasting names, a manifest when all of them are there."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.client.download import PACKED
from engine.client.manifest import RemoteFile
from engine.errors import InputError

MANIFEST = "manifest.json"
STATE = "state.json"
_BLOCK = 1024 * 1024


class Wanted(msgspec.Struct, frozen=True):
    """An export: of the whole server (`of` ""), of all patients ("Patient") or of a group ("Group/x")."""

    base: str
    of: str = ""
    types: tuple[str, ...] = ()
    since: str = ""                        # an instant: only what changed from then on


class State(msgspec.Struct, frozen=True):
    """What is known of an export that is not finished. `job` "" = it has not been begun."""

    wanted: Wanted
    job: str = ""
    dropped: tuple[str, ...] = ()          # types that the server refused
    odd: tuple[tuple[str, str], ...] = ()  # (file, what is odd about it)


def state_of(folder: Path) -> State | None:
    """The state of an unfinished export; None if there is none."""
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise InputError(f"the unfinished export in `{folder}` is of another version: start without --resume") from None


def names_of(files: Sequence[RemoteFile]) -> list[str]:
    """A name for each file that stays the same when its link is renewed, in whatever order they come."""
    keys = [file.url.partition("?")[0] for file in files]
    times = Counter(keys)
    names = []
    for file, key in zip(files, keys, strict=True):
        kind = file.kind if file.kind != "output" else file.type
        kind = kind if kind.isascii() and kind.isalpha() else "all"
        digest = hashlib.sha256((file.url if times[key] > 1 else key).encode()).hexdigest()[:16]
        names.append(f"{kind[:40]}.{digest}.ndjson")
    return names


def lines_in(path: Path) -> int:
    """Lines with something on them; -1: the file cannot be unpacked, which is said where it is read."""
    count, filled = 0, False
    try:
        with gzip.open(path) if path.suffix == PACKED else path.open("rb") as stream:
            while piece := stream.readline(_BLOCK):
                filled = filled or bool(piece.strip())
                if piece.endswith(b"\n"):
                    count, filled = count + filled, False
    except (OSError, EOFError, zlib.error):
        return -1
    return count + filled


def keep(folder: Path, state: State) -> None:
    """From here on the export can be resumed. Raises OSError."""
    write(folder / STATE, msgspec.json.encode(state))


def write(path: Path, content: bytes) -> None:
    """A file that is there as a whole or not at all, also after a power cut. Raises OSError."""
    unfinished = path.with_name(path.name + ".tmp")
    with unfinished.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(path)
