"""Which FHIR servers may be asked: those of the settings, compared exactly.

An address that a client names is only ever compared; what is called is built from the settings. A link to a next page
is followed on the same server alone: same scheme, host, port, and below the same path.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import unquote

import httpx2

LONGEST = 8192
_PORTS = {"http": 80, "https": 443}


def allowed(given: str, servers: Sequence[str]) -> httpx2.URL | None:
    """The allow-listed base address that `given` names, or None."""
    url = _parsed(given)
    if url is None or url.query or url.fragment:
        return None
    for server in servers:
        base = httpx2.URL(server.rstrip("/"))
        if (_origin(url), _path(url)) == (_origin(base), _path(base)):
            return base
    return None


def beside(base: httpx2.URL, link: str) -> httpx2.URL | None:
    """The address of a further page, absolute or relative, if it is on the server at `base`."""
    if len(link) > LONGEST or "\\" in link:
        return None
    try:
        url = httpx2.URL(f"{base}/").join(link)
    except (httpx2.InvalidURL, ValueError):
        return None
    path, root = _path(url), _path(base)
    inside = path == root or path.startswith(f"{root}/")
    climbs = ".." in unquote(unquote(path)).split("/")
    return url if inside and not climbs and not url.userinfo and _origin(url) == _origin(base) else None


def _parsed(text: str) -> httpx2.URL | None:
    if len(text) > LONGEST or "\\" in text:
        return None
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        return None
    return url if url.scheme in _PORTS and url.host and not url.userinfo else None


def _origin(url: httpx2.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host.lower(), url.port or _PORTS.get(url.scheme)


def _path(url: httpx2.URL) -> str:
    return url.raw_path.partition(b"?")[0].decode("ascii").rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
