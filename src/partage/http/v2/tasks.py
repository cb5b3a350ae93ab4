"""Handlers of tasks, and the JSON of a task."""

from datetime import datetime
from typing import Any

from partage import problems
from partage.http import query_strings
from partage.http.messages import Reply, Request, json_reply
from partage.http.v2 import paths, query
from partage.model.ids import ProjectID, TaskID, is_uuid
from partage.model.new_task import parse_new_task
from partage.model.task import SORT_KEYS, Task, TaskQuery, TaskStatus, TaskType
from partage.operations import tasks

_DIRECTIONS = ("asc", "desc")


async def list_image_tasks(request: Request) -> Reply:
    """List the tasks of an image in full, as the image's users see them."""
    found = await request.run_listing(tasks.list_image_tasks, request.image_id)
    return json_reply({"tasks": [image_task_to_json(task) for task in found]})


async def list_tasks(request: Request) -> Reply:
    """List the tasks of all projects."""
    parameters = query_strings.decode(request.query)
    limits = request.edge.service.limits
    asked = _parse_query(dict(parameters), default=limits.page_default, largest=limits.page_max)
    found = await request.run_listing(tasks.list_tasks, asked)
    written: dict[str, Any] = {
        "tasks": [_summary_to_json(task) for task in found],
        "first": query.link(parameters, path=paths.TASKS),
        "schema": f"{paths.SCHEMAS}/tasks",
    }
    if found and len(found) == asked.limit:
        written["next"] = query.link(parameters, found[-1].id, tasks.position(found[-1], asked), path=paths.TASKS)
    return json_reply(written)


async def create_task(request: Request) -> Reply:
    """Create an import task: a worker creates the image and fetches its data."""
    await request.run(tasks.require_access)
    new = parse_new_task(await request.document(), request.edge.options.formats)
    task = await request.run(tasks.create_task, new, request_id=request.request_id, token=request.token)
    written = json_reply(task_to_json(task))
    location = f"{request.origin}{paths.TASKS}/{task.id}".encode()
    return Reply(body=written.body, content_type=written.content_type, headers=((b"location", location),))


async def show_task(request: Request) -> Reply:
    """Show one task."""
    task = await request.run(tasks.show_task, TaskID(request.path["task_id"]))
    return json_reply(task_to_json(task))


async def delete_task(request: Request) -> Reply:
    """Refuse: tasks expire. Source: Glance answers 405 to every caller who may use the tasks API."""
    await request.run(tasks.require_access)
    raise problems.MethodNotAllowed(
        ("GET", "HEAD"), "Tasks cannot be deleted; they go by themselves once their expires_at has passed"
    )


def task_to_json(task: Task) -> dict[str, Any]:
    """Render a task as administrators see it."""
    written = _summary_to_json(task)
    written |= {"input": dict(task.input), "message": task.message, "result": None if task.result is None else dict(task.result)}
    named = {"image_id": task.image_id, "request_id": task.request_id, "user_id": task.user_id}
    return written | {name: value for name, value in named.items() if value}


def image_task_to_json(task: Task) -> dict[str, Any]:
    """Render a task as its image's users see it: without links, but with every attribute. Source: Glance."""
    return {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "owner": task.owner,
        "expires_at": None if task.expires_at is None else _format_time(task.expires_at),
        "created_at": _format_time(task.created_at),
        "updated_at": _format_time(task.updated_at),
        "deleted_at": None,
        "deleted": False,
        "image_id": task.image_id,
        "request_id": task.request_id,
        "user_id": task.user_id,
        "input": dict(task.input),
        "result": None if task.result is None else dict(task.result),
        "message": task.message,
    }


def _summary_to_json(task: Task) -> dict[str, Any]:
    written = {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "owner": task.owner,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "self": f"{paths.TASKS}/{task.id}",
        "schema": f"{paths.SCHEMAS}/task",
    }
    if task.expires_at is not None:
        written["expires_at"] = task.expires_at
    return written


def _format_time(moment: datetime) -> str:
    """Format a time as Glance does in an image's tasks: without a zone, with a fraction that is always zero."""
    return moment.isoformat()[:19] + ".000000"


def _parse_query(given: dict[str, str], *, default: int, largest: int) -> TaskQuery:
    """Parse the parameters of a list call. Words and statuses are Glance's.

    Raises:
        QueryInvalid: a value is malformed.
    """
    sort_key, direction = given.get("sort_key", "created_at"), given.get("sort_dir", "desc")
    if direction not in _DIRECTIONS:
        raise problems.QueryInvalid(f"Invalid sort direction: {direction}")
    if sort_key not in SORT_KEYS:
        raise problems.QueryInvalid(f"Tasks are sorted by one of {', '.join(SORT_KEYS)}")
    status, kind, marker = given.get("status"), given.get("type"), given.get("marker")
    if status and status not in tuple(TaskStatus):
        raise problems.QueryInvalid(f"Invalid status value: {status}")
    if kind and kind != TaskType.IMPORT:  # Source: Glance refuses other types here, but lists them
        raise problems.QueryInvalid(f"Invalid type value: {kind}")
    if marker and not is_uuid(marker):
        raise problems.QueryInvalid("Invalid marker format")
    if marker == "":
        raise problems.QueryInvalid("Task with the given id was not found")
    return TaskQuery(
        limit=query_strings.parse_limit(given.get("limit"), default, largest),
        status=TaskStatus(status) if status else None,
        type=TaskType(kind) if kind else None,
        owner=ProjectID(given["owner"]) if "owner" in given else None,
        marker=TaskID(marker) if marker else None,
        after=query.position_of(given.get(query.AFTER), [sort_key]),
        sort_key=sort_key,
        descending=direction == "desc",
    )
