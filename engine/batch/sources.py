"""What a batch reads: files, folders, patterns and Bulk Data manifests, as a list that no order of arguments changes.

Manifests of Bulk Data 1.0 to 4.0-ballot: `output` and `deleted` name files, found beside the manifest by the last part
of their URL; `error` (4.0: `outcome`) names OperationOutcomes; `link` with relation `next` names a further manifest.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from engine.batch.packing import needs_zstd
from engine.errors import InputError
from engine.fhir.elements import Json, obj, objects, text
from engine.fhir.problems import problem
from engine.model.problem import Problem

_PLAIN = (".json", ".ndjson", ".jsonl")
SUFFIXES = tuple(f"{plain}{packed}" for plain in _PLAIN for packed in ("", ".gz", ".zst"))
_LARGEST_MANIFEST = 10_000_000
_MOST_MANIFESTS = 1_000


class Source(msgspec.Struct, frozen=True, order=True):
    """One file. `name` stands in places; `deleted`: its Bundles say which resources of the export are gone."""

    name: str
    path: str
    size: int
    changed: int                           # modification time in ns: a file that changes cannot be resumed
    deleted: bool = False


class Listing(msgspec.Struct, frozen=True):
    """The files of a batch in the order of their names, and what a manifest names and is not there."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...] = ()


def listing(paths: Iterable[Path]) -> Listing:
    """All files below the paths, each once. Raises InputError for a path without any."""
    found = _Found()
    for path in paths:
        found.add(path)
    sources = tuple(sorted(found.sources.values()))
    if needs_zstd(source.path for source in sources):
        raise InputError("some files are packed with zstd: install `endplate[zstd]`, or unpack them")
    return Listing(sources, tuple(found.problems))


class _Found:
    def __init__(self) -> None:
        self.sources: dict[Path, Source] = {}
        self.problems: list[Problem] = []
        self._manifests: set[Path] = set()

    def add(self, path: Path) -> None:
        """A file, a folder or a pattern."""
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.name.endswith(SUFFIXES) and file.is_file())
            if not files:
                raise InputError(f"`{path}` holds no JSON or NDJSON file")
            bulk = {file.parent for file in files if not file.name.endswith(".json")}
            for file in files:
                beside = file.parent in bulk or "manifest" in file.name.lower()
                self._file(file, may_be_manifest=beside and file.suffix == ".json")
        elif path.exists():
            self._file(path, may_be_manifest=path.suffix == ".json")
        elif matches := [Path(match) for match in glob.glob(str(path), recursive=True)]:  # noqa: PTH207 - absolute too
            for match in sorted(matches):
                self.add(match)
        else:
            raise InputError(f"`{path}` does not exist")

    def _file(self, file: Path, *, may_be_manifest: bool = False, deleted: bool = False) -> None:
        resolved = file.resolve()
        if resolved in self._manifests:
            return
        if may_be_manifest and (manifest := _manifest(file)):
            self._manifests.add(resolved)
            self.sources.pop(resolved, None)
            self._listed(manifest, file)
            return
        known = self.sources.get(resolved)
        if known is None or (deleted and not known.deleted):
            state = file.stat()
            self.sources[resolved] = Source(str(file), str(file), state.st_size, state.st_mtime_ns, deleted)

    def _listed(self, manifest: Json, file: Path) -> None:
        for element in ("output", "deleted", "error", "outcome"):
            for entry in objects(manifest.get(element)):
                self._named(text(entry.get("url")), file, deleted=element == "deleted")
        for link in objects(manifest.get("link")):
            if text(link.get("relation")) == "next" and len(self._manifests) < _MOST_MANIFESTS:
                self._named(text(link.get("url")), file)

    def _named(self, url: str, manifest: Path, *, deleted: bool = False) -> None:
        name = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
        for candidate in (name, *(f"{name}{suffix}" for suffix in (".ndjson", ".gz", ".zst", ".ndjson.gz"))):
            if name and (file := manifest.parent / candidate).is_file():
                self._file(file, may_be_manifest=file.suffix == ".json", deleted=deleted)
                return
        self.problems.append(problem("not-readable", str(manifest), f"names the file `{name}`, which is not beside it"))


def _manifest(file: Path) -> Json | None:
    """The manifest in a file; None if it is something else."""
    if file.stat().st_size > _LARGEST_MANIFEST:
        return None
    try:
        found = obj(msgspec.json.decode(file.read_bytes().removeprefix(b"\xef\xbb\xbf")))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if "transactionTime" in found and "output" in found and "resourceType" not in found else None

