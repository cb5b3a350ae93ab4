"""The manifest and the chunks of an image over HTTP: what a service that copies an image reads."""

import random
from typing import Any

import blake3
import pytest
import zstandard

from partage.content import manifest as segments
from tests.api.partage.sharing import chunks, manifest
from tests.api.partage.test_shares_over_http import problem_of
from tests.api.personas import Cast, Persona

SEGMENTS = "application/vnd.partage.manifest"
DATA = random.Random(7).randbytes(900_000) + bytes(1_000_000) + random.Random(8).randbytes(700_001)


def read_all(who: Persona, image: str, limit: int) -> list[dict[str, Any]]:
    """Follow the link next to the end."""
    found, answer = [], manifest(who, image, limit=limit)
    while True:
        page = answer.json()
        assert (page["image_id"], page["size"]) == (image, len(DATA))
        assert len(page["chunks"]) <= limit
        found += page["chunks"]
        if "next" not in page:
            return found
        answer = who.call("GET", page["next"])


def unpack(frame: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(frame)


def test_manifest_names_every_byte_of_the_image_in_order(cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    listed = read_all(cast.owner, image, 1000)
    assert read_all(cast.owner, image, 3) == listed
    position = 0
    for each in listed:
        data = DATA[position : position + each["length"]]
        assert each["offset"] == position
        assert each["digest"] == (blake3.blake3(data).hexdigest() if each["digest"] else None)
        assert each["digest"] or not any(data)
        position += each["length"]
    assert position == len(DATA)
    assert None in [each["digest"] for each in listed]


def test_manifest_in_segments_is_the_same(cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    listed = read_all(cast.owner, image, 1000)
    answer = manifest(cast.owner, image, accept=f"application/json;q=0.1, {SEGMENTS}", marker=listed[2]["offset"], limit=4)
    assert answer.headers["Content-Type"] == SEGMENTS
    found = [entry for each in segments.split(answer.content) for entry in segments.decode(each)]
    assert [(entry.length, entry.digest and entry.digest.hex()) for entry in found] == [
        (each["length"], each["digest"]) for each in listed[2:6]
    ]


def test_chunks_are_the_bytes_of_the_ranges_in_one_frame(cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    assert cast.owner.shares_with(image, cast.member.project_id).status_code == 200
    answer = chunks(cast.member, image, f"5-99,100-100,{len(DATA) - 3}-{len(DATA) - 1}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zstd")
    assert unpack(answer.content) == DATA[5:101] + DATA[-3:]
    whole = chunks(cast.member, image, f"0-{len(DATA) - 1}")
    assert unpack(whole.content) == DATA
    assert whole.content == chunks(cast.owner, image, f"0-{len(DATA) - 1}").content
    head = cast.owner.call("HEAD", f"/partage/v1/images/{image}/chunks?ranges=0-9")
    assert (head.status_code, head.content) == (200, b"")


def test_page_of_zero_chunks_leads_nowhere(cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    assert manifest(cast.owner, image, limit=0).json() == {"image_id": image, "size": len(DATA), "chunks": []}
    assert manifest(cast.owner, image, marker=len(DATA)).json()["chunks"] == []


@pytest.mark.parametrize("more", [{"marker": 1}, {"marker": -1}, {"marker": "x"}, {"limit": -1}, {"limit": "x"}, {"colour": 1}])
def test_marker_or_limit_that_does_not_fit_is_refused(more: dict[str, Any], cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    assert problem_of(manifest(cast.owner, image, **more)) == (400, "query-invalid")


@pytest.mark.parametrize("ranges", ["", "0", "9-0", "0-9,5-6", f"0-{4 << 20}"])
def test_ranges_that_do_not_fit_are_refused(ranges: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    assert problem_of(chunks(cast.owner, image, ranges)) == (400, "query-invalid")


def test_range_beyond_the_image_is_416_and_without_ranges_400(cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    assert chunks(cast.owner, image, f"0-{len(DATA)}").status_code == 416
    assert problem_of(cast.owner.call("GET", f"/partage/v1/images/{image}/chunks")) == (400, "query-invalid")


def test_image_without_data_has_no_manifest(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert problem_of(manifest(cast.owner, image)) == (409, "manifest-absent")
    assert problem_of(chunks(cast.owner, image)) == (409, "manifest-absent")


def test_empty_image_has_an_empty_manifest(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"")
    assert manifest(cast.owner, image).json() == {"image_id": image, "size": 0, "chunks": []}
    assert chunks(cast.owner, image, "0-0").status_code == 416
