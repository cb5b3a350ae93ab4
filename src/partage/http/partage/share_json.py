"""The JSON of shares: what requests say, checked, and what replies say."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from partage import problems
from partage.http.partage import errors
from partage.model.caller import Caller
from partage.model.ending import Ending
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.offer import MOST_PAIRS, OfferOutcome, OfferRequest
from partage.model.share import Share
from partage.model.terms import LONGEST_MESSAGE, Notice, Terms, TermsChange

_LONGEST_TEXT = 255
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
Document = dict[str, Any]


def parse_offer(document: object) -> OfferRequest:
    """Read a request to offer images.

    Raises:
        BodyInvalid: it does not fit its schema.
        TermsRefused: the notice is one that this service cannot promise.
    """
    given = require_object(document, ("image_ids", "projects", "terms", "make_shared", "all_or_nothing"))
    return OfferRequest(
        image_ids=tuple(ImageID(each) for each in _require_texts(given, "image_ids")),
        projects=tuple(_require_texts(given, "projects")),
        terms=parse_terms(given.get("terms", {})),
        make_shared=read_flag(given, "make_shared"),
        all_or_nothing=read_flag(given, "all_or_nothing"),
    )


def parse_image_ids(document: object) -> list[ImageID]:
    """Read the images whose offers are answered.

    Raises:
        BodyInvalid: the document does not fit its schema.
    """
    return [ImageID(each) for each in _require_texts(require_object(document, ("image_ids",)), "image_ids")]


def parse_terms(document: object) -> TermsChange:
    """Read the terms that a request gives.

    Raises:
        BodyInvalid: they do not fit their schema.
        TermsRefused: the notice is one that this service cannot promise.
    """
    given = require_object(document, ("notice", "expires_at", "message"))
    return TermsChange(
        given=frozenset(given),
        notice=_read_notice(given.get("notice", "P0D")),
        expires_at=read_time(given.get("expires_at")),
        message=_read_message(given.get("message", "")),
    )


def share_to_json(share: Share, caller: Caller, names: Mapping[ProjectID, str]) -> Document:
    """Write a share as the caller may see it."""
    image = share.visible_image(caller.project_id)
    return {
        "image_id": image.id,
        "image_name": image.name,
        "image_status": image.status,
        "size": image.size,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "owner_id": share.owner_id,
        "owner_name": None if share.owner_id is None else names.get(share.owner_id),
        "member_id": share.member_id,
        "member_name": names.get(share.member_id),
        "status": share.status,
        "terms": terms_to_json(share.terms),
        "offered_at": share.offered_at,
        "answered_at": share.answered_at,
        "last_used": share.last_used,
        "ending": _write_ending(share.ending),
    }


def terms_to_json(terms: Terms) -> Document:
    """Write the terms of a share."""
    return {"notice": str(terms.notice), "expires_at": terms.expires_at, "message": terms.message}


def image_to_json(image: Image) -> Document:
    """Write what the sharing API says of an image."""
    return {"image_id": image.id, "image_name": image.name, "image_status": image.status, "visibility": image.visibility}


def outcomes_to_json(outcomes: Sequence[OfferOutcome]) -> Document:
    """Write what became of each pair of image and project."""
    return {"results": [errors.outcome_to_json(each) for each in outcomes]}


def answers_to_json(
    image_ids: Sequence[ImageID], answers: Sequence[Share | problems.Problem], caller: Caller, names: Mapping[ProjectID, str]
) -> Document:
    """Write what became of each offer that was answered."""
    return {
        "results": [
            {
                "image_id": image_id,
                "share": None if isinstance(answer, problems.Problem) else share_to_json(answer, caller, names),
                "problem": errors.describe(answer) if isinstance(answer, problems.Problem) else None,
            }
            for image_id, answer in zip(image_ids, answers, strict=True)
        ]
    }


def _write_ending(ending: Ending | None) -> Document | None:
    if ending is None:
        return None
    return {"reason": ending.reason, "began_at": ending.began_at, "ends_at": ending.ends_at}


def require_object(document: object, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Return a document that is an object with no other members than these.

    Raises:
        BodyInvalid: it is not.
    """
    if not isinstance(document, dict):
        raise problems.BodyInvalid(f"Expected a JSON object with {', '.join(names)}")
    unknown = sorted(set(document) - set(names))
    if unknown:
        raise problems.BodyInvalid(f"There is no {unknown[0][:64]!r} in this document; it takes {', '.join(names)}")
    return document


def _require_texts(given: Mapping[str, Any], name: str) -> list[str]:
    texts = given.get(name)
    if not isinstance(texts, list) or not texts or len(texts) > MOST_PAIRS:
        raise problems.BodyInvalid(f"{name} must be a list of 1 to {MOST_PAIRS} texts")
    for each in texts:
        if not isinstance(each, str) or not each or len(each) > _LONGEST_TEXT:
            raise problems.BodyInvalid(f"Each of {name} must be a text of 1 to {_LONGEST_TEXT} characters")
    return texts


def read_flag(given: Mapping[str, Any], name: str) -> bool:
    """Read a member that is true or false; false if it is not there.

    Raises:
        BodyInvalid: it is something else.
    """
    flag = given.get(name, False)
    if not isinstance(flag, bool):
        raise problems.BodyInvalid(f"{name} must be true or false")
    return flag


def _read_notice(text: object) -> Notice:
    if not isinstance(text, str):
        raise problems.BodyInvalid("notice must be a text: a duration such as P30D, or forever, or while-used")
    return Notice.parse(text)


def read_time(text: object) -> datetime | None:
    """Read a time, or null.

    Raises:
        BodyInvalid: it is neither.
    """
    if text is None:
        return None
    try:
        if not isinstance(text, str) or not _TIME.fullmatch(text):
            raise ValueError(text)  # noqa: TRY301 -- answered alike
        return datetime.fromisoformat(text.upper()).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError) as error:
        raise problems.BodyInvalid("expires_at must be null, or a time as in RFC 3339, such as 2027-01-31T12:00:00Z") from error


def _read_message(text: object) -> str:
    if not isinstance(text, str) or len(text) > LONGEST_MESSAGE:
        raise problems.BodyInvalid(f"message must be a text of at most {LONGEST_MESSAGE} characters")
    return text
