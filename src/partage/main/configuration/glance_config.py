"""Reads the configuration of a Glance that is taken over: its database, its stores, and the accounts of its stores.

Source: Glance's and glance_store's options, `glance_store/_drivers/*`. oslo.config parses the file, as in Glance: options given
several times, and the directory `FILE.d` beside the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oslo_config import cfg

from partage import problems

_ONLY_STORE = "glance_store"
"""The section of the stores of a Glance that has no `enabled_backends`."""

_STORE_OPTIONS = (
    cfg.StrOpt("filesystem_store_datadir", default="/var/lib/glance/images"),
    cfg.MultiStrOpt("filesystem_store_datadirs", default=[]),
    cfg.StrOpt("default_swift_reference", default="ref1"),
    cfg.StrOpt("swift_store_config_file", default=""),
    cfg.StrOpt("swift_store_region", default=""),
    cfg.StrOpt("swift_store_endpoint", default=""),
    cfg.StrOpt("swift_store_endpoint_type", default="publicURL"),
    cfg.StrOpt("swift_store_cacert", default=""),
    cfg.StrOpt("s3_store_host", default=""),
    cfg.StrOpt("s3_store_region_name", default=""),
    cfg.StrOpt("s3_store_access_key", default="", secret=True),
    cfg.StrOpt("s3_store_secret_key", default="", secret=True),
    cfg.StrOpt("s3_store_bucket_url_format", default="auto"),
    cfg.StrOpt("s3_store_cacert", default=""),
)
_NAMES = {"filesystem": "file", "swift+config": "swift", "s3+https": "s3", "https": "http"}


@dataclass(frozen=True, slots=True)
class GlanceStore:
    """A store of Glance: its type, as in `enabled_backends`, and the options of its section."""

    id: str
    type: str
    options: Mapping[str, Any] = field(repr=False)

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories of a store of type file."""
        several = [each.rpartition(":")[0] if each.rpartition(":")[2].isdigit() else each for each in self._several]
        return tuple(Path(each) for each in several or [self.options["filesystem_store_datadir"]])

    @property
    def _several(self) -> list[str]:
        found: list[str] = self.options["filesystem_store_datadirs"]
        return found


@dataclass(frozen=True, slots=True)
class GlanceConfig:
    """What is read of a Glance's configuration. `encryption_key` is that of the locations in the database, if they are encrypted.

    `default_store` is the name of the store of a location for which Glance recorded none. `by_type` is true if the stores have
    no names in Glance, so that a location names its store by its scheme.
    """

    file: Path
    database_url: str = field(repr=False)
    stores: tuple[GlanceStore, ...]
    default_store: str
    by_type: bool
    encryption_key: str = field(default="", repr=False)


def read_glance_config(file: Path) -> GlanceConfig:
    """Read a glance-api.conf.

    Raises:
        Invalid: the file cannot be read, or has no database.
    """
    own = file / "glance-api.conf" if file.is_dir() else file
    extra = own.with_name(own.name + ".d")
    conf = cfg.ConfigOpts()
    conf.register_opts(
        [cfg.DictOpt("enabled_backends", default={}), cfg.StrOpt("metadata_encryption_key", default="", secret=True)]
    )
    conf.register_opts([cfg.StrOpt("connection", default="", secret=True)], group="database")
    conf.register_opts(
        [cfg.StrOpt("default_backend", default=""), cfg.ListOpt("stores", default=["file", "http"]), cfg.StrOpt("default_store")],
        group=_ONLY_STORE,
    )
    try:
        conf(
            args=[],
            project="glance",
            default_config_files=[str(own)],
            default_config_dirs=[str(extra)] if extra.is_dir() else [],
            use_env=False,
        )
        return _read(conf, own)
    except (cfg.Error, OSError, ValueError) as error:
        raise problems.Invalid(
            f"The configuration of Glance {own} cannot be read: {error}; name its glance-api.conf, and run as a user "
            "that may read it"
        ) from error


def _read(conf: cfg.ConfigOpts, file: Path) -> GlanceConfig:
    url = conf.database.connection
    if not url:
        raise problems.Invalid(f"{file} has no connection in its section database; name the glance-api.conf of the Glance")
    backends: Mapping[str, str] = conf.enabled_backends
    if backends:
        stores = tuple(_read_store(conf, name, type_) for name, type_ in backends.items())
        default, by_type = conf.glance_store.default_backend or next(iter(backends)), False
    else:
        types = dict.fromkeys(_name_type(each) for each in conf.glance_store.stores)
        stores = tuple(_read_store(conf, each, each, section=_ONLY_STORE) for each in types)
        default, by_type = _name_type(conf.glance_store.default_store or "file"), True
    return GlanceConfig(
        file=file,
        database_url=url,
        stores=stores,
        default_store=default,
        by_type=by_type,
        encryption_key=conf.metadata_encryption_key or "",
    )


def _name_type(scheme: str) -> str:
    """Return the type of a store by one of the names that glance_store gives it."""
    return _NAMES.get(scheme, scheme)


def _read_store(conf: cfg.ConfigOpts, name: str, type_: str, *, section: str = "") -> GlanceStore:
    group = section or name
    conf.register_opts(_STORE_OPTIONS, group=group)
    values = conf[group]
    return GlanceStore(id=name, type=_name_type(type_), options={each.dest: values[each.dest] for each in _STORE_OPTIONS})
