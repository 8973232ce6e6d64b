"""Who is signed in: a random cookie, and what belongs to it, kept where pages are kept.

The content is sealed with the cookie and stands under a hash of it, so neither the database nor a log gives away a
token or lets anybody in. A sign-in ends with its token, if that cannot be renewed, or after eight hours.
"""

from __future__ import annotations

import secrets
import threading

import msgspec
import structlog
from fastapi import Request
from starlette.responses import Response

from engine.client.http import Patience
from engine.client.launch import App, Launched, creates, renewed
from engine.client.smart import Client, Discovery, RefusedError, renewed_after
from engine.errors import EndplateError
from engine.service.call import Token
from engine.service.outcome import RefusalError
from engine.service.state import Service
from engine.service.workbench.sealing import derived, sealed, unsealed
from engine.settings import Settings, SmartServer
from engine.store import Kept

LONGEST_S = 8 * 3600
SIGN_IN = "/smart"
PATIENCE = Patience(attempts=2, first=0.2, most=1.0, connect=3.0, read=5.0, answer=8.0)  # somebody is waiting
_NAME = "endplate"
_PURPOSE = "session"
_LENGTH = 43  # characters of 32 random bytes
AGAIN_S = 30  # after which an EHR that does not answer is asked for the next token again
LONGEST_NAME = 200
WRITES = ("Observation", "QuestionnaireResponse", "Provenance")  # what saved answers are
_FOR_GOOD = ("invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type")

_renewing = tuple(threading.Lock() for _ in range(16))  # a sign-in has one of them
log = structlog.get_logger("endplate.service")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A person who is signed in. In development without a sign-in all is empty.

    `server`: its name in the settings, `base` its address; `user`: a reference, relative if it is on that server;
    `patient`, `encounter`: ids, those of the launch; `evaluation`, `issue`: of the card that was followed; `writes`:
    answers may be saved; `until`: when it ends, in seconds since 1970.
    """

    server: str = ""
    base: str = ""
    user: str = ""
    patient: str = ""
    encounter: str = ""
    token: Token = Token()
    scopes: tuple[str, ...] = ()
    writes: bool = False
    evaluation: str = ""
    issue: str = ""
    until: int = 0

    @property
    def owner(self) -> str:
        """Who it is among the users of all servers; "" in development."""
        return f"{self.base}/{self.user}" if self.user and "://" not in self.user else self.user


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed. The token holds until the second `expires`; with `refresh` there is a next one at the `endpoint`,
    to be had from the second `renew_at` on."""

    session: Session
    endpoint: Discovery
    expires: int
    renew_at: int
    refresh: Token = Token()


# -- what a request says


def session_of(request: Request) -> Session | None:
    """Who sent a request, None if nobody is signed in. Raises RefusalError 503.

    It may wait for the store or the EHR, unless `look_up` went ahead.
    """
    if not hasattr(request.state, "session"):
        request.state.session = _found(request)
    found: Session | RefusalError | None = request.state.session
    if isinstance(found, RefusalError):
        raise found
    return found


def look_up(request: Request) -> None:
    """A dependency of routes: finds the session in a thread, so that `session_of` has it at once."""
    try:
        request.state.session = _found(request)
    except RefusalError as refusal:
        request.state.session = refusal


def needs_session(request: Request) -> Session:
    """Who sent a request. Raises RefusalError: to the page for signing in (303), or, where something was sent, 401.

    In development nobody need be signed in.
    """
    found = session_of(request)
    if found is not None:
        return found
    if _service(request).authenticator is None:
        return Session(writes=True)
    if request.method in ("GET", "HEAD"):
        raise RefusalError(303, "sign in first", {"Location": SIGN_IN})
    raise RefusalError(
        401, "you are not signed in, or no longer: open the workbench from the patient's chart in another window, then "
        "come back to this page and send it again"
    )  # fmt: skip


def is_operator(service: Service, session: Session) -> bool:
    """Whether this person may see how the service works; in development everybody may."""
    if service.authenticator is None:
        return True
    return bool(session.user) and not {session.user, session.owner}.isdisjoint(service.settings.operators)


# -- beginning and ending


def begin(service: Service, response: Response, server: SmartServer, found: Launched, endpoint: Discovery) -> Session:
    """Signs somebody in: keeps what belongs to the new cookie of the response. Raises RefusalError 503."""
    now = service.seconds()
    card = _card(found.context)
    session = Session(
        server=server.name,
        base=server.base,
        user=found.user,
        patient=found.patient,
        encounter=found.encounter,
        token=Token(found.token),
        scopes=found.scopes,
        writes=server.write_back and all(creates(found.scopes, kind) for kind in WRITES),
        evaluation=card.evaluation,
        issue=card.issue,
        until=now + (LONGEST_S if found.refresh else min(found.seconds, LONGEST_S)),
    )
    held = _Held(session=session, endpoint=endpoint, expires=0, renew_at=0)
    secret = secrets.token_urlsafe(32)
    _keep(service, secret, _with(held, found, now))
    set_cookie(service.settings, response, _NAME, secret, session.until - now)
    return session


def end(request: Request, response: Response) -> Session | None:
    """Signs somebody out; who it was. Raises RefusalError 503."""
    session = forget(request)
    drop_cookie(_service(request).settings, response, _NAME)
    return session


def forget(request: Request) -> Session | None:
    """Forgets what belongs to the cookie of a request; who it was. Raises RefusalError 503."""
    service = _service(request)
    secret = _secret(request)
    held = _held(service, secret) if secret else None
    if held is None:
        return None
    now = service.seconds()
    with service.storing("you cannot be signed out now: close the browser"):
        service.store.remember((), [Kept(id=_id(secret), content=b"", patient="", at=now, until=now)])
    return held.session


def app_of(settings: Settings, server: SmartServer) -> App:
    """Who we are to a server of the settings."""
    client = Client(id=server.client_id, key=server.key_file, key_id=server.key_id) if server.key_file else None
    back = f"{address_of_pages(settings)}/smart/callback"
    return App(base=server.base, id=server.client_id, back=back, client=client, issuer=server.issuer)


def address_of_pages(settings: Settings) -> str:
    """Where browsers find the pages; "" if the settings do not say."""
    return str(settings.pages_url or settings.public_url or "").rstrip("/")


# -- cookies


def cookie_name(settings: Settings, name: str) -> str:
    """Behind TLS a name for which browsers demand that no other host has set it (`__Host-`)."""
    return f"__Host-{name}" if _is_closed(settings) else name


def set_cookie(settings: Settings, response: Response, name: str, value: str, seconds: int) -> None:
    """A cookie that no script reads and that comes back with links, but not with what other sites send."""
    response.set_cookie(
        cookie_name(settings, name), value, max_age=seconds, path="/", secure=_is_closed(settings), httponly=True,
        samesite="lax",
    )  # fmt: skip


def drop_cookie(settings: Settings, response: Response, name: str) -> None:
    response.delete_cookie(
        cookie_name(settings, name), path="/", secure=_is_closed(settings), httponly=True, samesite="lax"
    )


def _is_closed(settings: Settings) -> bool:
    return address_of_pages(settings).startswith("https:")


# -- what is kept


def _found(request: Request) -> Session | None:
    service, secret = _service(request), _secret(request)
    held = _held(service, secret) if secret else None
    if held is not None and held.refresh.value and service.seconds() >= held.renew_at:
        held = _renewed(service, secret)
    return held.session if held is not None and service.seconds() < held.expires else None


def _held(service: Service, secret: str) -> _Held | None:
    now = service.seconds()
    with service.storing("it cannot be seen now who is signed in: try again"):
        content = service.store.kept(_id(secret), now)
    opened = unsealed(secret.encode(), _PURPOSE, content.decode("ascii", "replace")) if content else None
    if opened is None:
        return None
    held = msgspec.msgpack.decode(opened, type=_Held)
    return held if now < held.session.until and _server(service.settings, held.session) is not None else None


def _renewed(service: Service, secret: str) -> _Held | None:
    """With the next token; as it was while another process gets that, or if it cannot be had."""
    with _renewing[int(_id(secret)[:8], 16) % len(_renewing)]:
        held, now = _held(service, secret), service.seconds()
        server = _server(service.settings, held.session) if held is not None else None
        if held is None or server is None or now < held.renew_at:  # another thread was faster
            return held
        with service.storing("it cannot be seen now who is signed in: try again"):
            if not service.store.first_time(f"renew {_id(secret)} {held.renew_at}", now + LONGEST_S, now):
                return held
        session = held.session
        before = Launched(
            token=session.token.value, seconds=0, scopes=session.scopes, refresh=held.refresh.value,
            patient=session.patient,
        )  # fmt: skip
        try:
            found = renewed(app_of(service.settings, server), held.endpoint, before, patience=PATIENCE)
            after = _with(held, found, now)
        except EndplateError as error:
            code = error.code if isinstance(error, RefusedError) else ""
            log.warning("token not renewed", server=server.name, reason=code or type(error).__name__)
            refresh = Token() if code in _FOR_GOOD else held.refresh
            after = msgspec.structs.replace(held, refresh=refresh, renew_at=now + AGAIN_S)
        if _held(service, secret) is None:  # signed out meanwhile
            return None
        _keep(service, secret, after)
        return after


def _with(held: _Held, found: Launched, now: int) -> _Held:
    """With a token that has just been given."""
    return msgspec.structs.replace(
        held,
        session=msgspec.structs.replace(held.session, token=Token(found.token), scopes=found.scopes),
        refresh=Token(found.refresh),
        expires=now + found.seconds,
        renew_at=now + int(renewed_after(found.seconds)),
    )


def _keep(service: Service, secret: str, held: _Held) -> None:
    session, content = held.session, msgspec.msgpack.encode(held)
    row = Kept(
        id=_id(secret), content=sealed(secret.encode(), _PURPOSE, content).encode(), until=session.until,
        patient=f"Patient/{session.patient}" if session.patient else "", at=service.seconds(),
    )  # fmt: skip
    with service.storing("nobody can sign in now: try again"):
        service.store.remember((), [row])


def _id(secret: str) -> str:
    return derived(secret.encode(), "name of a session").hex()


def _server(settings: Settings, session: Session) -> SmartServer | None:
    """The server of a sign-in, if the settings still have it."""
    return next((one for one in settings.smart_servers if (one.name, one.base) == (session.server, session.base)), None)


class _Card(msgspec.Struct, frozen=True):
    evaluation: str = ""
    issue: str = ""


def _card(context: str) -> _Card:
    """What our card said of itself (`appContext`); nothing, if it is not of ours."""
    try:
        card = msgspec.json.decode(context, type=_Card)
    except (msgspec.MsgspecError, RecursionError):
        return _Card()
    return card if all(len(one) <= LONGEST_NAME for one in msgspec.structs.astuple(card)) else _Card()


def _secret(request: Request) -> str:
    """The cookie; "" if there is none that could be ours."""
    found = request.cookies.get(cookie_name(_service(request).settings, _NAME), "")
    return found if len(found) == _LENGTH else ""


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
