"""The client of a FHIR Bulk Data export, 1.0 to 4.0-ballot: kick-off, polling, download, removal of the job.

All of it is done in one folder, so that a later call goes on where this one stopped, whatever stopped it: `state.json`
holds the address of the job, each file has its name when it is whole, and `manifest.json` stands there when all are.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from engine.client.download import StatusError, save, saved
from engine.client.folder import MANIFEST, State, Wanted, keep, lines_in, names_of, state_of, write
from engine.client.http import Answer, Http, origin, parsed
from engine.client.manifest import Manifest, RemoteFile, read_manifest
from engine.client.outcome import codes, reason
from engine.errors import InputError, RemoteError
from engine.fhir.elements import Json

NDJSON = "application/fhir+ndjson"
FHIR = "application/fhir+json"
_LARGEST_MANIFEST = 10_000_000
_MOST_PAGES = 1_000
_MOST_FILES = 1_000_000
_MOST_ROUNDS = 3                           # of asking for new links without a single file gained
_EXPIRED = frozenset({401, 403, 404, 410})
_GONE = frozenset({404, 410})
_SHOWN_EVERY_S = 1.0
_LONGEST_SAID = 200

OUTSIDE = ("Medication", "Organization")
"""Types that are in no patient's compartment (FHIR, CompartmentDefinition/patient), the more refused one first."""


class Limits(msgspec.Struct, frozen=True):
    """`wait_s`: for everything together; `poll_s`: the longest pause between two questions, whatever is asked for."""

    wait_s: float = 24 * 3600.0
    poll_s: float = 600.0
    parallel: int = 4


class GoneError(RemoteError):
    """The server no longer knows the job."""


class FailedError(RemoteError):
    """The job ended with an error."""


class Export:
    """One export into one folder. `show` is told how far it is, `sleep` waits."""

    def __init__(
        self,
        http: Http,
        folder: Path,
        wanted: Wanted,
        limits: Limits | None = None,
        *,
        show: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._folder = folder
        self._limits = limits or Limits()
        self._show = show
        self._sleep = sleep
        self._until = time.monotonic() + self._limits.wait_s
        self._taken = threading.Lock()
        self._bytes = 0
        self.state = state_of(folder) or State(wanted)
        if self.state.wanted != wanted:
            raise InputError("cannot resume: the server, the group, the types or `--since` changed since the export "
                             "began; start without --resume")

    @property
    def finished(self) -> bool:
        """Whether every file is there."""
        return (self._folder / MANIFEST).exists()

    def run(self) -> Path:
        """Everything that is not done yet; the manifest of the files. Raises RemoteError, OSError (the disk)."""
        if not self.finished:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._complete()
        self._remove()
        return self._folder / MANIFEST

    def _complete(self) -> None:
        forgotten = bool(self.state.job)   # by the server, perhaps, while we were away
        if not forgotten:
            self._kick_off(self._left_out)
        while not self.finished:
            try:
                self._fetch()
            except GoneError:
                if not forgotten:
                    raise
                forgotten = False
                self._show("the server no longer has the export: it is begun anew")
                self._anew(self._left_out)
            except FailedError:
                if self.state.dropped == self._left_out[-1]:
                    raise
                self._anew(self._left_out[-1:])

    def _anew(self, left_out: Sequence[tuple[str, ...]]) -> None:
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        self.state = State(self.state.wanted)
        self._kick_off(left_out)

    # ------------------------------------------------------------ kick-off

    @property
    def _left_out(self) -> list[tuple[str, ...]]:
        """What to do without, if the server minds: nothing, then ever more of what belongs to no patient."""
        wanted = self.state.wanted
        outside = [kind for kind in OUTSIDE if kind in wanted.types] if wanted.of else []
        return [tuple(outside[:count]) for count in range(len(outside) + 1)]

    def _kick_off(self, left_out: Sequence[tuple[str, ...]]) -> None:
        wanted = self.state.wanted
        answers = []
        for dropped in left_out:
            answers.append(answer := self._asked([kind for kind in wanted.types if kind not in dropped]))
            if answer.status not in (400, 422):
                break
        if answer.status != 202:
            raise RemoteError(f"`{origin(wanted.base)}` refuses the export ({answers[0].status}){reason(answers[0])}")
        job = answer.headers.get("content-location", "")
        if not job:
            raise RemoteError(f"`{origin(wanted.base)}` began an export and does not say where (no Content-Location)")
        self._keep(msgspec.structs.replace(self.state, job=str(parsed(job, answer.url)), dropped=dropped))
        self._show("export begun" + (f", without {' and '.join(dropped)}, which the server refuses" if dropped else ""))

    def _asked(self, types: Sequence[str]) -> Answer:
        """The answer to a kick-off: GET, or POST of Parameters where that is the only way (4.0)."""
        wanted = self.state.wanted
        url = "/".join(part for part in (wanted.base.rstrip("/"), wanted.of, "$export") if part)
        named = {"_outputFormat": NDJSON, "_since": wanted.since, "_type": ",".join(types)}
        query = {name: value for name, value in named.items() if value}
        headers = {"Accept": FHIR, "Prefer": "respond-async"}
        answer = self._http.call("GET", f"{url}?{urlencode(query)}", headers=headers, repeatable=False)
        if answer.status not in (404, 405, 501):
            return answer
        kinds = {"_since": "valueInstant"}
        parameters = [{"name": name, kinds.get(name, "valueString"): value} for name, value in query.items()]
        body = msgspec.json.encode({"resourceType": "Parameters", "parameter": parameters})
        posted = self._http.call("POST", url, headers={**headers, "Content-Type": FHIR}, content=body)
        return posted if posted.status not in (404, 405, 501) else answer

    # ------------------------------------------------------------ polling

    def _manifests(self) -> list[Manifest]:
        """All pages of the manifest, as soon as the export is done."""
        job = self.state.job
        pages: list[Manifest] = []
        seen: set[str] = set()
        url, token = job, True
        while url and url not in seen and len(pages) < _MOST_PAGES:
            seen.add(url)
            answer = self._polled(url, token=token)
            page = read_manifest(answer.json())
            if page is None:
                raise RemoteError(f"`{origin(url)}` finished the export with something that is no manifest")
            pages.append(page)
            url, token = str(parsed(page.next, answer.url)) if page.next else "", page.needs_token
        if url:
            raise RemoteError(f"the manifest of `{origin(job)}` has no end")
        return pages

    def _polled(self, url: str, *, token: bool) -> Answer:
        """The answer when it is no longer 202, asked for with growing pauses. Raises GoneError, RemoteError."""
        pause = 1.0
        while True:
            answer = self._http.call("GET", url, headers={"Accept": "application/json"}, token=token,
                                     largest=_LARGEST_MANIFEST)
            if answer.status == 200:
                return answer
            if answer.status in _GONE:
                raise GoneError(f"`{origin(url)}` no longer has the export ({answer.status})")
            if answer.status != 202 and not (answer.status >= 500 and "transient" in codes(answer)):
                said = ", ".join(sorted(codes(answer)))
                raise FailedError(f"the export failed on `{origin(url)}` ({answer.status}{': ' if said else ''}{said})")
            told = "".join(one for one in answer.headers.get("x-progress", "") if one.isprintable())[:_LONGEST_SAID]
            asked = answer.retry_after
            rest = min(pause if asked is None else max(asked, 1.0), self._limits.poll_s)
            if time.monotonic() + rest > self._until:
                raise RemoteError(f"the export is not done after {self._limits.wait_s / 3600:.3g} h")
            self._show(f"export: {told or 'under way'}; asked again in {rest:.0f} s")
            self._sleep(rest)
            pause = min(pause * 2, 60.0)

    # ------------------------------------------------------------ download

    def _fetch(self) -> None:
        """All files of the export, with new links where some expired."""
        left = rounds = -1
        while True:
            pages = self._manifests()
            files = [(file, page.needs_token) for page in pages for file in page.files]
            if len(files) > _MOST_FILES:
                raise RemoteError(f"the manifest of `{origin(self.state.job)}` names more than {_MOST_FILES} files")
            names = names_of([file for file, _ in files])
            named = {name: (file, token) for (file, token), name in zip(files, names, strict=True) if file.url}
            open_files = [(*one, name) for name, one in named.items() if saved(self._folder / name) is None]
            rounds = rounds + 1 if len(open_files) == left else 0
            left = len(open_files)
            expired = self._downloaded(open_files, len(files))
            if not expired:
                break
            if rounds >= _MOST_ROUNDS:
                raise expired[0]
            self._show("links to files expired: they are asked for again")
        self._odd([(file, name) for (file, _), name in zip(files, names, strict=True)])
        self._finish(pages, names)

    def _downloaded(self, files: Sequence[tuple[RemoteFile, bool, str]], total: int) -> list[StatusError]:
        """Downloads files side by side; those whose link no longer holds. Raises the first other error, at the end."""
        expired: list[StatusError] = []
        failed: list[Exception] = []
        pool = ThreadPoolExecutor(self._limits.parallel, "download")
        try:
            waiting: set[Future[Path]] = {pool.submit(self._download, *one) for one in files}
            while waiting:
                done, waiting = wait(waiting, timeout=_SHOWN_EVERY_S)
                for error in (future.exception() for future in done):
                    if isinstance(error, StatusError) and error.status in _EXPIRED:
                        expired.append(error)
                    elif isinstance(error, RemoteError | OSError):
                        failed.append(error)
                    elif error is not None:
                        raise error
                self._show(f"download: {total - len(waiting)} of {total} files, {self._bytes / 2**20:.0f} MiB")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if failed:
            raise failed[0]
        return expired

    def _download(self, file: RemoteFile, token: bool, name: str) -> Path:
        url = str(parsed(file.url, self.state.job))
        return save(self._http, url, self._folder / name, accept=NDJSON, token=token, until=self._until, got=self._got)

    def _got(self, count: int) -> None:
        with self._taken:
            self._bytes += count

    # ------------------------------------------------------------ end

    def _odd(self, files: Sequence[tuple[RemoteFile, str]]) -> None:
        """Notes files that hold fewer or more resources than the manifest says."""
        odd = []
        for file, name in files:
            path = saved(self._folder / name)
            if file.count >= 0 and path is not None and (held := lines_in(path)) not in (-1, file.count):
                odd.append((path.name, f"holds {held} lines where its manifest says {file.count}"))
        self._keep(msgspec.structs.replace(self.state, odd=tuple(odd)))

    def _finish(self, pages: Sequence[Manifest], names: Sequence[str]) -> None:
        """The manifest of the files in the folder, which says that all are there."""
        local: dict[str, list[Json]] = {"output": [], "deleted": [], "error": []}
        for file, name in zip((file for page in pages for file in page.files), names, strict=True):
            path = saved(self._folder / name)
            local[file.kind].append({"type": file.type, "url": path.name if path is not None else ""})
        link = [{"relation": "next", "url": "#pending"}] if any(page.pending for page in pages) else []
        time_of = pages[0].time
        content = {"transactionTime": time_of, "requiresAccessToken": False, **local, "link": link}
        write(self._folder / MANIFEST, msgspec.json.encode(content))

    def _remove(self) -> None:
        """Tells the server that the files are no longer needed; it makes no difference to us if it minds."""
        if not self.state.job:
            return
        try:
            self._http.call("DELETE", self.state.job, headers={"Accept": FHIR}, attempts=1)
        except RemoteError as error:
            self._show(f"the export stays on the server: {error}")

    def _keep(self, state: State) -> None:
        self.state = state
        keep(self._folder, state)
