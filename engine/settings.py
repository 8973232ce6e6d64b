"""Settings of the service, read once at the edge from environment variables `ENDPLATE_...`.

A list or an object is given as JSON: `ENDPLATE_CORS_ORIGINS='["https://ehr.example.org"]'`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
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


class SourceSubscription(BaseModel):
    """A subscription at a source. `heartbeat_seconds`: how often it must be heard at least; 0: that is not watched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=500)]
    heartbeat_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 0


class Peer(BaseModel):
    """Another system by its name; its server is called as `client_id`, with `key_file`, if they are given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    client_id: str = ""
    key_file: Path | None = None
    key_id: str = ""
    scope: str = ""
    token_url: str = ""

    @model_validator(mode="after")
    def _a_client_has_a_key(self) -> Self:
        if bool(self.client_id) != (self.key_file is not None):
            raise ValueError("`client_id` and `key_file` belong together")
        return self


class SourceSettings(Peer):
    """One who tells what has changed, known by one of `secret` (in `secret_header`), `hmac_secret`, `iss` and
    `proxy_identity`. With `fhir_url` what it does not tell is fetched there.
    """

    secret_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "X-Endplate-Secret"  # noqa: S105
    secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    hmac_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    iss: str | None = None
    proxy_identity: str | None = None
    fhir_url: AnyHttpUrl | None = None
    subscriptions: tuple[SourceSubscription, ...] = ()
    unique_ids: bool = False  # no other source uses its ids for something else


class SinkSettings(Peer):
    """A FHIR server that is told of findings. `version`: what it says itself if empty. `fallback`: what it gets where
    it takes no DetectedIssue.
    """

    url: AnyHttpUrl
    version: Literal["", "R4", "R5"] = ""
    fallback: Literal["communication", "flag", "none"] = "none"


class SmartServer(BaseModel):
    """A FHIR server from whose patients' charts the workbench is opened, as `client_id`, with `key_file` if it is a
    confidential client. `scope`: what the rules need, if empty; `issuer`: who signs for users, where it is not whom
    the server names; `write_back`: answers are saved there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    fhir_url: AnyHttpUrl
    client_id: Annotated[str, Field(min_length=1)]
    key_file: Path | None = None
    key_id: str = ""
    scope: str = ""
    write_back: bool = False
    issuer: str = ""

    @field_validator("fhir_url")
    @classmethod
    def _it_is_an_address_alone(cls, url: AnyHttpUrl) -> AnyHttpUrl:
        if url.query or url.fragment or url.username or url.password:
            raise ValueError("the address of a server has no `?`, no `#` and no `@`")
        return url

    @property
    def base(self) -> str:
        """The address without a slash at its end."""
        return str(self.fhir_url).rstrip("/")


class Settings(BaseSettings):
    """Everything that can be set; the description of a field is its documentation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    base: Annotated[str, Field(pattern=r"^(urn:|https?://)\S+$", description="start of the URIs that outputs name")] = (
        "urn:endplate"
    )
    ruleset: Annotated[Path | None, Field(description="folder of another ruleset")] = None
    valuesets: Annotated[tuple[Path, ...], Field(description="folders of a site's own value sets")] = ()
    site: Annotated[
        Path | None, Field(description="a site.yaml whose accepted entries count as value sets; also of the commands")
    ] = None
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
    threads: Annotated[
        int, Field(ge=1, le=64, description="threads for large calls, and for all calls where the store is shared")
    ] = 4
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
    database: Annotated[
        SecretStr | None,
        BeforeValidator(lambda given: given or None),
        Field(description="address of a PostgreSQL database (`postgresql://user@host/name`); empty: a SQLite file"),
    ] = None
    database_connections: Annotated[
        int, Field(ge=2, le=64, description="most connections of one process to the store")
    ] = 8
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
    sources: Annotated[
        tuple[SourceSettings, ...],
        Field(description="who tells what has changed: JSON list, see the page on integration; empty: nobody"),
    ] = ()
    sinks: Annotated[
        tuple[SinkSettings, ...],
        Field(description="FHIR servers to tell of findings: JSON list, see the page on integration; empty: none"),
    ] = ()
    subscribers: Annotated[
        tuple[AnyHttpUrl, ...],
        Field(description="addresses whose origins may subscribe to findings; empty: there are no subscriptions"),
    ] = ()
    smart_servers: Annotated[
        tuple[SmartServer, ...],
        Field(description="FHIR servers from which it is opened: JSON list, see the page on SMART; empty: none"),
    ] = ()
    operators: Annotated[
        tuple[str, ...],
        Field(description="users (`Practitioner/x`) who may open the pages on operations; empty: nobody"),
    ] = ()
    proxies: Annotated[
        tuple[str, ...],
        Field(description="addresses or networks of proxies that may say in a header which source calls"),
    ] = ()
    proxy_identity_header: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$", description="header in which a proxy says which source calls")
    ] = "X-Client-Identity"
    workers: Annotated[int, Field(ge=1, le=64, description="processes that serve")] = 1
    check_output: Annotated[bool, Field(description="check resources in suggestions with fhir.resources (slow)")] = (
        False
    )

    @field_validator("sources", "sinks")
    @classmethod
    def _each_has_a_name_of_its_own(cls, peers: tuple[Peer, ...], known: ValidationInfo) -> tuple[Peer, ...]:
        names = [peer.name for peer in peers]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two {known.field_name} are called `{twice}`")
        return peers

    @field_validator("smart_servers")
    @classmethod
    def _servers_can_be_told_apart(cls, servers: tuple[SmartServer, ...]) -> tuple[SmartServer, ...]:
        names, bases = [one.name for one in servers], [one.base for one in servers]
        for known in (names, bases):
            if twice := next((one for one in known if known.count(one) > 1), ""):
                raise ValueError(f"`{twice}` is there twice")
        return servers

    @field_validator("operators")
    @classmethod
    def _operators_can_be_told_apart(cls, operators: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        """Where several servers name their users, `Practitioner/1` may be anybody."""
        short = next((one for one in operators if "://" not in one), "")
        if short and len(known.data.get("smart_servers", ())) > 1:
            raise ValueError(f"with several SMART servers `{short}` may be anybody: write `https://server/{short}`")
        return operators

    @property
    def store(self) -> Path | str:
        """Where the store is: a SQLite file, or the address of a database, which may hold a password."""
        return self.database.get_secret_value() if self.database else self.data / "endplate.sqlite"

    def summary(self) -> dict[str, Any]:
        """What the log says at the start; keys of clients are left out."""
        shown = self.model_dump(mode="json", exclude={"trusted_clients", "sources"}, exclude_defaults=True)
        shown |= {"sources": [source.name for source in self.sources]} if self.sources else {}
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
