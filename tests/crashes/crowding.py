"""A program that uploads images one after the other, more than their project's quota has room for. Run by test_processes.py.

Usage: python -m tests.crashes.crowding FOLDER URL NAME COUNT. Every second upload says its size. Prints how each ended, as JSON.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from partage import problems
from partage.model.limits import Limits
from tests import uploading
from tests.crashes import worlds
from tests.crashes.worlds import OWNER, noise

SIZE_BYTES = len(noise(0, 0.1))
QUOTA_BYTES = 3 * SIZE_BYTES + 50_000


def main() -> None:
    """Upload them all when told to."""
    folder, url, name, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    service = worlds.compose(folder, url=url, limits=Limits(storage_per_project_bytes=QUOTA_BYTES))
    made = [worlds.create(service, f"{name}-{number}") for number in range(count)]
    print("ready", flush=True)
    sys.stdin.readline()
    ended: Counter[str] = Counter()
    for number, image_id in enumerate(made):
        announced = SIZE_BYTES if number % 2 else None
        try:
            uploading.upload(service, OWNER, image_id, worlds.blocks(noise(number, 0.1)), announced_bytes=announced, store_id=None)
        except problems.Problem as problem:
            ended[type(problem).__name__] += 1
        else:
            ended["done"] += 1
    service.database.close()
    print(json.dumps(ended))


if __name__ == "__main__":
    main()
