"""The one builder of a service for tests: SQLite or another database, and stores below a temporary folder.

`build` has a default for each part, and keyword arguments replace parts. `change` replaces parts of a service that exists.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from partage.model.ids import StoreID
from partage.model.limits import Limits
from partage.operations.service import Formats, NamedStore, Service
from partage.policies.authority import Authority
from partage.stores.drivers.posix import PosixStore
from partage.stores.store import Store
from tests import databases
from tests.memory_store import MemoryStore

LOCAL = StoreID("local")


def build(folder: Path, *, url: str = "", store: Store | None = None, **changed: Any) -> Service:
    """Build a service below `folder`. The schema is not created, and the directory of its POSIX store must exist before use."""
    parts: dict[str, Any] = {
        "stores": name_stores({LOCAL: store or PosixStore(folder / "store")}),
        "default_store": LOCAL,
        "authority": Authority(),
        "limits": Limits(),
        "formats": Formats(),
        "hash_algorithm": "sha512",
        "clock": lambda: datetime.now(UTC),
        "new_id": lambda: str(uuid4()),
        "worker": "this",
        "worker_lives": lambda worker: worker == "this",
        **changed,
    }
    if "database" not in parts:
        parts["database"] = databases.open_database(url or f"sqlite:///{folder}/partage.db")
    return Service(**parts)


def change(service: Service, **changed: Any) -> Service:
    """Return the service with other parts."""
    return replace(service, **changed)


def name_stores(stores: Mapping[StoreID, Store]) -> dict[StoreID, NamedStore]:
    """Name stores as the configuration does."""
    return {
        store_id: NamedStore(id=store_id, store=store, type="memory" if isinstance(store, MemoryStore) else "posix", properties={})
        for store_id, store in stores.items()
    }
