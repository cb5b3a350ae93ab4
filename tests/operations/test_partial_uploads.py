"""Completion of resumable uploads, and what is kept and removed: as one upload of the same bytes, or nothing."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.announcement import Announcement, Event
from partage.model.ids import ImageID
from partage.model.image import Image, ImageStatus
from partage.model.partial_upload import Addition, PartialUploadRules
from partage.operations import completions, images, partial_uploads, recovery, sweep
from partage.operations.service import Service
from partage.records import images as image_rows
from partage.records import partial_uploads as rows
from partage.records import reservations
from partage.records.database import Transaction
from partage.signatures.certificates import KeyManagerSignatures
from partage.stores.drivers.posix import PosixStore
from tests import resuming, uploading
from tests.operations.services import OWNER, Clock, download, make, queued_image, upload
from tests.operations.signers import Keys, Signer
from tests.resuming import add, begin, complete
from tests.services import change_service

DATA = random.Random(3).randbytes(3_000_000)
END = len(DATA)


class Listener:
    """Notes what is announced."""

    def __init__(self) -> None:
        self.heard: list[tuple[Event, bool]] = []

    def announce(self, announcement: Announcement) -> None:
        """Note it."""
        self.heard.append((announcement.event, announcement.failed))

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Iterator[Service]:
    made = make(tmp_path, clock=clock, partial_uploads=PartialUploadRules(part_bytes=1 << 20))
    yield made
    made.close()


def packs_in(service: Service) -> int:
    [named] = service.stores.by_id.values()
    assert isinstance(named.store, PosixStore)
    return sum(1 for _ in named.store.enumerate("packs/"))


def send_in_two(service: Service, image_id: ImageID, data: bytes = DATA) -> None:
    begin(service, OWNER, image_id, [data[:700_001]])
    add(service, OWNER, image_id, 700_001, [data[700_001:]])


def status_of(service: Service, image_id: ImageID) -> ImageStatus:
    return images.show_image(service, OWNER, image_id).status


def events_of(service: Service, image_id: ImageID) -> list[str]:
    with service.database.read() as tx:
        found = tx.exec_driver_sql(f"SELECT type FROM events WHERE image_id = '{image_id}' ORDER BY id")
        return [kind for (kind,) in found]


def test_completion_announces_and_records_what_an_upload_does(tmp_path: Path) -> None:
    heard = []
    for number, act in enumerate((lambda to, image: upload(to, image, DATA), finish_in_two)):
        listener = Listener()
        service = make(tmp_path / str(number), announcer=listener)
        image = queued_image(service)
        act(service, image.id)
        at = listener.heard.index((Event.IMAGE_PREPARE, False)) - 1
        heard.append((listener.heard[at:], events_of(service, image.id)))
        service.close()
    assert heard[0] == heard[1]
    assert (Event.IMAGE_ACTIVATE, False) in heard[0][0]
    assert heard[0][1] == ["image.activated"]


def finish_in_two(service: Service, image_id: ImageID) -> None:
    send_in_two(service, image_id)
    complete(service, OWNER, image_id, END)


def make_signed_image(service: Service, signer: Signer, data: bytes) -> Image:
    image = queued_image(service)
    with service.database.write() as tx:
        wanted = replace(image, properties={**image.properties, **signer.signs(data)})
        image_rows.save(tx, wanted, was=image)
    return wanted


@pytest.mark.parametrize("is_forged", [False, True])
def test_signature_is_that_of_the_whole_image(tmp_path: Path, *, is_forged: bool) -> None:
    keys = Keys()
    signer = Signer(keys)
    service = make(tmp_path, signatures=KeyManagerSignatures(keys, auth_url="http://127.0.0.1:1/v3", timeout_seconds=5.0))
    image = make_signed_image(service, signer, DATA if not is_forged else DATA + b"x")
    send_in_two(service, image.id)
    if is_forged:
        with pytest.raises(problems.SignatureRefused):
            complete(service, OWNER, image.id, END, token="t")
        assert status_of(service, image.id) is ImageStatus.QUEUED
        with pytest.raises(problems.UploadNotFound):
            partial_uploads.show_upload(service, OWNER, image.id)
    else:
        complete(service, OWNER, image.id, END, token="t")
        assert download(service, image.id) == DATA
    service.close()


def begin_completion(service: Service, image_id: ImageID) -> completions.Completion | completions.Completed:
    asked = Addition(offset_bytes=END, is_last=True, content_bytes=0)
    return completions.begin_completion(service, OWNER, image_id, asked, token="")


def test_upload_under_completion_can_be_neither_asked_nor_cancelled(service: Service) -> None:
    image = queued_image(service)
    send_in_two(service, image.id)
    completion = begin_completion(service, image.id)
    acts: list[Callable[[], object]] = [
        lambda: partial_uploads.show_upload(service, OWNER, image.id),
        lambda: partial_uploads.cancel_upload(service, OWNER, image.id),
        lambda: begin_completion(service, image.id),
        lambda: add(service, OWNER, image.id, END, [b"x"]),
        lambda: begin(service, OWNER, image.id),
    ]
    for act in acts:
        with pytest.raises(problems.UploadCompleting):
            act()
    while completion.advance():
        pass
    assert download(service, image.id) == DATA
    assert partial_uploads.show_upload(service, OWNER, image.id).is_complete


def test_completion_whose_worker_died_is_done_again(service: Service) -> None:
    image = queued_image(service)
    send_in_two(service, image.id)
    dead = change_service(service, worker="gone", worker_lives=service.process.worker_lives)
    held = begin_completion(dead, image.id)
    assert status_of(service, image.id) is ImageStatus.SAVING
    assert partial_uploads.show_upload(service, OWNER, image.id).offset_bytes == END
    assert status_of(service, image.id) is ImageStatus.QUEUED
    complete(service, OWNER, image.id, END)
    held.fail(problems.ImageGone("The worker is dead"))
    assert download(service, image.id) == DATA


def test_failed_completion_keeps_the_upload(service: Service) -> None:
    image = queued_image(service)
    send_in_two(service, image.id)
    completion = begin_completion(service, image.id)
    completion.fail(problems.StoreUnavailable("The store does not answer"))
    assert status_of(service, image.id) is ImageStatus.QUEUED
    assert partial_uploads.show_upload(service, OWNER, image.id).offset_bytes == END
    complete(service, OWNER, image.id, END)
    assert download(service, image.id) == DATA


def test_image_deleted_during_completion_stays_deleted(service: Service) -> None:
    image = queued_image(service)
    send_in_two(service, image.id)
    completion = begin_completion(service, image.id)
    images.delete_image(service, OWNER, image.id)
    with pytest.raises(problems.ImageGone) as caught:
        while completion.advance():
            pass
    completion.fail(caught.value)
    with service.database.read() as tx:
        assert rows.find(tx, image.id) is None
        assert rows.list_parts(tx, image.id) == []


def test_sweep_keeps_parts_and_removes_those_of_ended_uploads(service: Service, clock: Clock) -> None:
    kept, cancelled, expired = (queued_image(service) for _ in range(3))
    begin(service, OWNER, kept.id, [DATA])
    begin(service, OWNER, cancelled.id, [random.Random(4).randbytes(2_000_000)])
    partial_uploads.cancel_upload(service, OWNER, cancelled.id)
    before = packs_in(service)
    clock.passes(hours=3)
    sweep.sweep(service, grace=timedelta(0))
    clock.passes(hours=3)
    sweep.sweep(service, grace=timedelta(0))
    assert 0 < packs_in(service) < before
    complete(service, OWNER, kept.id, END)
    assert download(service, kept.id) == DATA
    begin(service, OWNER, expired.id, [random.Random(5).randbytes(2_000_000)])
    after = packs_in(service)
    clock.passes(days=1)
    assert partial_uploads.remove_expired(service) == 1
    for _ in range(2):
        clock.passes(hours=3)
        sweep.sweep(service, grace=timedelta(0))
    assert packs_in(service) < after
    assert download(service, kept.id) == DATA


def test_slow_client_has_a_part_recorded_after_some_time(tmp_path: Path, clock: Clock) -> None:
    service = make(tmp_path, clock=clock, partial_uploads=PartialUploadRules(part_seconds=30))
    image = queued_image(service)
    offsets: list[int] = []

    def trickle() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * 1000
            clock.passes(seconds=16)

    begin(service, OWNER, image.id)
    add(service, OWNER, image.id, 0, trickle(), stored=offsets.append)
    assert offsets == [3000]
    assert partial_uploads.show_upload(service, OWNER, image.id).offset_bytes == 5000
    service.close()


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_request_that_exceeds_the_length_removes_only_its_own_upload(service: Service, *, is_taken_over: bool) -> None:
    image = queued_image(service)
    begin(service, OWNER, image.id, [DATA[:10]], length_bytes=20)
    asked = Addition(offset_bytes=10, is_last=False)
    arrival = partial_uploads.continue_upload(service, OWNER, image.id, asked, progress=resuming.quiet())
    if is_taken_over:
        partial_uploads.show_upload(service, OWNER, image.id)
        add(service, OWNER, image.id, 10, [DATA[10:15]])
    with pytest.raises(problems.LengthInconsistent):
        uploading.push(service, arrival, [DATA[10:21]])
    assert arrival.has_removed_upload is not is_taken_over
    if is_taken_over:
        assert partial_uploads.show_upload(service, OWNER, image.id).offset_bytes == 15
    else:
        with pytest.raises(problems.UploadNotFound):
            partial_uploads.show_upload(service, OWNER, image.id)


def test_expired_uploads_are_removed_also_in_great_number(service: Service, clock: Clock) -> None:
    found = [queued_image(service) for _ in range(130)]
    unlimited = change_service(service, partial_uploads=PartialUploadRules(per_project=0))
    for each in found:
        begin(unlimited, OWNER, each.id)
    clock.passes(days=1)
    assert partial_uploads.remove_expired(service) == 130
    assert partial_uploads.remove_expired(service) == 0


def test_upload_that_begins_anew_while_the_job_runs_is_kept(
    service: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, other = queued_image(service), queued_image(service)
    for each in (image, other):
        begin(service, OWNER, each.id, [DATA[:1000]])
    clock.passes(days=1)
    listed: list[list[ImageID]] = []

    def begin_behind_the_list(tx: Transaction, *, touched_before: datetime, limit_rows: int) -> list[ImageID]:
        listed.append(list_ended(tx, touched_before=touched_before, limit_rows=limit_rows))
        begin(service, OWNER, image.id, [DATA[:2_000_000]])
        return listed[-1]

    list_ended = rows.list_ended
    monkeypatch.setattr(rows, "list_ended", begin_behind_the_list)
    assert partial_uploads.remove_expired(service) == 1
    assert listed == [sorted([image.id, other.id])]
    assert partial_uploads.show_upload(service, OWNER, image.id).offset_bytes == 2_000_000
    add(service, OWNER, image.id, 2_000_000, [DATA[2_000_000:]])
    complete(service, OWNER, image.id, END)
    assert download(service, image.id) == DATA
    with pytest.raises(problems.UploadNotFound):
        partial_uploads.show_upload(service, OWNER, other.id)


def test_upload_of_an_image_that_got_other_data_is_removed_by_the_job(service: Service) -> None:
    image = queued_image(service)
    begin(service, OWNER, image.id, [DATA])
    with service.database.write() as tx:
        digests = {"checksum": "0" * 32, "os_hash_algo": "sha512", "os_hash_value": "0" * 128}
        changed = replace(image, status=ImageStatus.ACTIVE, size=0, **digests)
        assert image_rows.change_status(tx, changed, was=ImageStatus.QUEUED)
    assert partial_uploads.remove_expired(service) == 1


def test_dead_worker_leaves_no_reservation_beside_that_of_the_upload(service: Service) -> None:
    image = queued_image(service)
    begin(service, OWNER, image.id, [DATA], length_bytes=END + 10)
    dead = change_service(service, worker="gone", worker_lives=service.process.worker_lives)
    asked = Addition(offset_bytes=END, is_last=False, content_bytes=5)
    held = partial_uploads.continue_upload(dead, OWNER, image.id, asked, progress=resuming.quiet())
    assert recovery.recover(service) == 1
    held.fail(problems.StoreUnavailable("The worker is dead"))
    add(service, OWNER, image.id, END, [b"0123456789"])
    complete(service, OWNER, image.id, END + 10)
    with service.database.read() as tx:
        usage = reservations.usage(tx, OWNER.project_id or image.owner, now=service.clock())  # type: ignore[arg-type]
    assert (usage.stored_bytes, usage.kept_stored_bytes) == (END + 10, 0)
