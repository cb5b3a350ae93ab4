"""Stories of resumable uploads over HTTP. Each test is named after a sentence of docs/resumable-uploads.md."""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest
import requests

from partage.identity.keystone import Keystone
from partage.model.ids import ImageID
from partage.model.limits import Limits
from partage.model.partial_upload import PartialUploadRules
from partage.operations import partial_uploads, recovery
from partage.records import partial_uploads as rows
from tests.api.conftest import World, cast_of, make_service, serving
from tests.api.connection import Connection
from tests.api.partage.resuming import DRAFT, PARTIAL, add, ask, begin, offset, upload_path
from tests.api.partage.test_shares_over_http import problem_of
from tests.api.personas import DATA, Cast, Persona
from tests.api.test_existence import INVISIBLE, blanked
from tests.operations.services import Clock

MIB = 1 << 20
Everybody = dict[str, tuple[str, str]]
MakeWorld = Callable[..., World]


@pytest.fixture
def small_parts(another_world: MakeWorld, everybody: Everybody) -> Iterator[tuple[World, Cast]]:
    """A service that records a part at each MiB."""
    world = another_world(partial_uploads=PartialUploadRules(part_bytes=MIB))
    cast = cast_of(world, everybody)
    yield world, cast
    cast.leave()


def digests_of(document: dict[str, object]) -> tuple[object, ...]:
    names = ("status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "disk_format", "stores")
    return tuple(document.get(name) for name in names)


def test_upload_in_several_requests_makes_the_image_of_one(cast: Cast) -> None:
    data = os.urandom(3 * MIB + 777)
    image, other = cast.owner.has_an_image(None), cast.owner.has_an_image(data)
    begun = begin(cast.owner, image, data[:1000], Upload_Length=str(len(data)))
    assert (begun.status_code, begun.headers["Upload-Complete"], begun.headers["Upload-Offset"]) == (201, "?0", "1000")
    assert begun.headers["Location"] == f"{cast.owner.endpoint}{upload_path(image)}"
    added = add(cast.owner, image, 1000, data[1000 : 2 * MIB])
    assert (added.status_code, added.headers["Upload-Complete"]) == (204, "?0")
    assert cast.owner.shows(image).json()["status"] == "queued"
    last = add(cast.owner, image, 2 * MIB, data[2 * MIB :], complete=True)
    assert (last.status_code, last.headers["Upload-Complete"]) == (204, "?1")
    assert cast.owner.downloads(image).content == data
    assert digests_of(cast.owner.shows(image).json()) == digests_of(cast.owner.shows(other).json())


def test_offset_is_asked_by_head_and_by_get(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 5000, Upload_Length="9000")
    for method in ("HEAD", "GET"):
        answer = cast.owner.call(method, upload_path(image))
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["Upload-Offset"] == "5000"
        assert answer.headers["Upload-Complete"] == "?0"
        assert answer.headers["Upload-Length"] == "9000"
        assert answer.headers["Cache-Control"] == "no-store"
        limits = dict(each.split("=") for each in answer.headers["Upload-Limit"].split(", "))
        assert limits["max-size"] == str(Limits().image_size_cap_bytes)
        assert 0 < int(limits["max-age"]) <= 86_400


def test_length_is_absent_before_it_is_known(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 50)
    assert "Upload-Length" not in ask(cast.owner, image).headers
    assert add(cast.owner, image, 50, b"y" * 50, Upload_Length="200").status_code == 204
    assert ask(cast.owner, image).headers["Upload-Length"] == "200"


def test_whole_image_in_one_request_needs_no_second(cast: Cast) -> None:
    image, data = cast.owner.has_an_image(None), os.urandom(MIB + 5)
    answer = begin(cast.owner, image, data, complete=True)
    assert (answer.status_code, answer.headers["Upload-Complete"]) == (204, "?1")
    assert cast.owner.downloads(image).content == data


def test_upload_begins_without_bytes_and_ends_without_bytes(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begun = cast.owner.call("POST", upload_path(image), headers={"Upload-Complete": "?0"})
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "0")
    assert add(cast.owner, image, 0, b"bytes").status_code == 204
    assert add(cast.owner, image, 5, b"", complete=True).status_code == 204
    assert cast.owner.downloads(image).content == b"bytes"


def test_body_of_unknown_length_can_be_sent_in_chunks(cast: Cast) -> None:
    image, data = cast.owner.has_an_image(None), os.urandom(700_000)
    assert begin(cast.owner, image, iter([data[:100_000]])).status_code == 201
    assert add(cast.owner, image, 100_000, iter([data[100_000:]]), complete=True).status_code == 204
    assert cast.owner.downloads(image).content == data


def test_empty_image_is_complete_at_once(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert begin(cast.owner, image, b"", complete=True).status_code == 204
    assert (cast.owner.shows(image).json()["status"], cast.owner.shows(image).json()["size"]) == ("active", 0)


def test_wrong_offset_is_refused_with_the_right_one(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 100)
    for complete in (False, True):
        for at, data in ((0, b"y"), (101, b"y"), (99, b"")):
            answer = add(cast.owner, image, at, data, complete=complete)
            kind = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
            assert problem_of(answer) == (409, kind)
            assert (answer.json()["expected-offset"], answer.json()["provided-offset"]) == (100, at)
            assert (answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == ("100", "?0")
    assert offset(cast.owner, image) == 100


def test_lengths_must_agree(cast: Cast) -> None:
    image, kind = cast.owner.has_an_image(None), "https://iana.org/assignments/http-problem-types#inconsistent-upload-length"
    assert problem_of(begin(cast.owner, image, b"xx", complete=True, Upload_Length="3")) == (400, kind)
    assert begin(cast.owner, image, b"xx", Upload_Length="10").status_code == 201
    for refused in (
        add(cast.owner, image, 2, b"yy", Upload_Length="11"),
        add(cast.owner, image, 2, b"y" * 9),
        add(cast.owner, image, 2, b"yy", complete=True),
        add(cast.owner, image, 2, b"", complete=True),
    ):
        assert problem_of(refused) == (400, kind)
        assert refused.headers["Upload-Complete"] == "?0"
    assert offset(cast.owner, image) == 2
    assert add(cast.owner, image, 2, b"y" * 8, complete=True).status_code == 204
    assert cast.owner.downloads(image).content == b"xx" + b"y" * 8


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("is_first", [False, True])
def test_upload_that_exceeds_its_length_is_removed(cast: Cast, *, is_first: bool, complete: bool) -> None:
    image = cast.owner.has_an_image(None)
    if is_first:
        refused = begin(cast.owner, image, iter([b"x" * 11]), complete=complete, Upload_Length="10")
    else:
        begin(cast.owner, image, b"xx", Upload_Length="10")
        refused = add(cast.owner, image, 2, iter([b"y" * 9]), complete=complete)
    assert problem_of(refused) == (400, "https://iana.org/assignments/http-problem-types#inconsistent-upload-length")
    assert refused.headers["Upload-Complete"] == "?1", "it cannot go on"
    assert "Upload-Offset" not in refused.headers
    assert ask(cast.owner, image).status_code == 404
    assert cast.owner.uploads(image).status_code == 204


def test_chunked_end_before_the_length_leaves_the_upload_open(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"xx", Upload_Length="10")
    refused = add(cast.owner, image, 2, iter([b"y" * 3]), complete=True)
    assert (refused.status_code, refused.headers["Upload-Complete"]) == (400, "?0")
    assert offset(cast.owner, image) == 5
    assert add(cast.owner, image, 5, b"z" * 5, complete=True).status_code == 204


MALFORMED = [
    ("POST", {}),
    ("POST", {"Upload-Complete": "1"}),
    ("POST", {"Upload-Complete": "?2"}),
    ("POST", {"Upload-Complete": "?0, ?1"}),
    ("POST", {"Upload-Complete": "?0;"}),
    ("POST", {"Upload-Complete": "?0" + ";a=  " * 1000 + ","}),
    ("PATCH", {"Upload-Complete": "?0"}),
    ("PATCH", {"Upload-Complete": "?0", "Upload-Offset": "-1"}),
    ("PATCH", {"Upload-Complete": "?0", "Upload-Offset": "1.0"}),
    ("PATCH", {"Upload-Complete": "?0", "Upload-Offset": "9" * 16}),
    ("PATCH", {"Upload-Offset": "0"}),
]


@pytest.mark.parametrize(("method", "headers"), MALFORMED)
def test_malformed_header_is_refused(cast: Cast, method: str, headers: dict[str, str]) -> None:
    image = cast.owner.has_an_image(None)
    kind = PARTIAL if method == "PATCH" else DATA
    answer = cast.owner.call(method, upload_path(image), data=b"x", headers={"Content-Type": kind, **headers})
    assert problem_of(answer) == (400, "invalid")
    assert ask(cast.owner, image).status_code == 404


def test_parameters_of_a_structured_field_are_ignored(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answer = begin(cast.owner, image, b"x", Upload_Complete="?0;a=1", Upload_Length="5; b")
    assert answer.status_code == 201
    assert ask(cast.owner, image).headers["Upload-Length"] == "5"


def test_malformed_length_counts_as_unknown(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert begin(cast.owner, image, b"x", Upload_Length="many").status_code == 201
    assert "Upload-Length" not in ask(cast.owner, image).headers


@pytest.mark.parametrize("kind", ["application/octet-stream", "", "text/plain"])
def test_bytes_are_added_only_as_partial_upload(cast: Cast, kind: str) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x")
    assert problem_of(add(cast.owner, image, 1, b"y", Content_Type=kind)) == (415, "media-type-unsupported")
    assert offset(cast.owner, image) == 1


def test_cancelled_upload_is_gone_and_can_begin_again(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 100)
    assert cast.owner.call("DELETE", upload_path(image)).status_code == 204
    assert ask(cast.owner, image).status_code == 404
    assert problem_of(add(cast.owner, image, 100, b"y")) == (404, "upload-not-found")
    assert problem_of(cast.owner.call("DELETE", upload_path(image))) == (404, "upload-not-found")
    assert begin(cast.owner, image, b"new", complete=True).status_code == 204
    assert cast.owner.downloads(image).content == b"new"


def test_second_upload_of_an_image_is_refused_while_one_is_unfinished(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 100)
    refused = begin(cast.owner, image, b"y")
    assert problem_of(refused) == (409, "upload-exists")
    assert "byte 100" in refused.json()["detail"]
    assert offset(cast.owner, image) == 100


class Slow:
    """A request whose body stays open."""

    def __init__(self, who: Persona, image: str, at: int, first: bytes, length: int = 10 * MIB) -> None:
        self.connection = Connection(who.endpoint)
        self.received = b""
        lines = [
            f"PATCH {upload_path(image)} HTTP/1.1",
            "Host: x",
            f"X-Auth-Token: {who.token}",
            f"Content-Type: {PARTIAL}",
            f"Content-Length: {length}",
            f"Upload-Offset: {at}",
            "Upload-Complete: ?0",
            "Upload-Draft-Interop-Version: 8",
        ]
        self.connection.send("\r\n".join([*lines, "", ""]).encode())
        assert self.wait_for_offset() == at
        self.connection.send(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.close()

    def expect(self, words: bytes) -> bytes:
        """Receive until an answer has these words, a regular expression; return the words."""
        while (found := re.search(words, self.received, re.IGNORECASE)) is None:
            more = self.connection.socket.recv(65536)
            assert more, self.received
            self.received += more
        self.received = self.received[found.end() :]
        return found[0]

    def wait_for_offset(self) -> int:
        """Wait until the service has said that more is stored; return how much."""
        return int(self.expect(rb"upload-offset: [0-9]+").rpartition(b" ")[2])


def wait_for_status(who: Persona, image: str, status: str) -> None:
    for _ in range(1000):
        if who.shows(image).json()["status"] == status:
            return
        threading.Event().wait(0.01)
    raise AssertionError(who.shows(image).json()["status"])


def test_second_writer_is_refused_with_what_helps(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image)
    with Slow(cast.owner, image, 0, b"x" * 1000):
        refused = add(cast.owner, image, 0, b"y" * 10)
        assert problem_of(refused) == (409, "upload-under-way")
        assert "ask for the offset" in refused.json()["detail"]
        assert problem_of(begin(cast.owner, image, b"y")) == (409, "upload-under-way")
        assert problem_of(add(cast.owner, image, 0, b"", complete=True)) == (409, "upload-under-way")
        assert cast.owner.uploads(image).status_code == 409
    wait_for_status(cast.owner, image, "queued")


def test_what_arrived_before_the_connection_broke_is_kept(cast: Cast) -> None:
    image, data = cast.owner.has_an_image(None), os.urandom(3 * MIB)
    begin(cast.owner, image, data[:10])
    with Slow(cast.owner, image, 10, data[10 : 2 * MIB], len(data) - 10):
        pass
    wait_for_status(cast.owner, image, "queued")
    reached = offset(cast.owner, image)
    assert 10 < reached <= 2 * MIB
    assert add(cast.owner, image, reached, data[reached:], complete=True).status_code == 204
    assert cast.owner.downloads(image).content == data


def test_asking_for_the_offset_ends_the_request_before(small_parts: tuple[World, Cast]) -> None:
    _world, cast = small_parts
    image, data = cast.owner.has_an_image(None), os.urandom(4 * MIB)
    begin(cast.owner, image)
    with Slow(cast.owner, image, 0, data[: MIB + MIB // 2 + 500], len(data)) as slow:
        stored = slow.wait_for_offset()
        reached = offset(cast.owner, image)
        assert MIB <= stored == reached
        assert add(cast.owner, image, reached, data[reached : 2 * MIB]).status_code == 204
        slow.connection.send(os.urandom(2 * MIB))
        slow.expect(b"HTTP/1.1 409 ")
        slow.expect(b"upload-taken-over")
    assert add(cast.owner, image, 2 * MIB, data[2 * MIB :], complete=True).status_code == 204
    assert cast.owner.downloads(image).content == data


def test_cancelling_ends_the_request_that_writes(small_parts: tuple[World, Cast]) -> None:
    _world, cast = small_parts
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image)
    with Slow(cast.owner, image, 0, b"x" * 1000) as slow:
        assert cast.owner.call("DELETE", upload_path(image)).status_code == 204
        assert cast.owner.uploads(image, b"other").status_code == 204
        slow.connection.send(os.urandom(3 * MIB))
        slow.expect(b"HTTP/1.1 409 ")
        slow.expect(b"upload-taken-over")
    assert cast.owner.downloads(image).content == b"other"


def test_deleted_image_takes_its_upload_along(small_parts: tuple[World, Cast]) -> None:
    world, cast = small_parts
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image)
    with Slow(cast.owner, image, 0, b"x" * 1000) as slow:
        assert cast.owner.deletes(image).status_code == 204
        slow.connection.send(os.urandom(3 * MIB))
        slow.expect(b"HTTP/1.1 410 ")
        slow.expect(b"image-gone")
    with world.service.database.read() as tx:
        assert rows.find(tx, ImageID(image)) is None


def test_interim_responses_tell_the_location_and_the_offsets(small_parts: tuple[World, Cast]) -> None:
    _world, cast = small_parts
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as connection:
        head = f"POST {upload_path(image)} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {cast.owner.token}\r\n"
        head += (
            f"Content-Type: {DATA}\r\nContent-Length: {3 * MIB}\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 8\r\n\r\n"
        )
        connection.send(head.encode() + os.urandom(3 * MIB))
        received = b""
        while b"204 No Content" not in received or not received.endswith(b"\r\n\r\n"):
            received += connection.socket.recv(65536)
    first, *progress, last = received.lower().strip().split(b"\r\n\r\n")
    assert first.startswith(b"http/1.1 104 upload resumption supported\r\n")
    assert f"location: http://h{upload_path(image)}".encode() in first
    assert b"upload-limit: max-size=" in first
    assert b"upload-draft-interop-version: 8" in first
    offsets = [int(each.split(b"upload-offset: ")[1]) for each in progress]
    assert offsets == sorted({*offsets})
    assert MIB <= offsets[0] <= offsets[-1] <= 3 * MIB
    assert all(b"104" in each and b"location" not in each for each in progress)
    assert b"upload-complete: ?1" in last


@pytest.mark.parametrize("version", [None, "7", "8, 8"])
def test_client_of_another_draft_gets_no_interim_response(cast: Cast, version: str | None) -> None:
    image = cast.owner.has_an_image(None)
    line = "" if version is None else f"Upload-Draft-Interop-Version: {version}\r\n"
    with Connection(cast.owner.endpoint) as connection:
        head = f"POST {upload_path(image)} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {cast.owner.token}\r\n"
        connection.send(f"{head}Content-Type: {DATA}\r\nContent-Length: 1\r\nUpload-Complete: ?0\r\n{line}\r\nx".encode())
        assert connection.socket.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_options_tells_the_limits_before_an_upload_begins(cast: Cast) -> None:
    answers = [cast.owner.call("OPTIONS", upload_path(each)) for each in (cast.owner.has_an_image(None), str(uuid4()))]
    assert {each.headers["Upload-Limit"] for each in answers} == {f"max-size={Limits().image_size_cap_bytes}"}
    assert "Upload-Limit" not in cast.owner.call("OPTIONS", "/partage/v1/shares").headers


def test_completed_upload_tells_that_it_is_complete(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"bytes", complete=True)
    answer = ask(cast.owner, image)
    assert (answer.headers["Upload-Complete"], answer.headers["Upload-Offset"]) == ("?1", "5")
    repeated = add(cast.owner, image, 5, b"", complete=True)
    assert (repeated.status_code, repeated.headers["Upload-Complete"]) == (204, "?1")
    assert problem_of(add(cast.owner, image, 5, b"more")) == (409, "status-conflict")
    assert problem_of(begin(cast.owner, image, b"other")) == (409, "status-conflict")
    assert cast.owner.downloads(image).content == b"bytes"
    assert cast.owner.call("DELETE", upload_path(image)).status_code == 204
    assert cast.owner.downloads(image).content == b"bytes"


def test_what_an_upload_refuses_is_refused_at_the_end_and_removed(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, disk_format="qcow2")
    assert cast.owner.uploads(image, b"no qcow2" * 9000).status_code == 415
    begin(cast.owner, image, b"no qcow2" * 5000)
    refused = add(cast.owner, image, 40_000, b"no qcow2" * 4000, complete=True)
    assert problem_of(refused) == (415, "format-refused")
    assert refused.headers["Upload-Complete"] == "?1"
    assert ask(cast.owner, image).status_code == 404
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_image_without_formats_takes_no_upload(cast: Cast) -> None:
    image = str(cast.owner.call("POST", "/v2/images", json={}).json()["id"])
    assert problem_of(begin(cast.owner, image, b"x")) == (400, "format-missing")


def test_image_with_data_takes_no_upload(cast: Cast) -> None:
    image = cast.owner.has_an_image()
    assert problem_of(begin(cast.owner, image, b"x")) == (409, "status-conflict")


def test_unknown_store_is_refused_and_the_named_one_gets_the_data(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert begin(cast.owner, image, b"x", X_Image_Meta_Store="nowhere").status_code == 400
    assert begin(cast.owner, image, b"x", X_Image_Meta_Store="second").status_code == 201
    assert add(cast.owner, image, 1, b"y", complete=True).status_code == 204
    assert cast.owner.shows(image).json()["stores"] == "second"


def test_other_upload_of_the_image_ends_the_unfinished_one(cast: Cast, world: World) -> None:
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 100)
    assert cast.owner.uploads(image, b"other").status_code == 204
    assert ask(cast.owner, image).status_code == 404
    with world.service.database.read() as tx:
        assert rows.list_parts(tx, ImageID(image)) == []


def test_expired_upload_is_as_one_that_never_was(another_world: MakeWorld, everybody: Everybody) -> None:
    clock = Clock()
    rules = PartialUploadRules(idle=timedelta(hours=2))
    world = another_world(partial_uploads=rules, clock=clock)
    cast = cast_of(world, everybody)
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 100)
    clock.passes(minutes=119)
    assert add(cast.owner, image, 100, b"y").status_code == 204
    clock.passes(minutes=119)
    assert offset(cast.owner, image) == 101
    assert partial_uploads.remove_expired(world.service) == 0
    clock.passes(minutes=1)
    assert ask(cast.owner, image).status_code == 404
    assert problem_of(add(cast.owner, image, 101, b"y")) == (404, "upload-not-found")
    assert partial_uploads.remove_expired(world.service) == 1
    assert begin(cast.owner, image, b"new", complete=True).status_code == 204
    clock.passes(hours=2)
    assert partial_uploads.remove_expired(world.service) == 0, "a completed upload is no loss"
    assert ask(cast.owner, image).status_code == 404
    assert cast.owner.downloads(image).content == b"new"
    cast.leave()


def test_number_of_unfinished_uploads_of_a_project_is_bounded(another_world: MakeWorld, everybody: Everybody) -> None:
    world = another_world(partial_uploads=PartialUploadRules(per_project=2))
    cast = cast_of(world, everybody)
    first, second, third = (cast.owner.has_an_image(None) for _ in range(3))
    assert [begin(cast.owner, each, b"x").status_code for each in (first, second)] == [201, 201]
    assert problem_of(begin(cast.owner, third, b"x")) == (413, "too-many")
    assert cast.outsider.creates().status_code == 201
    assert begin(cast.outsider, cast.outsider.has_an_image(None), b"x").status_code == 201
    assert add(cast.owner, first, 1, b"", complete=True).status_code == 204
    assert begin(cast.owner, third, b"x").status_code == 201
    cast.leave()


def test_number_of_parts_is_bounded(another_world: MakeWorld, everybody: Everybody) -> None:
    world = another_world(partial_uploads=PartialUploadRules(parts=2))
    cast = cast_of(world, everybody)
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x")
    assert add(cast.owner, image, 1, b"y").status_code == 204
    assert problem_of(add(cast.owner, image, 2, b"z")) == (413, "too-many")
    assert add(cast.owner, image, 2, b"", complete=True).status_code == 204
    cast.leave()


def test_image_above_the_size_limit_is_refused(another_world: MakeWorld, everybody: Everybody) -> None:
    world = another_world(limits=Limits(image_size_cap_bytes=1000))
    cast = cast_of(world, everybody)
    image = cast.owner.has_an_image(None)
    assert problem_of(begin(cast.owner, image, b"x", Upload_Length="1001")) == (413, "image-too-large")
    assert begin(cast.owner, image, b"x" * 600).headers["Upload-Limit"].startswith("max-size=1000")
    refused = add(cast.owner, image, 600, b"x" * 401)
    assert (problem_of(refused), refused.headers["Upload-Complete"]) == ((413, "image-too-large"), "?1")
    assert ask(cast.owner, image).status_code == 404
    cast.leave()


def test_stored_bytes_count_against_the_quota(another_world: MakeWorld, everybody: Everybody) -> None:
    world = another_world(limits=Limits(storage_per_project_bytes=10_000))
    cast = cast_of(world, everybody)
    image, other = cast.owner.has_an_image(None), cast.owner.has_an_image(None)
    assert begin(cast.owner, image, b"x" * 4000, Upload_Length="6000").status_code == 201
    assert cast.owner.uploads(other, b"y" * 4001).status_code == 413
    assert cast.owner.uploads(other, b"y" * 4000).status_code == 204
    assert add(cast.owner, image, 4000, b"x" * 2000, complete=True).status_code == 204
    last = cast.owner.has_an_image(None)
    assert problem_of(begin(cast.owner, last, b"z")) == (413, "quota-exceeded")
    assert cast.owner.deletes(image).status_code == 204
    assert begin(cast.owner, last, b"z" * 5000).status_code == 201
    refused = add(cast.owner, last, 5000, b"z" * 1001)
    assert (problem_of(refused), refused.headers["Upload-Complete"]) == ((413, "quota-exceeded"), "?1")
    assert cast.owner.uploads(last, b"z" * 6000).status_code == 204, "nothing of it is counted any more"
    cast.leave()


def test_cancelled_and_replaced_uploads_free_their_quota(another_world: MakeWorld, everybody: Everybody) -> None:
    world = another_world(limits=Limits(storage_per_project_bytes=10_000))
    cast = cast_of(world, everybody)
    image = cast.owner.has_an_image(None)
    for end in (
        lambda: cast.owner.call("DELETE", upload_path(image)),
        lambda: cast.owner.uploads(image, b""),
    ):
        begin(cast.owner, image, b"x" * 100, Upload_Length="9000")
        assert end().status_code == 204
    other = cast.owner.has_an_image(None)
    assert cast.owner.uploads(other, b"y" * 10_000).status_code == 204
    cast.leave()


def test_upload_goes_on_in_another_process_after_a_restart(identity: Keystone, tmp_path: Path, everybody: Everybody) -> None:
    """Two services with one database and store, as before and after a restart."""
    data = os.urandom(2 * MIB)
    first, rules = make_service(tmp_path)
    with serving(first, identity, rules, tmp_path) as running:
        cast = cast_of(running, everybody)
        image = cast.owner.has_an_image(None)
        begin(cast.owner, image, data[:500_000])
        cast.leave()
    first.close()
    second, rules = make_service(tmp_path)
    with serving(second, identity, rules, tmp_path) as running:
        cast = cast_of(running, everybody)
        assert offset(cast.owner, image) == 500_000
        assert add(cast.owner, image, 500_000, data[500_000:], complete=True).status_code == 204
        assert cast.owner.downloads(image).content == data
        cast.leave()
    second.close()


def requests_of(who: Persona, image: str) -> list[requests.Response]:
    """Send everything about the upload of an image."""
    return [
        ask(who, image),
        who.call("GET", upload_path(image)),
        begin(who, image, b"x"),
        begin(who, image, b"x", complete=True),
        add(who, image, 0, b"x"),
        add(who, image, 0, b"", complete=True),
        add(who, image, 100, b"x", complete=True, Upload_Draft_Interop_Version=DRAFT["Upload-Draft-Interop-Version"]),
        who.call("DELETE", upload_path(image)),
    ]


def make_unfinished(cast: Cast) -> str:
    image = cast.owner.has_an_image(None, visibility="private")
    assert begin(cast.owner, image, b"x" * 100).status_code == 201
    return image


@pytest.mark.parametrize("situation", [*INVISIBLE, "unfinished"])
def test_upload_of_an_invisible_image_is_answered_as_nonexistent(situation: str, cast: Cast) -> None:
    image, never = {**INVISIBLE, "unfinished": make_unfinished}[situation](cast), str(uuid4())
    found = [blanked(each, image) for each in requests_of(cast.outsider, image)]
    assert found == [blanked(each, never) for each in requests_of(cast.outsider, never)]
    assert {each[0] for each in found} == {404}


def test_who_may_not_upload_may_not_ask_either(cast: Cast) -> None:
    image = make_unfinished(cast)
    assert {each.status_code for each in requests_of(cast.owner_reader, image)} == {403}
    assert {each.status_code for each in requests_of(cast.anonymous, image)} == {401}
    shared = cast.owner.has_an_image(None, visibility="shared")
    cast.owner.shares_with(shared, cast.member.project_id)
    begin(cast.owner, shared, b"x")
    assert {each.status_code for each in requests_of(cast.member, shared)} == {403}
    assert offset(cast.owner, image) == 100


def test_digests_are_those_of_the_whole(cast: Cast) -> None:
    image, data = cast.owner.has_an_image(None), os.urandom(300_000)
    begin(cast.owner, image, data[:1])
    for start in range(1, 300_000, 99_999):
        assert add(cast.owner, image, start, data[start : start + 99_999]).status_code == 204
    assert add(cast.owner, image, 300_000, b"", complete=True).status_code == 204
    shown = cast.owner.shows(image).json()
    assert shown["checksum"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()


def test_dead_writer_does_not_block_the_upload(cast: Cast, world: World) -> None:
    """What a killed process leaves: a row of an upload whose worker is no more."""
    image = cast.owner.has_an_image(None)
    begin(cast.owner, image, b"x" * 100)
    with Slow(cast.owner, image, 100, b"y" * 10):
        world.service.process.running_uploads.clear()
        assert recovery.recover(world.service, ImageID(image)) == 1
        assert add(cast.owner, image, 100, b"z" * 20, complete=True).status_code == 204
    assert cast.owner.downloads(image).content == b"x" * 100 + b"z" * 20
