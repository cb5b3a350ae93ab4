"""Tasks for owners of images and for administrators: create, list, show, remove."""

import orjson

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, TaskID
from partage.model.new_task import NewTask
from partage.model.query import Position
from partage.model.task import Task, TaskQuery, TaskType
from partage.operations import images, signing, visible
from partage.operations.imports import start
from partage.operations.service import Service
from partage.outbound.rules import check_url
from partage.policies import authority
from partage.policies.tasks import TASKS_API_ACCESS
from partage.records import images as image_rows
from partage.records import tasks

_MOST_REMOVED = 1000
"""Tasks removed in one transaction; other transactions wait for it."""


def create_task(service: Service, caller: Caller, new: NewTask, *, request_id: str, token: str = "") -> Task:
    """Create an image and a task that downloads its data: the older way to import, for administrators.

    The caller's `token` is used to get the certificate of a signed image.

    Raises:
        PolicyForbids: the caller is not an administrator, or may not create such an image.
        UriRefused: the URL is not allowed.
        ImageExists, TooMany, QuotaExceeded: as for creating an image; or the task's input is too long.
        SignatureRefused, KeyManagerUnavailable: the image is signed, and its data could not be verified.
    """
    require_access(service, caller)
    service.limits.check_input(len(orjson.dumps(dict(new.input))))
    check_url(new.import_from, service.integrations.fetch)
    certificate = signing.certificate_for(service.integrations.signatures, caller, new.image.properties, token)
    image = images.create_image(service, caller, new.image)
    task = start.build_task(service, caller, TaskType.IMPORT, image.id, owner=None, request_id=request_id, task_input=new.input)
    with service.database.write() as tx:
        found = image_rows.find_for_change(tx, caller, image.id, now=task.created_at)
        start.add_task(service, tx, caller, task, found, certificate=certificate)
    start.announce_task(service, task)
    return task


def list_image_tasks(service: Service, caller: Caller, image_id: ImageID) -> list[Task]:
    """List the newest tasks of an image, oldest first, as many as fit into a page.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
    """
    with service.database.read() as tx:
        visible.find(service, tx, caller, image_id, absent=visible.NOT_FOUND)
        return tasks.list_of_image(tx, image_id, most=service.limits.page_max, most_bytes=service.limits.page_bytes)


def list_tasks(service: Service, caller: Caller, query: TaskQuery) -> list[Task]:
    """List tasks of every project.

    Raises:
        PolicyForbids: the caller is not an administrator.
        QueryInvalid: there is no task with the marker's id.
    """
    require_access(service, caller)
    with service.database.read() as tx:
        try:
            return tasks.page(tx, query)
        except problems.TaskNotFound as problem:
            raise problems.QueryInvalid(problem.sentence()) from problem


def position(task: Task, query: TaskQuery) -> Position:
    """Return a task's position in a list."""
    return tasks.position(task, query)


def show_task(service: Service, caller: Caller, task_id: TaskID) -> Task:
    """Return one task.

    Raises:
        PolicyForbids: the caller is not an administrator.
        TaskNotFound: there is no task with that id.
    """
    require_access(service, caller)
    with service.database.read() as tx:
        return tasks.find(tx, task_id)


def require_access(service: Service, caller: Caller) -> None:
    """Require the right to use the tasks API.

    Raises:
        PolicyForbids: the caller is not an administrator.
    """
    service.authority.require(caller, TASKS_API_ACCESS, authority.project_target(caller.project_id))


def remove_expired(service: Service) -> int:
    """Remove a batch of tasks whose time to live is over; return how many."""
    now = service.clock()
    with service.database.read() as tx:
        if not tasks.have_expired(tx, now=now):
            return 0
    with service.database.write() as tx:
        return tasks.remove_expired(tx, now=now, limit=_MOST_REMOVED)
