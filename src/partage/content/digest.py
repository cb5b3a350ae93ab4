"""Digests of whole contents, which the Image API publishes and clients check.

Chunks are named by BLAKE3 (`model.ids.ChunkDigest`). Nothing names a content by a digest, so of a whole content only those digests
are computed that something needs (docs/decisions/0069). Does no I/O; the threads that hash in parallel are in
`stores/engine/writer.py`.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import blake3

from partage import problems
from partage.model import ids

Buffer = bytes | bytearray | memoryview

CHECKSUM = "md5"
"""The algorithm of the API's `checksum`."""

ALGORITHMS = (CHECKSUM, "sha256", "sha512")
"""`sha512` is the default of the API's `os_hash_algo`; `sha256` is what the world publishes beside images."""


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of one content, lower-case hexadecimal; None: not computed."""

    md5: str | None = None
    sha256: str | None = None
    sha512: str | None = None

    @property
    def by_algorithm(self) -> Mapping[str, str]:
        """The digests that are there, by algorithm."""
        values = {CHECKSUM: self.md5, "sha256": self.sha256, "sha512": self.sha512}
        return {algorithm: value for algorithm, value in values.items() if value is not None}

    def find(self, algorithm: str) -> str:
        """Return the digest by an algorithm; that it was computed is the caller's duty."""
        return self.by_algorithm[algorithm]


class Hashers:
    """Compute digests of one stream. `by_name` has a hasher for each algorithm, which may be used on different threads."""

    def __init__(self, algorithms: Collection[str]) -> None:
        self.by_name = {name: hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS if name in algorithms}

    def update(self, buffer: Buffer) -> None:
        """Hash the next bytes, by one algorithm after the other."""
        for hasher in self.by_name.values():
            hasher.update(buffer)

    def finish(self) -> Digests:
        """Return the digests of what was hashed."""
        return Digests(**{name: hasher.hexdigest() for name, hasher in self.by_name.items()})


def compute(buffers: Iterable[Buffer], algorithms: Collection[str]) -> Digests:
    """Compute digests of a stream of buffers, one after the other on the caller's thread."""
    hashers = Hashers(algorithms)
    for buffer in buffers:
        hashers.update(buffer)
    return hashers.finish()


def compute_for_chunk(plain: Buffer) -> ids.ChunkDigest:
    """Compute the name of a chunk: BLAKE3 of its plain bytes, 32 bytes."""
    return ids.ChunkDigest(blake3.blake3(plain).digest())


def verify_stream(buffers: Iterable[bytes], algorithm: str, expected: str) -> Iterator[bytes]:
    """Yield a stream unchanged, and raise at its end if its digest differs.

    Lazy. A consumer that trusts the bytes only after the iterator has ended never trusts wrong ones.

    Raises:
        DigestMismatch: the stream has ended and its digest is not `expected`.
    """
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    for buffer in buffers:
        hasher.update(buffer)
        yield buffer
    if hasher.hexdigest() != expected.lower():
        raise problems.DigestMismatch(
            f"The {algorithm} of the image data should be {expected} and is {hasher.hexdigest()}; fetch the data again",
        )
