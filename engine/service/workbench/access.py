"""Who looks: in development everybody on this machine, otherwise who has signed in (session.py)."""

from __future__ import annotations

import msgspec
from fastapi import Request

from engine.service.call import Token
from engine.service.state import Service
from engine.service.workbench.session import is_operator, needs_session


class User(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: as the FHIR server of the sign-in names them ("" in development); `server`: its base address, `token` for
    it, and `patient` ("Patient/x") of the launch, if any; `card`: they follow a card that waits for answers."""

    name: str = ""
    operator: bool = False
    server: str = ""
    token: Token = Token()
    patient: str = ""
    encounter: str = ""
    may_write: bool = False
    card: bool = False


def user_of(service: Service, request: Request) -> User:
    """Who sent a request. Raises RefusalError if nobody known: 303 to the page for signing in, or 401; and 503."""
    session = needs_session(request)
    several = len(service.settings.smart_servers) > 1
    unnamed = f"a user of {session.server}" if session.server else ""
    return User(
        name=(session.owner if several else session.user) or unnamed,
        operator=is_operator(service, session),
        server=session.base,
        token=session.token,
        patient=f"Patient/{session.patient}" if session.patient else "",
        encounter=session.encounter,
        may_write=session.writes,
        card=bool(session.issue),
    )
