"""Images between two Partages of one cloud: what is on the wire, and who may have it. Both services and Keystone are real."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import pytest
import zstandard

from partage.content import chunking, digest
from partage.identity.catalog import Catalog
from partage.identity.keystone import connect
from partage.identity.sealing import TokenSeal
from partage.operations.other_regions import OtherRegions
from partage.outbound.rules import Rules, operators_rules
from tests import registering
from tests.api import relay
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast, Persona
from tests.standalone import RunningKeystone

MIB = 1 << 20


@dataclass(frozen=True)
class Cloud:
    """The same people in two regions, and what has passed between the regions."""

    here: World
    at_home: Cast
    abroad: Cast
    wire: relay.Relay

    def transfer(self, who: Persona, source: str) -> tuple[str, str, int]:
        """Copy an image into a new one of the persona; return its id, the words of the task, and the bytes on the wire."""
        image = who.has_an_image(None)
        fields = {"_glance_region": "There", "_glance_image_id": source}
        assert who.imports(image, "glance-download", **fields).status_code == 202
        before = self.wire.passed_bytes
        self.here.works()
        task = who.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][-1]
        return image, f"{task['status']}: {task['message']}", self.wire.passed_bytes - before


@pytest.fixture
def cloud(keystone: RunningKeystone, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]) -> Iterator[Cloud]:
    there = another_world()
    regions = OtherRegions(
        catalog=Catalog(connect(keystone.credentials)),
        seal=TokenSeal(["a key of this cloud, drawn at random"]),
        rules=operators_rules(Rules(), cafile=""),
    )
    here = another_world(other_regions=regions)
    with relay.relaying(there.endpoint) as wire, registering.region(keystone, "There", {"public": wire.url}):
        made = Cloud(here, cast_of(here, everybody), cast_of(there, everybody), wire)
        yield made
        made.at_home.leave()
        made.abroad.leave()


def make_disk(size_bytes: int, seed: int) -> bytearray:
    """Make a disk as they are: a quarter is zeros, a quarter does not compress, half is text that compresses to a third."""
    chance, words = random.Random(seed), [random.Random(word).randbytes(6).hex().encode() for word in range(500)]
    disk = bytearray(size_bytes)
    for start in range(0, size_bytes, MIB):
        kind = chance.randrange(4)
        if kind == 0:
            continue
        text = chance.randbytes(MIB) if kind == 1 else b" ".join(chance.choices(words, k=MIB // 13 + 1))[:MIB]
        disk[start : start + MIB] = text[: size_bytes - start]
    return disk


def spend_a_day(disk: bytearray, seed: int) -> None:
    """Change what a day changes: some blocks here and there, and a few files that are new."""
    chance, fresh = random.Random(seed), make_disk(len(disk) // 32, seed + 1)
    for start in range(0, len(fresh), MIB):
        at = chance.randrange(len(disk) // 4096 - 256) * 4096
        piece = fresh[start : start + MIB]
        disk[at : at + len(piece)] = piece
    for _ in range(len(disk) // (8 * MIB)):
        at = chance.randrange(len(disk) // 4096) * 4096
        disk[at : at + 4096] = chance.randbytes(4096)


def chunks_of(data: bytes) -> dict[bytes, int]:
    """Return the stored size of each chunk of a disk by its digest."""
    cutter, compressor = chunking.Cutter(), zstandard.ZstdCompressor(level=1)
    found: dict[bytes, int] = {}
    pieces = (cutter.feed(data[start : start + 4 * MIB]) for start in range(0, len(data), 4 * MIB))
    for each in chain(chain.from_iterable(pieces), cutter.finish()):
        if each.data is not None:
            found[digest.compute_for_chunk(each.data)] = min(len(each.data), len(compressor.compress(each.data)))
    return found


@pytest.mark.parametrize("size_bytes", [48 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.slow)])
def test_next_day_of_a_disk_moves_its_new_compressed_bytes(size_bytes: int, cloud: Cloud) -> None:
    """On the wire, both directions, with all heads and the manifest: at most 1.2 times what the day has changed, compressed."""
    disk = make_disk(size_bytes, 1)
    before = chunks_of(bytes(disk))
    owner = cloud.abroad.owner
    first = owner.has_an_image(bytes(disk))
    _, words, first_bytes = cloud.transfer(cloud.at_home.owner, first)
    assert words == f"success: Copied {size_bytes // MIB} MiB"
    assert first_bytes <= 1.05 * sum(before.values())
    spend_a_day(disk, 100)
    second = owner.has_an_image(bytes(disk))
    image, words, second_bytes = cloud.transfer(cloud.at_home.owner, second)
    assert words == f"success: Copied {size_bytes // MIB} MiB"
    new_bytes = sum(size for name, size in chunks_of(bytes(disk)).items() if name not in before)
    assert 0.5 * new_bytes <= second_bytes <= 1.2 * new_bytes
    shown, there = cloud.at_home.owner.shows(image).json(), owner.shows(second).json()
    assert [shown[name] for name in ("os_hash_value", "checksum", "size")] == [
        there[name] for name in ("os_hash_value", "checksum", "size")
    ]
    print(f"{size_bytes // MIB} MiB: day one {first_bytes}, day two {second_bytes} bytes for {new_bytes} new compressed bytes")


def test_member_transfers_what_it_may_download_and_nobody_else_does(cloud: Cloud) -> None:
    data = random.Random(4).randbytes(2 * MIB)
    source = cloud.abroad.owner.has_an_image(data)
    assert cloud.abroad.owner.shares_with(source, cloud.abroad.member.project_id).status_code == 200
    image, words, _ = cloud.transfer(cloud.at_home.member, source)
    assert (words, cloud.at_home.member.downloads(image).content) == ("success: Copied 2 MiB", data)
    _, words, _ = cloud.transfer(cloud.at_home.outsider, source)
    assert "has no such image that you may see" in words
    assert cloud.abroad.owner.removes_member(source, cloud.abroad.member.project_id).status_code == 204
    _, words, _ = cloud.transfer(cloud.at_home.member, source)
    assert "has no such image that you may see" in words


def test_bytes_on_the_wire_do_not_depend_on_what_other_projects_have(cloud: Cloud) -> None:
    data = random.Random(5).randbytes(3 * MIB)
    source = cloud.abroad.owner.has_an_image(data, visibility="shared")
    assert cloud.abroad.owner.shares_with(source, cloud.abroad.member.project_id).status_code == 200
    _, _, first = cloud.transfer(cloud.at_home.owner, source)
    _, _, other_project = cloud.transfer(cloud.at_home.member, source)
    _, _, again = cloud.transfer(cloud.at_home.owner, source)
    assert abs(other_project - first) < 200  # dates and ids in heads
    assert again < first / 50
