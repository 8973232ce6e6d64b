"""The source of a batch that is a FHIR server: its Bulk Data export, of the types that the rules need, as files.

The export stands in the output folder until the run is done; from there on it is read like any other.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from engine.batch.run import cannot_write
from engine.batch.sources import Listing, listing
from engine.client.bulk import Export, Limits
from engine.client.folder import Wanted, state_of
from engine.client.http import Http, Patience, StrangeError, parsed
from engine.client.smart import Client, SmartTokens, endpoint, scopes
from engine.errors import InputError, RemoteError, RunError
from engine.fhir.elements import objects, text
from engine.fhir.grouping import MEDICATION_KINDS
from engine.fhir.problems import problem
from engine.fhir.references import ID
from engine.outputs.needs import concept_resources, read_by
from engine.rules.ruleset import Ruleset

_INSTANT = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(\.\d+)?(Z|[+-][01]\d:[0-5]\d)")  # FHIR, instant
_GROUP = re.compile(ID)
Show = Callable[[str], None]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server to screen, and how it is asked."""

    url: str
    group: str = ""                        # id of a Group
    patients: bool = False                 # all patients instead of the whole server
    since: str = ""                        # an instant
    client: Client | None = None           # None = no token
    also: tuple[str, ...] = ()             # further origins from which files may come, without the token
    limits: Limits = Limits()
    patience: Patience = Patience()


def types_for(ruleset: Ruleset, issues: Iterable[str]) -> tuple[str, ...]:
    """The types of resources that hold anything that the issues read; no issue named = all."""
    concepts, drugs = read_by(ruleset, issues)
    carriers = concept_resources(ruleset)
    types = {"Patient", *(kind for concept in concepts for kind in carriers.get(concept, ()))}
    if drugs:
        types |= MEDICATION_KINDS | {"Medication"}
    if types & {"Observation", "DiagnosticReport"}:
        types.add("Organization")          # which laboratory it was
    if "Condition" in types:
        types.add("Encounter")             # whether it is a diagnosis of the present stay
    return tuple(sorted(types))


def exported(
    server: Server, folder: Path, types: tuple[str, ...], show: Show, *, resume: bool = False
) -> Listing:
    """The files of the export, downloaded into `folder`. Raises InputError, RemoteError (not begun), RunError."""
    base = _checked(server)
    try:
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        return _listed(_run(server, base, folder, types, show), folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    except StrangeError as error:
        hint = RemoteError(f"{error}; if files may come from there, name it with `--allow-origin {error.origin}`")
        raise _stopped(hint, folder) from error
    except RemoteError as error:
        raise _stopped(error, folder) from error


def end(folder: Path) -> None:
    """Drops the export of a finished run."""
    shutil.rmtree(folder, ignore_errors=True)


def _run(server: Server, base: str, folder: Path, types: tuple[str, ...], show: Show) -> Export:
    begun = state_of(folder)
    with Http([base, *server.also], patience=server.patience) as open_http:
        if begun is not None and set(begun.wanted.types) <= set(types):
            wanted = begun.wanted.types
        else:
            offered = _offered(base, open_http)
            wanted = tuple(kind for kind in types if not offered or kind in offered)
            if missing := [kind for kind in types if kind not in wanted]:
                show(f"the server has no {', no '.join(missing)}")
        tokens = _tokens(server, base, wanted, open_http)
    with Http([base, *server.also], tokens=tokens, trusted=[base], patience=server.patience) as http:
        export = Export(http, folder, Wanted(base, _of(server), wanted, server.since), server.limits, show=show)
        export.run()
    if tokens is not None and tokens.granted and (held := _withheld(wanted, tokens.granted)):
        show(f"the token allows no {', no '.join(held)}: what is missing there is unknown")
    return export


def _checked(server: Server) -> str:
    """The address without an end that does not matter. Raises InputError for what cannot be asked."""
    if server.group and not _GROUP.fullmatch(server.group):
        raise InputError(f"`{server.group}` is no id of a Group: letters, digits, `-` and `.`")
    if server.since and not _INSTANT.fullmatch(server.since):
        raise InputError(f"`{server.since}` is no instant: write it as 2026-01-31T00:00:00Z")
    for url in (server.url, *server.also):
        try:
            found = parsed(url)
        except RemoteError:
            raise InputError(f"`{url}` is no address of a server: write https://host/path") from None
        if found.query or found.fragment:
            raise InputError(f"`{url}`: the address of a server has no `?` and no `#`")
    return server.url.rstrip("/")


def _of(server: Server) -> str:
    return f"Group/{server.group}" if server.group else "Patient" if server.patients else ""


def _offered(base: str, http: Http) -> frozenset[str]:
    """The types that the server says it has; empty = it does not say."""
    try:
        answer = http.call("GET", f"{base}/metadata", headers={"Accept": "application/fhir+json"}, token=False)
        rest = objects(answer.json().get("rest")) if answer.status == 200 else []
    except RemoteError:
        return frozenset()
    return frozenset(text(one.get("type")) for part in rest for one in objects(part.get("resource"))) - {""}


def _tokens(server: Server, base: str, types: tuple[str, ...], http: Http) -> SmartTokens | None:
    client = server.client
    if client is None:
        return None
    known = endpoint(client, base, http)
    return SmartTokens(client, known, client.scope or scopes(types, known), patience=server.patience)


def _withheld(types: Iterable[str], granted: Iterable[str]) -> list[str]:
    """Types for which a token has no scope."""
    named = {scope.removeprefix("system/").partition(".")[0] for scope in granted if scope.startswith("system/")}
    return [] if not named or "*" in named else sorted(set(types) - named)


def _listed(export: Export, folder: Path) -> Listing:
    """The files under names that say nothing of the folder, and what is odd about the export."""
    found = listing([folder / "manifest.json"])
    sources = tuple(msgspec.structs.replace(one, name=Path(one.path).name) for one in found.sources)
    odd = tuple(problem("not-readable", name, message) for name, message in export.state.odd)
    said = "the server refuses to export such resources: what refers to them is incomplete"
    dropped = tuple(problem("failed-query", kind, said) for kind in export.state.dropped)
    return Listing(tuple(sorted(sources)), (*found.problems, *odd, *dropped))


def _stopped(error: RemoteError, folder: Path) -> RemoteError | RunError:
    """An error after the beginning of the export is one from which the run can go on."""
    state = state_of(folder)
    return RunError(str(error)) if state is not None and state.job else error
