"""Values of sharing: a share, its terms, and what became of one pair of image and project."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from partageclient import errors

STATUSES = ("pending", "accepted", "rejected")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SHORT = re.compile(r"(\d{1,6})([wdhms])")
_ISO = re.compile(r"P(?=.)(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")


@dataclass(frozen=True)
class Terms:
    """What an owner promises with a share; None is what the cloud promises by default.

    `notice`: how long the member keeps access after the owner ends the share (ISO 8601 duration, forever or while-used).
    `expires_at`: when access ends in any case (RFC 3339; "" is never).
    """

    notice: str | None = None
    expires_at: str | None = None
    message: str | None = None

    @property
    def are_given(self) -> bool:
        """Whether there is any."""
        return self != Terms()

    def to_json(self) -> dict[str, Any]:
        """Write them as the sharing API takes them."""
        given = {"notice": self.notice, "message": self.message}
        written: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.expires_at is not None:
            written["expires_at"] = self.expires_at or None
        return written


@dataclass(frozen=True)
class Share:
    """One image that is offered to one project. What the service does not say is None; times are RFC 3339 in UTC.

    Plain Glance has no terms and no endings: removing a member ends its access at once.
    """

    image_id: str
    image_name: str | None
    owner_id: str | None
    member_id: str
    status: str
    image_status: str | None = None
    size: int | None = None
    disk_format: str | None = None
    container_format: str | None = None
    owner_name: str | None = None
    member_name: str | None = None
    notice: str | None = None
    expires_at: str | None = None
    message: str | None = None
    offered_at: str | None = None
    answered_at: str | None = None
    last_used: str | None = None
    ending_reason: str | None = None
    ends_at: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Share":
        """Read a share of the sharing API."""
        terms, ending = document.get("terms") or {}, document.get("ending") or {}
        given: dict[str, Any] = {each.name: document.get(each.name) for each in fields(cls)} | {
            "notice": terms.get("notice"),
            "expires_at": terms.get("expires_at"),
            "message": terms.get("message"),
            "ending_reason": ending.get("reason"),
            "ends_at": ending.get("ends_at"),
        }
        return cls(**given)

    @classmethod
    def from_member(cls, image: Mapping[str, Any], member: Mapping[str, Any]) -> "Share":
        """Read an image and a member of it, as the Image API has them."""
        status = str(member.get("status"))
        return cls(
            image_id=str(image["id"]),
            image_name=image.get("name"),
            owner_id=image.get("owner"),
            member_id=str(member["member_id"]),
            status=status,
            image_status=image.get("status"),
            size=image.get("size"),
            disk_format=image.get("disk_format"),
            container_format=image.get("container_format"),
            offered_at=member.get("created_at"),
            answered_at=member.get("updated_at") if status != "pending" else None,
        )


def parse_notice(text: str) -> str:
    """Read a notice: 30d, 12h, 2w, an ISO 8601 duration, forever or while-used; return it as the sharing API takes it.

    Raises:
        Invalid: it is none of these.
    """
    given = text.strip()
    short = _SHORT.fullmatch(given.lower())
    if short:
        number, unit = short.groups()
        return f"P{number}{unit.upper()}" if unit in "wd" else f"PT{number}{unit.upper()}"
    if given.lower() in ("forever", "while-used"):
        return given.lower()
    if _ISO.fullmatch(given.upper()):
        return given.upper()
    raise errors.Invalid(f"Promise the notice {text}", "it is no duration", "Write 30d, 12h, 2w, P30D, forever or while-used")


def parse_expiry(text: str, now: datetime | None = None) -> str:
    """Read when access ends: a date (its beginning, UTC), a time as in RFC 3339, a duration from now such as 90d, or never.

    Raises:
        Invalid: it is none of these, or lies in the past.
    """
    asked, given = f"Let access end at {text}", text.strip()
    now = now or datetime.now(UTC)
    if given.lower() == "never":
        return ""
    short = _SHORT.fullmatch(given.lower())
    try:
        moment = now + timedelta(**{_UNITS[short[2]]: int(short[1])}) if short else datetime.fromisoformat(given)
    except (ValueError, OverflowError) as error:
        raise errors.Invalid(asked, "it is no time", "Write 2027-06-30, 2027-06-30T12:00:00Z, 90d or never") from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment <= now:
        raise errors.Invalid(asked, "it lies in the past", "Name a time to come")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
