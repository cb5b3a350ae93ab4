"""Packs: immutable objects that hold many chunks each, so that one fsync or one PUT serves many.

Chunks stand back to back without headers, so that neighbours can be read, and plain ones sent, in one piece. An index at the end
names them, so that the chunk index of the database can be rebuilt from packs alone. Layout: docs/format.md, "Pack".
"""

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

import blake3

from partage import problems
from partage.model import ids
from partage.stores import layout, store

VERSION = 1
TARGET_BYTES = 8 << 20
"""A pack is sealed when it holds this much. Three are in memory at a time: one is filled while two are made durable."""
TARGET_CHUNKS = 4096
"""…or when it holds so many, which bounds the index and the database's transaction."""


class Encoding(IntEnum):
    """The encoding of a chunk in a pack. Values are stored: never renumber."""

    PLAIN = 0
    ZSTD = 1


@dataclass(frozen=True, slots=True)
class ChunkEntry:
    """A chunk's place in its pack: `offset` from the object's first byte, its stored and its plain length."""

    digest: ids.ChunkDigest
    offset: int
    stored_bytes: int
    length_bytes: int
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A complete pack. `size_bytes` is the size of the whole object."""

    pack_id: ids.PackID
    size_bytes: int
    entries: tuple[ChunkEntry, ...]


class PackBuilder:
    """Lays out one pack. The caller keeps its bytes: `head`, the chunks in the order of `add`, the tail. Not thread-safe."""

    def __init__(self, pack_id: ids.PackID, target_bytes: int = TARGET_BYTES) -> None:
        self._pack_id = pack_id
        self._target_bytes = target_bytes
        self.head = _HEAD.pack(_MAGIC, VERSION, bytes.fromhex(pack_id))
        self._size_bytes = len(self.head)
        self._entries: list[ChunkEntry] = []

    @property
    def size_bytes(self) -> int:
        """The bytes in it so far."""
        return self._size_bytes

    @property
    def full(self) -> bool:
        """Whether the pack has reached a limit and must be sealed."""
        return self._size_bytes >= self._target_bytes or len(self._entries) >= TARGET_CHUNKS

    def add(self, digest: ids.ChunkDigest, *, stored_bytes: int, length_bytes: int, encoding: Encoding) -> None:
        """Enter the next chunk. The caller enters no digest twice."""
        self._entries.append(ChunkEntry(digest, self._size_bytes, stored_bytes, length_bytes, encoding))
        self._size_bytes += stored_bytes

    def seal(self) -> tuple[SealedPack, bytes]:
        """Complete the pack; return its description and its tail. The object is put under `layout.pack_key`."""
        index = b"".join(_ENTRY.pack(e.digest, e.offset, e.stored_bytes, e.length_bytes, e.encoding) for e in self._entries)
        foot = _FOOT.pack(self._size_bytes, len(self._entries), _MAGIC_END)
        tail = index + foot + blake3.blake3(self.head + index + foot).digest()
        return SealedPack(self._pack_id, self._size_bytes + len(tail), tuple(self._entries)), tail


def read_index(source: store.Store, pack_id: ids.PackID) -> SealedPack:
    """Read the index of a pack from its object, verified by its checksum.

    Raises:
        ContentCorrupt: it is absent, damaged, or another pack's bytes.
        StoreUnavailable: the store does not answer.
        ValueError: it was written by a newer version of the service.
    """
    key = layout.pack_key(pack_id)
    stat = source.stat(key)
    return _index(pack_id, 0 if stat is None else stat.size_bytes, partial(source.get, key))


def _index(pack_id: ids.PackID, size_bytes: int, get: Callable[[int, int], bytes]) -> SealedPack:
    if size_bytes < _HEAD.size + _TAIL_BYTES:
        raise problems.ContentCorrupt(f"The pack {pack_id} is missing or too short; restore it from a backup")
    head = get(0, _HEAD.size)
    magic, version, own_id = _HEAD.unpack(head)
    if magic == _MAGIC and version != VERSION:
        raise ValueError(f"The pack {pack_id} has version {version}, this service reads version {VERSION}; run a newer one")
    tail = get(size_bytes - _TAIL_BYTES, _TAIL_BYTES)
    foot, checksum = tail[: _FOOT.size], tail[_FOOT.size :]
    index_start, count, magic_end = _FOOT.unpack(foot)
    sound = magic == _MAGIC and magic_end == _MAGIC_END and own_id.hex() == pack_id
    if not sound or index_start + count * _ENTRY.size + _TAIL_BYTES != size_bytes:
        raise problems.ContentCorrupt(f"The pack {pack_id} is damaged at its ends; restore it from a backup")
    index = get(index_start, count * _ENTRY.size)
    if checksum != blake3.blake3(head + index + foot).digest():
        raise problems.ContentCorrupt(f"The index of pack {pack_id} is damaged; restore it from a backup")
    entries = tuple(_entry(row) for row in _ENTRY.iter_unpack(index))
    if not all(_is_possible(each, index_start) for each in entries):
        raise problems.ContentCorrupt(f"The index of pack {pack_id} names bytes outside the pack; restore it from a backup")
    return SealedPack(pack_id, size_bytes, entries)


def rewrite(target: store.Store, pack: SealedPack, keep: Collection[ids.ChunkDigest], new_pack_id: ids.PackID) -> SealedPack | None:
    """Copy the chunks named in `keep` from one pack into a new one, as stored, and return the new pack once it is durable.

    None when the pack holds none of them. The old pack stays: its removal is the caller's, after the index names the new one.
    Chunks are copied without being checked: damage stays as detectable as it was. Holds one pack in memory.

    Raises:
        ContentCorrupt, StoreUnavailable, StoreFull: as the store's verbs.
    """
    builder = PackBuilder(new_pack_id)
    kept = [entry for entry in pack.entries if entry.digest in keep]
    if not kept:
        return None
    parts = [builder.head]
    for entry in kept:
        parts.append(target.get(layout.pack_key(pack.pack_id), entry.offset, entry.stored_bytes))
        builder.add(entry.digest, stored_bytes=entry.stored_bytes, length_bytes=entry.length_bytes, encoding=entry.encoding)
    sealed, tail = builder.seal()
    target.put(layout.pack_key(new_pack_id), [*parts, tail])
    return sealed


_MAGIC = b"PTGP"
_MAGIC_END = b"PTGE"
_HEAD = struct.Struct("<4sH10x16s")
_ENTRY = struct.Struct("<32sQIIB7x")
_FOOT = struct.Struct("<QI4s")
_TAIL_BYTES = _FOOT.size + 32
_MOST_BYTES = 2**31
"""No chunk is as long as this; the index of the database cannot hold a longer one."""


def _entry(row: tuple[bytes, int, int, int, int]) -> ChunkEntry:
    digest, offset, stored_bytes, length_bytes, encoding = row
    return ChunkEntry(ids.ChunkDigest(digest), offset, stored_bytes, length_bytes, Encoding(encoding))


def _is_possible(entry: ChunkEntry, index_start: int) -> bool:
    """Return whether a chunk lies between its pack's head and index. The checksum of an index does not prove that it is right."""
    is_inside = _HEAD.size <= entry.offset <= index_start - entry.stored_bytes
    return is_inside and 0 < entry.length_bytes < _MOST_BYTES and entry.stored_bytes < _MOST_BYTES
