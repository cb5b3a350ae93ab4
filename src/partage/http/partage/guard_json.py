"""The JSON of guards: what requests say, checked, and what replies say."""

from datetime import datetime, timedelta

from partage import problems
from partage.http.partage import impact_json
from partage.http.partage.share_json import Document, read_flag, require_object
from partage.model.guard import Guard, GuardMode
from partage.model.ids import ImageID
from partage.model.terms import Notice
from partage.operations.sharing.guards import EndRequest


def parse_mode(document: object) -> GuardMode:
    """Read the mode that an owner sets.

    Raises:
        BodyInvalid: the document does not fit its schema.
    """
    mode = require_object(document, ("mode",)).get("mode")
    if mode not in tuple(GuardMode):
        raise problems.BodyInvalid(f"mode must be one of {', '.join(GuardMode)}")
    return GuardMode(str(mode))


def parse_end(document: object) -> EndRequest:
    """Read a request to end access.

    Raises:
        BodyInvalid: the document does not fit its schema.
    """
    given = require_object(document, ("action", "project", "acknowledge"))
    try:
        action, member_id = impact_json.check_action(given.get("action"), given.get("project"))
    except ValueError as error:
        raise problems.BodyInvalid(str(error)) from error
    return EndRequest(action=action, member_id=member_id, is_acknowledged=read_flag(given, "acknowledge"))


def guard_to_json(image_id: ImageID, guard: Guard, now: datetime, cool_down: timedelta) -> Document:
    """Write a guard. `override` and the pending one are null for the operator's default."""
    pending = guard.pending
    return {
        "image_id": image_id,
        "mode": guard.mode(now),
        "default": guard.default,
        "override": guard.override,
        "pending": None if pending is None else {"override": pending.override, "at": pending.at},
        "cool_down": str(Notice(cool_down)),
    }
