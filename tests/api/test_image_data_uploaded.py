"""Image data on its way in: what is taken, what is refused with which words, and that a failure leaves an image to try again."""

import contextlib
import hashlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from partage.identity.keystone import Keystone, connect
from partage.identity.tokens import TokenCache
from partage.model.limits import Limits
from partage.operations import sweep
from partage.operations.service import Formats, NamedStore
from partage.policies.authority import Authority
from partage.stores.drivers.posix import PosixStore
from tests.api.conftest import LOCAL, World, cast_of, make_service, serving
from tests.api.connection import Connection, chunk, head
from tests.api.personas import DATA, Cast, Persona, at_once
from tests.standalone import RunningKeystone, wait_for

MIB = 1 << 20
OCTETS = f"Content-Type: {DATA}"

Everybody = dict[str, tuple[str, str]]
Worlds = Callable[..., World]


def qcow2(*, size: int = 10 * MIB, backing: int = 0, features: int = 0) -> bytes:
    """Write the header of a qcow2 disk, and some bytes behind it."""
    start = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, backing, 0, 16, size)
    return start.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(200 << 10)


VMDK_OF_A_HOST_FILE = (
    b'# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
    b'# Extent description\nRW 2048 FLAT "/etc/shadow" 0\n'
).ljust(1 << 20, b"\0")


def is_queued(who: Persona, image: str, *, seconds: float = 10) -> bool:
    """Wait until the service has noticed that no more data comes."""
    end = time.monotonic() + seconds
    document = who.shows(image).json()
    while document["status"] != "queued" and time.monotonic() < end:
        time.sleep(0.02)
        document = who.shows(image).json()
    return document["status"] == "queued" and document["size"] is document["checksum"] is document["os_hash_value"] is None


def can_be_uploaded_again(who: Persona, image: str, data: bytes = b"good data") -> bool:
    return who.uploads(image, data).status_code == 204 and who.downloads(image).content == data


# What is taken


@pytest.mark.parametrize("size", [1, 511, 4096, 65_537, MIB, 5 * MIB + 3])
def test_data_comes_back_as_it_was_sent_with_its_digests(size: int, cast: Cast) -> None:
    data = os.urandom(size)
    image = cast.owner.has_an_image(data)
    document = cast.owner.shows(image).json()
    assert document["status"] == "active"
    assert document["size"] == document["virtual_size"] == size
    assert document["checksum"] == hashlib.md5(data).hexdigest()
    assert (document["os_hash_algo"], document["os_hash_value"]) == ("sha512", hashlib.sha512(data).hexdigest())
    assert document["stores"] == "local"
    assert cast.owner.downloads(image).content == data


def test_the_operator_chooses_the_digest_beside_md5(another_world: Worlds, everybody: Everybody) -> None:
    owner = cast_of(another_world(hash_algorithm="sha256"), everybody).owner
    document = owner.shows(owner.has_an_image(b"data")).json()
    assert (document["os_hash_algo"], document["os_hash_value"]) == ("sha256", hashlib.sha256(b"data").hexdigest())


def test_zeros_are_an_image_like_any_other(cast: Cast) -> None:
    data = bytes(3 * MIB + 5)
    image = cast.owner.has_an_image(data)
    assert cast.owner.downloads(image).content == data
    assert cast.owner.downloads(image, Range="bytes=1048570-1048580").content == bytes(11)


@pytest.mark.parametrize("headers", [{}, {"X-OpenStack-Image-Size": "0"}], ids=["plain", "announced"])
@pytest.mark.parametrize("body", [b"", "chunked"], ids=["no length", "chunked"])
def test_an_empty_body_makes_an_active_image_of_no_bytes(body: Any, headers: dict[str, str], cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.uploads(image, iter([]) if body == "chunked" else body, **headers).status_code == 204
    document = cast.owner.shows(image).json()
    assert (document["status"], document["size"], document["checksum"]) == ("active", 0, hashlib.md5(b"").hexdigest())
    assert (cast.owner.downloads(image).status_code, cast.owner.downloads(image).content) == (200, b"")
    assert cast.owner.downloads(image, Range="bytes=0-0").status_code == 416


def test_chunks_of_any_size_are_taken_without_a_length(cast: Cast) -> None:
    pieces = [os.urandom(size) for size in (1, 70_000, 3, 2 * MIB, 4096)]
    image = cast.owner.has_an_image(None)
    assert cast.owner.uploads(image, iter(pieces)).status_code == 204
    assert cast.owner.downloads(image).content == b"".join(pieces)


@pytest.mark.parametrize("media_type", [f"{DATA}; charset=binary", f" {DATA} "])
def test_the_media_type_may_be_written_in_several_ways(media_type: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", f"Content-Type: {media_type}", "Content-Length: 1") + b"x")
        assert wire.answer().status == 204


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "", DATA.upper(), None, "application/octet-streams", "multipart/form-data"]
)
def test_another_media_type_is_refused_in_words(media_type: str | None, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    headers = {"Content-Type": media_type, "Accept": "application/json"}
    answer = cast.owner.call("PUT", f"/v2/images/{image}/file", data=b"x", headers=headers)
    assert answer.status_code == 415
    assert "image data is sent as application/octet-stream" in answer.json()["message"]
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_an_announced_size_that_is_right_is_welcome(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.uploads(image, iter([b"ab", b"c"]), **{"X-OpenStack-Image-Size": "3"}).status_code == 204


@pytest.mark.parametrize("announced", ["2", "4", "99999999"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_size_that_does_not_come_true_leaves_a_queued_image(announced: str, chunked: bool, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answer = cast.owner.uploads(image, iter([b"abc"]) if chunked else b"abc", **{"X-OpenStack-Image-Size": announced})
    assert answer.status_code == 400
    assert f"Announced size {announced} bytes, but the image data is 3 bytes" in answer.text
    assert is_queued(cast.owner, image)
    assert can_be_uploaded_again(cast.owner, image)


def test_an_announced_size_of_nothing_announces_nothing(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.uploads(image, b"abc", **{"X-OpenStack-Image-Size": "0"}).status_code == 204
    assert cast.owner.shows(image).json()["size"] == 3


@pytest.mark.parametrize("announced", ["x", "-1", "1.5", "", "1 2", "0x3", "٣", "9" * 30])
def test_a_size_that_is_no_number_is_refused(announced: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.uploads(image, b"abc", **{"X-OpenStack-Image-Size": announced.encode()}).status_code == 400  # type: ignore[arg-type]
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_a_store_may_be_named_if_there_is_one_of_that_name(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answer = cast.owner.uploads(image, **{"X-Image-Meta-Store": "nowhere"})
    assert answer.status_code == 400
    assert "Store for identifier nowhere not found; configured: local" in answer.text
    assert cast.owner.uploads(image, **{"X-Image-Meta-Store": "local"}).status_code == 204


def test_a_read_only_store_takes_no_new_data(another_world: Worlds, everybody: Everybody, tmp_path: Any) -> None:
    (tmp_path / "old").mkdir()
    store = NamedStore(id=LOCAL, store=PosixStore(tmp_path / "old"), type="posix", read_only=True, properties={})
    owner = cast_of(another_world(stores={LOCAL: store}), everybody).owner
    assert owner.call("GET", "/v2/info/stores").json()["stores"] == [{"id": "local", "default": "true", "read-only": "true"}]
    image = owner.has_an_image(None)
    answer = owner.uploads(image)
    assert answer.status_code == 410
    assert "takes no new image data" in answer.text
    assert owner.shows(image).json()["status"] == "queued"
    assert not list((tmp_path / "old").rglob("*.*"))


@pytest.mark.parametrize("missing", ["disk_format", "container_format"])
def test_formats_must_be_set_before_data_comes(missing: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None, **{missing: None})
    answer = cast.owner.uploads(image)
    assert answer.status_code == 400
    assert f"Properties {missing} must be set prior to saving data." in answer.text
    cast.owner.sets(image, missing, {"disk_format": "raw", "container_format": "bare"}[missing])
    assert cast.owner.uploads(image).status_code == 204


# One upload for each image


def test_data_is_uploaded_once(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"first")
    assert cast.owner.uploads(image, b"second").status_code == 409
    assert cast.owner.downloads(image).content == b"first"


def test_of_many_uploads_at_once_one_succeeds_whole(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    bodies = [bytes([number]) * (300_000 + number) for number in range(8)]
    answers = at_once(cast.owner, *[lambda who, body=body: who.uploads(image, body) for body in bodies])
    assert sorted(each.status_code for each in answers) == [204] + [409] * 7
    winner = [each.status_code for each in answers].index(204)
    assert cast.owner.downloads(image).content == bodies[winner]


def test_while_one_upload_runs_another_is_refused_and_the_first_goes_on(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, "Content-Length: 10") + b"01234")
        while cast.owner.shows(image).json()["status"] != "saving":
            time.sleep(0.01)
        assert cast.owner.uploads(image).status_code == 409
        assert cast.owner.downloads(image).status_code == 204
        assert cast.owner.sets(image, "name", "named meanwhile").status_code == 200
        wire.send(b"56789")
        assert wire.answer().status == 204
    assert cast.owner.downloads(image).content == b"0123456789"
    assert cast.owner.shows(image).json()["name"] == "named meanwhile"


def test_an_image_that_is_deleted_while_its_data_comes_is_gone(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, "Content-Length: 10") + b"01234")
        while cast.owner.shows(image).json()["status"] != "saving":
            time.sleep(0.01)
        assert cast.owner.deletes(image).status_code == 204
        wire.send(b"56789")
        assert wire.answer().status == 410
    assert cast.owner.shows(image).status_code == 404


def test_a_token_that_ends_during_an_upload_leaves_nothing_behind(
    keystone: RunningKeystone, everybody: Everybody, tmp_path: Path
) -> None:
    """T-23: the upload was let begin, and ends well; what it brought is the image's, and goes with it."""
    service, rules = make_service(tmp_path)
    identity = Keystone(connect(keystone.credentials), TokenCache(seconds=0), is_admin=Authority().is_admin)
    with serving(service, identity, rules, tmp_path) as world:
        cast = cast_of(world, everybody)
        owner = replace(cast.owner, token=keystone.token("persona-owner", "alpha"))
        image = owner.has_an_image(None)
        with Connection(world.endpoint) as wire:
            wire.send(head(owner, "PUT", f"/v2/images/{image}/file", OCTETS, "Content-Length: 10") + b"01234")
            wait_for(lambda: cast.admin.shows(image).json()["status"] == "saving", seconds=20)
            keystone.revoke(str(owner.token))
            assert owner.shows(image).status_code == 401
            wire.send(b"56789")
            assert wire.answer().status == 204
        assert cast.admin.shows(image).json()["size"] == 10
        assert cast.admin.deletes(image).status_code == 204
        cast.leave()
    sweep.sweep(service, grace=timedelta(0))
    assert not [each for each in (tmp_path / "store").rglob("*") if each.is_file()]
    service.close()


# Clients that do not finish


HALF = os.urandom(MIB)
CUT = {
    "length": (f"Content-Length: {2 * MIB}", HALF, b""),
    "length, later": (f"Content-Length: {5 * MIB}", HALF * 3, HALF),
    "between chunks": ("Transfer-Encoding: chunked", chunk(HALF), b""),
    "inside a chunk": ("Transfer-Encoding: chunked", chunk(HALF), b"100000\r\n" + HALF[:1000]),
    "inside the last chunk": ("Transfer-Encoding: chunked", chunk(HALF), b"0\r\n"),
    "no chunk": ("Transfer-Encoding: chunked", chunk(HALF), b"nonsense\r\n"),
}


@pytest.mark.parametrize("where", CUT)
@pytest.mark.parametrize("ending", ["close", "half-close", "reset"])
def test_a_body_that_ends_early_never_makes_an_active_image(where: str, ending: str, cast: Cast) -> None:
    framing, begin, then = CUT[where]
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, framing) + begin)
        while cast.owner.shows(image).json()["status"] != "saving":
            time.sleep(0.01)
        wire.send(then)
        if ending == "half-close":
            wire.socket.shutdown(socket.SHUT_WR)
            assert where == "no chunk" or wire.is_closed()
        elif ending == "reset":
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert is_queued(cast.owner, image)
    assert can_be_uploaded_again(cast.owner, image)


def test_bytes_behind_the_announced_length_are_no_part_of_the_image(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, "Content-Length: 3") + b"abcdef")
        assert wire.answer().status == 400
        assert wire.is_closed()
    assert cast.owner.downloads(image).content in (b"", b"abc")


def test_stalled_upload_is_aborted(everybody: Everybody, stalling_world: World) -> None:
    owner = cast_of(stalling_world, everybody).owner
    image = owner.has_an_image(None)
    with Connection(owner.endpoint) as wire:
        wire.send(head(owner, "PUT", f"/v2/images/{image}/file", OCTETS, "Content-Length: 10") + b"01234")
        assert wire.answer().status == 408
    assert is_queued(owner, image)
    assert can_be_uploaded_again(owner, image)


LARGE = f"Content-Length: {3 * MIB}"
"""Bodies of known length above a mebibyte are received by the thread that stores them, on the connection's socket."""


def test_a_connection_serves_requests_sent_right_behind_a_large_body(cast: Cast) -> None:
    data, images = [os.urandom(3 * MIB) for _ in range(3)], [cast.owner.has_an_image(None) for _ in range(3)]
    with Connection(cast.owner.endpoint) as wire:
        sends = [
            request
            for image, content in zip(images, data, strict=True)
            for request in (
                head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, LARGE) + content,
                head(cast.owner, "GET", f"/v2/images/{image}/file"),
            )
        ]
        sender = threading.Thread(target=wire.send, args=(b"".join(sends),))
        sender.start()
        for content in data:
            assert wire.answer().status == 204
            assert wire.answer().body == content
        sender.join()


def test_final_request_after_a_large_body_is_answered(cast: Cast) -> None:
    """As on a connection that has seen no large body: what comes after a request that ends the connection is left unread."""
    image, data = cast.owner.has_an_image(None), os.urandom(3 * MIB)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, LARGE) + data)
        assert wire.answer().status == 204
        wire.send(head(cast.owner, "GET", f"/v2/images/{image}", "Connection: close") + b"and more")
        assert wire.answer().status == 200
        assert wire.is_closed()


def test_large_upload_with_expect_gets_100_continue(cast: Cast) -> None:
    image, data = cast.owner.has_an_image(None), os.urandom(3 * MIB)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, LARGE, "Expect: 100-continue"))
        assert wire.answer().status == 100
        wire.send(data)
        assert wire.answer().status == 204
        wire.send(head(cast.owner, "GET", f"/v2/images/{image}/file"))
        assert wire.answer().body == data


def test_large_upload_that_stalls_is_aborted(everybody: Everybody, stalling_world: World) -> None:
    owner = cast_of(stalling_world, everybody).owner
    image = owner.has_an_image(None)
    with Connection(owner.endpoint) as wire:
        wire.send(head(owner, "PUT", f"/v2/images/{image}/file", OCTETS, LARGE) + HALF * 2)
        assert wire.answer().status == 408
    assert is_queued(owner, image)
    assert can_be_uploaded_again(owner, image)


@pytest.mark.parametrize("rest", ["sent", "kept back"])
def test_a_large_body_that_is_refused_in_the_middle_is_answered(rest: str, another_world: Worlds, everybody: Everybody) -> None:
    """Whether or not the client sends the rest before it reads; then the connection ends, so that the rest is no request."""
    owner = cast_of(another_world(limits=Limits(image_size_cap_bytes=2 * MIB)), everybody).owner
    image = owner.has_an_image(None)
    with Connection(owner.endpoint) as wire:
        lines = (OCTETS, "Content-Length: 4194304", f"X-OpenStack-Image-Size: {2 * MIB}")
        wire.send(head(owner, "PUT", f"/v2/images/{image}/file", *lines) + HALF * 3)
        if rest == "sent":
            wire.send(HALF)
            wire.send(head(owner, "DELETE", f"/v2/images/{image}"))
        assert wire.answer().status == 413
        assert wire.is_closed()
    assert is_queued(owner, image)


# Refused before a byte is read


def refusals(cast: Cast) -> dict[str, tuple[Persona, str, tuple[str, ...], int]]:
    active, queued = cast.owner.has_an_image(b"data"), cast.owner.has_an_image(None)
    formatless = cast.owner.has_an_image(None, disk_format=None)
    cast.owner.shares_with(queued, cast.member.project_id)
    return {
        "no token": (cast.anonymous, queued, (OCTETS,), 401),
        "bad token": (cast.badtoken, queued, (OCTETS,), 401),
        "not visible": (cast.outsider, queued, (OCTETS,), 404),
        "no image": (cast.owner, "none", (OCTETS,), 404),
        "not the owner": (cast.member, queued, (OCTETS,), 403),
        "reader": (cast.owner_reader, queued, (OCTETS,), 403),
        "active": (cast.owner, active, (OCTETS,), 409),
        "no format": (cast.owner, formatless, (OCTETS,), 400),
        "media type": (cast.owner, queued, ("Content-Type: text/plain",), 415),
        "too large": (cast.owner, queued, (OCTETS, f"X-OpenStack-Image-Size: {2**50}"), 413),
    }


CASES = (
    "no token",
    "bad token",
    "not visible",
    "no image",
    "not the owner",
    "reader",
    "active",
    "no format",
    "media type",
    "too large",
)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("framing", ["Content-Length: 1073741824", "Transfer-Encoding: chunked"])
def test_a_refusal_comes_before_the_body_and_closes_the_connection(case: str, framing: str, cast: Cast) -> None:
    who, image, lines, status = refusals(cast)[case]
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(who, "PUT", f"/v2/images/{image}/file", *lines, framing))
        answer = wire.answer()
        assert answer.status == status
        assert answer.header("connection") == "close"


@pytest.mark.parametrize("case", CASES)
def test_expect_100_continue_is_refused_without_100(case: str, cast: Cast) -> None:
    who, image, lines, status = refusals(cast)[case]
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(who, "PUT", f"/v2/images/{image}/file", *lines, "Content-Length: 1073741824", "Expect: 100-continue"))
        answer = wire.answer()
        assert answer.status == status
        assert answer.header("connection") == "close"
        assert wire.is_closed()


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_expect_100_continue_is_answered_with_100(framing: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, framing, "Expect: 100-continue"))
        assert wire.answer().status == 100
        assert cast.owner.shows(image).json()["status"] == "saving"
        wire.send(b"hello" if framing.startswith("C") else chunk(b"hello") + chunk(b""))
        assert wire.answer().status == 204
    assert cast.owner.downloads(image).content == b"hello"


def test_refusal_is_readable_by_a_client_that_keeps_sending(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"data")
    answer = cast.owner.uploads(image, b"x" * (20 * MIB))
    assert answer.status_code == 409
    assert "Image status transition from active to saving is not allowed" in answer.text


# What is inside


def test_bytes_of_another_format_are_refused_in_words_that_help(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, disk_format="qcow2")
    answer = cast.owner.uploads(image, b"x" * MIB, Accept="application/json")
    assert answer.status_code == 415
    message = answer.json()["message"]
    assert "Image disk_format qcow2 does not match stream data raw" in message
    assert "declare the image as raw, or convert it to qcow2" in message
    assert is_queued(cast.owner, image)
    assert can_be_uploaded_again(cast.owner, image, qcow2())
    assert cast.owner.shows(image).json()["virtual_size"] == 10 * MIB


HOSTILE = {
    "backing file": qcow2(backing=4096),
    "external data file": qcow2(features=4),
    "unknown feature": qcow2(features=1 << 40),
    "file of the host": VMDK_OF_A_HOST_FILE,
}


@pytest.mark.parametrize("declared", ["qcow2", "raw", "vmdk", "iso", "ami"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_disk_with_external_references_is_refused_in_any_format(kind: str, declared: str, cast: Cast) -> None:
    for container in ("bare", "ova"):
        image = cast.owner.has_an_image(None, disk_format=declared, container_format=container)
        assert cast.owner.uploads(image, HOSTILE[kind]).status_code == 415
        assert is_queued(cast.owner, image)
        assert cast.owner.downloads(image).status_code == 204


def test_nothing_of_a_refused_disk_can_be_read(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, disk_format="qcow2")
    cast.owner.uploads(image, HOSTILE["backing file"])
    assert cast.owner.downloads(image).status_code == 204
    assert can_be_uploaded_again(cast.owner, image, qcow2())


def test_a_harmless_qcow2_may_be_called_raw(cast: Cast) -> None:
    image = cast.owner.has_an_image(qcow2(), disk_format="raw")
    document = cast.owner.shows(image).json()
    assert document["virtual_size"] == document["size"] == len(qcow2())


def test_the_operator_may_take_bytes_of_any_format_but_no_dangerous_ones(another_world: Worlds, everybody: Everybody) -> None:
    owner = cast_of(another_world(formats=Formats(match_required=False)), everybody).owner
    assert owner.uploads(owner.has_an_image(None, disk_format="qcow2"), b"no qcow2").status_code == 204
    assert owner.uploads(owner.has_an_image(None, disk_format="qcow2"), HOSTILE["backing file"]).status_code == 415


# The size cap


@pytest.mark.parametrize("how", ["length", "chunked", "lying", "announced"])
def test_no_image_is_larger_than_the_cap(how: str, another_world: Worlds, everybody: Everybody) -> None:
    world = another_world(limits=Limits(image_size_cap_bytes=2 * MIB))
    owner = cast_of(world, everybody).owner
    image = owner.has_an_image(None)
    data = os.urandom(2 * MIB + 1)
    body: Any = data if how in ("length", "announced") else iter([data[:MIB], data[MIB:]])
    size = {"lying": "1", "announced": str(len(data))}.get(how)
    answer = owner.uploads(image, body, **({"X-OpenStack-Image-Size": size} if size else {}))
    assert answer.status_code in ((400, 413) if how == "lying" else (413,))
    assert is_queued(owner, image)
    assert owner.uploads(image, data[:-1]).status_code == 204


def test_an_endless_body_is_cut_off_at_the_cap(another_world: Worlds, everybody: Everybody) -> None:
    owner = cast_of(another_world(limits=Limits(image_size_cap_bytes=4 * MIB)), everybody).owner
    image = owner.has_an_image(None)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += MIB
            yield bytes(MIB)

    with contextlib.suppress(requests.ConnectionError):  # it does not listen for ever: who sends on may find the connection closed
        assert owner.uploads(image, endless()).status_code == 413
    assert is_queued(owner, image)
    assert sent < 1 << 30


def test_many_uploads_go_on_at_the_same_time(cast: Cast) -> None:
    """Half of them wait in the middle of their bodies while the others come whole: nobody waits for a slow neighbour."""
    slow = [cast.owner.has_an_image(None) for _ in range(6)]
    wires = [Connection(cast.owner.endpoint) for _ in slow]
    for image, wire in zip(slow, wires, strict=True):
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, "Content-Length: 10") + b"01234")
    quick = [cast.owner.has_an_image(None) for _ in range(6)]
    answers = at_once(cast.owner, *[lambda who, image=image: who.uploads(image, os.urandom(MIB)) for image in quick])
    assert {each.status_code for each in answers} == {204}
    for wire in wires:
        wire.send(b"56789")
        assert wire.answer().status == 204
        wire.close()
    assert threading.active_count() < 200
    assert {replace(cast.owner).downloads(image).content for image in slow} == {b"0123456789"}
