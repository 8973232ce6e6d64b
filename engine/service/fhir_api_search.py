"""Asking a FHIR endpoint: the version that is wanted, parameters of a search, and the Bundle that answers it.

Source: FHIR R4 "RESTful API" and "Search". A parameter that is not offered is left out and named, or refused where the
client says `Prefer: handling=strict`; a modifier that is not offered is always refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import Request
from starlette.responses import Response

from engine.integration.asking import form_of
from engine.integration.topics import AskedError
from engine.outputs.detected_issue import Resource, stable_uuid
from engine.service.outcome import RefusalError, operation_outcome
from engine.store.subscriptions import Form

FHIR_JSON = "application/fhir+json"
USUAL = 50
MOST = 500
MOST_VALUES = 100
_VERSION: Mapping[Form, str] = {"R4": "", "R4B": "; fhirVersion=4.3", "R5": "; fhirVersion=5.0"}
_ALWAYS = frozenset({"_format", "_pretty"})
_MINE = frozenset({"_count", "_summary", "_after"})
_JSON = re.compile(r"(application/(fhir\+)?json|json|text/json|\*/\*|application/\*)\s*(;.*)?", re.IGNORECASE)
_PIECES = re.compile(r"\\?.", re.DOTALL)
_ESCAPED = frozenset(",|$\\")
_DATE = re.compile(r"(eq|ge|gt|le|lt)?(\d{4}(?:-\d\d(?:-\d\d)?)?|\d{4}-\d\d-\d\dT[\d:.]{5,20}(?:Z|[+ -]\d\d:\d\d)?)")


class Param(msgspec.Struct, frozen=True):
    """One parameter with its values, of which one must fit."""

    name: str
    values: tuple[str, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A search. `count` 0: only how many there are; `after`: where the page before this one ended."""

    params: tuple[Param, ...]
    ignored: tuple[str, ...] = ()
    count: int = USUAL
    after: str = ""

    def one(self, *names: str) -> str:
        """The only value of the only parameter with one of these names; "" if there is none."""
        found = [param for param in self.params if param.name in names]
        return found[0].values[0] if len(found) == 1 and len(found[0].values) == 1 else ""


def wanted(request: Request) -> Form:
    """The version of FHIR that the client wants. Raises RefusalError 406."""
    accept = request.query_params.get("_format", "") or request.headers.get("accept", "")
    ranges = [one.strip() for one in accept.split(",") if one.strip()]
    if not ranges:
        return "R4"
    for one in ranges:
        if _JSON.fullmatch(one.replace(" ", "+", 1) if "fhir json" in one else one):
            try:
                return form_of(one) or "R4"
            except AskedError as error:
                raise RefusalError(406, str(error)) from None
    raise RefusalError(406, "only JSON is spoken: accept `application/fhir+json`")


def pairs_of(request: Request, body: bytes = b"") -> list[tuple[str, str]]:
    """The parameters of the address, and of the body of a form."""
    pairs = list(request.query_params.multi_items())
    if body:
        try:
            pairs += parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200)
        except ValueError:
            raise RefusalError(400, "the body is no form") from None
    return pairs


def asked(
    pairs: Iterable[tuple[str, str]], offered: Collection[str], *, strict: bool, references: Collection[str] = ()
) -> Asked:
    """The search. `references`: parameters that may have `:Patient` as a modifier. Raises RefusalError 400."""
    params, ignored = list[Param](), list[str]()
    count, after = USUAL, ""
    for given, value in pairs:
        name, _, modifier = given.partition(":")
        if name in _ALWAYS:
            continue
        if name not in _MINE and name not in offered:
            ignored.append(given)
            continue
        if modifier and not (name in references and modifier == "Patient"):
            raise RefusalError(400, f"`{name}` is offered without modifiers")
        if name == "_count":
            count = _counted(value) if count else 0
        elif name == "_summary":
            count = 0 if value == "count" else count
        elif name == "_after":
            after = value
        elif values := tuple(one for one in _split(value) if one):
            if len(values) > MOST_VALUES:
                raise RefusalError(400, f"`{name}` has more than {MOST_VALUES} values")
            params.append(Param(name, values))
        else:
            raise RefusalError(400, f"`{name}` has no value")
    if ignored and strict:
        raise RefusalError(400, f"a parameter is not offered; those that are: {', '.join(sorted(offered))}")
    return Asked(params=tuple(params), ignored=tuple(ignored), count=count, after=after)


def is_strict(request: Request) -> bool:
    """Whether what is not offered is to be refused."""
    return "handling=strict" in request.headers.get("prefer", "").replace(" ", "").lower()


def answered(resource: Resource, form: Form, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A resource as a response, with its version in the headers."""
    meta = resource.get("meta", {})
    given = {"Cache-Control": "no-store", **(headers or {})}
    if "versionId" in meta and resource["resourceType"] != "Bundle":
        given["ETag"] = f'W/"{meta["versionId"]}"'
    return Response(msgspec.json.encode(resource), status, given, FHIR_JSON + _VERSION[form])


def searchset(
    found: Sequence[Resource], search: Asked, *, address: str, kind: str, total: int | None = None, after: str = ""
) -> Resource:
    """The Bundle of a page. `after`: where the next page begins, "" = this is the last one."""
    terms = [(param.name, ",".join(_joined(value) for value in param.values)) for param in search.params]
    here = [*terms, ("_summary", "count")] if search.count == 0 else [*terms, ("_count", str(search.count))]
    bundle: Resource = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [_link("self", address, kind, [*here, *([("_after", search.after)] if search.after else [])])],
    }
    if total is not None:
        bundle["total"] = total
    if after:
        bundle["link"].append(_link("next", address, kind, [*here, ("_after", after)]))
    entries = [
        {
            "fullUrl": f"{address}/{one['resourceType']}/{one['id']}",
            "resource": one,
            "search": {"mode": "match"},
        }
        for one in found
    ]
    if search.ignored and search.count:
        name = stable_uuid(f"ignored {search.ignored}")
        told = operation_outcome(200, "a parameter is not offered and was left out: see the link `self`", name)
        told["issue"][0] |= {"severity": "warning", "code": "not-supported"}
        entries.append({"fullUrl": f"urn:uuid:{name}", "resource": told, "search": {"mode": "outcome"}})
    return bundle | ({"entry": entries} if entries else {})


def paged(found: Collection[Resource], search: Asked, *, address: str, kind: str) -> Resource:
    """The Bundle of a page of all that was found, by id."""
    rest = sorted((one for one in found if one["id"] > search.after), key=itemgetter("id"))
    page = rest[: search.count]
    after = page[-1]["id"] if len(rest) > len(page) > 0 else ""
    return searchset(page, search, address=address, kind=kind, total=len(found), after=after)


def fits_token(values: Iterable[str], codings: Iterable[tuple[str, str]]) -> bool:
    """Whether one of `code`, `system|code`, `system|` and `|code` is among (system, code)."""
    held = list(codings)
    for value in values:
        system, bar, code = value.rpartition("|")
        if any((not bar or system == has) and code in ("", is_) for has, is_ in held) and (code or system):
            return True
    return False


def fits_date(values: Iterable[str], first: int, last: int) -> bool:
    """Whether a time from `first` to before `last` (milliseconds) fits one of the values (FHIR search, date)."""
    return any(_fits_one(value, first, last) for value in values)


def _fits_one(value: str, first: int, last: int) -> bool:
    prefix, start, end = span(value)
    match prefix:
        case "ge":
            return last > start
        case "gt":
            return last > end
        case "le":
            return first < end
        case "lt":
            return first < start
        case _:
            return start <= first and last <= end


def span(value: str) -> tuple[str, int, int]:
    """(prefix, first, end) in milliseconds of a date as a search writes it. Raises RefusalError 400."""
    found = _DATE.fullmatch(value)
    try:
        if found is not None:
            return found[1] or "eq", *_between(found[2])
    except (ValueError, OverflowError):
        pass  # there is no such day
    raise RefusalError(400, "a date is written `2026-03-01`, with one of `eq ge gt le lt` before it or none")


def _between(said: str) -> tuple[int, int]:
    if "T" in said:
        moment = datetime.fromisoformat(said.replace(" ", "+"))  # a plus sign of an address that was not escaped
        start = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        clock = said.partition("T")[2]
        return start, start + (1 if "." in clock else 1000 if re.match(r"\d\d:\d\d:\d\d", clock) else 60_000)
    first = date.fromisoformat(said + "-01-01"[len(said) - 4 :])
    last = first + timedelta(days=1)
    if len(said) == 7:
        last = (first + timedelta(days=31)).replace(day=1)
    elif len(said) == 4:
        last = first.replace(year=first.year + 1)
    return milliseconds(first), milliseconds(last)


def milliseconds(day: date) -> int:
    """When a day begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _counted(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise RefusalError(400, "`_count` is a whole number")
    return min(int(value), MOST)


def _split(value: str) -> list[str]:
    """At commas, but for those that a backslash escapes, as it does `|`, `$` and itself."""
    parts = [""]
    for piece in _PIECES.findall(value):
        if piece == ",":
            parts.append("")
        else:
            parts[-1] += piece[1:] if piece[1:] in _ESCAPED else piece
    return [part.strip() for part in parts]


def _joined(value: str) -> str:
    """A value so that `_split` gives it again."""
    return re.sub(r"([\\,])", r"\\\1", value)


def _link(relation: str, address: str, kind: str, terms: list[tuple[str, str]]) -> Resource:
    return {"relation": relation, "url": f"{address}/{kind}?{urlencode(terms)}"}
