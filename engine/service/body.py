"""Reading a request body: its media type and size are checked before anything is kept."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from engine.service.outcome import RefusalError

READ_SECONDS = 30


async def read_body(request: Request, most: int) -> bytes:
    """The body of a JSON request. Raises RefusalError 408, 413 or 415."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RefusalError(415, "the body must be `application/json`")
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
    return b"".join(parts)


def _too_large(most: int) -> RefusalError:
    return RefusalError(413, f"the body is larger than {most} bytes: send less, or ask for a higher limit")
