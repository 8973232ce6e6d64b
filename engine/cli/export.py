"""`endplate screen --from-server`: what the command line says of a server, and how far its export is."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import msgspec

from engine.batch.server import Server, exported, types_for
from engine.batch.sources import Listing
from engine.client.bulk import Limits
from engine.client.folder import state_of
from engine.client.smart import Client
from engine.errors import InputError
from engine.outputs.markdown import plain
from engine.rules.ruleset import Ruleset

EVERY_S = 10.0                         # between lines of one kind where there is no terminal
PROGRESS = ("export", "download")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options as they are written; "" and () = not given."""

    url: str
    group: str = ""
    patients: bool = False
    since: str = ""
    client_id: str = ""
    client_key: Path | None = None
    key_id: str = ""
    scope: str = ""
    token_url: str = ""
    allow_origin: tuple[str, ...] = ()
    wait_hours: float = 24.0
    poll_seconds: float = 600.0
    downloads: int = 4


def server_of(asked: Asked, *, complete: bool) -> Server:
    """The server that is meant. Raises InputError where options contradict each other."""
    if asked.group and asked.patients:
        raise InputError("`--group` and `--patients` exclude each other: a group has patients of its own")
    if complete and asked.since:
        raise InputError("`--complete` and `--since` exclude each other: what changed lately is no complete record")
    if bool(asked.client_id) != (asked.client_key is not None):
        raise InputError("`--client-id` and `--client-key` belong together")
    if asked.client_key is None and (asked.key_id or asked.scope or asked.token_url):
        raise InputError("`--key-id`, `--scope` and `--token-url` need `--client-id` and `--client-key`")
    client = None
    if asked.client_key is not None:
        client = Client(id=asked.client_id, key=asked.client_key, key_id=asked.key_id, scope=asked.scope,
                        token_url=asked.token_url)
    limits = Limits(asked.wait_hours * 3600, asked.poll_seconds, asked.downloads)
    return Server(url=asked.url, group=asked.group, patients=asked.patients, since=asked.since, client=client,
                  also=asked.allow_origin, limits=limits)


def listing_of(server: Server, folder: Path, ruleset: Ruleset, issues: tuple[str, ...], *, resume: bool) -> Listing:
    """The files of the export, which goes on if it was begun."""
    lines = _Lines()
    try:
        return exported(server, folder, types_for(ruleset, issues), lines.show, resume=resume)
    finally:
        lines.end()


def is_begun(folder: Path) -> bool:
    """Whether there is an export to go on with."""
    return state_of(folder) is not None


class _Lines:
    """How far it is: one line that changes on a terminal, else one every few seconds, on stderr. The rest is kept."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def show(self, text: str) -> None:
        text = plain(text)
        kind = text.partition(":")[0]
        now = time.monotonic()
        if kind not in PROGRESS:
            self.end()
            sys.stderr.write(f"{text}\n")
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}")
        elif now - self._last.get(kind, -EVERY_S) >= EVERY_S:
            self._last[kind] = now
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
