"""A server process that says in a file, `ready`, where it listens; a child of ours, so it can be killed and awaited."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

STOP_SECONDS = 20


class ServerError(Exception):
    """A server ended or did not get ready; the end of its log."""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`folder` keeps its log. `probe` says whether it is ready; by default when the file `ready` is there."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        probe: Callable[[], bool] | None = None,
        stop: signal.Signals = signal.SIGTERM,
        user: str = "",
    ) -> None:
        self.command = command
        self.folder = folder
        self.ready = folder / "ready"
        self._probe = probe or self.ready.exists
        self._stop = stop
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 600) -> str:
        """Start and wait until it is ready; what it wrote into `ready`. Raises ServerError."""
        self.launch()
        deadline = time.monotonic() + seconds
        while not self._probe():
            if not self.running or time.monotonic() > deadline:
                self.kill()
                raise ServerError(log_end(self.folder))
            time.sleep(0.05)
        return self.ready.read_text("utf-8") if self.ready.exists() else ""

    def launch(self) -> None:
        """Start, and wait for nothing."""
        self.ready.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_user(self._user)
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, seconds: float = STOP_SECONDS, how: signal.Signals | None = None) -> None:
        """Ask it to stop; after a while make it."""
        if self._process is None:
            return
        self._process.send_signal(how or self._stop)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """As a power cut would end it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def as_user(user: str) -> dict[str, Any]:
    """The arguments of Popen that give up being root."""
    if not user or os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def log_end(folder: Path) -> str:
    """The last lines of its log, without stack frames."""
    lines = (folder / "log").read_text("utf-8", "replace").splitlines() if (folder / "log").exists() else []
    return "\n".join([line for line in lines if not line.lstrip().startswith("at ")][-15:]) or "it said nothing"
