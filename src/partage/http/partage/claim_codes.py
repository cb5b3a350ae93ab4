"""Handlers of claim codes: create, list, revoke, claim."""

from dataclasses import replace
from http import HTTPStatus

from partage.http.messages import NOT_STORED, Reply, Request, json_reply
from partage.http.partage import claim_code_json
from partage.http.partage.shares import reply_with_share
from partage.model.claim_code import CodeID
from partage.operations.sharing import claim_codes, claims


async def list_codes(request: Request) -> Reply:
    """List the claim codes of an image, without their secrets."""
    return json_reply(claim_code_json.codes_to_json(await request.run_reading(claim_codes.list_codes, request.image_id)))


async def create_code(request: Request) -> Reply:
    """Create a claim code of an image. The code is shown this once."""
    wanted = claim_code_json.parse_code_request(await request.document())
    code, text = await request.run(claim_codes.create_code, request.image_id, wanted)
    return replace(json_reply(claim_code_json.code_to_json(code) | {"code": str(text)}), headers=(NOT_STORED,))


async def revoke_code(request: Request) -> Reply:
    """Revoke a claim code. The shares that it has made stay."""
    await request.run(claim_codes.revoke_code, request.image_id, CodeID(request.path["code_id"]))
    return Reply(status=HTTPStatus.NO_CONTENT)


async def claim_share(request: Request) -> Reply:
    """Make the caller's project a member with a claim code. The reply is 200 if the project is a member already."""
    code = claim_code_json.parse_claim(await request.document())
    claimed = await request.run(claims.claim_share, code, request.client_address)
    reply = await reply_with_share(request, claimed.share)
    return reply if claimed.is_new else replace(reply, status=HTTPStatus.OK, etag=None)
