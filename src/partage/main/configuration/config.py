"""Load and validate the settings, from one TOML file and `PARTAGE_*` environment variables.

Only `main/` reads settings; every other package receives values. The descriptions below are the documentation:
`partage config --sample` prints them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from partage import problems
from partage.http.options import STALL_SECONDS
from partage.main.configuration import renames, validation_errors
from partage.main.configuration.event_sections import EventSettings, WebhookSettings
from partage.main.configuration.listener_settings import ListenerSettings
from partage.main.configuration.maintenance_settings import MaintenanceSettings
from partage.main.configuration.masking import PlainURL
from partage.main.configuration.monitoring_sections import HealthcheckSettings, MetricsSettings, TracingSettings
from partage.main.configuration.sections import (
    CacheSettings,
    ConnectionSettings,
    FetchSettings,
    FormatSettings,
    IdentitySettings,
    ImportSettings,
    LimitSettings,
    LogSettings,
    NotificationSettings,
    Port,
    Positive,
    SharingSettings,
    SignatureSettings,
    UploadSettings,
)
from partage.main.configuration.store_types import STORE_TYPES, AnyStoreSettings, PosixStoreSettings, StoreSettings
from partage.main.configuration.taking_over_settings import TakingOverSettings
from partage.main.configuration.upload_sections import ResumableUploadSettings
from partage.outbound.addresses import Network

PREFIX = "PARTAGE_"
FILE_VARIABLE = "PARTAGE_CONFIG"


_NOT_SETTINGS = ("PARTAGE_CONFIG", "PARTAGE_GOLDEN", "PARTAGE_TEST_", "PARTAGE_COMPAT_", "PARTAGE_FUZZ_", "PARTAGE_TIMED_")
"""Prefixes of variables that are not settings: the configuration file, and the project's own tests."""
PATHS = (
    *("data", "path", "policy_file", "image_schema_file", "property_protection_file", "cafile", "castellan_file"),
    *("credentials_file", "clouds_file", "config_file", "glance_config"),
    *("directory", "work_directory", "disable_by_file_path"),
)
"""Names of settings that are paths, in any section."""


class Settings(BaseSettings):
    """All settings, validated."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    host: Annotated[str, Field(description="The address to listen on; 0.0.0.0 or :: is every address")] = "127.0.0.1"
    port: Annotated[Port, Field(description="The TCP port to listen on")] = 9292
    public_endpoint: Annotated[
        PlainURL,
        Field(description="The URL of the proxy in front of the service, for links in responses; empty: the request's Host header"),
    ] = ""
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Field(description="Networks of the proxies in front of the service, whose X-Forwarded-For names the client"),
    ] = ()
    workers: Annotated[int, Field(ge=1, le=256, description="Number of worker processes that serve requests")] = 2
    data: Annotated[Path, Field(description="The data directory: it has the default database and the default store")] = Path(
        "partage-data"
    )
    database_url: Annotated[
        SecretStr,
        Field(
            description="sqlite:////path, postgresql:// or mariadb://user:password@host/name; empty: SQLite in the data directory"
        ),
    ] = SecretStr("")
    database_connections: Annotated[
        int,
        Field(
            ge=2, le=1000, description="Maximum connections of one process to PostgreSQL or MariaDB (pool size); SQLite ignores it"
        ),
    ] = 10
    database_wait_seconds: Annotated[
        Positive, Field(description="Timeout for a free database connection; then the response is 503")
    ] = 5.0
    database_idle_seconds: Annotated[Positive, Field(description="An unused database connection is closed after this time")] = 60.0
    default_store: Annotated[str, Field(description="The store for uploads that name no store; empty: the first store")] = ""
    allow_anonymous_access: Annotated[
        bool, Field(description="Serve public images to requests without a token, if the policy file permits it")
    ] = False
    policy_file: Annotated[Path | None, Field(description="An oslo.policy file that overrides rules; empty: default rules")] = None
    image_schema_file: Annotated[
        Path | None,
        Field(
            description="JSON schemas of custom properties, as in Glance's schema-image.json; empty: every property is free text"
        ),
    ] = None
    property_protection_file: Annotated[
        Path | None,
        Field(
            description="Property protections in Glance's format: who may read and change custom properties; empty: no protections"
        ),
    ] = None
    property_protection_rule_format: Annotated[
        Literal["roles", "policies"],
        Field(description="What property_protection_file contains: role names, or rules of the policy file"),
    ] = "roles"
    show_image_direct_url: Annotated[
        bool, Field(description="Show the first location of an image to users as direct_url; this reveals the names of stores")
    ] = False
    show_multiple_locations: Annotated[
        bool,
        Field(description="Show all locations of an image to users as locations; owners may add http locations with PATCH"),
    ] = False
    os_hash_algo: Annotated[
        Literal["sha512", "sha256"], Field(description="The hash algorithm of os_hash_value; the md5 checksum is always computed")
    ] = "sha512"
    hide_deduplication_timing: Annotated[
        bool,
        Field(description="Write known chunks again and discard them, so that upload time does not reveal other projects' data"),
    ] = True
    drain_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="For this time after SIGTERM only /healthcheck responds with 503, so that proxies drain connections",
        ),
    ] = 5.0
    grace_seconds: Annotated[
        Positive,
        Field(description="Running requests are broken off this long after a stop signal; drain_seconds counts towards it"),
    ] = 30.0
    stall_seconds: Annotated[Positive, Field(description="A client that transfers no byte for this time is disconnected")] = (
        STALL_SECONDS
    )
    read_ahead_bytes: Annotated[
        int, Field(ge=1 << 20, description="Read-ahead memory of one process, shared by all its downloads")
    ] = 16 << 20
    read_ahead_threads: Annotated[
        int, Field(ge=1, le=64, description="Read-ahead threads of one process, shared by all its downloads")
    ] = 4
    sweep_grace_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="A sweep removes data that is unreferenced for this time; it must exceed the longest transfer",
        ),
    ] = 86_400.0
    delayed_delete: Annotated[
        bool,
        Field(description="Soft delete: its owner, or partage manage restore, can restore a deleted image for scrub_time_seconds"),
    ] = False
    scrub_time_seconds: Annotated[
        float, Field(ge=0, description="With delayed_delete: a deleted image is removed for good after this time")
    ] = 86_400.0
    identity: IdentitySettings = IdentitySettings()
    limits: LimitSettings = LimitSettings()
    uploads: UploadSettings = UploadSettings()
    resumable_uploads: ResumableUploadSettings = ResumableUploadSettings()
    formats: FormatSettings = FormatSettings()
    imports: ImportSettings = ImportSettings()
    fetch: FetchSettings = FetchSettings()
    signatures: SignatureSettings = SignatureSettings()
    connections: ConnectionSettings = ConnectionSettings()
    cache: CacheSettings = CacheSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    taking_over: TakingOverSettings = TakingOverSettings()
    sharing: SharingSettings = SharingSettings()
    events: EventSettings = EventSettings()
    webhooks: WebhookSettings = WebhookSettings()
    notifications: NotificationSettings = NotificationSettings()
    listener: ListenerSettings = ListenerSettings()
    log: LogSettings = LogSettings()
    healthcheck: HealthcheckSettings = HealthcheckSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    stores: Annotated[
        tuple[AnyStoreSettings, ...],
        Field(description="Stores of image data; without a [[stores]] table there is one, named local, in the data directory"),
    ] = ()

    @model_validator(mode="after")
    def _require_consistent_stores(self) -> "Settings":
        names = [store.id for store in self.effective_stores]
        if len(set(names)) != len(names):
            raise ValueError("two stores have the same id")
        if not self.keeping_stores:
            raise ValueError("every store has the type http, which keeps no image data; configure a store of another type")
        if len(names) > len(self.keeping_stores) + 1:
            raise ValueError("there are two stores of type http; only one is possible")
        keeping = [store.id for store in self.keeping_stores]
        if self.default_store not in {"", *keeping}:
            raise ValueError(f"default_store is {self.default_store}, but the stores are {', '.join(keeping)}")
        return self

    @property
    def effective_stores(self) -> tuple[StoreSettings, ...]:
        """The configured stores, or the default store."""
        return self.stores or (PosixStoreSettings(id="local", path=self.data / "store"),)

    @property
    def keeping_stores(self) -> tuple[StoreSettings, ...]:
        """The stores that keep image data."""
        return tuple(store for store in self.effective_stores if STORE_TYPES[store.type].build is not None)

    @property
    def http_store(self) -> StoreSettings | None:
        """The store of type http, or None."""
        return next((store for store in self.effective_stores if store.type == "http"), None)

    @property
    def effective_default_store(self) -> str:
        """The id of the store for uploads that name no store."""
        return self.default_store or self.keeping_stores[0].id

    @property
    def cache_directory(self) -> Path | None:
        """The directory of the cache; None without one."""
        if not self.cache.enabled:
            return None
        return Path(self.cache.directory) if self.cache.directory else self.data / "cache"

    @property
    def effective_database_url(self) -> str:
        """The URL of the configured database, or of SQLite in the data directory."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.data.absolute() / 'partage.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order by precedence: the command line, the environment, the file."""
        return init_settings, _Environment(settings_cls), _File(settings_cls)


class _Environment(EnvSettingsSource):
    """The variables of the environment, under present or former names."""

    def __call__(self) -> dict[str, Any]:
        return renames.rename_settings(super().__call__())

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in renames.rename_variables(_read_variables(), PREFIX).items()}


class _File(TomlConfigSettingsSource):
    """The configuration file. Relative paths in it start at the file's directory."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        table = renames.rename_settings(super()._read_file(file_path))
        return _resolve(table, Path(file_path).absolute().parent)


def _resolve(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    resolved = dict(table)
    for name, value in table.items():
        if isinstance(value, dict):
            resolved[name] = _resolve(value, folder)
        elif name == "stores" and isinstance(value, list):
            resolved[name] = [_resolve(each, folder) if isinstance(each, dict) else each for each in value]
        elif name in PATHS and isinstance(value, str) and value:
            resolved[name] = str(folder / value)
    return resolved


def load(overrides: Mapping[str, Any], *, file: Path | None = None) -> Settings:
    """Load the settings: `overrides`, then `PARTAGE_*` variables, then `file` or the one that PARTAGE_CONFIG names.

    Raises:
        Invalid: the file is absent or not TOML, or a setting or a variable is unknown or has an invalid value.
    """
    variables = renames.rename_variables(_read_variables(), PREFIX, warn=True)
    errors = validation_errors.check_variables(variables, Settings, PREFIX)
    if errors:
        raise problems.Invalid(f"The configuration is invalid: {'; '.join(errors)}")
    variable = os.environ.get(FILE_VARIABLE)
    name = file or (Path(variable) if variable else None)
    if name is not None and not name.is_file():
        raise problems.Invalid(f"The configuration file {name} does not exist or is not a file")
    try:
        return _bind_to_file(name)(**overrides)
    except TOMLDecodeError as error:
        raise problems.Invalid(f"The configuration file {name} is not TOML: {error}") from error
    except OSError as error:
        raise problems.Invalid(f"The configuration file {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise problems.Invalid(f"The configuration file {name} is not TOML: it is not UTF-8 text") from error
    except ValidationError as error:
        raise problems.Invalid(f"The configuration is invalid: {validation_errors.describe_errors(error, Settings)}") from error


def _read_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(_NOT_SETTINGS)}


def _bind_to_file(file: Path | None) -> type[Settings]:
    """Return the settings with `file` as their source; the library takes it from the class only."""

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    return FromFile
