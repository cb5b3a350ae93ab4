"""Handlers of members, and the JSON of a member."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from partage import problems
from partage.http.messages import Reply, Request, json_reply
from partage.http.v2 import paths
from partage.model import document
from partage.model.ids import ImageID, ProjectID
from partage.model.member import Member
from partage.operations import members

_LONGEST_ID = 255


async def add_member(request: Request) -> Reply:
    """Offer an image to a project."""
    member_id = _parse_member_id(await request.document())
    member = await request.run(members.add_member, request.image_id, member_id)
    return json_reply(member_to_json(member))


async def list_members(request: Request) -> Reply:
    """List the members that the caller may see."""
    found = await request.run_reading(members.list_members, request.image_id)
    return json_reply(members_to_json(found))


async def show_member(request: Request) -> Reply:
    """Show one membership."""
    image_id, member_id = _read_ids(request)
    member = await request.run_reading(members.show_member, image_id, member_id)
    return json_reply(member_to_json(member))


async def update_member(request: Request) -> Reply:
    """Answer an offer. The permission is checked before the status: see `model.member`."""
    status = _parse_status(await request.document())
    image_id, member_id = _read_ids(request)
    member = await request.run(members.update_member, image_id, member_id, status)
    return json_reply(member_to_json(member))


async def remove_member(request: Request) -> Reply:
    """End the share with a project."""
    image_id, member_id = _read_ids(request)
    await request.run(members.remove_member, image_id, member_id)
    return Reply(status=HTTPStatus.NO_CONTENT)  # Source: Glance, where this empty answer alone has no media type


def _read_ids(request: Request) -> tuple[ImageID, ProjectID]:
    return request.image_id, ProjectID(request.path["member_id"])


def _parse_member_id(given: dict[str, Any] | list[Any]) -> ProjectID:
    """Read the project's id. Differs from Glance: it must be text of 1 to 255 characters, as every project id."""
    if not isinstance(given, dict):
        raise problems.BodyInvalid('Expected a member in the form: {"member": "image_id"}')
    if "member" not in given:
        raise problems.BodyInvalid("Member to be added not specified")
    member_id = given["member"]
    if not member_id:
        raise problems.BodyInvalid("Member can't be empty")
    if not isinstance(member_id, str) or len(member_id) > _LONGEST_ID:
        raise problems.BodyInvalid(f"The member must be the id of a project: text of at most {_LONGEST_ID} characters")
    document.check_storable("member", member_id)
    return ProjectID(member_id)


def _parse_status(given: dict[str, Any] | list[Any]) -> str:
    if not isinstance(given, dict):
        raise problems.BodyInvalid('Expected a status in the form: {"status": "status"}')
    if "status" not in given:
        raise problems.BodyInvalid("Status not specified")
    status = given["status"]
    return status if isinstance(status, str) else ""


def member_to_json(member: Member) -> dict[str, Any]:
    """Render a membership."""
    return {
        "member_id": member.member_id,
        "image_id": member.image_id,
        "status": member.status,
        "created_at": member.created_at,
        "updated_at": member.updated_at,
        "schema": f"{paths.SCHEMAS}/member",
    }


def members_to_json(found: Sequence[Member]) -> dict[str, Any]:
    """Render a list of memberships."""
    return {"members": [member_to_json(member) for member in found], "schema": f"{paths.SCHEMAS}/members"}
