"""Cases that are open: kept for some hours where pages are kept, under random names that only their page knows."""

from __future__ import annotations

import hmac
import re
import secrets

import msgspec
from fastapi import Request

from engine.service.admission import address_of
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.service.workbench.access import User
from engine.store import Kept
from engine.workbench.case import Case

HOUR = 3600
_NAME = re.compile(r"[A-Za-z0-9_-]{32}")
_GONE = "there is no such case, or no longer: open the patient again"


def new_name() -> str:
    """A name that nobody can guess."""
    return secrets.token_urlsafe(24)


def keep(service: Service, name: str, case: Case) -> None:
    """Keeps a case under its name. Raises RefusalError 503."""
    now = service.seconds()
    row = Kept(
        id=_key(service, name), content=msgspec.msgpack.encode(case), patient=case.patient, at=now,
        until=now + service.settings.pages_hours * HOUR,
    )  # fmt: skip
    with service.storing("the case cannot be kept now: try again"):
        service.store.remember((), [row])


def opened(service: Service, name: str, user: User) -> Case:
    """A case of this user. Raises RefusalError 404."""
    with service.storing("the case cannot be read now: try again"):
        content = service.store.kept(_key(service, name), service.seconds()) if _NAME.fullmatch(name) else None
    if content is None:
        raise RefusalError(404, _GONE)
    case = msgspec.msgpack.decode(content, type=Case)
    if case.owner != user.name:
        raise RefusalError(404, _GONE)
    return case


def audited(service: Service, request: Request, user: User, case: Case, *, action: str, what: str) -> None:
    """What a user did with a case stands in the audit trail."""
    address = address_of(request)
    service.audit.write(service.event(action, what, user=user.name, address=address, patient=case.patient))


def _key(service: Service, name: str) -> str:
    """The id in the store: who reads the database cannot open the page."""
    return hmac.new(service.page_key, f"case {name}".encode(), "sha256").hexdigest()
