"""The cache of a node when what it rests on fails: the store, the database, the directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID, UserID
from partage.operations import cache, images, sweep
from partage.operations.service import Cache, NamedStore, Service
from partage.records import cache as rows
from partage.records.database import Database, Transaction
from partage.stores.cache.cache_directory import CacheDirectory
from partage.stores.cache.cached_store import CachedStore
from partage.stores.drivers.posix import PosixStore
from tests.operations.services import LOCAL, OWNER, download, image_with, make
from tests.services import change_service

ADMIN = Caller(user_id=UserID("a"), project_id=ProjectID("admin"), roles=frozenset({"admin", "member", "reader"}), is_admin=True)
NODE = "http://here:9292"


class Store(PosixStore):
    """A store that can be told not to answer."""

    is_away = False

    def get(self, key: str, start: int, length: int) -> bytes:
        if self.is_away:
            raise problems.StoreUnavailable("The store does not answer")
        return super().get(key, start, length)


class OneWay(Database):
    """A database that can be told to take no changes."""

    is_closed = False

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        if self.is_closed:
            raise problems.DatabaseUnavailable("The database does not answer")
        with super().write() as tx:
            yield tx


class Host:
    """A service with a cache, and its parts."""

    def __init__(self, folder: Path, *, limit_bytes: int = 1 << 30) -> None:
        near, store = folder / "near", folder / "store"
        near.mkdir()
        store.mkdir()
        self.store = Store(store)
        self.cache = Cache(node=NODE, directory=CacheDirectory(near, limit_bytes=limit_bytes))
        self.database = OneWay(f"sqlite:///{folder}/partage.db")
        self.service: Service = change_service(
            make(folder, CachedStore(self.store, self.cache.directory)), cache=self.cache, database=self.database
        )

    def fetches(self) -> bool:
        return cache.fetch_next(self.service, self.cache, may_go_on=lambda: True)

    @property
    def cached(self) -> list[Any]:
        return [each.image_id for each in cache.show_cache(self.service, ADMIN).cached]

    @property
    def queued(self) -> list[Any]:
        return list(cache.show_cache(self.service, ADMIN).queued)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.database.close()


def test_image_of_an_unavailable_store_is_fetched_last(host: Host) -> None:
    first, second = (image_with(host.service, os.urandom(100_000)).id for _ in range(2))
    for each in (first, second):
        cache.queue_image(host.service, ADMIN, each)
    host.store.is_away = True
    with pytest.raises(problems.StoreUnavailable):
        host.fetches()
    assert (host.cached, host.queued) == ([], [second, first])
    host.store.is_away = False
    assert [host.fetches(), host.cached, host.queued] == [True, [second], [first]]
    assert [host.fetches(), host.cached, host.queued] == [True, [second, first], []]


def test_cached_image_is_served_while_the_store_is_down(host: Host) -> None:
    data = os.urandom(100_000)
    image = image_with(host.service, data)
    cache.queue_image(host.service, ADMIN, image.id)
    assert host.fetches()
    host.store.is_away = True
    assert download(host.service, image.id) == data


def test_a_download_is_whole_although_it_cannot_be_counted(host: Host) -> None:
    data = os.urandom(100_000)
    image = image_with(host.service, data)
    host.database.is_closed = True
    assert download(host.service, image.id) == data
    host.database.is_closed = False
    assert host.cached == []


def test_vanished_cache_directory_holds_no_images(host: Host, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    image = image_with(host.service, data)
    download(host.service, image.id)
    assert host.cached == [image.id]
    (tmp_path / "near").rename(tmp_path / "elsewhere")
    assert host.cached == []
    assert download(host.service, image.id) == data
    cache.tidy(host.service, host.cache)
    cache.clean_cache(host.service, ADMIN)
    cache.clear_cache(host.service, ADMIN, cache.ClearTarget.ALL)
    assert not (tmp_path / "near").exists(), "a disk that is not mounted is not replaced by a folder"


def test_empty_and_zero_images_are_cached_without_packs(host: Host) -> None:
    zeros, nothing = image_with(host.service, bytes(5 << 20)), image_with(host.service, b"")
    for each in (zeros, nothing):
        cache.queue_image(host.service, ADMIN, each.id)
    assert [host.fetches(), host.fetches(), host.fetches()] == [True, True, False]
    assert host.cached == [zeros.id, nothing.id]
    assert download(host.service, nothing.id) == b""


def test_tidy_removes_cached_packs_that_another_host_swept(host: Host) -> None:
    image = image_with(host.service, os.urandom(100_000))
    download(host.service, image.id)
    images.delete_image(host.service, OWNER, image.id)
    assert len(host.cache.directory.list_packs()) == 1
    without = NamedStore(id=LOCAL, store=host.store, type="posix", properties={})
    elsewhere = change_service(host.service, stores={LOCAL: without}, cache=None)
    for _ in range(2):
        sweep.sweep(elsewhere, grace=timedelta(0))
    assert len(host.cache.directory.list_packs()) == 1
    cache.tidy(host.service, host.cache)
    assert host.cache.directory.list_packs() == set()


def test_a_sweep_through_the_cache_takes_the_copy_along(host: Host) -> None:
    image = image_with(host.service, os.urandom(100_000))
    download(host.service, image.id)
    images.delete_image(host.service, OWNER, image.id)
    for _ in range(2):
        sweep.sweep(host.service, grace=timedelta(0))
    assert host.cache.directory.list_packs() == set()


def test_the_queue_is_looked_at_without_a_lock(host: Host) -> None:
    """The process that fetches looks every second, and must not keep writers waiting."""
    host.database.is_closed = True
    assert not host.fetches()


def test_notes_of_an_image_that_is_gone_are_not_written(host: Host) -> None:
    image = image_with(host.service, os.urandom(100_000))
    opened = iter(cache.downloads.open_image_data(host.service, OWNER, image.id).read(0, 100_000))
    first = next(opened)
    images.delete_image(host.service, OWNER, image.id)
    assert len(first) + sum(map(len, opened)) == 100_000
    with host.database.read() as tx:
        assert rows.list_nodes(tx, image.id) == []
