"""kill -9 of a process that receives a resumable upload: no offset that it acknowledged is lost."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from partage.model.image import ImageStatus
from partage.operations import images, partial_uploads
from partage.records import schema
from tests import resuming
from tests.crashes import worlds
from tests.crashes.worlds import OWNER

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_offset_survives_kill(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    service = worlds.compose(tmp_path)
    schema.upgrade(service.database)
    image_id = worlds.create(service, "killed")
    data = resuming.data_of(image_id)
    resuming.begin(service, OWNER, image_id, length_bytes=len(data))
    reached = 0
    kills = 0
    while reached < len(data):
        command = [sys.executable, "-m", "tests.resuming", str(tmp_path), "", image_id]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            assert process.stdout.readline().strip() == "ready"
            print(reached, len(data) - reached, file=process.stdin, flush=True)
            acknowledged = reached
            for _ in range(generator.randrange(1, 5)):
                line = process.stdout.readline()
                if not line.startswith("stored"):
                    break
                acknowledged = int(line.split()[1])
            process.kill()
        kills += 1
        reached = partial_uploads.show_upload(service, OWNER, image_id).offset_bytes
        assert reached >= acknowledged
        assert images.show_image(service, OWNER, image_id).status is ImageStatus.QUEUED
    assert kills > 1
    resuming.complete(service, OWNER, image_id, len(data))
    assert worlds.fetch(service, image_id) == data
    service.close()
