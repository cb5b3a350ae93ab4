"""A task (work that continues after the response) as a value, and the table of its legal status changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from partage import problems
from partage.model.ids import ImageID, ProjectID, TaskID, UserID
from partage.model.query import Position

KEPT = timedelta(hours=48)
"""How long a task can be read after its end. Source: Glance's `task_time_to_live`."""


class TaskStatus(StrEnum):
    """A task's status."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


class TaskType(StrEnum):
    """The kind of work of a task."""

    IMPORT = "import"
    API_IMAGE_IMPORT = "api_image_import"
    LOCATION_IMPORT = "location_import"


class TaskLane(StrEnum):
    """A queue of tasks: data from this service's stores, or from the web. Tasks of one lane do not wait for those of the other."""

    HERE = "here"
    WEB = "web"


_S = TaskStatus

TASK_CHANGES: Mapping[TaskStatus, frozenset[TaskStatus]] = MappingProxyType(
    {
        _S.PENDING: frozenset({_S.PROCESSING, _S.FAILURE}),
        _S.PROCESSING: frozenset({_S.PENDING, _S.SUCCESS, _S.FAILURE}),
        _S.SUCCESS: frozenset(),
        _S.FAILURE: frozenset(),
    },
)
"""From each status to those that may follow it. A task whose worker died is pending again, and another worker claims it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task. `input` and `result` are documents; `message` has its progress, or the reason of its failure, for its owner."""

    id: TaskID
    type: TaskType
    owner: ProjectID
    created_at: datetime
    updated_at: datetime
    status: TaskStatus = TaskStatus.PENDING
    user_id: UserID | None = None
    request_id: str | None = None
    image_id: ImageID | None = None
    input: Mapping[str, object] = field(default_factory=dict)
    result: Mapping[str, object] | None = None
    message: str = ""
    expires_at: datetime | None = None

    def begin(self, *, now: datetime) -> "Task":
        """Start the task."""
        return self._become(TaskStatus.PROCESSING, now=now)

    def wait_again(self, *, now: datetime) -> "Task":
        """Return the task to the queue, for another worker."""
        return self._become(TaskStatus.PENDING, now=now)

    def succeed(self, result: Mapping[str, object], *, now: datetime) -> "Task":
        """End the task with success."""
        return replace(self._become(TaskStatus.SUCCESS, now=now), result=result, expires_at=now + KEPT)

    def fail(self, message: str, *, now: datetime) -> "Task":
        """End the task with failure, for the reason in `message`."""
        return replace(self._become(TaskStatus.FAILURE, now=now), message=message, expires_at=now + KEPT)

    def _become(self, status: TaskStatus, *, now: datetime) -> "Task":
        if status not in TASK_CHANGES[self.status]:
            raise problems.StatusConflict(f"Task status transition from {self.status} to {status} is not allowed")
        return replace(self, status=status, updated_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """A page of tasks.

    `after` is the position of the marker when it was listed, in case it has expired.
    """

    limit: int
    status: TaskStatus | None = None
    type: TaskType | None = None
    owner: ProjectID | None = None
    marker: TaskID | None = None
    after: Position | None = None
    sort_key: str = "created_at"
    descending: bool = True


SORT_KEYS = ("created_at", "expires_at", "id", "status", "type", "updated_at")
"""The sort keys of tasks. Source: Glance."""
