"""A running Glance and a Partage beside it: the same identity service, people of the same names, the same catalog of metadata.

Glance comes from the scripts in PEER_DIR; one that answers already is used as it is, one that is started is stopped afterwards.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import services
from partage.main.process import listening
from tests.compat import asking, clouds, differences, worlds
from tests.compat.asking import Subject
from tests.compat.clouds import Cloud
from tests.compat.questions import Question

PEER = "PEER_DIR"
IMAGE = "asked about"


@dataclass(frozen=True)
class Side:
    """One of the two services, the images whose list is asked for, and what is asked about."""

    cloud: Cloud
    listed: dict[str, str]
    subject: Subject = field(default_factory=Subject)

    def says(self, question: Question) -> dict[str, Any]:
        """Ask a question."""
        return asking.ask(self.cloud, question, self.listed, IMAGE, self.subject)

    def forget(self) -> None:
        """Delete what was asked about."""
        self.subject.forget(self.cloud)
        for who in ("project-a", "project-c"):  # the latter is given images
            clouds.forget_images(self.cloud, who, prefix=IMAGE)


@dataclass(frozen=True)
class Both:
    """Glance and Partage."""

    glance: Side
    partage: Side

    def compare(self, question: Question) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask both; return what Partage says, and what it should say."""
        expected = differences.applied_to(self.glance.says(question), question)
        return self.partage.says(question), expected

    def differing(self, questions: Iterable[Question]) -> dict[str, Any]:
        """Ask both, and return the answers that differ otherwise than they should."""
        found = {}
        try:
            for question in questions:
                said, expected = self.compare(question)
                if said != expected:
                    found[question.name] = {"partage": said, "expected": expected}
        finally:
            self.forget()
        return found

    def forget(self) -> None:
        """Delete what was asked about."""
        self.glance.forget()
        self.partage.forget()


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
        partage = services.partage(folder / "data", listening.find_free_port(), prepare=catalog, worker=True)
        sides = []
        for service in (glance, stack.enter_context(partage)):
            place = folder / service.name
            place.mkdir()
            is_glance = service is glance
            people = clouds.people(root / "clouds.yaml", place, is_glance=is_glance, image_url="" if is_glance else service.url)
            cloud = stack.enter_context(people)
            sides.append(Side(cloud, worlds.list_of_images(cloud)))
        yield Both(*sides)
