"""A running Glance and a Partage beside it: the same identity service, people of the same names, the same catalog of metadata.

Glance comes from the scripts in PEER_DIR; one that answers already is used as it is, one that is started is stopped afterwards.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import services
from partage.main import listening
from tests.compat import asking, clouds, differences, worlds
from tests.compat.clouds import Cloud
from tests.compat.questions import Question

PEER = "PEER_DIR"
IMAGE = "asked about"


@dataclass
class Side:
    """One of the two services, the images whose list is asked for, and the image that is asked about next."""

    cloud: Cloud
    listed: dict[str, str]
    image: str = ""
    state: str = ""

    def says(self, question: Question) -> dict[str, Any]:
        """Ask a question of its own image."""
        return asking.ask(self.cloud, question, self.listed, IMAGE)

    def says_of_kept(self, question: Question) -> dict[str, Any]:
        """Ask about the image that the last question left, when it is still in the state that this one wants."""
        if not self.image or self.state != question.on:
            self.image, self.state = worlds.image_in(self.cloud, question.on, IMAGE), question.on
        said = asking.ask(self.cloud, question, self.listed, IMAGE, image=self.image)
        if said["status"] < 300 and question.method not in {"GET", "HEAD"}:
            self.image = ""
        return said

    def forget(self) -> None:
        """Delete the images that were asked about."""
        self.image = ""
        clouds.forget_images(self.cloud, "project-a", prefix=IMAGE)
        clouds.forget_images(self.cloud, "project-c", prefix=IMAGE)


@dataclass(frozen=True)
class Both:
    """Glance and Partage."""

    glance: Side
    partage: Side
    seen: set[str] = field(default_factory=set)

    def compare(self, question: Question, *, kept: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask both; return what Partage says, and what it should say."""
        said, expected = (side.says_of_kept(question) if kept else side.says(question) for side in (self.partage, self.glance))
        return said, differences.applied_to(expected, question)


def scripts() -> Path | None:
    """Say where the scripts are that start Glance."""
    named = os.environ.get(PEER, "")
    return Path(named).absolute() if named and (Path(named) / "setup.sh").is_file() else None


@contextmanager
def running(folder: Path, where: Path) -> Iterator[Both]:
    """Run both, with the scripts that are in `where`."""
    root = Path(os.environ.get("PEER_ROOT", Path(tempfile.gettempdir()) / "peer"))
    with ExitStack() as stack:
        glance = stack.enter_context(services.glance(where, root, keep=False))
        catalog = ("load-metadefs", "--from", str(root / "venv/etc/glance/metadefs"))
        partage = services.partage(folder / "data", listening.free_port(), prepare=catalog, worker=True)
        sides = []
        for service in (glance, stack.enter_context(partage)):
            place = folder / service.name
            place.mkdir()
            is_glance = service is glance
            people = clouds.people(root / "clouds.yaml", place, is_glance=is_glance, image_url="" if is_glance else service.url)
            cloud = stack.enter_context(people)
            sides.append(Side(cloud, worlds.list_of_images(cloud)))
        yield Both(*sides)
