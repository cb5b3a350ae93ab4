"""The size of packs is a setting of each store."""

import random
from pathlib import Path

import pytest

from partage.main.composition import compose
from partage.main.configuration import config
from partage.stores.engine import reader
from tests.memory_store import MemoryStore
from tests.unit.stores import doubles

MIB = 1 << 20


@pytest.mark.parametrize(("pack_bytes", "packs"), [(MIB, 12), (8 * MIB, 2), (16 * MIB, 1)])
def test_packs_have_the_size_that_is_set(pack_bytes: int, packs: int) -> None:
    store, index = doubles.WatchedStore(MemoryStore()), doubles.MemoryIndex()
    data = random.Random(16).randbytes(12 * MIB)
    done = doubles.written(store, index, [data], pack_bytes=pack_bytes)
    assert packs - 2 <= len(index.packs) <= packs
    assert max(each.size_bytes for each in index.packs.values()) < pack_bytes + MIB
    assert b"".join(reader.read(store, index, done.segments, 0, len(data))) == data


def test_setting_of_a_store_reaches_it(tmp_path: Path) -> None:
    stores = [{"id": "small", "path": tmp_path / "a", "pack_bytes": MIB}, {"id": "usual", "path": tmp_path / "b"}]
    service = compose.build_service(config.load({"data": tmp_path, "stores": stores}))
    try:
        assert [service.stores.by_id[name].pack_bytes for name in ("small", "usual")] == [MIB, 8 * MIB]
    finally:
        service.close()
