"""Uploads that wait for their clients: they hold nobody up, they are bounded in number, and they end when too little comes."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

import pytest

from partage.model.limits import Limits
from tests.api.conftest import World, cast_of
from tests.api.connection import Connection, chunk, head
from tests.api.personas import DATA, Cast
from tests.api.test_image_data_uploaded import can_be_uploaded_again, is_queued
from tests.standalone import wait_for

Everybody = dict[str, tuple[str, str]]
Worlds = Callable[..., World]
People = Callable[..., Cast]

MIB = 1 << 20
OCTETS = f"Content-Type: {DATA}"
LONG = "Content-Length: 1000000"
IDLE = 160
OF_UPLOADS = ("upload_", "store-hash", "store-pack", "store-put")
FRAMINGS = {
    "length": (f"Content-Length: {64 * MIB}", b"x", b"x"),
    "chunked": ("Transfer-Encoding: chunked", chunk(b"x"), chunk(b"x")),
}


def threads_of_uploads() -> int:
    """Count the threads of all services in this process that can be an upload's."""
    return sum(thread.name.startswith(OF_UPLOADS) for thread in threading.enumerate())


@pytest.fixture
def people(another_world: Worlds, everybody: Everybody) -> Iterator[Callable[..., Cast]]:
    """Let everybody act on a service of its own, with other settings: call it as `another_world`."""
    casts = []

    def make(options: Mapping[str, Any] = MappingProxyType({}), **changed: Any) -> Cast:
        casts.append(cast_of(another_world(options, **changed), everybody))
        return casts[-1]

    yield make
    for cast in casts:
        cast.leave()


def begin(cast: Cast, image: str, framing: str, first: bytes) -> Connection:
    """Send the beginning of an upload."""
    wire = Connection(cast.owner.endpoint)
    wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", OCTETS, framing) + first)
    return wire


def status_of(cast: Cast, image: str) -> Any:
    return cast.owner.shows(image).json()["status"]


@pytest.mark.parametrize("kind", FRAMINGS)
def test_idle_uploads_leave_others_uploads_answered(kind: str, people: People) -> None:
    """Four threads, and 160 uploads that bring a byte now and then; uploads of another project go through."""
    framing, first, then = FRAMINGS[kind]
    options = {"uploads_at_once": IDLE + 10, "upload_threads": 4}
    crowd = people(options, limits=Limits(uploads_per_project=IDLE))
    before = threads_of_uploads()
    images = [crowd.owner.has_an_image(None) for _ in range(IDLE)]
    with ExitStack() as wires:
        opened = [wires.enter_context(begin(crowd, image, framing, first)) for image in images]
        for image in images:
            wait_for(lambda image=image: status_of(crowd, image) == "saving", seconds=60)  # type: ignore[misc]
        for wire in opened:
            wire.send(then)
        theirs = crowd.outsider.has_an_image(None)
        assert crowd.outsider.uploads(theirs, b"d" * (3 * MIB)).status_code == 204
        for wire in opened[::7]:
            wire.send(then)
        another = crowd.outsider.has_an_image(None)
        assert crowd.outsider.uploads(another, b"e" * (3 * MIB)).status_code == 204
        # Pools have as many threads as they are allowed, whoever is there: no idle upload adds one.
        assert threads_of_uploads() - before <= 4 + 16 + 2 * 16
        if kind == "chunked":
            opened[0].send(b"0\r\n\r\n")
            assert opened[0].answer().status == 204
    assert is_queued(crowd.owner, images[-1], seconds=60)


def test_one_upload_too_many_of_a_process_is_refused_at_once(people: People) -> None:
    cast = people({"uploads_at_once": 3})
    images = [cast.owner.has_an_image(None) for _ in range(4)]
    with ExitStack() as wires:
        opened = [wires.enter_context(begin(cast, image, *FRAMINGS["length"][:2])) for image in images[:3]]
        for image in images[:3]:
            wait_for(lambda image=image: status_of(cast, image) == "saving", seconds=60)  # type: ignore[misc]
        for person in (cast.owner, cast.admin):
            with Connection(cast.owner.endpoint) as wire:
                asked = head(
                    person, "PUT", f"/v2/images/{images[3]}/file", OCTETS, "Content-Length: 1000000", "Expect: 100-continue"
                )
                wire.send(asked)
                answer = wire.answer()
            assert answer.status == 503
            assert int(answer.header("retry-after") or 0) > 0
            assert b"uploads are in progress in this process" in answer.body
        assert status_of(cast, images[3]) == "queued"
        opened[0].close()
        assert is_queued(cast.owner, images[0], seconds=60)
        assert can_be_uploaded_again(cast.owner, images[3])


def test_one_upload_too_many_of_a_project_is_refused(people: People) -> None:
    cast = people(limits=Limits(uploads_per_project=2))
    images = [cast.owner.has_an_image(None) for _ in range(3)]
    with ExitStack() as wires:
        opened = [wires.enter_context(begin(cast, image, *FRAMINGS["chunked"][:2])) for image in images[:2]]
        for image in images[:2]:
            wait_for(lambda image=image: status_of(cast, image) == "saving", seconds=60)  # type: ignore[misc]
        for verb in ("file", "stage"):
            with Connection(cast.owner.endpoint) as wire:
                wire.send(
                    head(cast.owner, "PUT", f"/v2/images/{images[2]}/{verb}", OCTETS, "Content-Length: 100", "Expect: 100-continue")
                )
                answer = wire.answer()
            assert answer.status == 503
            assert int(answer.header("retry-after") or 0) > 0
            assert b"2 uploads to images of this project are under way" in answer.body
        assert status_of(cast, images[2]) == "queued"
        assert cast.outsider.uploads(cast.outsider.has_an_image(None), b"data").status_code == 204
        opened[0].send(b"0\r\n\r\n")
        assert opened[0].answer().status == 204
        assert can_be_uploaded_again(cast.owner, images[2])


@pytest.mark.parametrize("kind", FRAMINGS)
def test_upload_below_the_least_rate_ends_and_its_image_is_queued(kind: str, people: People) -> None:
    framing, first, then = FRAMINGS[kind]
    cast = people({"slowest_bytes_per_second": 1000, "window_seconds": 1.5})
    image = cast.owner.has_an_image(None)
    stop = threading.Event()
    with begin(cast, image, framing, first) as wire:

        def dribble() -> None:
            while not stop.wait(0.2):
                try:
                    wire.send(then)
                except OSError:
                    return

        dribbling = threading.Thread(target=dribble)
        dribbling.start()
        answer = wire.answer()
        stop.set()
        dribbling.join()
    assert answer.status == 408
    assert b"too slowly" in answer.body
    assert is_queued(cast.owner, image, seconds=60)
    assert can_be_uploaded_again(cast.owner, image)


def test_slow_upload_above_the_least_rate_is_taken(people: People) -> None:
    cast = people({"slowest_bytes_per_second": 10, "window_seconds": 0.5})
    image = cast.owner.has_an_image(None)
    with begin(cast, image, "Content-Length: 3000000", b"a" * 1_000_000) as wire:
        for _ in range(20):
            wire.send(b"a" * 100_000)
            time.sleep(0.1)
        assert wire.answer().status == 204
    assert cast.owner.shows(image).json()["size"] == 3_000_000
