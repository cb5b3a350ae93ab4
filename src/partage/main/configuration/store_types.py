"""The types of stores: the settings of each, and the function that builds its driver. A new driver is one row of `STORE_TYPES`."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from partage import problems
from partage.main.configuration.sections import Positive
from partage.stores import layout
from partage.stores.drivers.attempts import Limits
from partage.stores.drivers.posix import PosixStore
from partage.stores.engine import pack
from partage.stores.identity import Identity
from partage.stores.store import Store

DEFAULT_TYPE = "posix"


class StoreSettings(BaseModel):
    """The settings that every type of store has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, description="The name of the store; clients see it")]
    type: Annotated[
        str,
        Field(
            description="posix: files below a directory; s3: objects in a bucket; swift: objects in a container; http: URLs only"
        ),
    ] = DEFAULT_TYPE
    description: Annotated[str, Field(description="A sentence about the store; clients see it")] = ""
    weight: Annotated[int, Field(description="Downloads prefer the store with the greater weight")] = 0
    read_only: Annotated[bool, Field(description="Store no new image data here; a store of type http never does")] = False

    pack_bytes: Annotated[
        int, Field(ge=1 << 20, le=16 << 20, description="A pack, the object of many chunks, is stored when it has this size")
    ] = pack.TARGET_BYTES

    @property
    def directory(self) -> Path | None:
        """The directory on this host that contains the store; None if the store is elsewhere."""
        return None

    @property
    def properties(self) -> Mapping[str, str]:
        """What administrators see of the store in the API (`/v2/info/stores/detail`)."""
        return {}


class PosixStoreSettings(StoreSettings):
    """A store in a directory of a POSIX file system."""

    type: Literal["posix"] = "posix"
    path: Annotated[Path, Field(description="The directory of a posix store; only the service may have write permission")]

    @property
    def directory(self) -> Path:
        """The directory that contains the store."""
        return self.path

    @property
    def properties(self) -> Mapping[str, str]:
        """The directory, under Glance's name."""
        return {"data_dir": str(self.path)}


class ObjectStoreSettings(StoreSettings):
    """The settings that the types of object stores share."""

    endpoint: Annotated[
        str, Field(description="s3: the URL of the server; empty: Amazon's. swift: the URL of the account; empty: the catalog's")
    ] = ""
    region: Annotated[str, Field(description="The region; empty: us-east-1 for s3, the cloud's for swift")] = ""
    prefix: Annotated[str, Field(description="The begin of every key, without the slash behind it; empty: none")] = ""
    cafile: Annotated[
        Path | None,
        Field(description="A file of CA certificates that the server's certificate is verified with; empty: the system's"),
    ] = None
    parallel: Annotated[int, Field(ge=1, le=256, description="Maximum concurrent requests of one process to the store")] = 16
    attempts: Annotated[int, Field(ge=1, le=20, description="How often a request is sent at most, with back-off in between")] = 8
    connect_seconds: Annotated[Positive, Field(description="Timeout of a connection to the server")] = 5.0
    read_seconds: Annotated[
        Positive, Field(description="Timeout of the next bytes of a response; a body may take four times as long")
    ] = 30.0

    @property
    def limits(self) -> Limits:
        """The bounds of requests."""
        return Limits(
            attempts=self.attempts,
            parallel=self.parallel,
            connect_seconds=self.connect_seconds,
            read_seconds=self.read_seconds,
        )

    @field_validator("cafile", "credentials_file", "clouds_file", "config_file", mode="before", check_fields=False)
    @classmethod
    def _drop_empty(cls, given: object) -> object:
        return given or None

    @field_validator("endpoint")
    @classmethod
    def _require_endpoint(cls, endpoint: str) -> str:
        return _require_plain_url(endpoint) if endpoint else endpoint

    @field_validator("prefix")
    @classmethod
    def _require_prefix(cls, prefix: str) -> str:
        return layout.check_key(prefix) if prefix else prefix


class S3StoreSettings(ObjectStoreSettings):
    """A store in a bucket of a server with the S3 API."""

    type: Literal["s3"] = "s3"
    bucket: Annotated[str, Field(min_length=3, max_length=255, description="The bucket of an s3 store, which must exist")]
    addressing: Annotated[
        Literal["auto", "path", "virtual"],
        Field(
            description="path: the bucket is in the path of URLs; virtual: in the host name; auto: virtual where that is possible"
        ),
    ] = "auto"
    credentials_file: Annotated[
        Path | None,
        Field(
            description="A file with credentials, in the format of ~/.aws/credentials; empty: the environment, that file, or a role"
        ),
    ] = None
    profile: Annotated[str, Field(description="The section of the file with credentials; empty: default")] = ""

    @property
    def properties(self) -> Mapping[str, str]:
        """The bucket, and what keys begin with."""
        return {"bucket": self.bucket, "prefix": self.prefix}


class SwiftStoreSettings(ObjectStoreSettings):
    """A store in a container of Swift."""

    type: Literal["swift"] = "swift"
    container: Annotated[str, Field(min_length=1, max_length=256, description="The container of a swift store, which must exist")]
    cloud: Annotated[str, Field(description="The cloud in clouds.yaml that has the account of a swift store")] = ""
    clouds_file: Annotated[Path | None, Field(description="The clouds.yaml; empty: where OpenStack's clients look for it")] = None
    reference: Annotated[
        str, Field(description="The account's section in config_file, instead of a cloud; Glance's default_swift_reference")
    ] = ""
    config_file: Annotated[
        Path | None, Field(description="A file of accounts in the format of Glance's swift_store_config_file")
    ] = None
    interface: Annotated[
        Literal["", "public", "internal", "admin"],
        Field(description="Swift's interface in the catalog; empty: the cloud's, or public"),
    ] = ""

    @property
    def properties(self) -> Mapping[str, str]:
        """The container, under Glance's name, and what keys begin with."""
        return {"container": self.container, "prefix": self.prefix}

    @model_validator(mode="after")
    def _require_account(self) -> Self:
        if bool(self.cloud) == bool(self.reference) or bool(self.reference) != bool(self.config_file):
            raise ValueError("a swift store needs either cloud, or reference and config_file")
        return self


class HTTPStoreSettings(StoreSettings):
    """The store that keeps only URLs."""

    type: Literal["http"] = "http"


_S = TypeVar("_S", bound=StoreSettings)


@dataclass(frozen=True, slots=True)
class StoreType(Generic[_S]):
    """A type of store. `build` builds the driver, which works only while the store has the identity, if one is given.

    A type without `build` has no driver: it keeps no image data.
    """

    settings: type[_S]
    build: Callable[[_S, Identity | None], Store] | None


def _build_s3(given: S3StoreSettings, identity: Identity | None) -> Store:
    driver = import_driver("s3", given.id)
    place = driver.Place(
        bucket=given.bucket,
        endpoint=given.endpoint,
        region=given.region or _S3_REGION,
        prefix=given.prefix,
        addressing=given.addressing,
        credentials_file=given.credentials_file,
        profile=given.profile,
        ca_file=given.cafile,
    )
    built: Store = driver.S3Store(place, given.limits, identity=identity)
    return built


def _build_swift(given: SwiftStoreSettings, identity: Identity | None) -> Store:
    driver = import_driver("swift", given.id)
    account = driver.Account(
        cloud=given.cloud,
        clouds_file=given.clouds_file,
        reference=given.reference,
        config_file=given.config_file,
        region=given.region,
        interface=given.interface,
        endpoint=given.endpoint,
        ca_file=given.cafile,
    )
    place = driver.Place(container=given.container, account=account, prefix=given.prefix)
    built: Store = driver.SwiftStore(place, given.limits, identity=identity)
    return built


def import_driver(name: str, store_id: str) -> ModuleType:
    """Import a driver that needs an extra of the package, and takes long to import.

    Raises:
        Unavailable: the extra is not installed.
    """
    try:
        return importlib.import_module(f"partage.stores.drivers.{name}")
    except ImportError as error:
        raise problems.Unavailable(
            f"The driver of the store {store_id}, of type {name}, is not installed; install it with: pip install 'partage[{name}]'"
        ) from error


_S3_REGION = "us-east-1"

STORE_TYPES: Mapping[str, StoreType[Any]] = MappingProxyType(
    {
        "posix": StoreType(PosixStoreSettings, lambda given, identity: PosixStore(given.path, identity=identity)),
        "s3": StoreType(S3StoreSettings, _build_s3),
        "swift": StoreType(SwiftStoreSettings, _build_swift),
        "http": StoreType(HTTPStoreSettings, None),
    }
)


class _ByType:
    """Makes pydantic validate a store by the settings of its type: a tagged union of all rows of `STORE_TYPES`."""

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        choices = {name: handler.generate_schema(each.settings) for name, each in STORE_TYPES.items()}
        return core_schema.tagged_union_schema(choices, discriminator=_find_type)


def _find_type(given: Any) -> str:
    return str(given.get("type", DEFAULT_TYPE) if isinstance(given, dict) else getattr(given, "type", DEFAULT_TYPE))


AnyStoreSettings = Annotated[StoreSettings, _ByType()]
"""A store of any type."""


def build_driver(settings: StoreSettings, identity: Identity | None) -> Store:
    """Build the driver of a store.

    Raises:
        Invalid: stores of this type keep no image data.
    """
    build = STORE_TYPES[settings.type].build
    if build is None:
        raise problems.Invalid(f"The store {settings.id} has the type {settings.type}, which keeps no image data")
    return build(settings, identity)


def list_fields(type_: str | None = None) -> Iterator[tuple[str, FieldInfo]]:
    """List the settings of stores of a type, or of all types: first those that all types have."""
    listed = dict(StoreSettings.model_fields)
    yield from listed.items()
    for name, each in STORE_TYPES.items():
        if type_ in {None, name}:
            yield from ((field, info) for field, info in each.settings.model_fields.items() if field not in listed)
            listed |= each.settings.model_fields


def _require_plain_url(url: str) -> str:
    """Return the URL of a server, checked: it is shown in errors and by `partage config`, so it may have no password.

    Raises:
        ValueError: it is no http or https URL, or has more than host, port and path. The message does not repeat it.
    """
    parsed = urlsplit(url)
    if parsed.scheme not in {"http", "https"} or not parsed.hostname:
        raise ValueError("it has to be a URL such as https://objects.example.com")
    if parsed.username or parsed.password or parsed.query or parsed.fragment:
        raise ValueError("it may have no user, password, query or fragment; credentials belong in a file")
    return url
