"""Start a task that brings image data: build it, lock its image with it, announce it. `run.py` does the work."""

from collections.abc import Mapping

from partage.model import importing
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.event import EventType
from partage.model.ids import ImageID, ProjectID, TaskID
from partage.model.image import Image
from partage.model.signature import Certificate
from partage.model.task import Task, TaskLane, TaskType
from partage.operations import events
from partage.operations.service import Service
from partage.records import images, tasks
from partage.records.database import Transaction


def build_task(
    service: Service,
    caller: Caller,
    task_type: TaskType,
    image_id: ImageID,
    *,
    owner: ProjectID | None,
    request_id: str,
    task_input: Mapping[str, object],
) -> Task:
    """Build a task for the caller. `owner` is used only for a caller without a project."""
    now = service.clock()
    return Task(
        id=TaskID(service.new_id()),
        type=task_type,
        owner=caller.project_id or owner or ProjectID(""),
        created_at=now,
        updated_at=now,
        user_id=caller.user_id,
        request_id=request_id,
        image_id=image_id,
        input=task_input,
    )


def add_task(
    service: Service,
    tx: Transaction,
    caller: Caller,
    task: Task,
    image: Image,
    *,
    certificate: Certificate | None,
    lane: TaskLane = TaskLane.WEB,
    sealed_token: str | None = None,
) -> None:
    """Add a task that waits for a worker, and lock its image, in the transaction that found the image for change."""
    tasks.add(tx, task, roles=sorted(caller.roles), lane=lane, sealed_token=sealed_token, certificate=certificate)
    images.save(tx, importing.lock(image, task.id), was=image)
    events.record(tx, events.describe_image(service, caller, EventType.IMAGE_IMPORT_REQUESTED, image, task_id=task.id))


def announce_task(service: Service, task: Task) -> None:
    """Announce a new task, after its transaction."""
    service.announce(Event.TASK_CREATE, task)
    service.announce(Event.TASK_RUN, task)
