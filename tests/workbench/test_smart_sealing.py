"""What is sealed can be read with the same secret, for the same purpose, unchanged, and not otherwise."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.service.workbench.sealing import LONGEST, derived, sealed, unsealed


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


PARTS = st.lists(st.binary(max_size=30).map(encoded), min_size=5, max_size=5)
SECRETS = st.binary(min_size=1, max_size=40)


@settings(max_examples=50)
@given(secret=SECRETS, other=SECRETS, content=st.binary(max_size=200))
def test_only_the_same_secret_opens_it_and_for_the_same_purpose(secret: bytes, other: bytes, content: bytes) -> None:
    closed = sealed(secret, "a", content)
    assert unsealed(secret, "a", closed) == content
    assert unsealed(secret, "b", closed) is None
    assert other == secret or unsealed(other, "a", closed) is None
    assert sealed(secret, "a", content) != closed


@settings(max_examples=50)
@given(place=st.integers(0, 10_000), letter=st.sampled_from("AZaz09-_."))
def test_nothing_of_it_can_be_changed(place: int, letter: str) -> None:
    closed = sealed(b"secret", "a", b"content")
    place %= len(closed)
    changed = closed[:place] + letter + closed[place + 1 :]
    assert _bytes(changed) == _bytes(closed) or unsealed(b"secret", "a", changed) is None


def _bytes(closed: str) -> list[bytes]:
    """What the parts say: the last letter of a part has bits that say nothing."""
    try:
        return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in closed.split(".")]
    except ValueError:
        return []


@settings(max_examples=100)
@given(text=st.text(max_size=100) | PARTS.map(".".join))
def test_what_was_never_sealed_is_nothing(text: str) -> None:
    assert unsealed(b"secret", "a", text) is None


def test_hostile_headers_are_nothing() -> None:
    for header in (b"[" * 20_000, b'{"a":' * 5_000, b'{"alg":"none"}', b'{"alg":"dir","enc":"A128GCM"}', b"\xff", b"7"):
        assert unsealed(b"secret", "a", f"{encoded(header)}..AAAA.AAAA.AAAA") is None
    assert unsealed(b"secret", "a", "A" * (LONGEST + 1)) is None


def test_what_is_derived_tells_nothing_of_the_rest() -> None:
    assert derived(b"secret", "a") != derived(b"secret", "b")
    assert len(derived(b"", "a")) == 32
