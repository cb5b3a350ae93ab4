"""The terms of a share: notice, expiry, and a message."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from partage import problems

FOREVER = "forever"
WHILE_USED = "while-used"
LONGEST_MESSAGE = 1000
"""Characters of the message that goes with an offer."""

_DURATION = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Notice:
    """How long a member keeps access after the owner ended the share. `duration` None is forever.

    `while_used`: until the last recorded use of the member's project has ended, and a grace after that. It has no duration of its
    own: without uses only the grace is certain.
    """

    duration: timedelta | None = timedelta()
    while_used: bool = False

    @classmethod
    def parse(cls, text: str) -> "Notice":
        """Parse an ISO 8601 duration in weeks, days, hours, minutes and seconds, or `forever`, or `while-used`.

        Years and months are refused, because their length is not fixed.

        Raises:
            BodyInvalid: the text is none of them.
        """
        if text == FOREVER:
            return cls(None)
        if text == WHILE_USED:
            return cls(while_used=True)
        found = _DURATION.fullmatch(text)
        if found is None:
            raise problems.BodyInvalid(
                f"A notice of '{text[:40]}' is invalid; give a duration without years or months, such as P30D or PT12H, "
                f"{FOREVER} or {WHILE_USED}"
            )
        return cls(timedelta(**{unit: int(value) for unit, value in found.groupdict().items() if value is not None}))

    def __str__(self) -> str:
        """Return the text that `parse` parses."""
        if self.duration is None:
            return FOREVER
        if self.while_used:
            return WHILE_USED
        days, seconds = self.duration.days, self.duration.seconds
        return f"P{days}D" if not seconds else f"P{days}DT{seconds}S"

    def covers(self, other: "Notice") -> bool:
        """Whether this notice is at least as long as the other one, whatever is used.

        A use can last longer than any duration, and end before it. So `while-used` and a duration cover each other only if the
        duration is zero, which everything covers.
        """
        if other.while_used:
            return self.while_used or self.duration is None
        return self.duration is None or (other.duration is not None and other.duration <= self.duration)

    def end(self, now: datetime) -> datetime | None:
        """Return the end of access if the owner ends the share now, without regard to uses; None is never."""
        if self.duration is None:
            return None
        try:
            return now + self.duration
        except OverflowError:
            return None


NO_NOTICE = Notice()
"""Glance's behaviour: access ends at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a share. `expires_at` ends access even during the notice; None is never."""

    notice: Notice = NO_NOTICE
    expires_at: datetime | None = None
    message: str = ""

    def require_extended(self, was: "Terms") -> None:
        """Check that the terms of an accepted share only become better for the member.

        Raises:
            TermsRefused: the notice is shorter than it was, or the share expires earlier.
        """
        if not self.notice.covers(was.notice):
            raise problems.TermsRefused(f"The member has accepted a notice of {was.notice}; it can be extended, not shortened")
        if was.expires_at != self.expires_at and not _is_later(self.expires_at, was.expires_at):
            raise problems.TermsRefused("The member has accepted this share; its expires_at can be put off, not brought forward")


def _is_later(moment: datetime | None, than: datetime | None) -> bool:
    return moment is None or (than is not None and moment > than)


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsChange:
    """A change of a share's terms. `given` are the names of the changed terms; a value may be None or empty."""

    given: frozenset[str] = frozenset()
    notice: Notice = NO_NOTICE
    expires_at: datetime | None = None
    message: str = ""

    def apply(self, terms: Terms) -> Terms:
        """Return the changed terms."""
        return replace(terms, **{name: getattr(self, name) for name in self.given})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeBounds:
    """The operator's bounds of notice. `default` None is the cloud's default."""

    default: Notice | None = None
    least: Notice = NO_NOTICE
    longest: Notice = Notice(None)

    def check(self, notice: Notice) -> None:
        """Check a notice.

        Raises:
            TermsRefused: it is too short or too long.
        """
        self.check_least(notice)
        if not self.longest.covers(notice):
            raise problems.TermsRefused(f"A notice of {notice} is longer than this cloud allows; the longest is {self.longest}")

    def check_least(self, notice: Notice) -> None:
        """Check that a notice is long enough.

        Raises:
            TermsRefused: it is too short.
        """
        if not notice.covers(self.least):
            raise problems.TermsRefused(f"A notice of {notice} is shorter than this cloud allows; the shortest is {self.least}")
