"""Tasks as their owners and administrators see them."""

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, TaskID
from partage.model.task import Task, TaskQuery
from partage.operations import visible
from partage.operations.service import Service
from partage.policies import authority
from partage.policies.tasks import TASKS_API_ACCESS
from partage.records import tasks


def tasks_of_image(service: Service, caller: Caller, image_id: ImageID) -> list[Task]:
    """List the tasks of an image, oldest first.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
    """
    with service.database.read() as tx:
        visible.find(service, tx, caller, image_id, absent=visible.NOT_FOUND)
        return tasks.of_image(tx, image_id)


def list_tasks(service: Service, caller: Caller, query: TaskQuery) -> list[Task]:
    """List tasks of every project.

    Raises:
        PolicyForbids: the caller is no administrator.
        QueryInvalid: there is no task of the marker's id.
    """
    require_access(service, caller)
    with service.database.read() as tx:
        try:
            return tasks.page(tx, query)
        except problems.TaskNotFound as problem:
            raise problems.QueryInvalid(problem.sentence()) from problem


def show_task(service: Service, caller: Caller, task_id: TaskID) -> Task:
    """Return one task.

    Raises:
        PolicyForbids: the caller is no administrator.
        TaskNotFound: there is none of that id.
    """
    require_access(service, caller)
    with service.database.read() as tx:
        return tasks.find(tx, task_id)


def require_access(service: Service, caller: Caller) -> None:
    """Let only those use the tasks API who may.

    Raises:
        PolicyForbids: the caller is no administrator.
    """
    service.authority.require(caller, TASKS_API_ACCESS, authority.of_project(caller.project_id))
