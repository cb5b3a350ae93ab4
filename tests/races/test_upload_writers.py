"""Writers of one resumable upload in several processes, on each kind of database: every byte is stored once, in its place."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

from partage import problems
from partage.model.ids import ImageID
from partage.operations import partial_uploads
from partage.operations.service import Service
from partage.records import schema
from tests import databases, resuming
from tests.crashes import worlds
from tests.crashes.worlds import OWNER

ROOT = Path(__file__).parents[2]
WRITERS = 4
ROUNDS = 12
STEP = resuming.SIZE_BYTES // ROUNDS


class Writer:
    """A process that writes to the upload of an image."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def begin(self, start: int, length: int) -> None:
        """Send a request."""
        print(start, length, file=_pipe(self.process.stdin), flush=True)

    def wait_for_end(self) -> str:
        """Wait for the end of the request; return how it ended."""
        while (line := _pipe(self.process.stdout).readline().strip()).startswith("stored"):
            pass
        return line


@contextmanager
def writer(folder: Path, url: str, image_id: ImageID) -> Iterator[Writer]:
    """Start a process."""
    command = [sys.executable, "-m", "tests.resuming", str(folder), url, image_id]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert _pipe(process.stdout).readline().strip() == "ready"
            yield Writer(process)
            _pipe(process.stdin).close()
            assert process.wait(60) == 0
        finally:
            process.kill()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@pytest.fixture(params=databases.KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str, Service]]:
    """A folder and a database that several processes share, and a service there."""
    with databases.serve(request.param, tmp_path) as url:
        service = worlds.compose(tmp_path, url=url)
        schema.upgrade(service.database)
        yield tmp_path, url, service
        service.close()


def test_of_writers_at_the_same_offset_one_writes(place: tuple[Path, str, Service]) -> None:
    folder, url, service = place
    image_id = worlds.create(service, "shared by writers")
    data = resuming.data_of(image_id)
    resuming.begin(service, OWNER, image_id)
    outcomes: Counter[str] = Counter()
    with ExitStack() as stack:
        writers = [stack.enter_context(writer(folder, url, image_id)) for _ in range(WRITERS)]
        for number in range(ROUNDS):
            for each in writers:
                each.begin(number * STEP, STEP)
            ended = Counter(each.wait_for_end() for each in writers)
            assert ended["done"] == 1, ended
            outcomes += ended
        assert partial_uploads.show_upload(service, OWNER, image_id).offset_bytes == len(data)
    assert set(outcomes) <= {"done", "UploadUnderWay", "OffsetMismatch", "StatusConflict"}
    resuming.complete(service, OWNER, image_id, len(data))
    assert worlds.fetch(service, image_id) == data


def test_writer_that_was_taken_over_changes_nothing(place: tuple[Path, str, Service]) -> None:
    """One process writes; another one asks for the offset, which ends it, and goes on from there."""
    folder, url, service = place
    image_id = worlds.create(service, "taken over")
    data = resuming.data_of(image_id)
    resuming.begin(service, OWNER, image_id)
    generator = random.Random(7)
    reached = 0
    with writer(folder, url, image_id) as first, writer(folder, url, image_id) as second:
        while reached < len(data):
            first.begin(reached, len(data) - reached)
            for _ in range(generator.randrange(1, 3)):
                _pipe(first.process.stdout).readline()  # some parts are stored, or the request has ended
            found = partial_uploads.show_upload(service, OWNER, image_id).offset_bytes
            assert found >= reached
            second.begin(found, min(STEP, len(data) - found))
            assert second.wait_for_end() in ("done", "OffsetMismatch")
            first.begin(0, 0)  # refused: tells that what came before has ended
            while first.wait_for_end() not in ("OffsetMismatch", "UploadUnderWay", "StatusConflict"):
                pass
            reached = partial_uploads.show_upload(service, OWNER, image_id).offset_bytes
            assert reached >= found
    resuming.complete(service, OWNER, image_id, len(data))
    assert worlds.fetch(service, image_id) == data


def test_of_two_that_begin_and_two_that_cancel_the_last_one_counts(place: tuple[Path, str, Service]) -> None:
    _folder, _url, service = place
    image_id = worlds.create(service, "begun twice")
    resuming.begin(service, OWNER, image_id, [b"one"])
    with pytest.raises(problems.UploadExists):
        resuming.begin(service, OWNER, image_id, [b"two"])
    partial_uploads.cancel_upload(service, OWNER, image_id)
    with pytest.raises(problems.UploadNotFound):
        partial_uploads.cancel_upload(service, OWNER, image_id)
    resuming.begin(service, OWNER, image_id, [b"three"])
    resuming.complete(service, OWNER, image_id, 5)
    assert worlds.fetch(service, image_id) == b"three"
