"""Compress chunks with zstd if that saves space; skip data that does not compress."""

import zstandard

from partage import problems
from partage.content.digest import Buffer
from partage.stores.engine.pack import Encoding

LEVEL = 1
"""zstd's fastest ordinary level: images are written once and read often, and level 3 gains 3 % for half the speed."""

_PROBE_BYTES = 4096
_PROBES_FROM_BYTES = 32 * 1024
_GAIN = 32
"""A chunk is kept compressed when that saves more than one part in 32; plain chunks are read without a copy."""


class Compressor:
    """Compresses chunks. Not thread-safe.

    zstd needs 1.1 ms to learn that 1 MiB of random bytes cannot be compressed, as long as a digest of them takes. So after a chunk
    that gained nothing the next one is first tried by two small samples.
    """

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True, write_checksum=False)
        self._doubtful = False

    def compress(self, plain: memoryview) -> tuple[Buffer, Encoding]:
        """Return the bytes to store and their encoding: compressed, or `plain` itself."""
        if not (self._doubtful and self._is_incompressible(plain)):
            compressed = self._zstd.compress(plain)
            self._doubtful = not _saves_enough(len(compressed), len(plain))
            if not self._doubtful:
                return compressed, Encoding.ZSTD
        return plain, Encoding.PLAIN

    def _is_incompressible(self, plain: memoryview) -> bool:
        if len(plain) < _PROBES_FROM_BYTES:
            return False
        middle = len(plain) // 2
        samples = (plain[:_PROBE_BYTES], plain[middle : middle + _PROBE_BYTES])
        return not any(_saves_enough(len(self._zstd.compress(sample)), len(sample)) for sample in samples)


class Decompressor:
    """Decompresses chunks. Not thread-safe."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor()

    def restore(self, stored: Buffer, encoding: Encoding, length_bytes: int) -> Buffer:
        """Return the plain bytes; never more than `length_bytes`.

        Raises:
            ContentCorrupt: the stored bytes are not what compressing made.
        """
        if encoding is Encoding.PLAIN:
            return stored
        try:
            if zstandard.frame_content_size(stored) != length_bytes:
                raise problems.ContentCorrupt("A stored chunk does not have its length any more; restore its pack from a backup")
            return self._zstd.decompress(stored, max_output_size=length_bytes)
        except zstandard.ZstdError as error:
            raise problems.ContentCorrupt("A stored chunk cannot be decompressed; restore its pack from a backup") from error


def _saves_enough(compressed_bytes: int, plain_bytes: int) -> bool:
    return compressed_bytes < plain_bytes - plain_bytes // _GAIN
