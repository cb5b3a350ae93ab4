"""The closing of a project: what the service deletes, what it retains for members, and whether Keystone still has the project."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from partage.model.ending import Ending
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Visibility


class ProjectState(StrEnum):
    """What Keystone says of a project."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    ABSENT = "absent"


class ClosingSource(StrEnum):
    """Who asked for the closing of a project: the operator, or Keystone's notification that the project was deleted."""

    OPERATOR = "operator"
    NOTIFICATION = "notification"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingRequest:
    """A project that is to be closed, or closed again, at `due_at`. Times are UTC, aware."""

    project_id: ProjectID
    source: ClosingSource
    requested_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedImage:
    """An image of a closed project. It is retained while one of the endings in `kept_for` runs, and deleted if there is none."""

    image_id: ImageID
    name: str | None
    visibility: Visibility
    size_bytes: int
    kept_for: tuple[Ending, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What one batch of a closing has done, or a whole closing would do.

    `shares` counts the offers to the project and the notices that ran for it, `namespaces` its private metadata definitions,
    `records` what else was recorded for it.
    """

    images: Sequence[ClosedImage] = ()
    shares: int = 0
    namespaces: int = 0
    records: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing left to do."""
        return not (self.images or self.shares or self.namespaces or self.records)
