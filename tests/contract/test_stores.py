"""What every store promises. Every driver in `tests/contract/drivers.py` goes through all of it."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.main.configuration import store_types
from tests.contract import drivers

KEY = "packs/ab/" + "ab" * 16


@pytest.fixture(params=[*drivers.STORES, *(pytest.param(name, marks=mark) for name, mark in drivers.SERVERS.items())])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param in drivers.SERVERS:
        opened = drivers.open_at(request.getfixturevalue(request.param.replace(" ", "_")))
    else:
        opened = drivers.STORES[request.param](tmp_path)
    with opened as built:
        yield built


def test_parts_come_back_as_one(store: Any) -> None:
    store.put(KEY, [b"abc", bytearray(b"def"), memoryview(b"ghi")])
    assert store.get(KEY, 0, 9) == b"abcdefghi"
    assert store.get(KEY, 2, 3) == b"cde"
    assert store.get(KEY, 9, 0) == b""
    assert isinstance(store.get(KEY, 0, 9), bytes)


def test_many_and_large_parts_are_kept(store: Any) -> None:
    parts = [os.urandom(size) for size in (1, 4095, 0, 4097, 3 << 20)] + [b"x"] * 3000
    store.put(KEY, parts)
    whole = b"".join(parts)
    assert store.get(KEY, 0, len(whole)) == whole
    assert store.stat(KEY).size_bytes == len(whole)


def test_putting_again_is_fine(store: Any) -> None:
    store.put(KEY, [b"same"])
    store.put(KEY, [b"same"])
    assert store.get(KEY, 0, 4) == b"same"
    assert list(store.enumerate("")) == [KEY]


def test_put_if_absent_leaves_what_is_there(store: Any) -> None:
    assert store.put_if_absent(KEY, [b"fi", b"rst"])
    assert not store.put_if_absent(KEY, [b"second"])
    assert store.get(KEY, 0, 5) == b"first"
    assert store.stat(KEY).size_bytes == 5
    assert list(store.enumerate("")) == [KEY]


def test_one_of_many_puts_if_absent_at_once_succeeds(store: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.put_if_absent(KEY, [b"%d" % number]), range(8)))
    assert won.count(True) == 1
    assert store.get(KEY, 0, 1) == b"%d" % won.index(True)


def test_empty_object_exists(store: Any) -> None:
    store.put(KEY, [])
    assert store.stat(KEY).size_bytes == 0


def test_buffers_belong_to_the_caller_afterwards(store: Any) -> None:
    buffer = bytearray(b"before")
    store.put(KEY, [buffer])
    buffer[:] = b"after!"
    assert store.get(KEY, 0, 6) == b"before"


def test_absent_object_is_corruption_to_a_reader_and_none_to_stat(store: Any) -> None:
    with pytest.raises(problems.ContentCorrupt):
        store.get(KEY, 0, 1)
    assert store.stat(KEY) is None


def test_range_beyond_the_end_is_corruption(store: Any) -> None:
    store.put(KEY, [b"abc"])
    for start, length in ((0, 4), (3, 1), (100, 1)):
        with pytest.raises(problems.ContentCorrupt):
            store.get(KEY, start, length)


def test_stat_tells_size_and_time(store: Any) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    store.put(KEY, [b"abc"])
    stat = store.stat(KEY)
    assert stat.size_bytes == 3
    assert before <= stat.modified_at <= datetime.now(UTC) + timedelta(seconds=2)
    assert stat.modified_at.utcoffset() == timedelta(0)


def test_removed_is_gone_and_removing_again_is_fine(store: Any) -> None:
    store.put(KEY, [b"abc"])
    store.remove(KEY)
    store.remove(KEY)
    store.remove("packs/zz/never")
    assert store.stat(KEY) is None
    assert list(store.enumerate("")) == []


def test_enumerate_names_each_key_under_a_prefix_once(store: Any) -> None:
    keys = {f"packs/{number:02x}/{number:032x}" for number in range(40)} | {"other/thing"}
    for key in keys:
        store.put(key, [b"x"])
    assert sorted(store.enumerate("")) == sorted(keys)
    assert sorted(store.enumerate("packs/")) == sorted(keys - {"other/thing"})
    assert list(store.enumerate("packs/05/")) == [f"packs/05/{5:032x}"]
    assert sorted(store.enumerate("packs/0")) == sorted(f"packs/{number:02x}/{number:032x}" for number in range(16))
    assert list(store.enumerate("nothing/")) == []


def test_objects_may_go_while_being_enumerated(store: Any) -> None:
    for number in range(5):
        store.put(f"packs/aa/{number}", [b"x"])
    for key in store.enumerate("packs/"):
        store.remove(key)
    assert list(store.enumerate("")) == []


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "packs/../../x", "packs//x", "packs/x/", ".", "a/.hidden", "a\0b", "a\nb", "a b", "é"]
)
def test_keys_that_could_leave_the_root_are_refused(store: Any, key: str) -> None:
    for call in (lambda: store.put(key, [b"x"]), lambda: store.get(key, 0, 1), lambda: store.stat(key), lambda: store.remove(key)):
        with pytest.raises(ValueError, match="not a key"):
            call()


def test_threads_may_use_a_store_at_once(store: Any) -> None:
    failures = []
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        try:
            for turn in range(20):
                key = f"packs/{turn:02x}/{number}"
                store.put(key, [bytes([number]) * 1000])
                assert store.get(key, 0, 1000) == bytes([number]) * 1000
        except Exception as error:  # noqa: BLE001 - carried out of the thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(store.enumerate("packs/"))) == 160


def test_object_that_is_whole_is_no_draft(store: Any) -> None:
    store.put(KEY, [b"x"])
    assert list(store.list_drafts()) == []


def test_url_in_the_environment_adds_an_empty_store(tmp_path: Path) -> None:
    url = f"posix://{tmp_path}"
    stores = drivers.find_stores({drivers.VARIABLE: url})
    assert [*stores] == [*drivers.find_stores({}), url]
    for _ in range(2):
        with stores[url](tmp_path) as added:
            assert list(added.enumerate("")) == []
            added.put(KEY, [b"x"])
            assert len(list(tmp_path.rglob("packs"))) == 1
    assert list(tmp_path.iterdir()) == []


def test_every_driver_can_be_added_by_url() -> None:
    assert {*drivers.BY_SCHEME} == {name for name, each in store_types.STORE_TYPES.items() if each.build is not None}
