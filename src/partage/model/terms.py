"""What an owner promises with a share: notice, expiry, and a message."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from partage import problems

FOREVER = "forever"

_DURATION = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,9})S)?)?"
)


@dataclass(frozen=True, slots=True, order=True)
class Notice:
    """How long a member keeps access after the owner ended the share. `duration` None is forever."""

    duration: timedelta | None = timedelta()

    @classmethod
    def parse(cls, text: str) -> "Notice":
        """Read an ISO 8601 duration in weeks, days, hours, minutes and seconds, or `forever`.

        Years and months have no fixed length and are refused.

        Raises:
            BodyInvalid: the text is neither.
        """
        if text == FOREVER:
            return cls(None)
        found = _DURATION.fullmatch(text)
        if found is None:
            raise problems.BodyInvalid(
                f"A notice of '{text[:40]}' makes no sense; give a duration without years or months, such as P30D or PT12H, "
                f"or {FOREVER}"
            )
        return cls(timedelta(**{unit: int(value) for unit, value in found.groupdict().items() if value is not None}))

    def __str__(self) -> str:
        """Write the notice as `parse` reads it."""
        if self.duration is None:
            return FOREVER
        days, seconds = self.duration.days, self.duration.seconds
        return f"P{days}D" if not seconds else f"P{days}DT{seconds}S"

    def end(self, now: datetime) -> datetime | None:
        """Return when access ends if the owner ends the share now; None is never."""
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
    """What the owner promises with a share. `expires_at` ends access whatever the notice; None is never."""

    notice: Notice = NO_NOTICE
    expires_at: datetime | None = None
    message: str = ""
