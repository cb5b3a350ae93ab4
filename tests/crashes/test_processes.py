"""Several processes on one database, as `partage serve --workers N` has them: nothing acknowledged is lost, nobody refused."""

import json
import random
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.quota import Usage
from partage.operations import images, members, verify
from partage.records import reservations, schema
from tests import databases
from tests.crashes import crowding, worlds
from tests.crashes.worlds import OWNER, fetch, noise

ROOT = Path(__file__).parents[2]
PROCESSES, ROUNDS = 4, 50


@pytest.mark.parametrize("kind", databases.KINDS)
def test_four_processes_share_a_database_and_lose_nothing(tmp_path: Path, kind: str) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(databases.serve(kind, tmp_path))
        told = run_processes(tmp_path, url, random.randrange(1 << 20))
        service = worlds.compose(tmp_path, url=url)
        stack.callback(service.database.close)
        assert [each["met"] for each in told] == [[]] * PROCESSES
        for image_id, known in ((image_id, known) for each in told for image_id, known in each["expected"].items()):
            image = images.show_image(service, OWNER, ImageID(image_id))
            assert (image.name, dict(image.properties)) == (known["name"], known["properties"])
            assert [each.member_id for each in members.list_members(service, OWNER, image.id)] == known["members"]
            if known["seed"] is not None:
                assert fetch(service, image.id) == noise(known["seed"], 0.1)
        for image_id in (image_id for each in told for image_id in each["deleted"]):
            with pytest.raises(problems.ImageNotFound):
                images.show_image(service, OWNER, ImageID(image_id))
        assert not [verdict for verdict in verify.verify(service) if verdict.fault]


@pytest.mark.parametrize("kind", databases.KINDS)
def test_four_processes_never_pass_a_quota_together(tmp_path: Path, kind: str) -> None:
    """32 uploads against a quota for three; some say their size, some do not."""
    (tmp_path / "store").mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(databases.serve(kind, tmp_path))
        service = worlds.compose(tmp_path, url=url)
        stack.callback(service.database.close)
        schema.upgrade(service.database)
        running = [stack.enter_context(_process("crowding", tmp_path, url, f"p{number}", 8)) for number in range(PROCESSES)]
        for process in running:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        ended = sum((Counter(json.loads(process.communicate("\n")[0])) for process in running), Counter[str]())
        assert ended == {"done": 3, "QuotaExceeded": 29}
        with service.database.read() as tx:
            usage = reservations.usage(tx, ProjectID("A"), now=datetime.now(UTC))
        assert usage == Usage(stored_bytes=3 * crowding.SIZE_BYTES, images=32)


def run_processes(folder: Path, url: str, seed: int) -> list[dict[str, Any]]:
    """Start them, let them go at once, and collect what each was told."""
    (folder / "store").mkdir()
    with ExitStack() as stack:
        running = [
            stack.enter_context(_process("mixing", folder, url, f"p{number}", seed + number, ROUNDS)) for number in range(PROCESSES)
        ]
        return [json.loads(process.communicate("\n")[0]) for process in running]


def _process(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.crashes.{program}", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
