"""A project's usage and allowance, and the arithmetic between them. Pure.

An image's bytes count as stored in each store that has them, and as staged while they wait for an import. Of a running upload the
reserved bytes count, not the received ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from partage import problems
from partage.model import wording

SIZE_TOTAL, STAGE_TOTAL = "image_size_total", "image_stage_total"
COUNT_TOTAL, COUNT_UPLOADING = "image_count_total", "image_count_uploading"
RESOURCES = (SIZE_TOTAL, STAGE_TOTAL, COUNT_TOTAL, COUNT_UPLOADING)
"""The names of the unified limits in Keystone; the first two count mebibytes. Source: Glance."""

MEBIBYTE = 1 << 20
_MOST_AHEAD_BYTES = 64 * MEBIBYTE
_AHEAD_BYTES = 64 << 10


class Place(StrEnum):
    """Where bytes count."""

    STORED = "stored"
    STAGED = "staged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A project's usage. Sizes are bytes; `kept` bytes are reserved for running uploads and imports.

    `lone_bytes` are staged and in no store; `staged_bytes` counts as Glance does: also images that are being imported or copied.
    """

    stored_bytes: int = 0
    lone_bytes: int = 0
    staged_bytes: int = 0
    kept_stored_bytes: int = 0
    kept_staged_bytes: int = 0
    images: int = 0
    uploading: int = 0

    def to_report(self) -> Mapping[str, int]:
        """Return the usage under the names of unified limits."""
        return {
            SIZE_TOTAL: self.stored_bytes // MEBIBYTE,
            STAGE_TOTAL: self.staged_bytes // MEBIBYTE,
            COUNT_TOTAL: self.images,
            COUNT_UPLOADING: self.uploading,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A project's limits; None is no limit.

    `together`: staged bytes count against `stored_bytes`, as with the operator's own limits. `one_over`: one upload of unknown size
    may exceed a limit of bytes while the rest of the usage is within it, as in Glance.
    """

    images: int | None = None
    uploading: int | None = None
    stored_bytes: int | None = None
    staged_bytes: int | None = None
    together: bool = True
    one_over: bool = False

    def limit_bytes(self, place: Place) -> int | None:
        """Return the limit in bytes; None is no limit."""
        return self.stored_bytes if self.together or place is Place.STORED else self.staged_bytes

    def sum_used_bytes(self, place: Place, usage: Usage) -> int:
        """Return the bytes that count against the limit of `place`."""
        if self.together:
            return usage.stored_bytes + usage.lone_bytes + usage.kept_stored_bytes + usage.kept_staged_bytes
        if place is Place.STORED:
            return usage.stored_bytes + usage.kept_stored_bytes
        return usage.staged_bytes + usage.kept_staged_bytes

    def check_images(self, usage: Usage) -> None:
        """Check the limit for one more image.

        Raises:
            QuotaExceeded: the project has the maximum number of images.
        """
        if self.images is not None and usage.images >= self.images:
            raise problems.QuotaExceeded(
                f"The project has the maximum of {wording.count(self.images, 'image')}; delete one or ask for a higher quota"
            )

    def check_uploading(self, usage: Usage) -> None:
        """Check the limit for one more running upload, staged images included.

        Raises:
            QuotaExceeded: the project has the maximum number of running uploads.
        """
        if self.uploading is not None and usage.uploading >= self.uploading:
            raise problems.QuotaExceeded(
                f"The project has the maximum of {self.uploading} running uploads, staged images included; "
                "finish one or ask for a higher quota"
            )

    def check_bytes(self, place: Place, used_bytes: int, wanted_bytes: int) -> None:
        """Check the limit for `wanted_bytes` in addition to `used_bytes`.

        Raises:
            QuotaExceeded: they would exceed the limit.
        """
        limit = self.limit_bytes(place)
        if limit is not None and used_bytes + wanted_bytes > limit:
            raise _no_room(limit, used_bytes)

    def grow(self, place: Place, used_bytes: int, wanted_bytes: int) -> int:
        """Return how many bytes to reserve for an upload of unknown size that has received `wanted_bytes`; others use `used_bytes`.

        More than needed is reserved, so that not every block needs a new reservation: a sixty-fourth of the free bytes, at most
        64 MiB. With little space left nothing more is reserved: another upload would be refused for it.

        Raises:
            QuotaExceeded: the bytes would exceed the limit.
        """
        limit = self.limit_bytes(place)
        if limit is None or (self.one_over and used_bytes <= limit):
            return wanted_bytes + _MOST_AHEAD_BYTES
        self.check_bytes(place, used_bytes, wanted_bytes)
        ahead = min(_MOST_AHEAD_BYTES, (limit - used_bytes - wanted_bytes) // 64)
        return wanted_bytes + ahead - ahead % _AHEAD_BYTES


def parse_keystone_limits(limits: Mapping[str, int], *, one_over: bool) -> Allowance:
    """Parse Keystone's limits: -1 is no limit, and an unregistered limit is 0. Source: oslo.limit."""

    def limit(name: str, unit: int = 1) -> int | None:
        found = limits.get(name, 0)
        return None if found < 0 else found * unit

    return Allowance(
        images=limit(COUNT_TOTAL),
        uploading=limit(COUNT_UPLOADING),
        stored_bytes=limit(SIZE_TOTAL, MEBIBYTE),
        staged_bytes=limit(STAGE_TOTAL, MEBIBYTE),
        together=False,
        one_over=one_over,
    )


def _no_room(limit: int, used_bytes: int) -> problems.QuotaExceeded:
    room = max(0, limit - used_bytes)
    return problems.QuotaExceeded(f"Image exceeds the storage quota: the project has room for {room} more bytes")
