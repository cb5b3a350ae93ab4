"""The types of stores: the settings of each, and the function that builds its driver. A new driver is one row of `STORE_TYPES`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from partage import problems
from partage.stores.drivers.posix import PosixStore
from partage.stores.identity import Identity
from partage.stores.store import Store

DEFAULT_TYPE = "posix"


class StoreSettings(BaseModel):
    """The settings that every type of store has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, description="The name of the store; clients see it")]
    type: Annotated[
        str, Field(description="posix: files below a directory; http: keeps only URLs, every download reads from the web")
    ] = DEFAULT_TYPE
    description: Annotated[str, Field(description="A sentence about the store; clients see it")] = ""
    weight: Annotated[int, Field(description="Downloads prefer the store with the greater weight")] = 0
    read_only: Annotated[bool, Field(description="Store no new image data here; a store of type http never does")] = False

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


STORE_TYPES: Mapping[str, StoreType[Any]] = MappingProxyType(
    {
        "posix": StoreType(PosixStoreSettings, lambda given, identity: PosixStore(given.path, identity=identity)),
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
    common = StoreSettings.model_fields
    yield from common.items()
    for name, each in STORE_TYPES.items():
        if type_ in {None, name}:
            yield from ((field, info) for field, info in each.settings.model_fields.items() if field not in common)
