"""The stores that the suite of `test_stores.py` runs over: one row for each driver, and one for PARTAGE_TEST_STORE_URL.

The variable names a store of one's own, in which each test works in a new part that is removed: a mounted file system,
`posix:///mnt/nfs`; a bucket, `s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION&addressing=path&credentials_file=PATH`; a
container, `swift://CONTAINER/PREFIX?cloud=CLOUD` or `swift://CONTAINER/PREFIX?reference=NAME&config_file=PATH`.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import SplitResult, parse_qsl, urlsplit

import pytest

from partage.measures import Unmetered
from partage.stores.cache.yielding_store import YieldingStore
from partage.stores.drivers import swift
from partage.stores.drivers.posix import PosixStore
from partage.stores.drivers.s3 import Place, S3Store
from partage.stores.drivers.swift import SwiftStore
from partage.stores.drivers.swift_accounts import Account
from partage.stores.measured_store import MeasuredStore
from partage.stores.store import Store
from tests.memory_store import MemoryStore
from tests.unit.stores.copying import make_fills
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


@contextlib.contextmanager
def _open_s3(url: SplitResult) -> Iterator[Store]:
    given = dict(parse_qsl(url.query))
    part = f"partage-test-{secrets.token_hex(6)}"
    place = Place(
        bucket=url.netloc,
        prefix="/".join(filter(None, (url.path.strip("/"), part))),
        endpoint=given.get("endpoint", ""),
        region=given.get("region", "us-east-1"),
        addressing=given.get("addressing", "auto"),
        credentials_file=Path(given["credentials_file"]) if "credentials_file" in given else None,
    )
    with _empty_at_end(S3Store(place)) as store:
        yield store


@contextlib.contextmanager
def _open_swift(url: SplitResult) -> Iterator[Store]:
    given = dict(parse_qsl(url.query))
    account = Account(
        cloud=given.get("cloud", ""),
        reference=given.get("reference", ""),
        config_file=Path(given["config_file"]) if "config_file" in given else None,
    )
    part = f"partage-test-{secrets.token_hex(6)}"
    prefix = "/".join(filter(None, (url.path.strip("/"), part)))
    with _empty_at_end(SwiftStore(swift.Place(url.netloc, account, prefix))) as store:
        yield store


@contextlib.contextmanager
def _empty_at_end(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        for key in store.enumerate(""):
            store.remove(key)


BY_SCHEME: Mapping[str, Callable[[SplitResult], AbstractContextManager[Store]]] = MappingProxyType(
    {"posix": _open_posix, "s3": _open_s3, "swift": _open_swift}
)
"""For each driver: opens an empty store at a URL, and removes it."""


def find_stores(environment: Mapping[str, str]) -> dict[str, Build]:
    """List the stores that need no server of tests, by their names in the reports of pytest."""
    stores: dict[str, Build] = {
        "memory": lambda _folder: contextlib.nullcontext(MemoryStore()),
        "posix": lambda folder: contextlib.nullcontext(PosixStore(folder)),
        "yielding": lambda folder: contextlib.nullcontext(
            YieldingStore(MemoryStore(), folder, make_fills(folder / "cache").directory)
        ),
        "measured": lambda _folder: contextlib.nullcontext(MeasuredStore(MemoryStore(), "memory", Unmetered())),
        "failing double": lambda _folder: contextlib.nullcontext(FailingStore(MemoryStore())),
    }
    if environment.get(VARIABLE):
        stores[environment[VARIABLE]] = lambda _folder: open_at(environment[VARIABLE])
    return stores


def open_at(url: str) -> AbstractContextManager[Store]:
    """Open an empty store at a URL.

    Raises:
        KeyError: it has a scheme that is not in `BY_SCHEME`.
    """
    parsed = urlsplit(url)
    return BY_SCHEME[parsed.scheme](parsed)


STORES = find_stores(os.environ)

SERVERS = {"s3 on seaweedfs": pytest.mark.thorough, "s3 on swift": pytest.mark.slow, "swift": pytest.mark.slow}
"""Stores on servers that the tests start, each with when it runs. A name is that of the fixture with the URL, with spaces."""
