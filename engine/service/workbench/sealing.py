"""What only the holder of a secret can read: a JWE (RFC 7516, `dir` with A256GCM) under a key derived from it."""

from __future__ import annotations

import hmac

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

LONGEST = 65_536
_HEADER = {"alg": "dir", "enc": "A256GCM"}
_ALGORITHMS = list(_HEADER.values())
_UNREADABLE = (JoseError, ValueError, TypeError, KeyError)


def derived(secret: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose, from which neither the secret nor those for another purpose can be had."""
    return hmac.digest(secret, purpose.encode(), "sha256")


def sealed(secret: bytes, purpose: str, content: bytes) -> str:
    """The content as text that is safe in a cookie."""
    return jwe.encrypt_compact(_HEADER, content, _key(secret, purpose), algorithms=_ALGORITHMS)


def unsealed(secret: bytes, purpose: str, text: str) -> bytes | None:
    """The content; None if it was not sealed with this secret for this purpose, or has been changed."""
    if len(text) > LONGEST:
        return None
    try:
        return jwe.decrypt_compact(text, _key(secret, purpose), algorithms=_ALGORITHMS).plaintext
    except _UNREADABLE:
        return None


def _key(secret: bytes, purpose: str) -> OctKey:
    return OctKey.import_key(derived(secret, f"seal {purpose}"))
