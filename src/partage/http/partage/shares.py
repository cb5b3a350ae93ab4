"""Handlers of shares: list, show, answer, change, end; and of retained images."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from partage import problems
from partage.http import json_documents
from partage.http.messages import Reply, Request, json_reply
from partage.http.partage import paths, query, share_json
from partage.model.ids import ImageID, ProjectID
from partage.model.member import MemberStatus
from partage.model.offer import RequestKey
from partage.model.share import Share, SharePosition
from partage.operations.sharing import answers, endings, names, offers, shares, terms

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def list_shares(request: Request) -> Reply:
    """List the shares that the caller's project has received, or those that it has offered."""
    asked, pairs = query.parse(request.query, request.edge.service.limits)
    found = await request.run_listing(shares.list_shares, asked)
    known = await _find_names(request, found.shares)
    document: share_json.Document = {"shares": [share_json.share_to_json(each, request.caller, known) for each in found.shares]}
    if found.has_more:
        document["next"] = query.link(paths.SHARES, pairs, SharePosition.after(found.shares[-1]).marker)
    return json_reply(document)


async def offer_shares(request: Request) -> Reply:
    """Offer images to projects, with an outcome for each pair."""
    body = await request.read_body()
    wanted = share_json.parse_offer(json_documents.parse(body))
    # It waits for the identity service, which looks for the projects.
    answer = await request.run_remote(
        offers.offer_shares,
        wanted,
        key=_read_key(request, body),
        render=lambda outcomes: json_documents.encode(share_json.outcomes_to_json(outcomes)).decode(),
    )
    return Reply(body=answer.encode(), content_type=json_documents.CONTENT_TYPE)


async def show_share(request: Request) -> Reply:
    """Show one share."""
    return await reply_with_share(request, await request.run_reading(shares.show_share, *_read_ids(request)))


async def change_terms(request: Request) -> Reply:
    """Change the terms of a share; what a member has accepted can only be extended."""
    change = share_json.parse_terms(await request.document())
    image_id, project_id = _read_ids(request)
    return await reply_with_share(request, await request.run(terms.change_terms, image_id, project_id, change))


async def end_share(request: Request) -> Reply:
    """End a share: the member keeps access until its notice has run out. Without notice the reply is 204."""
    ended = await request.run(endings.end_share, *_read_ids(request))
    return Reply(status=HTTPStatus.NO_CONTENT) if ended is None else await reply_with_share(request, ended)


async def cancel_ending(request: Request) -> Reply:
    """Cancel the ending of a share whose notice runs."""
    return await reply_with_share(request, await request.run(endings.cancel_ending, *_read_ids(request)))


async def accept_share(request: Request) -> Reply:
    """Accept an offer."""
    return await _answer(request, MemberStatus.ACCEPTED)


async def reject_share(request: Request) -> Reply:
    """Reject an offer."""
    return await _answer(request, MemberStatus.REJECTED)


async def accept_shares(request: Request) -> Reply:
    """Accept the offers of many images to the caller's project, with an outcome for each."""
    return await _answer_many(request, MemberStatus.ACCEPTED)


async def reject_shares(request: Request) -> Reply:
    """Reject the offers of many images to the caller's project, with an outcome for each."""
    return await _answer_many(request, MemberStatus.REJECTED)


async def leave_share(request: Request) -> Reply:
    """Leave a share: access ends at once, also where a notice runs."""
    await request.run(answers.leave_share, *_read_ids(request))
    return Reply(status=HTTPStatus.NO_CONTENT)


async def restore_image(request: Request) -> Reply:
    """Take back an image that the caller's project has deleted, while it is retained or waits to be scrubbed."""
    # Where quotas are limits of Keystone, it waits for it.
    image = await request.run_remote(endings.restore_image, request.image_id)
    return json_reply(share_json.image_to_json(image))


async def _answer(request: Request, status: MemberStatus) -> Reply:
    image_id, project_id = _read_ids(request)
    return await reply_with_share(request, await request.run(answers.answer_share, image_id, project_id, status))


async def _answer_many(request: Request, status: MemberStatus) -> Reply:
    image_ids = share_json.parse_image_ids(await request.document())
    found = await request.run(answers.answer_shares, image_ids, status)
    known = await _find_names(request, (each for each in found if isinstance(each, Share)))
    return json_reply(share_json.answers_to_json(image_ids, found, request.caller, known))


async def reply_with_share(request: Request, share: Share) -> Reply:
    """Build the reply that carries one share."""
    known = await _find_names(request, [share])
    return json_reply(share_json.share_to_json(share, request.caller, known))


async def _find_names(request: Request, found: Iterable[Share]) -> Mapping[ProjectID, str]:
    wanted = [each for share in found for each in (share.owner_id, share.member_id)]
    return await request.run_remote(names.find_names, wanted)


def _read_ids(request: Request) -> tuple[ImageID, ProjectID]:
    return request.image_id, ProjectID(request.path["project_id"])


def _read_key(request: Request, body: bytes) -> RequestKey | None:
    key = request.header(b"idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise problems.Invalid("Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID")
    return RequestKey(key, hashlib.sha256(body).hexdigest())
