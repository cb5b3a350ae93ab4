"""gzip and zip in the stream: what archivers make comes out as it went in, everything else ends in a problem."""

import gzip
import io
import itertools
import random
import struct
import subprocess
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.content import decompression

LIMIT = 1 << 40
MIXED = random.Random(1).randbytes(50_000) + bytes(1_200_000) + b"text " * 20_000


class Unseekable(io.RawIOBase):
    """What makes archivers write sizes behind the data."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.written += data
        return len(data)


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, streamed: bool = False, wide: bool = False) -> bytes:
    out = Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:  # type: ignore[call-overload]
        for name, content in files:
            with archive.open(name, "w", force_zip64=wide) as member:
                member.write(content)
    return bytes(out.written) if isinstance(out, Unseekable) else out.getvalue()


def split(raw: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    position = 0
    while position < len(raw):
        size = next(sizes)
        yield raw[position : position + size]
        position += size


def unpacked(raw: bytes, size: int = 65_536, limit_bytes: int = LIMIT) -> bytes:
    pieces = list(decompression.decompress(split(raw, itertools.repeat(size)), limit_bytes=limit_bytes))
    assert all(0 < len(piece) <= decompression.PIECE_BYTES for piece in pieces)
    return b"".join(pieces)


def refusal(raw: bytes) -> str:
    with pytest.raises(problems.ArchiveRefused) as refused:
        unpacked(raw)
    return refused.value.sentence()


ARCHIVES = {
    "gzip": gzip.compress(MIXED),
    "gzip with a name": b"\x1f\x8b\x08\x08\0\0\0\0\0\x03disk.raw\0" + gzip.compress(MIXED)[10:],
    "gzip of two members": gzip.compress(MIXED[:1000]) + gzip.compress(MIXED[1000:]),
    "gzip and zeros": gzip.compress(MIXED) + bytes(5000),
    "zip": zipped(("disk.raw", MIXED)),
    "zip, stored": zipped(("disk.raw", MIXED), method=zipfile.ZIP_STORED),
    "zip, streamed": zipped(("disk.raw", MIXED), streamed=True),
    "zip, 64 bits": zipped(("disk.raw", MIXED), wide=True),
    "zip, 64 bits, streamed": zipped(("disk.raw", MIXED), wide=True, streamed=True),
    "zip, folder and file in one name": zipped(("images/disk.raw", MIXED)),
}


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20, 1 << 30])
def test_archive_is_unpacked_to_its_content(kind: str, size: int) -> None:
    assert unpacked(ARCHIVES[kind], size) == MIXED


@pytest.mark.parametrize(
    "raw", [b"", b"x", b"PK", b"\x1f\x8b", b"PK\x05\x06" + bytes(18), b"QFI\xfb" + bytes(5_000_000), b"--lh5", b"..-lh5.x"]
)
def test_uncompressed_data_is_unchanged(raw: bytes) -> None:
    assert unpacked(raw) == raw


@given(
    st.binary(max_size=5000),
    st.lists(st.integers(1, 500), min_size=1),
    st.sampled_from(["gzip", "zip", "streamed", "stored", "wide"]),
)
def test_any_content_in_any_pieces(content: bytes, sizes: list[int], kind: str) -> None:
    methods = {"stored": zipfile.ZIP_STORED}
    raw = (
        gzip.compress(content)
        if kind == "gzip"
        else zipped(
            ("x", content), method=methods.get(kind, zipfile.ZIP_DEFLATED), streamed=kind == "streamed", wide=kind == "wide"
        )
    )
    assert b"".join(decompression.decompress(split(raw, itertools.cycle(sizes)), limit_bytes=LIMIT)) == content


def test_archives_of_real_programs_are_unpacked() -> None:
    for program in (["gzip", "-c"], ["gzip", "-9c"], ["gzip", "-1c"]):
        assert unpacked(subprocess.run(program, input=MIXED, capture_output=True, check=True).stdout) == MIXED


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ARCHIVES)
def test_archive_that_is_cut_short_is_refused_wherever_it_is_cut(kind: str) -> None:
    raw = ARCHIVES[kind]
    places = {*range(8, 100), *range(len(raw) - 120, len(raw)), *random.sample(range(8, len(raw)), 10)}
    whole = {len(gzip.compress(MIXED[:1000]))} if "two members" in kind else set()
    if "zeros" in kind:
        places = {place for place in places if place < len(raw) - 5000}
    for place in sorted(places - whole):
        with pytest.raises(problems.ArchiveRefused):
            unpacked(raw[:place], 1 << 20)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ARCHIVES)
def test_archive_with_a_changed_byte_gives_the_same_data_or_raises(kind: str) -> None:
    """Some bytes, such as times, do not matter; then the content is right."""
    raw = bytearray(ARCHIVES[kind])
    for place in {*range(3, 100), *range(len(raw) - 120, len(raw)), *random.sample(range(len(raw)), 10)}:
        changed = bytearray(raw)
        changed[place] ^= 0x41
        try:
            content = unpacked(bytes(changed), 1 << 20)
        except problems.ArchiveRefused:
            continue
        assert content in (MIXED, bytes(changed)), place


@given(st.binary(max_size=300), st.sampled_from([b"\x1f\x8b\x08", b"PK\x03\x04", b"PK\x03\x04\x14\0\0\0\x08\0"]))
def test_any_bytes_end_in_content_or_a_problem(rest: bytes, magic: bytes) -> None:
    try:
        content = unpacked(magic + rest)
    except problems.ArchiveRefused:
        return
    assert content != magic + rest


def patched(raw: bytes, place: int, value: bytes) -> bytes:
    return raw[:place] + value + raw[place + len(value) :]


SMALL = zipped(("x", b"content"))
DIRECTORY = SMALL.index(b"PK\x01\x02")
END = SMALL.index(b"PK\x05\x06")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (zipped(("a", b"1"), ("b", b"2")), "exactly one"),
        (zipped(("a", b"1"), ("b", b"2"), streamed=True), "exactly one"),
        (zipped(("folder/", b""), ("folder/a", b"2")), "exactly one"),
        (zipped(("folder/", b"")), "exactly one"),
        (patched(SMALL, 6, b"\x01"), "encrypted"),
        (patched(SMALL, 6, b"\x41"), "encrypted"),
        (patched(SMALL, 6, b"\x20"), "encrypted"),
        (patched(SMALL, 7, b"\x20"), "encrypted"),
        (patched(SMALL, 8, b"\x09"), "packed in a way"),
        (patched(SMALL, 8, b"\x0e"), "packed in a way"),
        (patched(SMALL, 8, b"\x63"), "packed in a way"),
        (zipped(("x", b"content"), method=zipfile.ZIP_BZIP2), "packed in a way"),
        (patched(zipped(("x", b"content"), method=zipfile.ZIP_STORED), 6, b"\x08"), "packed in a way"),
        (patched(SMALL, 14, b"\0\0\0\0"), "damaged"),
        (patched(SMALL, 18, b"\0\0\0\0"), "damaged"),
        (patched(SMALL, 22, b"\0\0\0\0"), "damaged"),
        (patched(SMALL, DIRECTORY, b"PK\x06\x08"), "contradicts"),
        (patched(SMALL, DIRECTORY + 10, b"\0"), "contradicts"),
        (patched(SMALL, DIRECTORY + 16, b"\0\0\0\0"), "contradicts"),
        (patched(SMALL, DIRECTORY + 20, b"\0\0\0\0"), "contradicts"),
        (patched(SMALL, DIRECTORY + 24, b"\0\0\0\0"), "contradicts"),
        (patched(SMALL, DIRECTORY + 42, b"\x01"), "contradicts"),
        (patched(SMALL, DIRECTORY + 46, b"y"), "contradicts"),
        (patched(SMALL, END + 10, b"\x02"), "exactly one"),
        (patched(SMALL, END + 10, b"\0"), "exactly one"),
        (patched(SMALL, END + 12, b"\0"), "contradicts"),
        (patched(SMALL, END + 16, b"\0"), "contradicts"),
        (SMALL + b"x", "contradicts"),
        (SMALL + SMALL, "contradicts"),
        (SMALL[:DIRECTORY] + bytes(600_000), "contradicts"),
        (SMALL[:DIRECTORY], "too early"),
        (gzip.compress(b"content", mtime=0) + b"garbage", "damaged"),
        (gzip.compress(b"content", mtime=0) + bytes(100) + b"x", "damaged"),
        (gzip.compress(b"content", mtime=0)[:-8] + bytes(8), "damaged"),
        (b"\x1f\x8b\x08" + b"\xff" * 100, "damaged"),
        (b"\x20\x00-lh5-" + bytes(100), "LHA"),
        (b"\x20\x00-lhd-" + bytes(100), "LHA"),
    ],
)  # fmt: skip
def test_archive_is_refused(raw: bytes, words: str) -> None:
    assert words in refusal(raw)


def test_directory_that_shows_other_programs_another_file_is_refused() -> None:
    """They start at the end, this starts at the beginning: both must see the same disk."""
    hidden = zipped(("other", b"hidden"))
    shown = zipped(("x", b"shown"))
    directory = hidden.index(b"PK\x01\x02")
    assert refusal(shown[: shown.index(b"PK\x01\x02")] + hidden[directory:])
    entry = struct.pack("<I", len(shown))
    moved = hidden[:directory] + patched(hidden[directory:], 42, entry)
    assert refusal(shown + moved)


def test_zip_comment_is_accepted() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x", b"content")
        archive.comment = b"PK\x05\x06 made by hand"
    assert unpacked(out.getvalue()) == b"content"


# Bombs


def bomb(size_bytes: int, window: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, window)
    return b"".join(deflate.compress(bytes(1 << 20)) for _ in range(size_bytes >> 20)) + deflate.flush()


@pytest.mark.thorough
def test_bomb_stops_at_the_limit_in_bounded_memory() -> None:
    raw = bomb(1 << 28, 31)
    assert len(raw) < 500_000
    tracemalloc.start()
    given = 0
    try:
        with pytest.raises(problems.ImageTooLarge):
            for piece in decompression.decompress([raw], limit_bytes=100_000_000):
                given += len(piece)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 98_000_000 < given <= 100_000_000
    assert peak_bytes < 8 * 1024 * 1024


def test_limit_is_the_last_size_that_is_taken() -> None:
    for raw in (gzip.compress(bytes(1000)), zipped(("x", bytes(1000))), b"\0" * 1000):
        assert unpacked(raw, limit_bytes=1000) == bytes(1000)
        with pytest.raises(problems.ImageTooLarge):
            unpacked(raw, limit_bytes=999)


def test_many_tiny_gzip_members_take_linear_time() -> None:
    raw = gzip.compress(b"") * 50_000
    began = time.monotonic()
    assert unpacked(raw, 1 << 20) == b""
    assert time.monotonic() - began < 5


@pytest.mark.thorough
def test_zip_above_four_gibibytes() -> None:
    """Sizes that need 64 bits, made by hand: deflate of 4 GiB of zeros is 4 MiB at most."""
    size = (4 << 30) + (1 << 24)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    zeros, crc = bytes(1 << 24), 0
    for _ in range(size >> 24):
        crc = zlib.crc32(zeros, crc)
    packed = deflate.compress(zeros) + deflate.flush(zlib.Z_FULL_FLUSH)  # such pieces can be put together
    body = packed * (size >> 24) + deflate.flush()
    wide = struct.pack("<HHQQ", 1, 16, size, len(body))
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45, 0, 8, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, 1, len(wide)) + b"x" + wide
    entry = (
        struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 45, 45, 0, 8, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, 1, len(wide), 0, 0, 0, 0, 0
        )
        + b"x"
        + wide
    )
    start = len(local) + len(body)
    end_64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(entry), start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(entry), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    raw = local + body + entry + end_64 + locator + end
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.getinfo("x").file_size == size
    assert sum(len(piece) for piece in decompression.decompress([raw], limit_bytes=LIMIT)) == size
