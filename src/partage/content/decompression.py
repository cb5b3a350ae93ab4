"""Decompress image data in the stream: gzip, and zip archives of one file. Pure; writes no archive to a disk.

The output is as untrusted as the input: inspect it. A wrong checksum or a second member is detected only at the end, after most
bytes were yielded, so the output is valid only once the iterator has ended without a problem.

Source: RFC 1952 (gzip), PKWARE's APPNOTE 6.3 (zip), Glance's plugin image_decompression for what is unpacked at all.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from partage import problems
from partage.content.digest import Buffer

PIECE_BYTES = 1024 * 1024
"""The longest piece that is yielded."""

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
    """Bound against decompression bombs: `ratio` times the compressed size, and always `free_bytes`. `ratio` 0: no bound.

    The compressed size is what was read so far, or `packed_bytes` if the whole size is known: a disk may begin with a hole of
    zeros and continue with data.
    """

    ratio: int = 0
    free_bytes: int = 0
    packed_bytes: int = 0

    def permits(self, plain_bytes: int, taken_bytes: int) -> bool:
        """Return whether this many bytes may come out of `taken_bytes`."""
        return not self.ratio or plain_bytes <= max(self.free_bytes, self.ratio * max(taken_bytes, self.packed_bytes))


_UNBOUNDED = Expansion()


def decompress(blocks: Iterable[Buffer], *, limit_bytes: int, expansion: Expansion = _UNBOUNDED) -> Iterator[bytes]:
    """Decompress data that begins like gzip or zip, and yield anything else unchanged; in pieces of at most PIECE_BYTES.

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
    """A reader with look-ahead. `taken_bytes` counts the bytes that were read."""

    def __init__(self, blocks: Iterable[Buffer]) -> None:
        self._blocks = iter(blocks)
        self._held = memoryview(b"")
        self._next = 0
        self.taken_bytes = 0

    def peek(self, count: int) -> bytes:
        """Return the next bytes without reading them: `count`, or fewer at the end."""
        parts: list[Buffer] = [self._held[self._next :]]
        missing = count - len(parts[0])
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            missing -= len(block)
        if len(parts) > 1:
            self._held, self._next = memoryview(b"".join(parts)), 0
        return bytes(self._held[self._next :][:count])

    def read_some(self, at_most: int) -> bytes:
        """Read at most this many bytes; none at the end."""
        self.peek(1)
        found = bytes(self._held[self._next :][:at_most])
        self._next += len(found)
        self.taken_bytes += len(found)
        return found

    def read(self, count: int) -> bytes:
        """Read exactly this many bytes."""
        if len(self.peek(count)) < count:
            raise problems.ArchiveRefused(_CUT_SHORT)
        return self.read_some(count)

    def unread(self, count: int) -> None:
        """Undo the end of the last `read_some`. Costs nothing: gzip members can be twenty bytes long."""
        self._next -= count
        self.taken_bytes -= count


def _unpack(source: _Source) -> Iterator[bytes]:
    head = source.peek(7)
    if head.startswith(_GZIP):
        yield from _gunzip(source)
    elif head.startswith(_ZIP):
        yield from _unzip(source)
    elif head[2:5] == b"-lh" and head[6:] == b"-":
        raise problems.ArchiveRefused("LHA archives are not unpacked here; unpack it and send the disk image, or use gzip")
    else:
        while piece := source.read_some(PIECE_BYTES):
            yield piece


def _gunzip(source: _Source) -> Iterator[bytes]:
    while source.peek(3) == _GZIP:
        yield from _inflate(source, _GZIP_WINDOW)
    while piece := source.read_some(PIECE_BYTES):
        if piece.strip(b"\0"):
            raise problems.ArchiveRefused(_DAMAGED)


def _inflate(source: _Source, window: int) -> Iterator[bytes]:
    """Inflate one deflate stream, and leave the following bytes in the source. Feeds little at first: members may be short."""
    inflater = zlib.decompressobj(window)
    fed_bytes = _FIRST_FED_BYTES
    while not inflater.eof:
        fed = inflater.unconsumed_tail or source.read_some(fed_bytes)
        fed_bytes = min(2 * fed_bytes, _FED_BYTES)
        try:
            piece = inflater.decompress(fed, PIECE_BYTES)
        except zlib.error as error:
            raise problems.ArchiveRefused(_DAMAGED) from error
        if piece:
            yield piece
        elif not fed and not inflater.eof:
            raise problems.ArchiveRefused(_CUT_SHORT)
    source.unread(len(inflater.unused_data))


@dataclass(frozen=True, slots=True)
class _Member:
    """A file as a header of a zip archive describes it."""

    name: bytes
    flags: int = field(compare=False)
    method: int
    crc: int
    packed_bytes: int
    plain_bytes: int


def _unzip(source: _Source) -> Iterator[bytes]:
    said = _read_local_header(source)
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


def _read_local_header(source: _Source) -> _Member:
    _, flags, method, crc, packed_bytes, plain_bytes, name_bytes, extra_bytes = _LOCAL.unpack(source.read(_LOCAL.size))
    name, extra = source.read(name_bytes), source.read(extra_bytes)
    if flags & ~_KNOWN_FLAGS:
        raise problems.ArchiveRefused("The zip archive is encrypted, or of a kind that is not unpacked here; send the disk image")
    if method not in (_STORED, _DEFLATED) or (method == _STORED and flags & _DESCRIPTOR):
        raise problems.ArchiveRefused("The zip archive is packed in a way that is not unpacked here; use deflate, or gzip")
    if name.endswith(b"/"):
        raise problems.ArchiveRefused(_SEVERAL)
    plain_bytes, packed_bytes, _ = _widen(extra, plain_bytes, packed_bytes, 0)
    return _Member(name, flags, method, crc, packed_bytes, plain_bytes)


def _widen(extra: bytes, *sizes: int) -> Iterator[int]:
    """Yield plain size, packed size and offset, from the zip64 field if they do not fit into 32 bits."""
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
        piece = source.read(min(left_bytes, _FED_BYTES))
        left_bytes -= len(piece)
        yield piece


def _take_descriptor(source: _Source, found: _Member) -> None:
    """Read the checksum and sizes after the data, if the writer could not seek: with or without a signature, 32 or 64 bits."""
    for mark in (b"PK\x07\x08", b""):
        for width in (4, 8):
            sizes = [size.to_bytes(8, "little") for size in (found.packed_bytes, found.plain_bytes)]
            expected = mark + found.crc.to_bytes(4, "little") + b"".join(size[:width] for size in sizes)
            if source.peek(len(expected) + 2) == expected + b"PK":
                source.read(len(expected))
                return
    raise problems.ArchiveRefused(_DAMAGED if source.peek(16)[15:] else _CUT_SHORT)


def _check_directory(source: _Source, found: _Member) -> None:
    """Compare the directory at the end with the file: programs that start there must see the same single file."""
    if source.peek(4) == _ZIP:
        raise problems.ArchiveRefused(_SEVERAL)
    start = source.taken_bytes
    directory = source.peek(_LONGEST_DIRECTORY + 1)
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
    """Read the first entry of the directory; return its length, the offset of its file, and its description of the file."""
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
    """Read the end record after the first entry; return the number of files, and length and start of the directory."""
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
