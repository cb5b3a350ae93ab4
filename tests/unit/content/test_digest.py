"""Digests of contents and of chunks."""

import hashlib

import pytest

from partage import problems
from partage.content import digest


def test_digests_are_those_of_the_whole_whatever_the_buffers() -> None:
    expected = digest.Digests(*(hashlib.new(name, b"abcdef").hexdigest() for name in digest.ALGORITHMS))
    whole = digest.compute([b"abcdef"], digest.ALGORITHMS)
    assert whole == digest.compute([b"ab", bytearray(b"cd"), memoryview(b"ef")], digest.ALGORITHMS) == expected


@pytest.mark.parametrize("algorithms", [(), ("md5",), ("md5", "sha256"), ("md5", "sha512", "sha512")])
def test_only_wanted_digests_are_computed(algorithms: tuple[str, ...]) -> None:
    found = digest.compute([b"abcdef"], algorithms)
    assert found.by_algorithm == {name: hashlib.new(name, b"abcdef").hexdigest() for name in algorithms}
    assert all(found.find(name) == found.by_algorithm[name] for name in algorithms)


def test_chunk_is_named_by_blake3() -> None:
    """The value is the one of BLAKE3's own test vectors for no input."""
    assert digest.compute_for_chunk(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_verified_stream_passes_or_ends_with_a_problem() -> None:
    sha = hashlib.sha256(b"abc").hexdigest()
    assert b"".join(digest.verify_stream([b"a", b"bc"], "sha256", sha.upper())) == b"abc"
    stream = digest.verify_stream([b"a", b"bd"], "sha256", sha)
    assert [next(stream), next(stream)] == [b"a", b"bd"]
    with pytest.raises(problems.DigestMismatch, match=sha):
        next(stream)
