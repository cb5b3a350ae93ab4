"""News of a server or volume, as other services notify them. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from partage.model.ids import ImageID, ProjectID
from partage.model.use import UseKind


class UseChange(Enum):
    """What happened: it has this image; it has this image and no other any more; it is gone for good."""

    SEEN = auto()
    REBUILT = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class UseNews:
    """What a notification says of one server or volume. `at` is the sender's time; `image_id` None: it has no image."""

    kind: UseKind
    use_id: str
    project_id: ProjectID
    image_id: ImageID | None
    change: UseChange
    at: datetime | None
