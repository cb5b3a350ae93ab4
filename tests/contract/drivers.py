"""The stores that the suite of `test_stores.py` runs over: one row for each driver, and one for PARTAGE_TEST_STORE_URL.

The variable names a store of one's own, such as a mounted file system: `PARTAGE_TEST_STORE_URL=posix:///mnt/nfs`. The tests work in
a new part of it each, and remove that part.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from partage.stores.cache.cache_directory import CacheDirectory
from partage.stores.cache.cached_store import CachedStore
from partage.stores.drivers.posix import PosixStore
from partage.stores.store import Store
from tests.memory_store import MemoryStore
from tests.unit.stores.doubles import FailingStore

Build = Callable[[Path], AbstractContextManager[Store]]
"""Builds an empty store; the folder is the test's own."""

VARIABLE = "PARTAGE_TEST_STORE_URL"


@contextlib.contextmanager
def _open_posix(url: SplitResult) -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp(prefix="partage-test-", dir=url.path))
    try:
        yield PosixStore(folder)
    finally:
        shutil.rmtree(folder)


BY_SCHEME: Mapping[str, Callable[[SplitResult], AbstractContextManager[Store]]] = MappingProxyType({"posix": _open_posix})
"""For each driver: opens an empty store at a URL, and removes it."""


def find_stores(environment: Mapping[str, str]) -> dict[str, Build]:
    """List the stores by their names in the reports of pytest.

    Raises:
        KeyError: PARTAGE_TEST_STORE_URL has a scheme that is not in `BY_SCHEME`.
    """
    stores: dict[str, Build] = {
        "memory": lambda _folder: contextlib.nullcontext(MemoryStore()),
        "posix": lambda folder: contextlib.nullcontext(PosixStore(folder)),
        "cached": lambda folder: contextlib.nullcontext(CachedStore(MemoryStore(), CacheDirectory(folder, limit_bytes=1 << 30))),
        "failing double": lambda _folder: contextlib.nullcontext(FailingStore(MemoryStore())),
    }
    if environment.get(VARIABLE):
        url = urlsplit(environment[VARIABLE])
        open_at = BY_SCHEME[url.scheme]
        stores[environment[VARIABLE]] = lambda _folder: open_at(url)
    return stores


STORES = find_stores(os.environ)
