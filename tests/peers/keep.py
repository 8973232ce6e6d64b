"""One server for all who use it at the same time: the workers of a test run, or several runs.

The first user starts a keeper, and the keeper the server. Every user holds a shared lock on the file `users`; the
kernel lets go of it however a user ends. When the keeper gets that lock for itself, nobody is left, and after
`linger` seconds it stops the server. No count can be wrong, and no server outlives its users.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers.server import Server, ServerError, log_end

LOOK_SECONDS = 0.25


@contextmanager
def kept(folder: Path, command: Sequence[str], *, linger: float = 0, seconds: float = 600) -> Iterator[str]:
    """What the server in `folder` wrote into `ready`, while the context lasts. Raises ServerError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (folder / "start").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            if not _has_keeper(folder):
                (folder / "ready").unlink(missing_ok=True)
                arguments = [sys.executable, __file__, str(folder), str(linger), json.dumps(list(command))]
                subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL, cwd="/")
            deadline = time.monotonic() + seconds
            while not (folder / "ready").exists():
                if not _has_keeper(folder) or time.monotonic() > deadline:
                    raise ServerError(log_end(folder))
                time.sleep(0.05)
        yield (folder / "ready").read_text("utf-8")


def _has_keeper(folder: Path) -> bool:
    with (folder / "keeper").open("w") as keeper:
        return not _alone(keeper)


def _alone(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def keep(folder: Path, linger: float, command: list[str]) -> None:
    """Keep the server until it ends, or nobody uses it, or we are asked to stop."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    server = Server(command, folder)
    server.launch()
    idle_since = None
    with (folder / "users").open("r") as users:
        while server.running and not asked:
            time.sleep(LOOK_SECONDS)
            if not _alone(users):
                idle_since = None
                continue
            idle_since = idle_since or time.monotonic()
            if time.monotonic() - idle_since >= linger:
                break  # with the lock, so that nobody comes in while it stops
            fcntl.flock(users, fcntl.LOCK_UN)
        server.ready.unlink(missing_ok=True)
        server.stop()


def main(folder: str, linger: str, command: str) -> None:
    """Take the keeper's lock, and go on in a process of which nobody is the parent."""
    keeper = (Path(folder) / "keeper").open("w")
    fcntl.flock(keeper, fcntl.LOCK_EX)
    if os.fork():
        os._exit(0)
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    keep(Path(folder), float(linger), json.loads(command))


if __name__ == "__main__":
    main(*sys.argv[1:])
