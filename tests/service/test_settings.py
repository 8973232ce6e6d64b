"""Settings come from the environment, and a wrong one is named as it is written there."""

from __future__ import annotations

import pytest

from engine.errors import SettingsError
from engine.evaluation import Evaluator
from engine.service.app import create_app
from engine.service.serve import is_loopback, serve
from engine.settings import Settings, read_settings


def test_without_any_setting_the_defaults_hold() -> None:
    settings = read_settings()

    assert settings.base == "urn:endplate"
    assert settings.trusted_clients == ()
    assert settings.backend == "auto"


def test_lists_and_objects_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPLATE_TRUSTED_CLIENTS", '[{"iss": "https://ehr.example.org", "jwks_file": "keys.json"}]')
    monkeypatch.setenv("ENDPLATE_CORS_ORIGINS", '["https://ehr.example.org"]')
    monkeypatch.setenv("ENDPLATE_PUBLIC_URL", "https://cds.example.org")

    settings = read_settings()

    assert settings.trusted_clients[0].iss == "https://ehr.example.org"
    assert settings.cors_origins == ("https://ehr.example.org",)
    assert str(settings.public_url) == "https://cds.example.org/"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_CLIENTS", "[{}]"),
        ("TRUSTED_CLIENTS", "not json"),
        ("TRUSTED_CLIENTS", '[{"iss": "x", "secret": "y"}]'),
        ("PUBLIC_URL", "cds.example.org"),
        ("BACKEND", "fast"),
        ("MAX_BODY_BYTES", "-1"),
        ("BASE", "endplate"),
        ("THREADS", "many"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ENDPLATE_{name}", value)

    with pytest.raises(SettingsError, match=name if value != "not json" else "trusted_clients"):
        read_settings()


def test_a_time_zone_that_is_none_is_named(evaluator: Evaluator) -> None:
    with pytest.raises(SettingsError, match="`Mars/Olympus` is no time zone"):
        create_app(evaluator, Settings(timezone="Mars/Olympus"), dev=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "cds.example.org", ""])  # noqa: S104
def test_without_authentication_only_loopback_is_served(host: str) -> None:
    with pytest.raises(SettingsError, match="loopback"):
        serve(host=host, dev=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_has_several_names(host: str) -> None:
    assert is_loopback(host)
