"""Digests of whole contents, which the Image API publishes and clients check.

Chunks are named by BLAKE3 (`model.ids.ChunkDigest`); a whole content has the three digests that clients know. Does no I/O; the
threads that hash in parallel are in `stores/engine/writer.py`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import blake3

from partage import problems
from partage.model import ids

Buffer = bytes | bytearray | memoryview

ALGORITHMS = ("md5", "sha256", "sha512")
"""`md5` is the API's `checksum`, `sha512` its default `os_hash_algo`; `sha256` is what the world publishes beside images."""


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of one content, lower-case hexadecimal."""

    md5: str
    sha256: str
    sha512: str


def compute(buffers: Iterable[Buffer]) -> Digests:
    """Compute the digests of a stream of buffers, one after the other on the caller's thread."""
    hashers = [hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS]
    for buffer in buffers:
        for hasher in hashers:
            hasher.update(buffer)
    return Digests(*(hasher.hexdigest() for hasher in hashers))


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
