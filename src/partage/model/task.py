"""A task as a value: work that goes on after the answer, and the table of its legal status changes."""

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
    """Where a task is in its life."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


class TaskType(StrEnum):
    """What a task does."""

    IMPORT = "import"
    API_IMAGE_IMPORT = "api_image_import"
    LOCATION_IMPORT = "location_import"


class TaskLane(StrEnum):
    """What a task's data waits for. Tasks of one lane never wait for those of the other."""

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
"""From each status to those that may follow it. Back to pending goes a task whose worker died: another one takes it up again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task. `input` and `result` are documents; `message` tells how far it is, or why it failed, in words for its owner."""

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
        """Start to work on it."""
        return self._become(TaskStatus.PROCESSING, now=now)

    def wait_again(self, *, now: datetime) -> "Task":
        """Give it back to be taken up by another worker."""
        return self._become(TaskStatus.PENDING, now=now)

    def succeed(self, result: Mapping[str, object], *, now: datetime) -> "Task":
        """End it well."""
        return replace(self._become(TaskStatus.SUCCESS, now=now), result=result, expires_at=now + KEPT)

    def fail(self, message: str, *, now: datetime) -> "Task":
        """End it badly, saying why."""
        return replace(self._become(TaskStatus.FAILURE, now=now), message=message, expires_at=now + KEPT)

    def _become(self, status: TaskStatus, *, now: datetime) -> "Task":
        if status not in TASK_CHANGES[self.status]:
            raise problems.StatusConflict(f"Task status transition from {self.status} to {status} is not allowed")
        return replace(self, status=status, updated_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks to list, in which order, and after which.

    `after` is where the marker stood when it was listed, for the case that it has expired.
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
"""Source: Glance sorts tasks by these."""
