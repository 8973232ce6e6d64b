"""Starting the service: settings are read here, and nowhere below."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import AnyHttpUrl

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.inference.backends import available, make_backend
from engine.rules.load import load_ruleset
from engine.service.app import create_app
from engine.service.audit import Audit
from engine.service.auth import Authenticator
from engine.service.logs import configure_logs
from engine.service.servers import is_loopback
from engine.service.state import Service
from engine.service.working import attach
from engine.settings import Settings, read_settings
from engine.store import Store

DEV_NOTICE = """\
************************************************************************
  DEVELOPMENT MODE: NO AUTHENTICATION. Everybody on this machine may call.
  Loopback only; never put real patients' data into it.
************************************************************************
"""
NOBODY_TRUSTED = (
    "no client is trusted (`ENDPLATE_TRUSTED_CLIENTS`): only sources are heard, and whatever needs a token, such as "
    "CDS Hooks and /fhir, answers 401 to everybody"
)
SWITCH_SECONDS = 0.001  # after which a thread that computes lets others go on
COLLECT = (20_000, 10, 10)  # a call makes some thousand objects, and leaves none
_UVICORN: dict[str, Any] = {
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "timeout_graceful_shutdown": 20,
    "timeout_keep_alive": 30,
}


def serve(host: str = "127.0.0.1", port: int = 8080, *, dev: bool = False) -> None:
    """Serve until stopped. Raises SettingsError, before anything listens, if it would not be safe.

    SIGHUP reads rules and keys again. With several workers each is a process of its own (`application`), and SIGHUP
    replaces them one after another.
    """
    if dev and not is_loopback(host):
        raise SettingsError(f"`--dev` is without authentication and listens on loopback alone, not on `{host}`")
    settings = read_settings()
    if not dev:
        Authenticator(settings)  # before the rules are read: it refuses to start open to the world
    configure_logs()
    log = structlog.get_logger("endplate.service")
    if dev:
        sys.stderr.write(DEV_NOTICE)
        settings = settings.model_copy(
            update={"pages_url": settings.pages_url or AnyHttpUrl(f"http://{_shown(host)}:{port}"), "workers": 1}
        )
    log.warning("listening", host=host, port=port, authentication="none" if dev else "required", **settings.summary())
    if not (dev or settings.trusted_clients):
        log.warning(NOBODY_TRUSTED)
    if settings.workers > 1:
        store_of(settings).close()  # before there are several: what is wrong with it, or with the rules,
        evaluator_of(settings).backend.close()  # ends the start
        uvicorn.run(
            "engine.service.serve:application", factory=True, workers=settings.workers, host=host, port=port,
            **_uvicorn(settings),
        )
        return
    app = _application(settings, dev=dev)
    try:
        uvicorn.run(app, host=host, port=port, **_uvicorn(settings))
    finally:
        _close(app)


def _uvicorn(settings: Settings) -> dict[str, Any]:
    """Where a proxy says who calls, it is known by its own address, and not by the one that it forwards."""
    return _UVICORN | {"proxy_headers": not settings.proxies}


def application() -> FastAPI:
    """The application by the settings of the environment, for a server that makes processes of its own."""
    configure_logs()
    return _application(read_settings())


def _application(settings: Settings, *, dev: bool = False) -> FastAPI:
    service_of: list[Service] = []
    audit = Audit(
        settings.data / "audit" if settings.audit and not dev else None,
        lost=lambda events: service_of[0].metrics.failures.labels("audit").inc(events) if service_of else None,
    )
    app = create_app(
        evaluator_of(settings),
        settings,
        dev=dev,
        store=store_of(settings, dev=dev),
        audit=audit,
        load=lambda: evaluator_of(settings),
    )
    service_of.append(app.state.service)
    attach(app)
    app.state.service.store.purge(app.state.service.seconds())
    if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
        service = app.state.service
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=_reload, args=[service], daemon=True).start())
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT)
    _settle()
    return app


def _reload(service: Service) -> None:
    gc.unfreeze()  # the old rules become garbage
    service.reload()
    _settle()


def _settle() -> None:
    """Rules stay: the search for garbage leaves them out, and no call waits for it."""
    gc.collect()
    gc.freeze()


def store_of(settings: Settings, *, dev: bool = False) -> Store:
    """The store of the settings, made or upgraded; in development in memory, unless a database is named."""
    place = settings.store
    held = None if dev and isinstance(place, Path) else place
    return Store(held, connections=settings.database_connections, tenant=settings.tenant)


def _close(app: FastAPI) -> None:
    service: Service = app.state.service
    service.close()
    service.live.content.evaluator.backend.close()


def evaluator_of(settings: Settings) -> Evaluator:
    """The ruleset and the backend of the settings; durable-rules runs in a process of its own, beside plain."""
    added = (*settings.valuesets, *((settings.site,) if settings.site else ()))
    ruleset = load_ruleset(settings.ruleset, extra_valuesets=added, cache_dir=settings.cache, base=settings.base)
    both = settings.backend == "both" or (settings.backend == "auto" and "both" in available())
    backend = make_backend("both" if both else "plain", ruleset.program, guarded=True)
    return Evaluator(ruleset, backend, settings.tenant)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
