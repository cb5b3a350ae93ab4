"""Several processes on one database, as `partage serve --workers N` has them: nothing acknowledged is lost, nobody refused."""

import json
import random
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model.ids import ImageID
from partage.operations import images, members, verify
from tests import postgresql
from tests.crashes import worlds
from tests.crashes.worlds import OWNER, fetch, noise

ROOT = Path(__file__).parents[2]
PROCESSES, ROUNDS = 4, 50


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_four_processes_share_a_database_and_lose_nothing(tmp_path: Path, kind: str) -> None:
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/partage.db" if kind == "sqlite" else stack.enter_context(postgresql.server())
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


def run_processes(folder: Path, url: str, seed: int) -> list[dict[str, Any]]:
    """Start them, let them go at once, and collect what each was told."""
    (folder / "store").mkdir()
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.crashes.mixing", str(folder), url, f"p{number}", str(seed + number), str(ROUNDS)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                ),
            )
            for number in range(PROCESSES)
        ]
        return [json.loads(process.communicate("\n")[0]) for process in running]
