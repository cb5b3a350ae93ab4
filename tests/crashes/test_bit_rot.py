"""Stored bytes change under a running service: not one wrong byte is given out, and `verify` names the image."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partage import problems
from partage.content import manifest
from partage.model.ids import ImageID
from partage.operations import downloads, verify
from partage.operations.service import Service
from partage.records import contents, schema
from partage.stores import layout
from tests.crashes import worlds
from tests.crashes.worlds import LOCAL, OWNER, create, fetch, noise, send

DATA = noise(1, 10)  # two packs
OTHER = b"text that compresses well " * 40_000
HEAD_BYTES, PAGE_BYTES = 32, 4096
FLIPS = 25


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = worlds.without_syncs(worlds.compose(tmp_path))
    schema.upgrade(made.database)
    send(made, create(made, "other"), OTHER)
    send(made, create(made, "rotten"), DATA)
    yield made
    made.close()


def packs_of(service: Service, folder: Path, name: str) -> list[Path]:
    """Find the files that hold an image's chunks, the first chunk's first."""
    content_id = downloads.open_image_data(service, OWNER, worlds.id_of(name)).image.content_id
    assert content_id
    found: list[Path] = []
    with service.database.read() as tx:
        for segment in contents.find_segments(tx, content_id, 0, 1 << 40, limit_rows=100):
            for entry in manifest.decode(segment):
                place = contents.locate(tx, LOCAL, {entry.digest} if entry.digest else set())
                found += [folder / "store" / layout.pack_key(each.pack_id) for each in place.values()]
    return list(dict.fromkeys(found))


def flip(path: Path, at: int, bit: int = 1) -> None:
    """Change one bit."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ bit]))


def zero_a_page(first: Path, _second: Path) -> None:
    with first.open("r+b") as file:
        file.seek(16 * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))


def truncate(first: Path, _second: Path) -> None:
    with first.open("r+b") as file:
        file.truncate(first.stat().st_size // 2)


def empty(first: Path, _second: Path) -> None:
    first.write_bytes(b"")


def swap(first: Path, second: Path) -> None:
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def delete(first: Path, _second: Path) -> None:
    first.unlink()


def replace_by_folder(first: Path, _second: Path) -> None:
    first.unlink()
    first.mkdir()


def shift(first: Path, _second: Path) -> None:
    first.write_bytes(b"!" + first.read_bytes())


DAMAGES: list[Callable[[Path, Path], None]] = [zero_a_page, truncate, empty, swap, delete, replace_by_folder, shift]


def received(service: Service, name: str) -> tuple[bytes, problems.Problem | None]:
    """Read until the end, or until a problem."""
    opened = downloads.open_image_data(service, OWNER, worlds.id_of(name))
    got = bytearray()
    try:
        for piece in opened.read(0, opened.size_bytes):
            got += piece
    except problems.Problem as problem:
        return bytes(got), problem
    return bytes(got), None


def verdicts(service: Service) -> dict[ImageID, str | None]:
    return {image_id: verdict.fault for verdict in verify.verify(service) for image_id in verdict.images}


def check_damage(service: Service) -> None:
    """Right bytes, then a problem; and everybody else is well."""
    got, problem = received(service, "rotten")
    assert isinstance(problem, problems.ContentCorrupt | problems.StoreUnavailable), repr(problem)
    assert DATA.startswith(got)
    assert len(got) < len(DATA)
    assert fetch(service, worlds.id_of("other")) == OTHER
    found = verdicts(service)
    assert found[worlds.id_of("rotten")]
    assert found[worlds.id_of("other")] is None


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_detected_before_a_wrong_byte_is_sent(
    service: Service, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    first, second, *_ = packs_of(service, tmp_path, "rotten")
    damage(first, second)
    check_damage(service)


def test_every_bit_flip_is_detected_and_its_reversal_heals(service: Service, tmp_path: Path) -> None:
    packs = packs_of(service, tmp_path, "rotten")
    for _ in range(FLIPS):
        pack = random.choice(packs)
        at, bit = random.randrange(HEAD_BYTES, HEAD_BYTES + 1_000_000), 1 << random.randrange(8)
        flip(pack, at, bit)
        got, problem = received(service, "rotten")
        assert isinstance(problem, problems.ContentCorrupt), f"bit {bit} of byte {at} of {pack.name}"
        assert DATA.startswith(got)
        flip(pack, at, bit)
    assert fetch(service, worlds.id_of("rotten")) == DATA
    assert set(verdicts(service).values()) == {None}


def test_range_outside_the_damage_is_served(service: Service, tmp_path: Path) -> None:
    first, *_ = packs_of(service, tmp_path, "rotten")
    flip(first, HEAD_BYTES + 10)
    opened = downloads.open_image_data(service, OWNER, worlds.id_of("rotten"))
    assert b"".join(opened.read(5_000_000, 6_000_000)) == DATA[5_000_000:6_000_000]
    with pytest.raises(problems.ContentCorrupt):
        b"".join(opened.read(0, 100))


@pytest.mark.parametrize("change", ["damaged", "missing", "misplaced"])
def test_tampered_manifest_is_detected(service: Service, change: str) -> None:
    with service.database.write() as tx:
        content_id = downloads.open_image_data(service, OWNER, worlds.id_of("rotten")).image.content_id
        other_id = downloads.open_image_data(service, OWNER, worlds.id_of("other")).image.content_id
        mine = f"content_id = '{content_id}'"
        others = f"SELECT encoded FROM manifests WHERE content_id = '{other_id}'"
        statement = {
            "damaged": f"UPDATE manifests SET encoded = zeroblob(length(encoded)) WHERE {mine}",
            "missing": f"DELETE FROM manifests WHERE {mine}",
            "misplaced": f"UPDATE manifests SET encoded = ({others}) WHERE {mine}",
        }[change]
        tx.exec_driver_sql(statement)
    got, problem = received(service, "rotten")
    # A manifest of another content is sound in itself: its bytes are given out only as far as the sizes agree, and verify tells.
    if change != "misplaced":
        assert isinstance(problem, problems.ContentCorrupt)
        assert DATA.startswith(got)
    else:
        assert problem is not None
    assert verdicts(service)[worlds.id_of("rotten")]
