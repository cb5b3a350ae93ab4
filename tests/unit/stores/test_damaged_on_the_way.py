"""Bytes that are damaged between a store and this process: read again once, and never handed out."""

import itertools
import random

import pytest

from partage import problems
from partage.stores.engine import reader
from tests.memory_store import MemoryStore
from tests.unit.stores import doubles


class DamagingStore(MemoryStore):
    """Damages the first `times` reads."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times
        self._reads = itertools.count()

    def get(self, key: str, start: int, length: int) -> bytes:
        whole = super().get(key, start, length)
        return bytes([whole[0] ^ 1]) + whole[1:] if next(self._reads) < self._times else whole


@pytest.mark.parametrize("size_bytes", [5000, 3 << 20])
def test_bytes_damaged_on_the_way_are_read_again(size_bytes: int) -> None:
    store, index = DamagingStore(times=1), doubles.MemoryIndex()
    data = random.Random(14).randbytes(size_bytes)
    done = doubles.written(store, index, [data])
    assert b"".join(reader.read(store, index, done.segments, 0, len(data))) == data


def test_bytes_that_stay_damaged_are_not_handed_out() -> None:
    store, index = DamagingStore(times=1000), doubles.MemoryIndex()
    data = random.Random(15).randbytes(3 << 20)
    done = doubles.written(store, index, [data])
    with pytest.raises(problems.ContentCorrupt):
        b"".join(reader.read(store, index, done.segments, 0, len(data)))
