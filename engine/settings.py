"""Settings of the service, read once at the edge from environment variables `ENDPLATE_...`.

A list or an object is given as JSON: `ENDPLATE_CORS_ORIGINS='["https://ehr.example.org"]'`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import SettingsError

PREFIX = "ENDPLATE_"


def cache_folder() -> Path:
    """The cache folder of the user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "endplate"


def data_folder() -> Path:
    """The folder of what the service keeps."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "endplate"


class TrustedClient(BaseModel):
    """An EHR that may call: the `iss` of its tokens and the public keys that sign them: a JWK set, or where one is.

    `jku` is the address of a key set; the one of a token's header is never followed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    iss: Annotated[str, Field(min_length=1)]
    jwks: dict[str, Any] | None = None
    jwks_file: Path | None = None
    jku: AnyHttpUrl | None = None
    tenant: str | None = None  # the `tenant` that its tokens must name; None: any or none


class Settings(BaseSettings):
    """Everything that can be set; the description of a field is its documentation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    base: Annotated[str, Field(pattern=r"^(urn:|https?://)\S+$", description="start of the URIs that outputs name")] = (
        "urn:endplate"
    )
    ruleset: Annotated[Path | None, Field(description="folder of another ruleset")] = None
    valuesets: Annotated[tuple[Path, ...], Field(description="folders of a site's own value sets")] = ()
    cache: Path = Field(default_factory=cache_folder, description="folder for compiled rulesets")
    tenant: Annotated[str, Field(description="part of the key of a patient, where ids repeat between hospitals")] = ""
    backend: Annotated[
        Literal["auto", "plain", "both"],
        Field(description="what infers: both holds durable-rules against plain; auto: both where it is installed"),
    ] = "auto"
    timezone: Annotated[
        str, Field(description="IANA name; its date is the date of evaluation; empty: this machine's")
    ] = ""
    missing: Annotated[
        Literal["listed", "proved"],
        Field(description="what cards say of missing data: all candidates, or those proved to change something"),
    ] = "proved"

    public_url: Annotated[
        AnyHttpUrl | None, Field(description="address by which clients call the service; tokens are made out to it")
    ] = None
    pages_url: Annotated[
        AnyHttpUrl | None,
        Field(description="address of pages that cards link to; empty: no links (with `--dev`: this machine)"),
    ] = None
    trusted_clients: Annotated[
        tuple[TrustedClient, ...],
        Field(description="who may call: JSON list of {iss, one of jwks, jwks_file and jku, tenant}"),
    ] = ()
    leeway_seconds: Annotated[int, Field(ge=0, le=300, description="by how much clocks may differ")] = 60
    cors_origins: Annotated[
        tuple[str, ...],
        Field(description="origins of browser clients that may call, such as `https://ehr.example.org`"),
    ] = ()
    max_body_bytes: Annotated[int, Field(ge=1024, description="largest request that is read")] = 16 * 1024 * 1024
    threads: Annotated[int, Field(ge=1, le=64, description="evaluations at the same time")] = 4
    observation_categories: Annotated[
        tuple[str, ...], Field(description="categories of Observations that prefetch asks for; empty: all Observations")
    ] = ("laboratory", "exam", "vital-signs", "procedure", "imaging", "survey", "therapy")
    fhir_servers: Annotated[
        tuple[AnyHttpUrl, ...],
        Field(description="addresses of FHIR servers that missing prefetch may be fetched from; empty: none"),
    ] = ()
    fetch_seconds: Annotated[float, Field(gt=0, le=60, description="by when everything must be fetched")] = 5.0
    fetch_pages: Annotated[int, Field(ge=1, le=1000, description="most pages of one query")] = 20
    fetch_bytes: Annotated[int, Field(ge=1024, description="most bytes that are fetched for one call")] = (
        16 * 1024 * 1024
    )
    data: Path = Field(
        default_factory=data_folder,
        description="folder of the store and the audit trail (with `--dev`: in memory, and no trail)",
    )
    audit: Annotated[bool, Field(description="write the audit trail")] = True
    specialists: Annotated[
        tuple[str, ...],
        Field(description="users (`Practitioner/x`) whose word silences a diagnostic card of high severity"),
    ] = ()
    suggest_issues: Annotated[
        bool, Field(description="offer each finding as a DetectedIssue that the EHR may create")
    ] = True
    pages_hours: Annotated[
        int, Field(ge=1, le=168, description="hours for which the page of an evaluation can be opened")
    ] = 24
    requests_per_second: Annotated[
        int, Field(ge=0, description="requests of one client, over which it gets 429; 0: no limit")
    ] = 200
    workers: Annotated[int, Field(ge=1, le=64, description="processes that serve")] = 1
    check_output: Annotated[bool, Field(description="check resources in suggestions with fhir.resources (slow)")] = (
        False
    )

    def summary(self) -> dict[str, Any]:
        """What the log says at the start; keys of clients are left out."""
        shown = self.model_dump(mode="json", exclude={"trusted_clients"}, exclude_defaults=True)
        return shown | {"trusted": [client.iss for client in self.trusted_clients]}


def read_settings(**given: Any) -> Settings:
    """The settings of the environment, under those `given`. Raises SettingsError, which names the first wrong one."""
    try:
        return Settings(**given)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        name = f"{PREFIX}{str(first['loc'][0]).upper()}" + "".join(f"[{part}]" for part in first["loc"][1:])
        raise SettingsError(f"`{name}`: {first['msg'].lower()}; see the settings page") from None
    except ValueError as unreadable:  # pydantic-settings: a list or object that is no JSON
        raise SettingsError(f"{str(unreadable).splitlines()[0]}; lists and objects are written as JSON") from None
