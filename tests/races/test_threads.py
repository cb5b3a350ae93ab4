"""Many threads at one barrier, on both databases: of what may happen once exactly one happens, and no limit is passed together.

Orders are left to the machine here; test_interleavings.py chooses them.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from partage import problems
from partage.model.ids import ProjectID
from partage.model.image import ImageStatus
from partage.model.limits import Limits
from partage.model.patch import Change, Operation
from partage.operations import downloads, images, members, sweep
from partage.operations.service import Service
from partage.records import reservations
from tests.crashes import worlds
from tests.crashes.worlds import NO_GRACE, OWNER, create, fetch, id_of, noise, send
from tests.races import races
from tests.races.scheduling import Ended
from tests.races.stages import Stage

OLD = noise(1, 0.5)
LARGE = noise(2, 12)
"""More than a reader fetches before it is asked."""


def shared_image(service: Service) -> None:
    """Make one image."""
    send(service, create(service, "old"), OLD)


def at_once(count: int, act: Callable[[int], object]) -> Counter[str]:
    """Do something on many threads that start together; count how each ended: "done", or the problem's name."""
    start = threading.Barrier(count)

    def attempt(number: int) -> str:
        start.wait()
        try:
            act(number)
        except problems.Problem as problem:
            return type(problem).__name__
        return "done"

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(attempt, range(count)))


@pytest.fixture
def service(stage: Stage) -> Iterator[Service]:
    with stage.world(shared_image) as made:
        yield made


def test_of_sixteen_workers_one_runs_the_job(service: Service) -> None:
    """Each asserts that nobody else is at work."""
    assert at_once(16, lambda _: races.maintain(service)) == {"done": 16}
    assert races.it_was_run_once(1)(service, Ended())


def test_of_sixteen_that_add_the_same_member_one_does(service: Service) -> None:
    outcome = at_once(16, lambda _: members.add_member(service, OWNER, id_of("old"), ProjectID("B")))
    assert outcome == {"done": 1, "MemberExists": 15}
    assert len(members.list_members(service, OWNER, id_of("old"))) == 1


def test_sixteen_that_add_members_stop_at_the_limit(service: Service) -> None:
    limited = replace(service, limits=Limits(members=5))
    outcome = at_once(16, lambda number: members.add_member(limited, OWNER, id_of("old"), ProjectID(f"P{number}")))
    assert outcome == {"done": 5, "TooMany": 11}


def test_sixteen_changes_of_different_properties_all_stay(service: Service) -> None:
    def change(number: int) -> None:
        images.update_image(service, OWNER, id_of("old"), (Change(Operation.ADD, (f"p{number}",), "v"),))

    assert at_once(16, change) == {"done": 16}
    assert len(images.show_image(service, OWNER, id_of("old")).properties) == 16


def test_accepting_and_removing_never_leaves_half_a_member(service: Service) -> None:
    for number in range(8):
        member = worlds.caller(f"M{number}")
        members.add_member(service, OWNER, id_of("old"), ProjectID(f"M{number}"))

        def act(which: int, member: worlds.Caller = member) -> None:
            if which:
                members.remove_member(service, OWNER, id_of("old"), ProjectID(str(member.project_id)))
            else:
                members.update_member(service, member, id_of("old"), ProjectID(str(member.project_id)), "accepted")

        assert set(at_once(2, act)) <= {"done", "ImageNotFound", "MemberNotFound"}
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, member, id_of("old"))
    assert members.list_members(service, OWNER, id_of("old")) == []


def test_of_sixteen_uploads_of_one_image_one_is_taken(service: Service) -> None:
    create(service, "new")
    outcome = at_once(16, lambda number: send(service, id_of("new"), bytes([number]) * 50_000))
    assert outcome == {"done": 1, "StatusConflict": 15}
    assert len(set(fetch(service, id_of("new")))) == 1


def test_thirty_two_uploads_never_pass_the_storage_quota_together(service: Service) -> None:
    used = len(OLD)
    limited = replace(service, limits=Limits(storage_per_project_bytes=used + 350_000))
    for number in range(32):
        create(service, f"q{number}")
    outcome = at_once(32, lambda number: send(limited, id_of(f"q{number}"), noise(number, 0.1)))
    assert outcome["done"] == 3
    assert outcome["QuotaExceeded"] == 29
    with service.database.read() as tx:
        usage = reservations.usage(tx, ProjectID("A"), now=datetime.now(UTC))
    assert usage.stored_bytes == used + 3 * len(noise(0, 0.1))
    assert usage.kept_stored_bytes == usage.uploading == 0
    found = [images.show_image(service, OWNER, id_of(f"q{number}")).status for number in range(32)]
    assert Counter(found) == {ImageStatus.ACTIVE: 3, ImageStatus.QUEUED: 29}


def test_thirty_two_that_create_images_stop_at_the_quota(service: Service) -> None:
    limited = replace(service, limits=Limits(images_per_project=8))
    outcome = at_once(32, lambda number: create(limited, f"c{number}"))
    assert outcome == {"done": 7, "QuotaExceeded": 25}


def test_one_id_is_given_out_once(service: Service) -> None:
    assert at_once(16, lambda _: create(service, "same")) == {"done": 1, "ImageExists": 15}


def test_uploads_and_deletes_of_the_same_images_leave_nothing_half_done(service: Service) -> None:
    for number in range(8):
        create(service, f"d{number}")

    def act(number: int) -> None:
        image_id = id_of(f"d{number // 2}")
        if number % 2:
            images.delete_image(service, OWNER, image_id)
        else:
            send(service, image_id, noise(number, 0.05))

    assert set(at_once(16, act)) <= {"done", "ImageGone", "ImageNotFound"}
    for number in range(8):
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, OWNER, id_of(f"d{number}"))


def test_download_during_delete_and_sweep_is_right_or_aborted(service: Service) -> None:
    send(service, create(service, "large"), LARGE)
    begun, deleted = threading.Barrier(5), threading.Barrier(5)

    def read(_number: int) -> tuple[bytes, bool]:
        pieces = downloads.open_image_data(service, OWNER, id_of("large")).read(0, len(LARGE))
        received = next(pieces)
        begun.wait()
        deleted.wait()
        try:
            return received + b"".join(pieces), True
        except problems.Problem:
            return received, False

    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read, number) for number in range(4)]
        begun.wait()
        images.delete_image(service, OWNER, id_of("large"))
        sweep.sweep(service, grace=NO_GRACE)
        sweep.sweep(service, grace=NO_GRACE)
        deleted.wait()
        for received, whole in (each.result() for each in reading):
            assert received == (LARGE if whole else LARGE[: len(received)])


def test_download_of_a_deleted_image_survives_a_sweep_with_grace(service: Service) -> None:
    """The manifest is read a few segments at a time: it has to stay as long as the chunks do."""
    opened = downloads.open_image_data(service, OWNER, id_of("old"))
    images.delete_image(service, OWNER, id_of("old"))
    sweep.sweep(service, grace=timedelta(hours=1))
    assert b"".join(opened.read(0, len(OLD))) == OLD
