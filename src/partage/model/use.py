"""Uses: the servers and volumes that depend on an image, as far as the service knows them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from partage import problems
from partage.model.ids import ImageID, ProjectID

_USE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)


class UseKind(StrEnum):
    """What depends on an image."""

    SERVER = "server"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class UseKey:
    """What identifies a use: one server or volume of a project that depends on an image."""

    image_id: ImageID
    project_id: ProjectID
    kind: UseKind
    use_id: str


@dataclass(frozen=True, slots=True)
class Use:
    """A recorded use. Times are UTC, aware."""

    key: UseKey
    recorded_at: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A server or volume, as Nova or Cinder lists it. `image_id` None: it has no image, as a server that boots from a volume."""

    kind: UseKind
    use_id: str
    project_id: ProjectID
    image_id: ImageID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseQuery:
    """A page of the uses of an image by one project, in the order of kind and id; `after` is the last use of the page before."""

    image_id: ImageID
    project_id: ProjectID
    limit: int
    after: tuple[UseKind, str] | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUses:
    """How many servers or volumes are recorded as uses of an image, and of how many projects."""

    image_id: ImageID
    kind: UseKind
    uses: int
    projects: int


def parse_kind(text: str) -> UseKind:
    """Read a kind of use.

    Raises:
        Invalid: there is no such kind.
    """
    try:
        return UseKind(text)
    except ValueError as error:
        raise problems.Invalid(f"The kind of a use must be one of {', '.join(UseKind)}") from error


def is_use_id(text: str) -> bool:
    """Whether a text can be the id of a server or volume."""
    return _USE_ID.fullmatch(text) is not None


def parse_use_id(text: str) -> str:
    """Check the id of a server or volume.

    Raises:
        Invalid: it cannot be one.
    """
    if not is_use_id(text):
        raise problems.Invalid("The id of a use must have 1 to 64 letters, digits and ._:- and begin with a letter or digit")
    return text
