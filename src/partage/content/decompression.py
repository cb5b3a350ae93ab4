"""Unpack compressed image data in the stream: gzip, and zip archives of one file. Pure; no archive is ever on a disk.

What comes out is trusted no more than what went in: it has yet to be inspected. What is found wrong at the end, a checksum or a
second member, is found after most bytes were given out, so they count only once the iterator has ended without a problem.

Source: RFC 1952 (gzip), PKWARE's APPNOTE 6.3 (zip), Glance's plugin image_decompression for what is unpacked at all.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from partage import problems
from partage.content.digest import Buffer

PIECE_BYTES = 1024 * 1024
"""The longest piece that is given out."""

_FIRST_FED_BYTES, _FED_BYTES = 512, 64 * 1024
_GZIP, _ZIP = b"\x1f\x8b\x08", b"PK\x03\x04"
_GZIP_WINDOW, _RAW_WINDOW = 31, -15

_LOCAL = struct.Struct("<4s2xHH4xIIIHH")
"""flags, method, crc, compressed and plain size, lengths of name and extra fields."""

_CENTRAL = struct.Struct("<4s4xHH4xIIIHHH8xI")
"""As above, the length of the comment, and where the local header is."""

_END = struct.Struct("<4s4xHHIIH")
"""Files on this disk and in all, length and start of the directory, length of the comment."""

_END_64 = struct.Struct("<4sQ20xQQQ")
"""The length of what follows, then files in all, length and start of the directory."""

_LOCATOR_BYTES = 20
_FIELD, _ZIP64 = struct.Struct("<HH"), 1
_STORED, _DEFLATED = 0, 8
_DESCRIPTOR, _KNOWN_FLAGS = 0x0008, 0x080E
_ESCAPED_32, _ESCAPED_16 = 0xFFFF_FFFF, 0xFFFF
_LONGEST_DIRECTORY = 512 * 1024

_CUT_SHORT = "The compressed image data ends too early; send all of it"
_DAMAGED = "The compressed image data is damaged; compare its checksum with the original"
_SEVERAL = "The zip archive does not hold exactly one file; send the disk image alone"
_CONTRADICTORY = "The zip archive contradicts itself; unpack it and send the disk image"


@dataclass(frozen=True, slots=True)
class Expansion:
    """What compressed data may become: `ratio` times its size, and `free_bytes` in any case. `ratio` 0: as much as it likes.

    Its size is what has come so far, or `packed_bytes` where that many are known to come: a hole of zeros at the beginning of a
    disk is followed by data.
    """

    ratio: int = 0
    free_bytes: int = 0
    packed_bytes: int = 0

    def permits(self, plain_bytes: int, taken_bytes: int) -> bool:
        """Say whether so many bytes may come out of so many."""
        return not self.ratio or plain_bytes <= max(self.free_bytes, self.ratio * max(taken_bytes, self.packed_bytes))


_UNBOUNDED = Expansion()


def decompress(blocks: Iterable[Buffer], *, limit_bytes: int, expansion: Expansion = _UNBOUNDED) -> Iterator[bytes]:
    """Unpack what begins like gzip or zip, and give anything else as it is; in pieces of at most PIECE_BYTES, or as they came.

    Several gzip members after each other are one content, as gzip itself has it; zeros may follow the last.

    Raises:
        ArchiveRefused: it is damaged or cut short, an archive of several files or of none, encrypted, of another kind (lha),
            or more than `expansion` permits.
        ImageTooLarge: more than `limit_bytes` come out.
    """
    source = _Source(blocks)
    given_bytes = 0
    for piece in _unpack(source):
        given_bytes += len(piece)
        if given_bytes > limit_bytes:
            raise problems.ImageTooLarge(f"The image data is too large once it is unpacked: at most {limit_bytes} bytes are taken")
        if not expansion.permits(given_bytes, source.taken_bytes):
            raise problems.ArchiveRefused(
                f"The compressed image data becomes more than {expansion.ratio} times its size; unpack it and send the disk image"
            )
        yield piece


class _Source:
    """Bytes that can be looked at before they are taken. `taken_bytes` counts those that were."""

    def __init__(self, blocks: Iterable[Buffer]) -> None:
        self._blocks = iter(blocks)
        self._held = memoryview(b"")
        self._next = 0
        self.taken_bytes = 0

    def look(self, count: int) -> bytes:
        """Give the next bytes without taking them: `count`, or fewer at the end."""
        parts: list[Buffer] = [self._held[self._next :]]
        missing = count - len(parts[0])
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            missing -= len(block)
        if len(parts) > 1:
            self._held, self._next = memoryview(b"".join(parts)), 0
        return bytes(self._held[self._next :][:count])

    def some(self, at_most: int) -> bytes:
        """Take the next bytes, none at the end."""
        self.look(1)
        found = bytes(self._held[self._next :][:at_most])
        self._next += len(found)
        self.taken_bytes += len(found)
        return found

    def take(self, count: int) -> bytes:
        """Take exactly that many bytes."""
        if len(self.look(count)) < count:
            raise problems.ArchiveRefused(_CUT_SHORT)
        return self.some(count)

    def give_back(self, count: int) -> None:
        """Undo the end of the last `some`. Costs nothing: gzip members can be twenty bytes long."""
        self._next -= count
        self.taken_bytes -= count


def _unpack(source: _Source) -> Iterator[bytes]:
    head = source.look(7)
    if head.startswith(_GZIP):
        yield from _gunzip(source)
    elif head.startswith(_ZIP):
        yield from _unzip(source)
    elif head[2:5] == b"-lh" and head[6:] == b"-":
        raise problems.ArchiveRefused("LHA archives are not unpacked here; unpack it and send the disk image, or use gzip")
    else:
        while piece := source.some(PIECE_BYTES):
            yield piece


def _gunzip(source: _Source) -> Iterator[bytes]:
    while source.look(3) == _GZIP:
        yield from _inflate(source, _GZIP_WINDOW)
    while piece := source.some(PIECE_BYTES):
        if piece.strip(b"\0"):
            raise problems.ArchiveRefused(_DAMAGED)


def _inflate(source: _Source, window: int) -> Iterator[bytes]:
    """Inflate one deflate stream, and leave what follows it in the source. Little is fed at first: it may be of the next member."""
    inflater = zlib.decompressobj(window)
    fed_bytes = _FIRST_FED_BYTES
    while not inflater.eof:
        fed = inflater.unconsumed_tail or source.some(fed_bytes)
        fed_bytes = min(2 * fed_bytes, _FED_BYTES)
        try:
            piece = inflater.decompress(fed, PIECE_BYTES)
        except zlib.error as error:
            raise problems.ArchiveRefused(_DAMAGED) from error
        if piece:
            yield piece
        elif not fed and not inflater.eof:
            raise problems.ArchiveRefused(_CUT_SHORT)
    source.give_back(len(inflater.unused_data))


@dataclass(frozen=True, slots=True)
class _Member:
    """What a header of a zip archive says of a file."""

    name: bytes
    flags: int = field(compare=False)
    method: int
    crc: int
    packed_bytes: int
    plain_bytes: int


def _unzip(source: _Source) -> Iterator[bytes]:
    said = _local_header(source)
    before, crc, plain_bytes = source.taken_bytes, 0, 0
    for piece in _read_stored(source, said.packed_bytes) if said.method == _STORED else _inflate(source, _RAW_WINDOW):
        crc = zlib.crc32(piece, crc)
        plain_bytes += len(piece)
        yield piece
    found = _Member(said.name, said.flags, said.method, crc, source.taken_bytes - before, plain_bytes)
    if said.flags & _DESCRIPTOR:
        _take_descriptor(source, found)
    elif said != found:
        raise problems.ArchiveRefused(_DAMAGED)
    _check_directory(source, found)


def _local_header(source: _Source) -> _Member:
    _, flags, method, crc, packed_bytes, plain_bytes, name_bytes, extra_bytes = _LOCAL.unpack(source.take(_LOCAL.size))
    name, extra = source.take(name_bytes), source.take(extra_bytes)
    if flags & ~_KNOWN_FLAGS:
        raise problems.ArchiveRefused("The zip archive is encrypted, or of a kind that is not unpacked here; send the disk image")
    if method not in (_STORED, _DEFLATED) or (method == _STORED and flags & _DESCRIPTOR):
        raise problems.ArchiveRefused("The zip archive is packed in a way that is not unpacked here; use deflate, or gzip")
    if name.endswith(b"/"):
        raise problems.ArchiveRefused(_SEVERAL)
    plain_bytes, packed_bytes, _ = _widen(extra, plain_bytes, packed_bytes, 0)
    return _Member(name, flags, method, crc, packed_bytes, plain_bytes)


def _widen(extra: bytes, *sizes: int) -> Iterator[int]:
    """Give plain size, packed size and offset, taking from the zip64 field those that do not fit into 32 bits."""
    wide, position = b"", 0
    while position + _FIELD.size <= len(extra):
        kind, length = _FIELD.unpack_from(extra, position)
        position += _FIELD.size
        if kind == _ZIP64:
            wide = extra[position : position + length]
        position += length
    for size in sizes:
        if size == _ESCAPED_32 and wide:
            yield int.from_bytes(wide[:8], "little")
            wide = wide[8:]
        else:
            yield size


def _read_stored(source: _Source, left_bytes: int) -> Iterator[bytes]:
    while left_bytes:
        piece = source.take(min(left_bytes, _FED_BYTES))
        left_bytes -= len(piece)
        yield piece


def _take_descriptor(source: _Source, found: _Member) -> None:
    """Take the checksum and sizes behind the data, where its writer could not go back: with a mark or without, 32 or 64 bits."""
    for mark in (b"PK\x07\x08", b""):
        for width in (4, 8):
            sizes = [size.to_bytes(8, "little") for size in (found.packed_bytes, found.plain_bytes)]
            expected = mark + found.crc.to_bytes(4, "little") + b"".join(size[:width] for size in sizes)
            if source.look(len(expected) + 2) == expected + b"PK":
                source.take(len(expected))
                return
    raise problems.ArchiveRefused(_DAMAGED if source.look(16)[15:] else _CUT_SHORT)


def _check_directory(source: _Source, found: _Member) -> None:
    """Hold the directory at the end against what was found: programs that start there must see the same one file."""
    if source.look(4) == _ZIP:
        raise problems.ArchiveRefused(_SEVERAL)
    start = source.taken_bytes
    directory = source.look(_LONGEST_DIRECTORY + 1)
    if len(directory) > _LONGEST_DIRECTORY:
        raise problems.ArchiveRefused(_CONTRADICTORY)
    try:
        length, offset, listed = _entry(directory)
        files, directory_bytes, directory_start = _end(directory[length:])
    except struct.error as error:
        raise problems.ArchiveRefused(_CUT_SHORT) from error
    if files != 1:
        raise problems.ArchiveRefused(_SEVERAL)
    if (offset, listed, directory_bytes, directory_start) != (0, found, length, start):
        raise problems.ArchiveRefused(_CONTRADICTORY)


def _entry(directory: bytes) -> tuple[int, int, _Member]:
    """Read the first entry of the directory; return its length, where it says its file begins, and what it says of it."""
    mark, flags, method, crc, packed_bytes, plain_bytes, name_bytes, extra_bytes, comment_bytes, offset = _CENTRAL.unpack_from(
        directory
    )
    if mark != b"PK\x01\x02":
        raise problems.ArchiveRefused(_CONTRADICTORY)
    name = directory[_CENTRAL.size :][:name_bytes]
    extra = directory[_CENTRAL.size + name_bytes :][:extra_bytes]
    plain_bytes, packed_bytes, offset = _widen(extra, plain_bytes, packed_bytes, offset)
    length = _CENTRAL.size + name_bytes + extra_bytes + comment_bytes
    return length, offset, _Member(name, flags, method, crc, packed_bytes, plain_bytes)


def _end(rest: bytes) -> tuple[int, int, int]:
    """Read what follows the first entry, which is to be the end; return how many files there are, and where their entries."""
    if rest.startswith(b"PK\x01\x02"):
        raise problems.ArchiveRefused(_SEVERAL)
    wide = (_ESCAPED_16, _ESCAPED_32, _ESCAPED_32)
    if rest.startswith(b"PK\x06\x06"):
        _, length, *wide_values = _END_64.unpack_from(rest)
        wide = (wide_values[0], wide_values[1], wide_values[2])
        rest = rest[12 + length + _LOCATOR_BYTES :]
    mark, _, files, directory_bytes, directory_start, comment_bytes = _END.unpack_from(rest)
    if mark != b"PK\x05\x06" or len(rest) != _END.size + comment_bytes:
        raise problems.ArchiveRefused(_CONTRADICTORY)
    return (
        wide[0] if files == _ESCAPED_16 else files,
        wide[1] if directory_bytes == _ESCAPED_32 else directory_bytes,
        wide[2] if directory_start == _ESCAPED_32 else directory_start,
    )
