"""Two projects and a third, an administrator, and images that one shares with the other: worlds of the sharing suites."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from partage.model import patch
from partage.model.caller import Caller
from partage.model.document import KnownFormats
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.terms import Notice, Terms
from partage.operations import images, members
from partage.operations.service import Service
from tests.operations.services import OWNER, Clock, image_with, make

MEMBER = replace(OWNER, project_id=ProjectID("B"))
OTHER = replace(OWNER, project_id=ProjectID("C"))
ADMIN = replace(OWNER, project_id=ProjectID("Z"), is_admin=True, roles=frozenset({"admin", "member", "reader"}))
DATA = bytes(range(256)) * 2000


def service_with(folder: Path, clock: Clock, notice: str = "P30D", **changed: Any) -> Service:
    """Compose a service whose shares have that notice."""
    return make(folder, clock=clock, **{"default_terms": Terms(notice=Notice.parse(notice)), **changed})


def set_visibility(service: Service, image_id: ImageID, visibility: str, caller: Caller = OWNER) -> None:
    """Make an image private, or shared again."""
    document = [{"op": "replace", "path": "/visibility", "value": visibility}]
    images.update_image(service, caller, image_id, patch.parse(document, version="2.1", known=KnownFormats()))


def offer(service: Service, *projects: str) -> Image:
    """Share a new image with projects, under /v2."""
    image = image_with(service, DATA)
    for each in projects:
        members.add_member(service, OWNER, image.id, ProjectID(each))
    return image


def share(service: Service, answer: str = "accepted") -> Image:
    """Share a new image with project B, which answers."""
    image = offer(service, "B")
    members.update_member(service, MEMBER, image.id, ProjectID("B"), answer)
    return images.show_image(service, OWNER, image.id)
