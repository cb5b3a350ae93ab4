"""What a project may have and what it has: pure values and the arithmetic between them.

Stored are an image's bytes in every store that has them; staged are those that wait for an import. Bytes on their way in count by
what has been kept for them, not by what has arrived.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from partage import problems

SIZE_TOTAL, STAGE_TOTAL = "image_size_total", "image_stage_total"
COUNT_TOTAL, COUNT_UPLOADING = "image_count_total", "image_count_uploading"
RESOURCES = (SIZE_TOTAL, STAGE_TOTAL, COUNT_TOTAL, COUNT_UPLOADING)
"""The names that unified limits have in Keystone; the first two count mebibytes. Source: Glance."""

MEBIBYTE = 1 << 20
_MOST_AHEAD_BYTES = 64 * MEBIBYTE
_AHEAD_BYTES = 64 << 10


class Place(StrEnum):
    """What bytes are kept for."""

    STORED = "stored"
    STAGED = "staged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a project has. Sizes are bytes; `kept` is what uploads and imports under way may still fill.

    `lone_bytes` belong to images in no store, which are staged; `staged_bytes` counts as Glance does: an image that is being
    imported or copied counts until that has ended.
    """

    stored_bytes: int = 0
    lone_bytes: int = 0
    staged_bytes: int = 0
    kept_stored_bytes: int = 0
    kept_staged_bytes: int = 0
    images: int = 0
    uploading: int = 0

    def to_report(self) -> Mapping[str, int]:
        """Say it as unified limits do."""
        return {
            SIZE_TOTAL: self.stored_bytes // MEBIBYTE,
            STAGE_TOTAL: self.staged_bytes // MEBIBYTE,
            COUNT_TOTAL: self.images,
            COUNT_UPLOADING: self.uploading,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a project may have; None is no limit.

    `together`: what is staged counts against `stored_bytes`, as with the operator's own limits. `one_over`: an upload that does not
    say its size may pass a limit of bytes as long as everything else is within, as Glance lets it.
    """

    images: int | None = None
    uploading: int | None = None
    stored_bytes: int | None = None
    staged_bytes: int | None = None
    together: bool = True
    one_over: bool = False

    def limit_bytes(self, place: Place) -> int | None:
        """Say how many bytes there may be; None for any number."""
        return self.stored_bytes if self.together or place is Place.STORED else self.staged_bytes

    def used_bytes(self, place: Place, usage: Usage) -> int:
        """Add up what counts against the limit of `place`."""
        if self.together:
            return usage.stored_bytes + usage.lone_bytes + usage.kept_stored_bytes + usage.kept_staged_bytes
        if place is Place.STORED:
            return usage.stored_bytes + usage.kept_stored_bytes
        return usage.staged_bytes + usage.kept_staged_bytes

    def check_images(self, usage: Usage) -> None:
        """Refuse one more image than the project may have.

        Raises:
            QuotaExceeded: it has them all.
        """
        if self.images is not None and usage.images >= self.images:
            raise problems.QuotaExceeded(
                f"The project may have {self.images} images and has them all; delete one or ask for a higher quota"
            )

    def check_uploading(self, usage: Usage) -> None:
        """Refuse one more image whose data is under way than the project may have.

        Raises:
            QuotaExceeded: it has them all.
        """
        if self.uploading is not None and usage.uploading >= self.uploading:
            raise problems.QuotaExceeded(
                f"The project may have the data of {self.uploading} images under way, staged ones included, and has; "
                "finish one or ask for a higher quota"
            )

    def check_bytes(self, place: Place, used_bytes: int, wanted_bytes: int) -> None:
        """Refuse `wanted_bytes` beside `used_bytes`.

        Raises:
            QuotaExceeded: they do not fit.
        """
        limit = self.limit_bytes(place)
        if limit is not None and used_bytes + wanted_bytes > limit:
            raise _no_room(limit, used_bytes)

    def grow(self, place: Place, used_bytes: int, wanted_bytes: int) -> int:
        """Say how many bytes to keep for data of unknown size that needs `wanted_bytes` by now, beside `used_bytes` of the rest.

        Where there is much room, more is kept than is needed, so that not every block has to ask: a sixty-fourth of what is free,
        at most 64 MiB. Where there is little, nothing is: what one upload keeps without need, another would be refused for.

        Raises:
            QuotaExceeded: they do not fit.
        """
        limit = self.limit_bytes(place)
        if limit is None or (self.one_over and used_bytes <= limit):
            return wanted_bytes + _MOST_AHEAD_BYTES
        self.check_bytes(place, used_bytes, wanted_bytes)
        ahead = min(_MOST_AHEAD_BYTES, (limit - used_bytes - wanted_bytes) // 64)
        return wanted_bytes + ahead - ahead % _AHEAD_BYTES


def parse_keystone_limits(limits: Mapping[str, int], *, one_over: bool) -> Allowance:
    """Understand Keystone's limits: -1 is none, and what is not registered is 0. Source: oslo.limit."""

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
