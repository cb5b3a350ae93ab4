"""Uses: the servers and volumes that depend on an image, as far as the service knows them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from partage.model.ids import ImageID, ProjectID


class UseKind(StrEnum):
    """What depends on an image."""

    SERVER = "server"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One server or volume of a project that depends on an image. Times are UTC, aware."""

    image_id: ImageID
    project_id: ProjectID
    kind: UseKind
    use_id: str
    recorded_at: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectUses:
    """What is known of one project's uses of an image, without ids. A time that is None is unknown.

    `counts` lacks kinds without uses. `is_complete` False: the project has more uses than are recorded. `last_used` is the latest
    time at which a use was recorded, seen or released; `last_download` is that of the image data.
    """

    project_id: ProjectID
    counts: Mapping[UseKind, int] = field(default_factory=dict)
    is_complete: bool = True
    last_used: datetime | None = None
    last_download: datetime | None = None

    @property
    def has_uses(self) -> bool:
        """Whether the project is known to have a server or volume of the image."""
        return not self.is_complete or any(self.counts.values())

    @property
    def latest(self) -> datetime | None:
        """The latest time at which the project used the image in any way."""
        return max((each for each in (self.last_used, self.last_download) if each is not None), default=None)
