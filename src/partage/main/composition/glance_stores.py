"""Builds what reads the stores of a Glance that is, or was, taken over, from that Glance's configuration."""

from collections.abc import Mapping
from pathlib import Path

from partage import problems
from partage.main.configuration.config import Settings
from partage.main.configuration.glance_config import GlanceConfig, GlanceStore, read_glance_config
from partage.main.configuration.store_types import import_driver
from partage.model.ids import StoreID
from partage.operations.taking_over.places import Places
from partage.stores.drivers.attempts import Limits
from partage.stores.originals.files import OriginalFiles
from partage.stores.originals.objects import OriginalObjects, parse_s3, parse_swift
from partage.stores.originals.reader import OriginalReader
from partage.stores.store import Store

_S3_REGION = "us-east-1"


def build_originals(settings: Settings) -> Mapping[str, OriginalReader]:
    """Build the readers of the stores of the Glance in `taking_over.glance_config`, by name; none if there is no Glance.

    Raises:
        Invalid: its configuration cannot be read.
        Unavailable: the driver of one of its stores is not installed.
    """
    file = settings.taking_over.glance_config
    return {} if file is None else build_readers(read_glance_config(file))


def build_readers(config: GlanceConfig) -> dict[str, OriginalReader]:
    """Build the readers of the stores of a Glance, by name. Stores of other types, such as rbd, have none.

    Raises:
        Unavailable: the driver of one of its stores is not installed.
    """
    found: dict[str, OriginalReader] = {}
    for each in config.stores:
        if each.type == "file":
            found[each.id] = OriginalFiles(each.directories)
        elif each.type == "swift":
            found[each.id] = _build_swift(each, config.file.parent)
        elif each.type == "s3":
            found[each.id] = _build_s3(each)
    return found


def build_places(settings: Settings, config: GlanceConfig) -> Places:
    """Decide which store of this service stands for each store of a Glance.

    Raises:
        Invalid: for one there is none.
    """
    named = settings.taking_over.stores
    unknown = sorted(named.keys() - {each.id for each in config.stores})
    if unknown:
        raise problems.Invalid(
            f"taking_over.stores names {', '.join(unknown)}, but {config.file} has the stores "
            f"{', '.join(each.id for each in config.stores)}; correct taking_over.stores"
        )
    return Places(
        types={each.id: each.type for each in config.stores},
        stores={each.id: _find_store(settings, config, each) for each in config.stores if each.type in _IN_PLACE},
        default=config.default_store,
        by_type=config.by_type,
        encryption_key=config.encryption_key,
    )


_IN_PLACE = ("file", "swift", "s3")


def _find_store(settings: Settings, config: GlanceConfig, store: GlanceStore) -> StoreID:
    keeping = [each.id for each in settings.keeping_stores]
    given = settings.taking_over.stores.get(store.id, settings.effective_default_store if config.by_type else store.id)
    if given not in keeping:
        raise problems.Invalid(
            f"No store of this service stands for the store {store.id} of the Glance: there is none named {given}, only "
            f"{', '.join(keeping)}. Configure a store of that name, because users see it, or name another one for {store.id} in "
            "taking_over.stores"
        )
    return StoreID(given)


def _build_swift(store: GlanceStore, folder: Path) -> OriginalObjects:
    driver = import_driver("swift", store.id)
    options = store.options
    accounts = options["swift_store_config_file"]

    def open_store(reference: str, container: str) -> Store:
        account = driver.Account(
            reference=reference,
            config_file=folder / accounts if accounts else None,
            region=options["swift_store_region"],
            interface=options["swift_store_endpoint_type"].removesuffix("URL"),
            endpoint=options["swift_store_endpoint"],
            ca_file=_find_file(options["swift_store_cacert"]),
        )
        opened: Store = driver.SwiftStore(driver.Place(container=container, account=account), Limits())
        return opened

    return OriginalObjects(parse_swift, open_store)


def _build_s3(store: GlanceStore) -> OriginalObjects:
    driver = import_driver("s3", store.id)
    options = store.options
    host = options["s3_store_host"]

    def open_store(_account: str, bucket: str) -> Store:
        place = driver.Place(
            bucket=bucket,
            endpoint=host if "://" in host or not host else f"http://{host}",  # as Glance does
            region=options["s3_store_region_name"] or _S3_REGION,
            addressing=options["s3_store_bucket_url_format"],
            ca_file=_find_file(options["s3_store_cacert"]),
            access_key=options["s3_store_access_key"],
            secret_key=options["s3_store_secret_key"],
        )
        opened: Store = driver.S3Store(place, Limits())
        return opened

    return OriginalObjects(parse_s3, open_store)


def _find_file(name: str) -> Path | None:
    return Path(name) if name else None
