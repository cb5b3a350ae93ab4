"""Different bytes with equal weak digests are different images: chunks are named by BLAKE3, nothing is told apart by md5 or sha1.

T-80 of docs/security.md. The pairs are published ones.
"""

import hashlib
from pathlib import Path

import pytest

from partage.operations import images, sweep, verify
from partage.operations.service import Service
from tests.operations.services import OWNER, download, image_with, make
from tests.operations.test_sweep import NOW, noise

MD5 = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
"""Wang and others, "Collisions for hash functions", 2004: one of two messages, which differ in the highest bits of six bytes."""
MD5_DIFFERS = (19, 45, 59, 83, 109, 123)

SHA1_BEGIN = bytes.fromhex(
    "255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f547970652034203020"
    "522f537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e6774682038203020522f426974"
    "73506572436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d3120697320646561642121212121852fec092339759c39b1a1c63c"
    "4c97e1fffe01"
)
SHA1_ENDS = [
    (
        "7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c2"
        "30570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1"
    ),
    (
        "7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d2"
        "3c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1"
    ),
]
"""Stevens and others, "The first collision for full SHA-1", 2017: the beginning of both files, and what follows in each."""

PAIRS = {
    "md5": (MD5, bytes(byte ^ 0x80 if at in MD5_DIFFERS else byte for at, byte in enumerate(MD5))),
    "sha1": tuple(SHA1_BEGIN + bytes.fromhex(end) for end in SHA1_ENDS),
}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path)


@pytest.mark.parametrize("algorithm", PAIRS)
@pytest.mark.parametrize("behind", [0, 2])
def test_bytes_with_equal_weak_digests_are_kept_apart(algorithm: str, behind: int, service: Service) -> None:
    first, second = (part + noise(1, behind) for part in PAIRS[algorithm])
    assert first != second
    assert hashlib.new(algorithm, first).digest() == hashlib.new(algorithm, second).digest()
    one, two = image_with(service, first), image_with(service, second)
    assert (one.os_hash_value, one.content_id) != (two.os_hash_value, two.content_id)
    assert (one.checksum == two.checksum) == (algorithm == "md5")
    assert [download(service, each.id) for each in (one, two)] == [first, second]
    images.delete_image(service, OWNER, one.id)
    sweep.sweep(service, grace=NOW)
    assert download(service, two.id) == second
    assert all(verdict.fault is None for verdict in verify.verify(service))
