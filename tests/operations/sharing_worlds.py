"""Two projects and a third, an administrator, and images that one shares with the other: worlds of the sharing suites."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model import patch
from partage.model.caller import Caller
from partage.model.document import KnownFormats
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.share import Direction, ShareQuery
from partage.model.terms import Notice, Terms, TermsChange
from partage.operations import images, members
from partage.operations.service import Service
from partage.operations.sharing import endings, shares
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


def end(service: Service, image_id: ImageID, road: str) -> None:
    """End the share with project B as its owner."""
    if road == "remove":
        endings.end_share(service, OWNER, image_id, ProjectID("B"))
    elif road == "private":
        set_visibility(service, image_id, "private")
    elif road == "delete":
        images.delete_image(service, OWNER, image_id)
    else:
        images.deactivate_image(service, OWNER, image_id)


def is_unknown(service: Service, caller: Caller, image_id: ImageID) -> bool:
    """Whether the caller finds no share of the image with project B, neither by id nor in a list."""
    with pytest.raises(problems.ShareNotFound):
        shares.show_share(service, caller, image_id, ProjectID("B"))
    found = [shares.list_shares(service, caller, ShareQuery(direction=each, limit=100)).shares for each in Direction]
    return (image_id, "B") not in [(each.image.id, each.member_id) for listed in found for each in listed]


def change_notice(text: str) -> TermsChange:
    """Change the notice."""
    return TermsChange(given=frozenset({"notice"}), notice=Notice.parse(text))
