"""The pages of the project: their fenced blocks, links and headings; and how a `console` block is run and compared.

In a console block a line `$ command` is followed by what the command prints (both streams). `...` stands for any lines,
and within a line for any words. A command that ends in ` &` runs until the page is done.

Files of a page's own: a fenced block right below `<!-- append: PATH -->` or `<!-- file: PATH -->` goes into that file
of the page's workspace, before the next command.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.inference.backends import available

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(
    path
    for path in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "fhir_examples/README.md")
    if path.is_file()
)
SHARED_BY_LINK = ("fhir_examples", "rulesets", "tools", "Makefile", "Dockerfile", "docker-compose.yml")
WIDTH = "110"
NOT_RUN = ("make test",)                  # it would run the tests of these pages
PORT = "8080"                             # the port that the pages speak of; a free one is taken instead

_FENCE = re.compile(r"^```(\w*)\s*$")
_FILE = re.compile(r"^<!-- (append|file): (\S+) -->$")


class Block(msgspec.Struct, frozen=True):
    """One fenced block. `into`: the file that it is written to, if it is one."""

    language: str
    text: str
    line: int
    into: str = ""
    append: bool = False


class Command(msgspec.Struct, frozen=True):
    """One command of a console block and what it should print."""

    command: str
    expected: str
    line: int
    output: int                           # lines of the page above the first line of the output


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page."""
    into, append, language, start = "", False, None, 0
    held: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if language is None:
            if mark := _FILE.match(line):
                into, append = mark[2], mark[1] == "append"
            elif fence := _FENCE.match(line):
                language, start, held = fence[1], number, []
            elif line.strip():
                into = ""
        elif line.startswith("```"):
            yield Block(language, "\n".join(held) + "\n", start, into, append)
            language, into = None, ""
        else:
            held.append(line)


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block; a backslash at the end of a line continues it."""
    lines = block.text.splitlines()
    number = 0
    while number < len(lines):
        line, at = lines[number], block.line + number + 1
        assert line.startswith("$ "), f"line {at} of a console block does not begin with `$ `"
        command = line[2:]
        number += 1
        while command.endswith("\\"):
            command = command[:-1] + lines[number].strip()
            number += 1
        expected, output = [], block.line + number
        while number < len(lines) and not lines[number].startswith("$ "):
            expected.append(lines[number])
            number += 1
        yield Command(command, "\n".join(expected), at, output)


class Workspace:
    """A folder in which the commands of one page run: links to what the repository holds, files of the page's own."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._port = str(_free_port())
        for name in SHARED_BY_LINK:
            if (ROOT / name).exists():
                (folder / name).symlink_to(ROOT / name)
        binaries = Path(sys.executable).parent
        self._environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "ENDPLATE"))
        } | {
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "COLUMNS": WIDTH, "NO_COLOR": "1", "TERM": "dumb", "ENDPLATE_CACHE": str(cache), "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def write(self, block: Block) -> None:
        path = self.folder / block.into
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text("utf-8") if block.append else "") + block.text, "utf-8")

    def run(self, command: str) -> str:
        """What a command prints, without trailing blanks."""
        command = command.replace(PORT, self._port)
        if command.endswith(" &"):
            return self._start(command[:-2])
        if command.startswith("make "):
            venv = Path(sys.prefix)
            command = f"make -s -C {shlex.quote(str(ROOT))} -o {venv}/.installed VENV={venv} {command[5:]}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._environment, text=True, timeout=300, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return plain(done.stdout.replace(self._port, PORT))

    def _start(self, command: str) -> str:
        log = self.folder / "background.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self._environment, stdout=stream, stderr=stream
            )
        self._running.append(process)
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(self._port))) == 0:
                    return ""
            if process.poll() is not None:
                break
            time.sleep(0.1)
        return plain(log.read_text("utf-8")) or "did not begin to listen"

    def close(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def plain(text: str) -> str:
    """Without colours, and without blanks at the ends of lines and of the text."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def says(expected: str, printed: str) -> bool:
    """Whether the output is what the page shows. Pages show it as it is where durable-rules is installed."""
    if "both" not in available():
        expected = expected.replace("backend both", "backend plain")
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split("...")) + "\n"
    return re.fullmatch(pattern, printed + "\n" if printed else "") is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
