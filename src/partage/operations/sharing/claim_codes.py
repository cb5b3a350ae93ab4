"""Claim codes of an image: create, list, revoke. The code itself is returned once, and only its digest is stored."""

import secrets

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.claim_code import MOST_CODES_OF_IMAGE, RANDOM_BYTES, ClaimCode, CodeID, CodeRequest, CodeText
from partage.model.event import EventType
from partage.model.ids import ImageID
from partage.model.image import Image
from partage.operations import events, visible
from partage.operations.service import Service
from partage.operations.sharing import offered_images
from partage.operations.sharing.terms import check_terms
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import claim_codes, projects
from partage.records.database import Transaction


def create_code(service: Service, caller: Caller, image_id: ImageID, request: CodeRequest) -> tuple[ClaimCode, CodeText]:
    """Create a code for an image; return it as it is stored, and the text for its bearer.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids: the caller may not share the image.
        ShareConflict: the image is not shared, and is not to become shared.
        TermsRefused: the operator does not allow the terms, or a code that is valid for so long.
        TooMany: the image or the project has as many codes as it may have.
    """
    now = service.clock()
    text = CodeText.encode(secrets.token_bytes(RANDOM_BYTES))
    with service.database.write() as tx:
        image, shared = offered_images.find_shared(
            service, tx, caller, image_id, rule=rules.CREATE_CODE, make_shared=request.make_shared
        )
        terms = request.terms.apply(service.sharing.default_terms_of(caller))
        check_terms(service, caller, terms)
        code = ClaimCode(
            id=text.id,
            digest=text.digest,
            image_id=image.id,
            created_at=now,
            expires_at=service.sharing.claims.choose_expiry(request.expires_at, now),
            uses=request.uses,
            uses_left=request.uses,
            terms=terms,
        )
        _check_count(service, tx, image)
        if shared != image:
            offered_images.save_shared(service, tx, caller, shared, was=image)
        claim_codes.add(tx, code, image)
        changed = events.describe_change(service, caller, shared, was=image) if shared != image else []
        ends_at = events.format_time(code.expires_at)
        data = {"code_id": code.id, "uses": code.uses, "expires_at": ends_at}
        events.record(tx, *changed, events.describe_image(service, caller, EventType.CLAIM_CODE_CREATED, shared, **data))
    if shared != image:
        service.announce(Event.IMAGE_UPDATE, shared)
    return code, text


def list_codes(service: Service, caller: Caller, image_id: ImageID) -> list[ClaimCode]:
    """List the codes of an image that have not expired, oldest first: for its owner.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids: the image is not the caller's.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
        service.authority.require(caller, rules.LIST_CODES, authority.image_target(caller, image))
        return claim_codes.list_of_image(tx, image_id, now=service.clock())


def revoke_code(service: Service, caller: Caller, image_id: ImageID, code_id: CodeID) -> None:
    """Revoke a code. The shares that it has made stay.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids: the caller may not end the image's shares.
        ClaimCodeNotFound: the image has no such code, or it has expired.
    """
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id)
        service.authority.require(caller, rules.REVOKE_CODE, authority.image_target(caller, image))
        if not claim_codes.remove(tx, image_id, code_id, now=service.clock()):
            raise problems.ClaimCodeNotFound(f"Image {image_id} has no claim code {code_id}")
        events.record(tx, events.describe_image(service, caller, EventType.CLAIM_CODE_REVOKED, image, code_id=code_id))


def _check_count(service: Service, tx: Transaction, image: Image) -> None:
    """Check the limits of codes for one more, while the image and its project are locked."""
    now, most = service.clock(), service.sharing.claims.codes_per_project
    if len(claim_codes.list_of_image(tx, image.id, now=now)) >= MOST_CODES_OF_IMAGE:
        raise problems.TooMany(f"Image {image.id} has {MOST_CODES_OF_IMAGE} claim codes, as many as it may have; revoke some first")
    if image.owner is not None:
        projects.lock(tx, image.owner)
    if claim_codes.count_of_project(tx, image.owner, now=now) >= most:
        raise problems.TooMany(f"The project has {most} claim codes, as many as it may have; revoke some first")
