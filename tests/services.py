"""The one builder of a service for tests: SQLite or another database, and stores below a temporary folder.

`build` has a default for each part, and keyword arguments replace parts. `change_service` replaces parts of a service that exists.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from partage.model.ids import StoreID
from partage.model.limits import Limits
from partage.operations.service import Features, Formats, Integrations, NamedStore, Process, Service, SharingRules, Stores
from partage.policies.authority import Authority
from partage.stores.drivers.posix import PosixStore
from partage.stores.store import Store
from tests import databases
from tests.memory_store import MemoryStore

LOCAL = StoreID("local")


_GROUPS: Mapping[str, Any] = {
    "stores": Stores, "features": Features, "sharing": SharingRules, "process": Process, "integrations": Integrations,
}  # fmt: skip
_SHORT = {"stores": ("stores", "by_id"), "default_store": ("stores", "default"), "http_store": ("stores", "http")}


def build(folder: Path, *, url: str = "", store: Store | None = None, **changed: Any) -> Service:
    """Build a service below `folder`; parts in `changed` are named as for `change_service`.

    The schema is not created, and the directory of its POSIX store must exist before use.
    """
    database = changed.pop("database", None) or databases.open_database(url or databases.make_url(folder))
    service = Service(
        database=database,
        stores=Stores(by_id=name_stores({LOCAL: store or PosixStore(folder / "store")}), default=LOCAL),
        authority=Authority(),
        limits=Limits(),
        formats=Formats(),
        features=Features(hash_algorithm="sha512"),
        process=Process(worker="this", worker_lives=lambda worker: worker == "this"),
        clock=lambda: datetime.now(UTC),
        new_id=lambda: str(uuid4()),
    )
    return change_service(service, **changed)


def change_service(service: Service, **changed: Any) -> Service:
    """Return the service with other parts. A part of a group goes by its own name: `worker`, `fetch`, `delayed_delete`.

    `stores`, `default_store` and `http_store` are the fields `by_id`, `default` and `http` of the stores.
    """
    parts: dict[str, Any] = {}
    for name, value in changed.items():
        group, field = _SHORT.get(name) or _find_group(name)
        if group:
            parts[group] = replace(parts.get(group, getattr(service, group)), **{field: value})
        else:
            parts[field] = value
    return replace(service, **parts)


def _find_group(name: str) -> tuple[str, str]:
    for group, made in _GROUPS.items():
        if name in {each.name for each in fields(made)}:
            return group, name
    return "", name


def name_stores(stores: Mapping[StoreID, Store]) -> dict[StoreID, NamedStore]:
    """Name stores as the configuration does."""
    return {
        store_id: NamedStore(id=store_id, store=store, type="memory" if isinstance(store, MemoryStore) else "posix", properties={})
        for store_id, store in stores.items()
    }
