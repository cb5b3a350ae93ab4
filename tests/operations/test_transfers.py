"""Imports between two Partages: only chunks that are not here are fetched, and nothing of the other side is trusted.

The other side is a double, made to misbehave; tests/api/test_transfers_between_regions.py has two real services.
"""

import contextlib
import hashlib
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import zstandard

from partage import problems
from partage.content import manifest, parts
from partage.content.digest import Buffer
from partage.content.manifest import ManifestEntry
from partage.identity.sealing import TokenSeal
from partage.model.caller import Caller
from partage.model.ids import ChunkDigest, ProjectID, StoreID, UserID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.task import Task, TaskStatus
from partage.operations import images, sweep, tasks
from partage.operations.chunks_here import ChunksHere
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.imports import steps as import_steps
from partage.operations.imports.steps import Run
from partage.operations.other_regions import OtherRegions
from partage.operations.remote_chunks import Received
from partage.operations.service import Service
from partage.outbound.rules import operators_rules
from partage.policies.authority import Authority
from tests.memory_store import MemoryStore
from tests.operations.peer import Peer, cut
from tests.operations.services import LOCAL, OWNER, Clock, download, image_with, make, queued_image
from tests.operations.test_glance_download import DOCUMENT, ELSEWHERE, FILE, TOKEN, Catalog, described
from tests.services import change_service, name_stores
from tests.unit.outbound import origins

OTHER = Caller(user_id=UserID("v"), project_id=ProjectID("B"), roles=frozenset({"member", "reader"}))
DAY_ONE = random.Random(1).randbytes(9_000_000) + bytes(3_000_000) + random.Random(2).randbytes(1_234_567)
DAY_TWO = DAY_ONE[:4_096_000] + random.Random(3).randbytes(409_600) + DAY_ONE[4_505_600:]
NEW_BYTES = 409_600 + 2 * 393_216
"""What differs on the second day, with the chunks at both ends of it."""

SECRET = random.Random(11).randbytes(3_000_000)
"""What another project has."""

GUESSES = {"right": SECRET, "wrong": random.Random(12).randbytes(3_000_000)}
TAIL = random.Random(13).randbytes(30_000_000)
REQUEST = ImportRequest(method=ImportMethod.GLANCE_DOWNLOAD, region="Elsewhere", remote_image_id=ELSEWHERE)


class Ticking(Clock):
    """Time that passes whenever somebody looks, so that notes are written."""

    def __call__(self) -> datetime:
        self.passes(milliseconds=200)
        return self.now


class SmallStore(MemoryStore):
    """A store that is full after some objects."""

    def __init__(self, room_objects: int) -> None:
        super().__init__()
        self._room_objects = room_objects

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        if self._room_objects == 0:
            raise problems.StoreFull("The store has no room; try another one")
        self._room_objects -= 1
        super().put(key, parts)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def service(tmp_path: Path, catalog: Catalog) -> Service:
    rules = operators_rules(origins.rules(connect_seconds=5.0, networks_allowed=()), cafile="")
    regions = OtherRegions(catalog=catalog, seal=TokenSeal(["k" * 32]), rules=rules, delay_seconds=0.0)
    return make(tmp_path, other_regions=regions)


def ask(service: Service, caller: Caller = OWNER, image: Image | None = None, request: ImportRequest = REQUEST) -> Image:
    image = image or queued_image(service, caller)
    import_requests.request_import(service, caller, image.id, request, request_id="req-1", token=TOKEN)
    return image


def work(service: Service, caller: Caller, image: Image) -> tuple[Image, Task]:
    claimed = import_runs.claim(service)
    assert claimed is not None
    import_runs.run(service, claimed)
    return images.show_image(service, caller, image.id), tasks.list_image_tasks(service, caller, image.id)[-1]


def transfer(
    service: Service,
    catalog: Catalog,
    peer: Peer,
    caller: Caller = OWNER,
    *,
    image: Image | None = None,
    request: ImportRequest = REQUEST,
) -> tuple[Image, Task]:
    with origins.serving(peer, host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        return work(service, caller, ask(service, caller, image, request))


def fetched_bytes(peer: Peer) -> int:
    return sum(stop - start for start, stop in peer.ranges)


# What is fetched


def test_first_transfer_fetches_every_chunk_once_and_no_zeros(service: Service, catalog: Catalog) -> None:
    peer = Peer(DAY_ONE)
    image, task = transfer(service, catalog, peer)
    assert (image.status, task.message) == (ImageStatus.ACTIVE, "Copied 12 MiB")
    assert download(service, image.id) == DAY_ONE
    assert image.os_hash_value == hashlib.sha512(DAY_ONE).hexdigest()
    assert fetched_bytes(peer) == sum(entry.length for entry in cut(DAY_ONE) if entry.digest is not None)
    assert FILE not in peer.asked


def test_next_day_fetches_only_what_differs(service: Service, catalog: Catalog) -> None:
    transfer(service, catalog, Peer(DAY_ONE))
    peer = Peer(DAY_TWO)
    image, task = transfer(service, catalog, peer)
    assert (task.status, download(service, image.id) == DAY_TWO) == (TaskStatus.SUCCESS, True)
    assert 409_600 <= fetched_bytes(peer) <= NEW_BYTES


def test_data_that_moved_within_the_image_is_not_fetched_again(service: Service, catalog: Catalog) -> None:
    image_with(service, DAY_ONE)
    moved = DAY_ONE[8_192_000:13_230_080] + DAY_ONE[:8_192_000]
    peer = Peer(moved)
    image, _ = transfer(service, catalog, peer)
    assert download(service, image.id) == moved
    assert fetched_bytes(peer) < 2_000_000


def test_chunks_of_another_project_are_fetched_like_new_ones(service: Service, catalog: Catalog) -> None:
    """Otherwise the time of an import would tell what others have, and so would the requests to the other region."""
    image_with(service, DAY_ONE, OTHER)
    with_others, without = Peer(DAY_ONE), Peer(DAY_ONE)
    transfer(service, catalog, with_others)
    transfer(service, catalog, without, Caller(user_id=UserID("w"), project_id=ProjectID("C"), roles=OWNER.roles))
    assert sorted(with_others.asked) == sorted(without.asked)
    assert fetched_bytes(with_others) == fetched_bytes(without)


def test_chunks_of_others_are_not_fetched_where_timing_is_no_secret(service: Service, catalog: Catalog) -> None:
    image_with(service, DAY_ONE, OTHER)
    trusting = change_service(service, hide_deduplication_timing=False)
    peer = Peer(DAY_ONE)
    transfer(trusting, catalog, peer)
    assert peer.ranges == []


def test_own_image_that_may_not_be_downloaded_is_not_compared(service: Service, catalog: Catalog, tmp_path: Path) -> None:
    image_with(service, DAY_ONE)
    file = tmp_path / "policy.yaml"
    file.write_text('"download_image": "role:admin"')
    peer = Peer(DAY_ONE)
    transfer(replace(service, authority=Authority(file)), catalog, peer)
    assert fetched_bytes(peer) > 9_000_000


@pytest.mark.parametrize("change", ["deactivated", "deleted"])
def test_own_image_that_is_deactivated_or_deleted_is_not_compared(change: str, service: Service, catalog: Catalog) -> None:
    image = image_with(service, DAY_ONE)
    if change == "deleted":
        images.delete_image(service, OWNER, image.id)
    else:
        images.deactivate_image(service, OWNER, image.id)
    peer = Peer(DAY_ONE)
    transfer(service, catalog, peer)
    assert fetched_bytes(peer) > 9_000_000


def test_chunk_that_is_damaged_here_is_fetched(service: Service, catalog: Catalog, tmp_path: Path) -> None:
    image_with(service, DAY_ONE)
    for path in (each for each in (tmp_path / "store" / "packs").rglob("*") if each.is_file()):
        raw = bytearray(path.read_bytes())
        raw[100_000:100_050] = bytes(50)
        path.chmod(0o600)
        path.write_bytes(raw)
    peer = Peer(DAY_ONE)
    image, task = transfer(service, catalog, peer)
    assert task.status is TaskStatus.SUCCESS, task.message
    assert image.os_hash_value == hashlib.sha512(DAY_ONE).hexdigest()
    assert 0 < fetched_bytes(peer) <= len(DAY_ONE)


# How it goes on after a crash


def run_until(service: Service, catalog: Catalog, peer: Peer, dies: Callable[[int], bool]) -> Received | None:
    """Run a task until `dies` at a request for chunks, as with a worker that is killed; return what the task has noted."""
    claimed = import_runs.claim(service)
    assert claimed is not None

    def go_on_or_die(number: int) -> None:
        if dies(number):
            claimed.cancellation.cancel(problems.TaskLost("the worker was killed"))

    peer.before_chunks = go_on_or_die
    with origins.serving(peer, host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        import_runs.run(service, claimed)  # ends as the run of a worker that lost its claim does: nothing is recorded
    noted = import_steps.find_received(service, claimed)
    import_runs.recover(service)
    return noted


def test_run_that_takes_over_fetches_the_rest_only(service: Service, catalog: Catalog) -> None:
    timed = replace(service, clock=Ticking())
    data = random.Random(5).randbytes(60_000_000)
    image, first, second = ask(timed), Peer(data), Peer(data)
    received = run_until(timed, catalog, first, lambda number: number > 9)
    assert received is not None
    assert received.stop > 10_000_000
    assert run_until(timed, catalog, second, lambda _number: False) is None
    assert download(timed, image.id) == data
    assert fetched_bytes(second) < len(data) - received.stop / 2


def test_second_crash_does_not_move_the_point_back(service: Service, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second worker dies at its first note. It has to fetch again what the first had received but not put."""
    timed = replace(service, clock=Ticking())
    data = random.Random(5).randbytes(60_000_000)
    image, first, second, third = ask(timed), Peer(data), Peer(data), Peer(data)
    received = run_until(timed, catalog, first, lambda number: number > 9)
    assert received is not None
    note_received = import_steps.note_received

    def note_and_die(service: Service, work: Run, noted: Received) -> None:
        note_received(service, work, noted)
        work.cancellation.cancel(problems.TaskLost("the worker was killed"))

    with monkeypatch.context() as patched:
        patched.setattr(import_steps, "note_received", note_and_die)
        noted = run_until(timed, catalog, second, lambda _number: False)
    assert noted is not None
    assert noted.stop >= received.stop
    run_until(timed, catalog, third, lambda _number: False)
    assert download(timed, image.id) == data
    assert fetched_bytes(third) < len(data) - received.stop / 2


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("guess", GUESSES)
def test_import_after_a_failed_one_fetches_what_others_have(guess: str, swept: bool, service: Service, catalog: Catalog) -> None:
    """A user who guesses a document could end the first import, and see what the second one does not fetch."""
    clock = Clock()
    timed = replace(service, clock=clock)
    image_with(timed, SECRET, OTHER)
    image, data = queued_image(timed), GUESSES[guess] + TAIL
    first, second = Peer(data), Peer(data)

    def refuse_at_last(number: int) -> None:
        clock.passes(seconds=3)
        if number >= 7:
            first.statuses[:] = ["403 Forbidden"]

    first.before_chunks = refuse_at_last
    failed, _ = transfer(timed, catalog, first, image=image)
    assert (failed.status, fetched_bytes(first) > len(SECRET)) == (ImageStatus.QUEUED, True)
    for _ in range(2 if swept else 0):
        clock.passes(hours=2)
        sweep.sweep(timed, grace=timedelta(hours=1))
    done, task = transfer(timed, catalog, second, image=image)
    assert done.status is ImageStatus.ACTIVE, task.message
    assert fetched_bytes(second) == len(data)


@pytest.mark.parametrize("guess", GUESSES)
def test_note_of_one_store_is_not_one_of_another(guess: str, service: Service, catalog: Catalog) -> None:
    """The first store is full after a while; the second one, which the same run tries then, has another project's image."""
    small = SmallStore(room_objects=1)
    stores = name_stores({StoreID("small"): small, LOCAL: service.stores.find(LOCAL).store})
    timed = change_service(replace(service, clock=Ticking()), stores=stores)
    image_with(timed, SECRET, OTHER)
    data = GUESSES[guess] + TAIL
    peer, image = Peer(data), queued_image(timed)
    request = replace(REQUEST, stores=(StoreID("small"), LOCAL), all_stores_must_succeed=False)
    done, task = transfer(timed, catalog, peer, image=image, request=request)
    assert (done.stores, download(timed, image.id) == data) == ((LOCAL,), True), task.message
    again = len(peer.asked) - peer.asked[::-1].index(DOCUMENT)
    assert fetched_bytes(replace(peer, asked=peer.asked[:again])) > len(SECRET)
    assert fetched_bytes(replace(peer, asked=peer.asked[again:])) == len(data)


def test_received_chunks_end_at_the_first_that_was_lost(service: Service) -> None:
    """What comes after it may be in the store because another project has it."""
    image_with(service, DAY_ONE, OTHER)
    named = service.stores.find(LOCAL)
    names = [each.digest for each in cut(DAY_ONE) if each.digest is not None]
    lost, kept = ChunkDigest(bytes(32)), names[:40]
    page = {name: offset for offset, name in enumerate([*kept, lost, *names[40:60]])}
    here = ChunksHere(service, named, OWNER, queued_image(service), progress=None, save=lambda _received: None)
    assert here.find(page, set(page)) == set(kept)
    assert here.find(dict.fromkeys(names[60:], 1), set(names[60:])) == set()


def test_other_manifest_gets_nothing_that_an_earlier_run_received(service: Service, catalog: Catalog) -> None:
    """A peer that changed its manifest could otherwise ask which chunks others have."""
    image_with(service, DAY_ONE, OTHER)
    image = ask(service)
    claimed = import_runs.claim(service)
    assert claimed is not None
    entries = cut(DAY_ONE)
    stop = sum(entry.length for entry in entries[:40])
    import_steps.note_received(service, claimed, Received(stop, b"\x00" * 32))
    peer = Peer(DAY_ONE)
    with origins.serving(peer, host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        import_runs.run(service, claimed)
    assert images.show_image(service, OWNER, image.id).status is ImageStatus.ACTIVE
    assert fetched_bytes(peer) == sum(entry.length for entry in entries if entry.digest is not None)


# What is refused


def of_zeros(length: int, count: int) -> Callable[[bytes], bytes]:
    page = b"".join(each.encoded for each in manifest.encode_all(0, [ManifestEntry(None, length)] * count))
    return lambda _page: page


NAME = cut(DAY_ONE)[0].digest
BOMB = zstandard.ZstdCompressor().compress(bytes(1 << 30))
SHORT = manifest.encode(0, [ManifestEntry(None, 4096)]).encoded

BAD: dict[str, tuple[dict[str, object], str]] = {
    "wrong bytes": ({"frames": lambda frame: parts.compress([bytes(len(parts_of(frame)))])}, "sends other bytes than its manifest"),
    "fewer bytes": ({"frames": lambda frame: parts.compress([parts_of(frame)[:-1]])}, "sends chunks that cannot be read"),
    "no frame": ({"frames": lambda _frame: b"text"}, "sends chunks that cannot be read"),
    "a bomb": ({"frames": lambda _frame: BOMB}, "sends chunks that cannot be read"),
    "too much": ({"frames": lambda _frame: bytes(9 << 20)}, "sends more than was asked for"),
    "an endless page": ({"pages": lambda page: page + bytes(2 << 20)}, "sends more than was asked for"),
    "a page of nothing that goes on": ({"pages": lambda page: page[:-1]}, "sends a manifest that cannot be read"),
    "the same page for ever": ({"pages": lambda _page: SHORT}, "sends a manifest with a gap at byte 4096"),
    "chunks of a byte": ({"pages": of_zeros(1, 5)}, "sends a manifest with a chunk of 1 bytes"),
    "a chunk beyond the end": ({"pages": of_zeros(1 << 40, 1)}, "goes beyond the image's"),
    "a chunk of 5 MiB": (
        {"entries": [ManifestEntry(NAME, 5 << 20), ManifestEntry(NAME, 4096)]},
        "sends a manifest with a chunk of 5242880 bytes",
    ),
    "another digest of the whole": (
        {"document": described(DAY_ONE, os_hash_value="0" * 128)},
        "sha512 of the image data should be 000",
    ),
    "a manifest of another image": ({"entries": cut(DAY_TWO)}, "sends other bytes than its manifest names"),
    "a refusal": ({"statuses": ["403 Forbidden"] * 9}, "does not let you have the image"),
    "an expired token": ({"statuses": ["401 Unauthorized"] * 9}, "does not accept the token any more"),
    "always busy": ({"statuses": ["503 Busy"] * 99}, "did not give the image or all of it"),
}


def parts_of(frame: bytes) -> bytes:
    return bytes(zstandard.ZstdDecompressor().decompress(frame))


@pytest.mark.parametrize("case", BAD)
def test_bad_peer_fails_the_task_with_the_reason(case: str, service: Service, catalog: Catalog) -> None:
    changed, words = BAD[case]
    peer = Peer(DAY_ONE, **changed)  # type: ignore[arg-type]
    image, task = transfer(service, catalog, peer)
    assert (task.status, words in task.message) == (TaskStatus.FAILURE, True), task.message
    assert (image.status, image.size) == (ImageStatus.QUEUED, None)
    assert len(peer.asked) < 40


def test_peer_that_stops_to_send_fails_the_task(service: Service, catalog: Catalog) -> None:
    regions = service.integrations.require_regions()
    quick = replace(regions, rules=replace(regions.rules, silence_seconds=0.3, total_seconds=1.0))
    stopped = origins.saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    def answer(connection: socket.socket, head: bytes) -> None:
        if b"/chunks" in head:
            stopped(connection, head)
            with contextlib.suppress(OSError):
                connection.recv(1)
        else:
            Peer(DAY_ONE)(connection, head)

    with origins.serving(answer, host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        image, task = work(change_service(service, other_regions=quick), OWNER, ask(service))
    assert (image.status, task.status) == (ImageStatus.QUEUED, TaskStatus.FAILURE)
    assert "did not give the image or all of it" in task.message


def test_requests_that_fail_in_passing_are_repeated(service: Service, catalog: Catalog) -> None:
    peer = Peer(DAY_ONE, statuses=["503 Busy", "502 Bad Gateway", "429 Too Many"])
    image, task = transfer(service, catalog, peer)
    assert (task.status, download(service, image.id) == DAY_ONE) == (TaskStatus.SUCCESS, True), task.message


# Others than Partage


@pytest.mark.parametrize("status", ["300 Multiple Choices", "400 No", "401 No", "403 No", "404 No", "409 No", "500 Oh", "503 Busy"])
def test_image_without_a_manifest_is_downloaded_whole(status: str, service: Service, catalog: Catalog) -> None:
    raw = origins.content(b'{"versions": []}', status=status)
    peer = Peer(DAY_ONE)

    def answer(connection: socket.socket, head: bytes) -> None:
        if b"/partage/" in head:
            connection.sendall(raw)
        else:
            peer(connection, head)

    with origins.serving(answer, host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        image, task = work(service, OWNER, ask(service))
    assert (task.status, download(service, image.id) == DAY_ONE) == (TaskStatus.SUCCESS, True), task.message
    assert peer.asked == [DOCUMENT, FILE]


def test_service_that_answers_everything_with_200_is_no_partage(service: Service, catalog: Catalog) -> None:
    peer = Peer(DAY_ONE, pages=lambda _page: b"<html>welcome</html>")
    image, task = transfer(service, catalog, peer)
    assert (task.status, download(service, image.id) == DAY_ONE) == (TaskStatus.SUCCESS, True), task.message
    assert peer.asked[-1] == FILE
