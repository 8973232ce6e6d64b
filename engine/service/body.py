"""Reading a request body: its media type and size are checked before anything is kept."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from engine.service.outcome import RefusalError

READ_SECONDS = 30
FORM = "application/x-www-form-urlencoded"


async def read_body(request: Request, most: int, *, may_be_empty: bool = False, form: bool = False) -> bytes:
    """The body of a JSON request. Raises RefusalError 408, 413 or 415.

    `may_be_empty`: a request without a body may name any media type, such as that of a form. `form`: it is that of a
    form instead.
    """
    kind = request.headers.get("content-type", FORM if form else "application/json").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    is_right = kind == FORM if form else is_json
    if not is_right and not may_be_empty:
        raise _no_json(form)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusalError(415, "a compressed body is not read: send it as it is")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except ClientDisconnect:
        raise RefusalError(400, "the connection ended before the body did") from None
    except TimeoutError:
        raise RefusalError(408, f"the body took longer than {READ_SECONDS} seconds") from None
    if size and not is_right:
        raise _no_json(form)
    return b"".join(parts)


def _no_json(form: bool) -> RefusalError:
    return RefusalError(415, f"the body must be `{FORM if form else 'application/json'}`")


def _too_large(most: int) -> RefusalError:
    return RefusalError(413, f"the body is larger than {most} bytes: send less, or ask for a higher limit")
