"""Every setting of the service, from one TOML file and `PARTAGE_*` environment variables, checked once.

Read here and in the rest of `main/` only: every other package is handed values. The descriptions below are the documentation:
`partage config --sample` prints them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from partage import problems
from partage.http.options import STALL_SECONDS
from partage.main.configuration import faults
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
    StoreSettings,
    UploadSettings,
)

PREFIX = "PARTAGE_"
FILE_VARIABLE = "PARTAGE_CONFIG"


_NOT_SETTINGS = ("PARTAGE_CONFIG", "PARTAGE_GOLDEN", "PARTAGE_TEST_", "PARTAGE_COMPAT_", "PARTAGE_FUZZ_", "PARTAGE_TIMED_")
"""Beginnings of variables that are no settings: where the file is, and what the project's tests are told."""
PATHS = (
    *("data", "path", "policy_file", "image_schema_file", "property_protection_file", "cafile", "castellan_file"),
    *("directory", "work_directory"),
)
"""Settings that are paths, in any section."""


class Settings(BaseSettings):
    """The service as its operator wants it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    host: Annotated[str, Field(description="The address to listen on; 0.0.0.0 or :: for all")] = "127.0.0.1"
    port: Annotated[Port, Field(description="The port to listen on")] = 9292
    public_endpoint: Annotated[str, Field(description="The URL that clients use, when a proxy stands before; empty: as asked")] = ""
    workers: Annotated[int, Field(ge=1, le=256, description="Processes that answer requests")] = 2
    data: Annotated[Path, Field(description="The directory of the default database and the default store")] = Path("partage-data")
    database_url: Annotated[
        SecretStr,
        Field(description="sqlite:////path or postgresql://user:password@host/database; empty: SQLite in the data directory"),
    ] = SecretStr("")
    database_connections: Annotated[
        int, Field(ge=2, le=1000, description="Connections of one process to PostgreSQL at most; SQLite needs no bound")
    ] = 10
    database_wait_seconds: Annotated[Positive, Field(description="How long a request waits for one of them before it is 503")] = 5.0
    database_idle_seconds: Annotated[
        Positive, Field(description="How long a connection that nobody uses is kept before it is given back")
    ] = 60.0
    default_store: Annotated[str, Field(description="The store of uploads that name none; empty: the first")] = ""
    allow_anonymous_access: Annotated[
        bool, Field(description="Let callers without a token read public images, as far as the policy file lets them")
    ] = False
    policy_file: Annotated[Path | None, Field(description="An oslo.policy file with rules to override; absent: defaults")] = None
    image_schema_file: Annotated[
        Path | None,
        Field(description="JSON schemas of custom properties, as Glance's schema-image.json; absent: any property is any text"),
    ] = None
    property_protection_file: Annotated[
        Path | None, Field(description="Who may see and change which custom properties, in Glance's format; absent: no protections")
    ] = None
    property_protection_rule_format: Annotated[
        Literal["roles", "policies"], Field(description="What that file names: roles, or rules of the policy file")
    ] = "roles"
    show_image_direct_url: Annotated[
        bool, Field(description="Show users the first place of an image's bytes, as direct_url; it tells them how stores are named")
    ] = False
    show_multiple_locations: Annotated[
        bool,
        Field(description="Show users all places of an image's bytes, as locations, and let owners add some on the web by a patch"),
    ] = False
    os_hash_algo: Annotated[
        Literal["sha512", "sha256"], Field(description="The algorithm of os_hash_value, beside the md5 checksum")
    ] = "sha512"
    rehearse_known_bytes: Annotated[
        bool,
        Field(description="Write what is stored already again and remove it, so that a clock hardly tells what others have stored"),
    ] = True
    drain_seconds: Annotated[
        float, Field(ge=0, description="How long after SIGTERM everything is still answered, but for the health check")
    ] = 5.0
    grace_seconds: Annotated[
        Positive, Field(description="How long running requests may go on after a stop signal, drain_seconds included")
    ] = 30.0
    stall_seconds: Annotated[
        Positive, Field(description="How long a client may neither send nor take a byte before it is disconnected")
    ] = STALL_SECONDS
    read_ahead_bytes: Annotated[
        int, Field(ge=1 << 20, description="Image data that one process reads ahead of all its downloads together")
    ] = 16 << 20
    read_ahead_threads: Annotated[
        int, Field(ge=1, le=64, description="Threads in which one process reads image data ahead of its downloads")
    ] = 4
    sweep_grace_seconds: Annotated[float, Field(ge=0, description="How long unused bytes are kept before a sweep removes them")] = (
        86_400.0
    )
    delayed_delete: Annotated[
        bool, Field(description="Keep deleted images, out of everybody's sight, so that partage manage restore can bring them back")
    ] = False
    scrub_time_seconds: Annotated[float, Field(ge=0, description="How long a deleted image is kept then")] = 86_400.0
    identity: IdentitySettings = IdentitySettings()
    limits: LimitSettings = LimitSettings()
    uploads: UploadSettings = UploadSettings()
    formats: FormatSettings = FormatSettings()
    imports: ImportSettings = ImportSettings()
    fetch: FetchSettings = FetchSettings()
    signatures: SignatureSettings = SignatureSettings()
    connections: ConnectionSettings = ConnectionSettings()
    cache: CacheSettings = CacheSettings()
    sharing: SharingSettings = SharingSettings()
    notifications: NotificationSettings = NotificationSettings()
    log: LogSettings = LogSettings()
    stores: Annotated[
        tuple[StoreSettings, ...],
        Field(description="Where image data rests; without any: one store named local in the data directory"),
    ] = ()

    @model_validator(mode="after")
    def _stores_fit(self) -> "Settings":
        names = [store.id for store in self.effective_stores]
        if len(set(names)) != len(names):
            raise ValueError("two stores have the same id")
        if not self.keeping_stores:
            raise ValueError("of the stores, one at least must be of another type than http: image data has to rest somewhere")
        if len(names) > len(self.keeping_stores) + 1:
            raise ValueError("there can be one store of type http only")
        keeping = [store.id for store in self.keeping_stores]
        if self.default_store not in {"", *keeping}:
            raise ValueError(f"default_store is {self.default_store}, but the stores are {', '.join(keeping)}")
        if not {*self.cache.stores} <= {*keeping}:
            raise ValueError(f"cache.stores are {', '.join(self.cache.stores)}, but the stores are {', '.join(keeping)}")
        return self

    @property
    def effective_stores(self) -> tuple[StoreSettings, ...]:
        """The stores, at least one."""
        return self.stores or (StoreSettings(id="local", path=self.data / "store"),)

    @property
    def keeping_stores(self) -> tuple[StoreSettings, ...]:
        """The stores that have bytes of their own."""
        return tuple(store for store in self.effective_stores if store.type != "http")

    @property
    def http_store(self) -> StoreSettings | None:
        """The store that reads from the web, if there is one."""
        return next((store for store in self.effective_stores if store.type == "http"), None)

    @property
    def effective_default_store(self) -> str:
        """The id of the store that uploads go to when they name none."""
        return self.default_store or self.keeping_stores[0].id

    @property
    def effective_database_url(self) -> str:
        """Where the database is."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.data.absolute() / 'partage.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the command line win over the environment, and that over the file."""
        return init_settings, env_settings, _File(settings_cls)


class _File(TomlConfigSettingsSource):
    """The configuration file. A relative path in it starts at the file's directory, wherever the program is started."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return _resolve(super()._read_file(file_path), Path(file_path).absolute().parent)


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
    """Read the settings: `overrides`, then `PARTAGE_*` variables, then `file` or the one that PARTAGE_CONFIG names.

    Raises:
        Invalid: the file is not there or not TOML, or a setting or a variable is unknown or makes no sense.
    """
    given = {key: value for key, value in os.environ.items() if not key.upper().startswith(_NOT_SETTINGS)}
    wrong = faults.variable_faults(given, Settings, PREFIX)
    if wrong:
        raise problems.Invalid(f"The configuration is wrong: {'; '.join(wrong)}")
    named = os.environ.get(FILE_VARIABLE)
    name = file or (Path(named) if named else None)
    if name is not None and not name.is_file():
        raise problems.Invalid(f"The configuration file {name} does not exist or is not a file")
    try:
        return _reading(name)(**overrides)
    except TOMLDecodeError as error:
        raise problems.Invalid(f"The configuration file {name} is not TOML: {error}") from error
    except OSError as error:
        raise problems.Invalid(f"The configuration file {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise problems.Invalid(f"The configuration file {name} is not TOML: it is not UTF-8 text") from error
    except ValidationError as error:
        raise problems.Invalid(f"The configuration is wrong: {faults.words_of(error, Settings)}") from error


def _reading(file: Path | None) -> type[Settings]:
    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    return FromFile
