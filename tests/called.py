"""The command line, called in this process: what it prints and its exit code, without the start of an interpreter."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from engine.cli import main


def called(*words: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """`endplate` with these words; `environment` replaces that of this process. It has no standard input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    said = ["endplate", *map(str, words)]
    code: object = 0
    kept = dict(os.environ) if environment is None else environment
    with (
        patch.dict(os.environ, kept, clear=True), patch.object(sys, "argv", said),
        redirect_stdout(out), redirect_stderr(err),
    ):  # fmt: skip
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    assert isinstance(code, int), code
    found = [stream.detach().getvalue() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(said, code, *found)
