"""A program that does many small operations on a shared database, and writes down what was acknowledged. Run by test_processes.py.

Usage: python -m tests.crashes.mixing FOLDER URL NAME SEED ROUNDS. Prints one line of JSON: what must be true of its images, and
every problem that it met.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.patch import Change, Operation
from partage.operations import images, members
from partage.operations.service import Service
from partage.records import schema
from tests.crashes import worlds
from tests.crashes.worlds import OWNER, create, fetch, noise, send


def main() -> None:
    """Do them."""
    folder, url, name, seed, rounds = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    service = worlds.compose(folder, url=url)
    schema.upgrade(service.database)  # several processes start at the same moment
    mix = Mix(service, name, random.Random(seed))
    sys.stdin.readline()
    for _ in range(rounds):
        mix.act()
    service.database.close()
    print(json.dumps({"expected": mix.expected, "deleted": mix.deleted, "met": mix.met}))


class Mix:
    """One process's images, and what it knows of them because it was told so."""

    def __init__(self, service: Service, name: str, generator: random.Random) -> None:
        self._service = service
        self._name = name
        self._random = generator
        self._made = 0
        self.expected: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.met: list[str] = []

    def act(self) -> None:
        """Do one operation, chosen at random."""
        acts = [self._create, self._upload, self._patch, self._share, self._read, self._list, self._delete]
        try:
            self._random.choice(acts[: 1 if not self.expected else None])()
        except problems.Problem as problem:
            self.met.append(f"{type(problem).__name__}: {problem}: {problem.__cause__!r}")

    def _any(self) -> tuple[ImageID, dict[str, Any]]:
        image_id = self._random.choice(sorted(self.expected))
        return ImageID(image_id), self.expected[image_id]

    def _create(self) -> None:
        self._made += 1
        image_id = create(self._service, f"{self._name} {self._made}")
        self.expected[image_id] = {"name": f"{self._name} {self._made}", "properties": {}, "members": [], "seed": None}

    def _upload(self) -> None:
        image_id, known = self._any()
        if known["seed"] is None:
            seed = self._random.randrange(4)  # processes share bytes
            send(self._service, image_id, noise(seed, 0.1))
            known["seed"] = seed

    def _patch(self) -> None:
        image_id, known = self._any()
        key = f"p{self._random.randrange(20)}"
        images.update_image(self._service, OWNER, image_id, (Change(Operation.ADD, (key,), "v"),))
        known["properties"][key] = "v"

    def _share(self) -> None:
        image_id, known = self._any()
        project = f"project-{len(known['members'])}"
        members.add_member(self._service, OWNER, image_id, ProjectID(project))
        known["members"].append(project)

    def _read(self) -> None:
        image_id, known = self._any()
        if known["seed"] is not None:
            assert fetch(self._service, image_id) == noise(known["seed"], 0.1)

    def _list(self) -> None:
        image_id, _known = self._any()
        members.list_members(self._service, OWNER, image_id)

    def _delete(self) -> None:
        image_id, _known = self._any()
        images.delete_image(self._service, OWNER, image_id)
        del self.expected[image_id]
        self.deleted.append(image_id)


if __name__ == "__main__":
    main()
