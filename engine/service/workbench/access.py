"""Who looks: in development everybody on this machine, otherwise who has signed in (session.py)."""

from __future__ import annotations

import msgspec
from fastapi import Request

from engine.service.call import Token
from engine.service.outcome import RefusalError
from engine.service.state import Service


class User(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: as the FHIR server of the sign-in names them ("" in development); `server`: its base address, `token` for
    it, and `patient` ("Patient/x") of the launch, if any."""

    name: str = ""
    operator: bool = False
    server: str = ""
    token: Token = Token()
    patient: str = ""
    encounter: str = ""
    may_write: bool = False


def user_of(service: Service, request: Request) -> User:
    """Who sent a request. Raises RefusalError 401 if nobody known."""
    if service.authenticator is None:
        return User(operator=True, may_write=True)
    raise RefusalError(401, "open the workbench from the patient's chart, or sign in")
