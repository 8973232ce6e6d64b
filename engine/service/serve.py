"""Starting the service: settings are read here, and nowhere below."""

from __future__ import annotations

import ipaddress
import sys

import structlog
import uvicorn

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.inference.backends import available, make_backend
from engine.rules.ruleset import load_ruleset
from engine.service.app import create_app
from engine.service.auth import Authenticator
from engine.service.logs import configure_logs
from engine.settings import Settings, read_settings

DEV_NOTICE = """\
************************************************************************
  DEVELOPMENT MODE: NO AUTHENTICATION. Everybody on this machine may call.
  Loopback only; never put real patients' data into it.
************************************************************************
"""


def serve(host: str = "127.0.0.1", port: int = 8080, *, dev: bool = False) -> None:
    """Serve until stopped. Raises SettingsError, before anything listens, if it would not be safe."""
    if dev and not is_loopback(host):
        raise SettingsError(f"`--dev` is without authentication and listens on loopback alone, not on `{host}`")
    settings = read_settings()
    if not dev:
        Authenticator(settings)  # before the rules are read: it refuses to start open to the world
    configure_logs()
    evaluator = evaluator_of(settings)
    try:
        app = create_app(evaluator, settings, dev=dev)
        if dev:
            sys.stderr.write(DEV_NOTICE)
        log = structlog.get_logger("endplate.service")
        log.warning("listening", host=host, port=port, authentication="none" if dev else "required")
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=20,
            timeout_keep_alive=30,
        )
    finally:
        evaluator.backend.close()


def evaluator_of(settings: Settings) -> Evaluator:
    """The ruleset and the backend of the settings; durable-rules runs in a process of its own, beside plain."""
    ruleset = load_ruleset(
        settings.ruleset, extra_valuesets=settings.valuesets, cache_dir=settings.cache, base=settings.base
    )
    both = settings.backend == "both" or (settings.backend == "auto" and "both" in available())
    backend = make_backend("both" if both else "plain", ruleset.program, guarded=True)
    return Evaluator(ruleset, backend, settings.tenant)


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
