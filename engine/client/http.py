"""HTTP to servers that were named beforehand, within bounds: origins, bytes, time, attempts, redirects.

Only listed origins are called. The token goes only to the origins that may have it, over https (or on this machine),
and never along a redirect to another one. No cookie is kept and nothing of the environment is used. What is busy or
does not answer is asked again with growing pauses, or when its Retry-After says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol, TypeVar

import httpx2
import msgspec
import stamina

from engine.errors import InputError, RemoteError
from engine.fhir.decode import decode
from engine.fhir.elements import Json, obj

LARGEST = 32 * 1024 * 1024                 # bytes of an answer that is held in memory
LONGEST = 8192                             # characters of an address
_MOST_HOPS = 5
_PORTS = {"http": 80, "https": 443}
_HERE = frozenset({"127.0.0.1", "::1", "localhost"})
_BUSY = frozenset({429, 503})              # nothing was done: any request may be sent again
_FAILED = frozenset({502, 504})            # perhaps something was done
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_T = TypeVar("_T")

# whoever calls says what is repeated; the library would write to stdout
stamina.instrumentation.set_on_retry_hooks(())


class Patience(msgspec.Struct, frozen=True):
    """How long a server is waited for, in seconds. A Retry-After beyond `most` is not waited for."""

    attempts: int = 6
    first: float = 0.5                     # pause before the second attempt, then twice as long each time
    most: float = 300.0
    connect: float = 10.0
    read: float = 60.0                     # between two pieces of an answer
    answer: float = 300.0                  # for a whole answer that is held in memory


class TokenSource(Protocol):
    """Gives the token of now; `refused` is one that a server did not take, so that it is not given again."""

    def token(self, refused: str = "") -> str: ...


class BusyError(RemoteError):
    """A server answered with a `status` that asks to come back; `after` seconds, None = it does not say."""

    def __init__(self, message: str, after: float | None, *, status: int, repeatable_only: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.status = status
        self.repeatable_only = repeatable_only


class StrangeError(RemoteError):
    """An address leads to an origin that may not be called."""

    def __init__(self, where: str) -> None:
        super().__init__(f"an address leads to `{where}`, which is not among the servers that may be called")
        self.origin = where


class Answer(msgspec.Struct, frozen=True):
    """A whole answer; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Json:
        """The object that it holds. Raises RemoteError if it holds none."""
        try:
            return obj(decode(self.body))
        except InputError:
            raise RemoteError(f"`{origin(self.url)}` answered with something that is no JSON") from None

    @property
    def retry_after(self) -> float | None:
        return retry_after(self.headers.get("retry-after", ""))


class Http:
    """Calls to `origins` (any address of a server stands for its origin); those of `trusted` get the token.

    May be used by several threads. Raises InputError where a token would go over an open line.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        tokens: TokenSource | None = None,
        trusted: Collection[str] = (),
        patience: Patience | None = None,
    ) -> None:
        self.patience = patience or Patience()
        self._tokens = tokens
        self._trusted = frozenset(origin(url) for url in trusted)
        self._origins = frozenset(origin(url) for url in origins) | self._trusted
        for one in self._trusted if tokens is not None else ():
            if not is_closed(one):
                raise InputError(f"`{one}`: a token is sent over https only")
        self._client = httpx2.Client(
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "endplate", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(self.patience.read, connect=self.patience.connect),
        )

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        token: bool = True,
        largest: int = LARGEST,
        repeatable: bool | None = None,
        attempts: int = 0,
    ) -> Answer:
        """A whole answer of any status but 429, 502, 503 and 504, which are asked again. Raises RemoteError.

        `repeatable`: whether it does no harm to do it twice; None = as the method says. `attempts` 0 = as usual.
        """

        def once() -> Answer:
            with self.opened(method, url, headers=headers, content=content, token=token) as response:
                return Answer(
                    response.status_code,
                    {name.lower(): value for name, value in response.headers.items()},
                    _body(response, largest, time.monotonic() + self.patience.answer),
                    str(response.url),
                )

        repeatable = method in _REPEATABLE if repeatable is None else repeatable
        return self.patiently(once, origin(url), repeatable=repeatable, attempts=attempts)

    def patiently(self, work: Callable[[], _T], where: str, *, repeatable: bool = True, attempts: int = 0) -> _T:
        """Does it, again and again while the server is busy or gone, as often as `Patience` says."""
        patience = self.patience

        def again(error: Exception) -> bool | float:
            if isinstance(error, BusyError):
                if error.repeatable_only and not repeatable:
                    return False
                return True if error.after is None else error.after <= patience.most and max(error.after, 0.01)
            return isinstance(error, httpx2.TransportError if repeatable else _NOT_SENT)

        try:
            for attempt in stamina.retry_context(
                on=again, attempts=attempts or patience.attempts, timeout=None, wait_initial=patience.first,
                wait_max=patience.most, wait_jitter=patience.first,
            ):  # fmt: skip
                with attempt:
                    return work()
        except httpx2.TransportError as error:
            raise RemoteError(f"`{where}` does not answer ({type(error).__name__})") from None
        except httpx2.HTTPError as error:
            raise RemoteError(f"`{where}` gave an answer that cannot be read ({type(error).__name__})") from None
        raise AssertionError("unreachable")

    @contextmanager
    def opened(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        token: bool = True,
    ) -> Iterator[httpx2.Response]:
        """One attempt: an answer that is still to be read, after redirects, and after a new token for a refused one.

        Raises BusyError, StrangeError, RemoteError, and what httpx2 raises.
        """
        target, refused, hops = self._allowed(url), "", 0
        while True:
            sent = self._token(target, refused) if token else ""
            given = {**(headers or {}), **({"Authorization": f"Bearer {sent}"} if sent else {})}
            with self._client.stream(method, target, headers=given, content=content) as response:
                status = response.status_code
                if status == 401 and sent and not refused:
                    refused = sent
                elif response.has_redirect_location:
                    hops += 1
                    if method not in ("GET", "HEAD") or hops > _MOST_HOPS:
                        raise RemoteError(f"`{origin(str(target))}` sent a redirect, which is not followed")
                    target = self._allowed(response.headers["location"], target)
                elif status in _BUSY or status in _FAILED:
                    after = retry_after(response.headers.get("retry-after", ""))
                    asked = f" and asks to come back after {after:.0f} s" if after else ""
                    raise BusyError(f"`{origin(str(target))}` answers {status}{asked}", after,
                                    status=status, repeatable_only=status in _FAILED)
                else:
                    yield response
                    return

    def _allowed(self, url: str, base: httpx2.URL | None = None) -> httpx2.URL:
        target = parsed(url, base)
        if (where := origin(str(target))) not in self._origins:
            raise StrangeError(where)
        return target

    def _token(self, target: httpx2.URL, refused: str) -> str:
        if self._tokens is None or origin(str(target)) not in self._trusted:
            return ""
        return self._tokens.token(refused)


def parsed(url: str, base: httpx2.URL | str | None = None) -> httpx2.URL:
    """An http address, relative to `base` if there is one. Raises RemoteError."""
    try:
        found = (httpx2.URL(base).join(url) if base is not None else httpx2.URL(url)) if len(url) <= LONGEST else None
    except (httpx2.InvalidURL, ValueError):
        found = None
    if found is None or found.scheme not in _PORTS or not found.host or found.userinfo or "\\" in url:
        raise RemoteError("an address is none that can be called: it must be `https://host/path`")
    return found


def is_closed(url: str) -> bool:
    """Whether nobody else reads what goes to an address: https, or this machine. Raises RemoteError."""
    found = parsed(url)
    return found.scheme == "https" or found.host in _HERE


def origin(url: str) -> str:
    """Scheme, host and port. Raises RemoteError for what is no http address."""
    found = parsed(url)
    host = found.raw_host.decode("ascii").lower()
    host = f"[{host}]" if ":" in host else host
    port = found.port or _PORTS[found.scheme]
    return f"{found.scheme}://{host}" + ("" if port == _PORTS[found.scheme] else f":{port}")


def retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header: a number of them, or a date (RFC 9110, 10.2.3); None = it says nothing."""
    value = value.strip()
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        return max((until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _body(response: httpx2.Response, largest: int, until: float) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > largest:
            raise RemoteError(f"`{origin(str(response.url))}` answers with more than {largest // 2**20} MiB")
        if time.monotonic() > until:
            raise RemoteError(f"`{origin(str(response.url))}` answers too slowly")
        parts.append(part)
    return b"".join(parts)
