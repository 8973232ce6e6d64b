"""What a batch reads: files, folders, patterns and Bulk Data manifests, as a list that no order of arguments changes.

The files and further manifests that a manifest names are looked for beside it by the last part of their URL.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from engine.batch.packing import needs_zstd
from engine.client.manifest import Manifest, read_manifest
from engine.errors import InputError
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


class State(msgspec.Struct, frozen=True):
    """A file: what names it and no other one, what opens it, its size in bytes, its time of modification in ns."""

    resolved: str
    path: str
    size: int
    changed: int


class Files(Protocol):
    """A file system. A path is the way the caller writes it, or one that the file system gave."""

    def is_folder(self, path: str) -> bool: ...

    def below(self, folder: str) -> list[str]:
        """All files below a folder whose names end as `SUFFIXES` say, in the order of their names."""

    def state(self, path: str) -> State | None:
        """None: there is no such file."""

    def matches(self, pattern: str) -> list[str]:
        """Files and folders that a pattern means."""

    def beside(self, file: str, name: str) -> str: ...

    def read(self, path: str) -> bytes: ...


class LocalFiles:
    """The file system of this machine."""

    def is_folder(self, path: str) -> bool:
        return Path(path).is_dir()

    def below(self, folder: str) -> list[str]:
        held = Path(folder).rglob("*")
        return [str(file) for file in sorted(file for file in held if file.name.endswith(SUFFIXES) and file.is_file())]

    def state(self, path: str) -> State | None:
        file = Path(path)
        if not file.exists():
            return None
        state = file.stat()
        return State(str(file.resolve()), path, state.st_size, state.st_mtime_ns)

    def matches(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern, recursive=True))      # noqa: PTH207 - absolute too

    def beside(self, file: str, name: str) -> str:
        return str(Path(file).parent / name)

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()


def listing(paths: Iterable[Path | str], files: Files | None = None) -> Listing:
    """All files below the paths, each once. Raises InputError for a path without any."""
    found = _Found(files or LocalFiles())
    for path in paths:
        found.add(str(path))
    sources = tuple(sorted(found.sources.values()))
    if needs_zstd(source.path for source in sources):
        raise InputError("some files are packed with zstd: install `endplate[zstd]`, or unpack them")
    return Listing(sources, tuple(found.problems))


class _Found:
    def __init__(self, files: Files) -> None:
        self.sources: dict[str, Source] = {}
        self.problems: list[Problem] = []
        self._files = files
        self._manifests: set[str] = set()

    def add(self, path: str) -> None:
        """A file, a folder or a pattern."""
        if self._files.is_folder(path):
            files = self._files.below(path)
            if not files:
                raise InputError(f"`{path}` holds no JSON or NDJSON file")
            bulk = {_folder(file) for file in files if not file.endswith(".json")}
            for file in files:
                beside = _folder(file) in bulk or "manifest" in PurePath(file).name.lower()
                self._file(file, may_be_manifest=beside)
        elif self._files.state(path):
            self._file(path, may_be_manifest=True)
        elif matches := self._files.matches(path):
            for match in matches:
                self.add(match)
        else:
            raise InputError(f"`{path}` does not exist")

    def _file(self, file: str, *, may_be_manifest: bool = False, deleted: bool = False) -> None:
        state = self._files.state(file)
        if state is None or state.resolved in self._manifests:
            return
        if may_be_manifest and file.endswith(".json") and (manifest := self._manifest(file, state)):
            self._manifests.add(state.resolved)
            self.sources.pop(state.resolved, None)
            self._listed(manifest, file)
            return
        known = self.sources.get(state.resolved)
        if known is None or (deleted and not known.deleted):
            self.sources[state.resolved] = Source(file, state.path, state.size, state.changed, deleted)

    def _manifest(self, file: str, state: State) -> Manifest | None:
        """The manifest in a file; None if it is something else."""
        if state.size > _LARGEST_MANIFEST:
            return None
        try:
            return read_manifest(msgspec.json.decode(self._files.read(file).removeprefix(b"\xef\xbb\xbf")))
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _listed(self, manifest: Manifest, file: str) -> None:
        for named in manifest.files:
            self._named(named.url, file, deleted=named.kind == "deleted")
        if manifest.next and len(self._manifests) < _MOST_MANIFESTS:
            self._named(manifest.next, file)
        if manifest.pending:
            self.problems.append(problem("further-pages", file, "names a further manifest that is still to come"))

    def _named(self, url: str, manifest: str, *, deleted: bool = False) -> None:
        name = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
        for candidate in (name, *(f"{name}{suffix}" for suffix in (".ndjson", ".gz", ".zst", ".ndjson.gz"))):
            file = self._files.beside(manifest, candidate)
            if name and self._files.state(file) and not self._files.is_folder(file):
                self._file(file, may_be_manifest=True, deleted=deleted)
                return
        self.problems.append(problem("not-readable", manifest, f"names the file `{name}`, which is not beside it"))


def _folder(file: str) -> str:
    return str(PurePath(file).parent)
