"""The public keys of a trusted client: from the settings, a file, or the address (`jku`) that the settings name.

The `jku` of a token's header is never followed. Keys of an address are cached, and read again when they are old or when
a token names one that is not known; while the address does not answer, the old ones hold for a day.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from engine.errors import SettingsError
from engine.settings import TrustedClient

FRESH_SECONDS = 3600
STALE_SECONDS = 24 * 3600
REREAD_SECONDS = 30
FETCH_SECONDS = 5.0
LARGEST = 256 * 1024
UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError)

log = structlog.get_logger("endplate.auth")


class ClientKeys:
    """The keys of one client, and its settings. Raises SettingsError if those of the settings or a file are no keys."""

    def __init__(self, trusted: TrustedClient) -> None:
        given = [source for source in (trusted.jwks, trusted.jwks_file, trusted.jku) if source is not None]
        if len(given) > 1:
            raise SettingsError(f"the trusted client `{trusted.iss}` has keys twice: give one of jwks, jwks_file, jku")
        if trusted.jku is not None and trusted.jku.scheme != "https" and trusted.jku.host not in ("127.0.0.1", "[::1]"):
            raise SettingsError(f"the `jku` of the trusted client `{trusted.iss}` must be an https address")
        self.trusted = trusted
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._read_at = float("-inf")
        self._keys = KeySet([]) if trusted.jku is not None else _configured(trusted)

    def keys_for(self, key_id: str, now: float) -> KeySet:
        """The keys by which a token may be signed; read again if there is reason to."""
        if self.due(key_id, now):
            self.refresh(now)
        if self.trusted.jku is not None and now - self._read_at > STALE_SECONDS:
            return KeySet([])
        return self._keys

    def due(self, key_id: str, now: float) -> bool:
        """Whether `keys_for` reads them again, which may take seconds."""
        if self.trusted.jwks is not None or (self._keys.keys and now - self._asked_at <= REREAD_SECONDS):
            return False
        known = any(key.kid == key_id for key in self._keys.keys)
        return not known or (self.trusted.jku is not None and now - self._read_at > FRESH_SECONDS)

    def refresh(self, now: float, *, force: bool = False) -> None:
        """Reads the file or the address again, at most every 30 seconds unless forced; what fails changes nothing."""
        if not self._lock.acquire(blocking=force or not self._keys.keys):
            return  # another thread is at it: the keys that are known hold meanwhile
        try:
            if not force and now - self._asked_at <= REREAD_SECONDS:
                return
            self._asked_at = now
            self._keys = _fetched(self.trusted) if self.trusted.jku is not None else _configured(self.trusted)
            self._read_at = now
        except SettingsError as broken:
            log.warning("keys not read again", iss=self.trusted.iss, reason=str(broken))
        finally:
            self._lock.release()


def _configured(client: TrustedClient) -> KeySet:
    """Raises SettingsError if there are none, or if one is a secret."""
    content: Any = client.jwks
    try:
        if client.jwks_file is not None:
            content = json.loads(client.jwks_file.read_text("utf-8"))
    except OSError as error:
        reason = error.strerror or "the file cannot be read"
        raise SettingsError(f"the keys of the trusted client `{client.iss}`: `{client.jwks_file}`: {reason}") from None
    except ValueError:
        content = None
    return _key_set(content, client)


def _fetched(client: TrustedClient) -> KeySet:
    """The keys at the address. Raises SettingsError."""
    body, until = b"", time.monotonic() + FETCH_SECONDS
    try:
        with (
            httpx2.Client(follow_redirects=False, trust_env=False, timeout=FETCH_SECONDS) as http,
            http.stream(
                "GET", str(client.jku), headers={"Accept": "application/json", "Accept-Encoding": "identity"}
            ) as response,
        ):
            if response.status_code != 200 or "content-encoding" in response.headers:
                raise SettingsError(f"`jku` answered {response.status_code}")
            for part in response.iter_bytes():
                body += part
                if len(body) > LARGEST or time.monotonic() > until:
                    raise SettingsError("`jku` answered with too much, or too slowly")
        content = json.loads(body)
    except httpx2.HTTPError as error:
        raise SettingsError(f"`jku` does not answer ({type(error).__name__})") from None
    except (ValueError, RecursionError):
        content = None
    return _key_set(content, client)


def _key_set(content: Any, client: TrustedClient) -> KeySet:
    try:
        keys = KeySet.import_key_set(content)
    except UNREADABLE:
        raise SettingsError(f"the trusted client `{client.iss}` has no keys: `jwks` must be a JWK set") from None
    if not keys.keys or any(key.key_type not in ("EC", "RSA") or not key.kid for key in keys.keys):
        raise SettingsError(f"the keys of the trusted client `{client.iss}` must be EC or RSA keys, each with a `kid`")
    return keys
