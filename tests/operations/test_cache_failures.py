"""The cache of a node when what it rests on fails: the store, the database, the directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.operations import cache, downloads, images
from partage.operations.service import Cache, Service
from partage.records import cache as rows
from partage.records.database import Database, Transaction
from partage.stores.cache.cache_directory import Bounds, CacheDirectory
from partage.stores.cache.copies import LIFE_BYTES, WINDOW_BYTES
from partage.stores.cache.fills import Fills
from partage.stores.drivers.posix import PosixStore
from tests.operations.services import OWNER, image_with, make
from tests.services import change_service
from tests.unit.stores.copying import read_part

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
        bounds = Bounds(free_share=1.0, most_bytes=limit_bytes)
        self.cache = Cache(node=NODE, fills=Fills(CacheDirectory(near, bounds=bounds, life=bytes(LIFE_BYTES))))
        self.database = OneWay(f"sqlite:///{folder}/partage.db")
        self.service: Service = change_service(make(folder, self.store), cache=self.cache, database=self.database)

    def fetches(self) -> bool:
        return cache.fetch_next(self.service, self.cache, may_go_on=lambda: True)

    def downloads(self, image_id: ImageID) -> bytes:
        """Read all data as the edge does: through the cache."""
        opened = downloads.open_image_data(self.service, OWNER, image_id)
        return b"".join(map(read_part, opened.open_reading(0, opened.size_bytes).pieces_from(0)))

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
    made.service.close()


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
    assert host.downloads(image.id) == data


def test_a_download_is_whole_although_it_cannot_be_counted(host: Host) -> None:
    data = os.urandom(100_000)
    image = image_with(host.service, data)
    host.database.is_closed = True
    assert host.downloads(image.id) == data
    host.database.is_closed = False
    assert host.cached == []


def test_vanished_cache_directory_holds_no_images(host: Host, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    image = image_with(host.service, data)
    host.downloads(image.id)
    assert host.cached == [image.id]
    (tmp_path / "near").rename(tmp_path / "elsewhere")
    assert host.cached == []
    assert host.downloads(image.id) == data
    cache.tidy(host.service, host.cache)
    cache.clean_cache(host.service, ADMIN)
    cache.clear_cache(host.service, ADMIN, cache.ClearTarget.ALL)
    assert not (tmp_path / "near").exists(), "a disk that is not mounted is not replaced by a folder"


def test_empty_and_zero_images_are_cached_without_data(host: Host) -> None:
    zeros, nothing = image_with(host.service, bytes(5 << 20)), image_with(host.service, b"")
    for each in (zeros, nothing):
        cache.queue_image(host.service, ADMIN, each.id)
    assert [host.fetches(), host.fetches(), host.fetches()] == [True, True, False]
    assert host.cached == [zeros.id, nothing.id]
    assert host.downloads(nothing.id) == b""


def test_tidy_removes_the_copy_of_a_deleted_image(host: Host) -> None:
    image, staying = (image_with(host.service, os.urandom(100_000)) for _ in range(2))
    for each in (image, staying):
        host.downloads(each.id)
    images.delete_image(host.service, OWNER, image.id)
    assert host.cache.directory.list_contents() == {image.content_id, staying.content_id}
    cache.tidy(host.service, host.cache)
    assert host.cache.directory.list_contents() == {staying.content_id}


def test_the_queue_is_looked_at_without_a_lock(host: Host) -> None:
    """The process that fetches looks every second, and must not keep writers waiting."""
    host.database.is_closed = True
    assert not host.fetches()


def test_notes_of_an_image_that_is_gone_are_not_written(host: Host) -> None:
    image = image_with(host.service, os.urandom(3 << 20))
    pieces = downloads.open_image_data(host.service, OWNER, image.id).open_reading(0, 3 << 20).pieces_from(0)
    first = next(pieces)
    images.delete_image(host.service, OWNER, image.id)
    assert len(first) + sum(map(len, pieces)) == 3 << 20
    with host.database.read() as tx:
        assert rows.list_nodes(tx, image.id) == []


def test_image_is_sent_whole_when_its_copy_has_no_room(tmp_path: Path) -> None:
    host = Host(tmp_path, limit_bytes=4 << 20)
    data = os.urandom(20 << 20)
    image = image_with(host.service, data)
    assert host.downloads(image.id) == data
    assert (host.cached, host.cache.directory.list_contents()) == ([], set())
    cache.queue_image(host.service, ADMIN, image.id)
    assert [host.fetches(), host.cached, host.queued] == [True, [], []]
    host.service.close()


def test_scrub_finds_a_changed_copy_and_the_next_read_repairs_it(host: Host, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    image, sound = image_with(host.service, data), image_with(host.service, os.urandom(100_000))
    for each in (image, sound):
        host.downloads(each.id)
    [file] = (tmp_path / "near").rglob(str(image.content_id))
    with file.open("r+b") as copy:
        copy.seek(WINDOW_BYTES + 5)
        copy.write(b"changed behind the service")
    assert host.downloads(image.id) != data, "bytes that were verified once are trusted until the scrub"

    paced: list[int] = []
    assert cache.scrub(host.service, host.cache, pace=paced.append, may_go_on=lambda: True) in {1, 2}, "a chunk can reach into two"
    assert sum(paced) == 4 * WINDOW_BYTES
    assert host.cached == [sound.id], "what misses a part is not listed"
    assert host.downloads(image.id) == data
    assert {*host.cached} == {image.id, sound.id}
    assert cache.scrub(host.service, host.cache, pace=paced.append, may_go_on=lambda: True) == 0


def test_scrub_does_not_take_what_was_never_filled_for_damage(host: Host, tmp_path: Path) -> None:
    image = image_with(host.service, os.urandom(6 * WINDOW_BYTES))
    opened = downloads.open_image_data(host.service, OWNER, image.id)
    start, stop = 2 * WINDOW_BYTES + 5, 4 * WINDOW_BYTES
    sum(map(len, opened.open_reading(start, stop).pieces_from(start)))

    def scrub() -> int:
        return cache.scrub(host.service, host.cache, pace=lambda _bytes: None, may_go_on=lambda: True)

    assert scrub() == 0, "chunks at its borders reach into windows that are missing"
    [file] = (tmp_path / "near").rglob(str(image.content_id))
    with file.open("r+b") as copy:
        copy.seek(3 * WINDOW_BYTES)
        copy.write(b"changed behind the service")
    assert scrub() in {1, 2}, "a chunk can reach into two"


def test_interrupted_scrub_reads_no_further(host: Host) -> None:
    host.downloads(image_with(host.service, os.urandom(100_000)).id)
    paced: list[int] = []
    assert cache.scrub(host.service, host.cache, pace=paced.append, may_go_on=lambda: False) == 0
    assert paced == []
