"""`endplate site survey`: how far the rules can see on a feed, and a site.yaml of proposals."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import msgspec

from engine.batch.sources import Listing, Source, listing
from engine.cli.common import notice, ruleset, scope, write
from engine.errors import InputError, RunError
from engine.rules.files import bundled
from engine.survey.page import page
from engine.survey.result import Survey
from engine.survey.site_file import site_yaml
from engine.survey.survey import Scope, survey
from engine.survey.text import survey_text
from engine.terminology.rows import read_folder

SITE, PROPOSED = "site.yaml", "site.proposed.yaml"
_BLOCK = 1024 * 1024


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says beside the sources."""

    as_of: str
    output: str                            # text, json
    folder: Path | None
    valuesets: tuple[Path, ...]
    fewest: int


def run(sources: list[Path], out: Path, options: Options) -> None:
    """Survey the sources: the text or JSON on stdout; survey.json, survey.html and site.yaml in the folder.

    A site.yaml that is there is somebody's decisions: it is left alone, and the proposals go to site.proposed.yaml.
    """
    loaded = ruleset(options.folder, options.valuesets)
    rows = read_folder((options.folder or bundled()) / "valuesets", [])
    asked = Scope(
        as_of=scope("" if options.as_of == "bundle" else options.as_of, complete=False).as_of,
        fewest=options.fewest,
        paths=tuple(sorted({str(path) for path in sources})),
        site=tuple(str(path) for path in options.valuesets),
    )
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as spooled:
        found = survey(_listing(sources, Path(spooled)), loaded, rows, asked, _watched)
    passed = max(time.monotonic() - begun, 0.001)
    if not sum(found.resources.values()):
        raise InputError(f"nothing to survey in {', '.join(f'`{path}`' for path in asked.paths)}: no FHIR resource")
    _write(found, out)
    encoded = msgspec.json.encode(found)
    write(encoded if options.output == "json" else survey_text(found))
    notice(f"{found.patients / passed:.0f} patients a second; page: {out / 'survey.html'}")


def _write(found: Survey, out: Path) -> None:
    site = out / SITE
    target = out / PROPOSED if site.exists() else site
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "survey.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        (out / "survey.html").write_text(page(found), "utf-8")
        target.write_text(site_yaml(found), "utf-8")
    except OSError as error:
        raise RunError(f"`{out}` cannot be written: {error.strerror or 'the disk failed'}") from None
    if target != site:
        notice(f"`{site}` was left as it is; the proposals stand in `{target}`")


def _listing(sources: list[Path], spooled: Path) -> Listing:
    """The files of the sources; standard input is kept in a file while the survey reads it."""
    files = [path for path in sources if str(path) != "-"]
    found = listing(files)
    if len(files) == len(sources):
        return found
    kept = spooled / "stdin"
    with kept.open("wb") as stream:
        while block := sys.stdin.buffer.read(_BLOCK):
            stream.write(block)
    state = kept.stat()
    stdin = Source("stdin", str(kept), state.st_size, state.st_mtime_ns)
    return msgspec.structs.replace(found, sources=(stdin, *found.sources))


def _watched(resources: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{resources} resources\r")
        sys.stderr.flush()
