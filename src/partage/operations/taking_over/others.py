"""Takes over what a Glance has beside images: metadata definitions, tasks that have ended, and which images are cached."""

from dataclasses import asdict, dataclass

from partage.model.glance import GlanceNamespace, GlanceTask
from partage.model.ids import ImageID, ProjectID, TaskID, UserID
from partage.model.task import Task, TaskStatus, TaskType
from partage.operations.service import Service
from partage.operations.taking_over.images import compute_fingerprint
from partage.records import cache, images, metadefs, taken_over, tasks
from partage.records.database import Transaction
from partage.records.glance_database import GlanceDatabase
from partage.records.taken_over import Taken, TakenKind


@dataclass(slots=True)
class OtherReport:
    """What a run did, or would do. `kept_namespaces` are those that exist here and were not taken over from this Glance."""

    namespaces: int = 0
    unchanged_namespaces: int = 0
    kept_namespaces: tuple[str, ...] = ()
    resource_types: int = 0
    tasks: int = 0
    unfinished_tasks: int = 0
    cached: int = 0


def take_others(service: Service, glance: GlanceDatabase, *, cache_node: str | None, dry_run: bool) -> OtherReport:
    """Take over metadata definitions and ended tasks, and queue the cached images for the cache of a node. None: there is no cache.

    With `dry_run` nothing is written.

    Raises:
        Unavailable: a database cannot be read or written.
    """
    report = OtherReport()
    namespaces, types, given_tasks = glance.list_namespaces(), glance.list_resource_types(), glance.list_tasks()
    cached = glance.list_cached() if cache_node else []
    transaction = service.database.read if dry_run else service.database.write
    with service.database.read() as tx:
        known = taken_over.find_all(tx, glance.source, TakenKind.NAMESPACE)
        known_tasks = taken_over.find_all(tx, glance.source, TakenKind.TASK)
    for namespace in namespaces:
        with transaction() as tx:
            _take_namespace(tx, glance.source, namespace, known, report, dry_run=dry_run)
    with transaction() as tx:
        for each in types:
            if not dry_run:
                report.resource_types += metadefs.add_resource_type(tx, each)
        for task in given_tasks:
            if task.id not in known_tasks:
                _take_task(service, tx, glance.source, task, report, dry_run=dry_run)
        for image_id in cached:
            _queue(service, tx, cache_node or "", image_id, report, dry_run=dry_run)
    return report


def _take_namespace(
    tx: Transaction, source: str, given: GlanceNamespace, known: dict[str, Taken], report: OtherReport, *, dry_run: bool
) -> None:
    name = given.namespace.name
    fingerprint = compute_fingerprint(asdict(given))
    taken = known.get(name)
    if taken is not None and taken.fingerprint == fingerprint:
        report.unchanged_namespaces += 1
        return
    if taken is None and metadefs.exists(tx, name):
        report.kept_namespaces += (name,)
        return
    report.namespaces += 1
    if dry_run:
        return
    metadefs.remove(tx, name)
    metadefs.add(tx, given.namespace)
    metadefs.add_definitions(tx, name, given.definitions)
    metadefs.associate(tx, name, given.associations)
    taken_over.note(tx, source, TakenKind.NAMESPACE, name, Taken(fingerprint, given.namespace.updated_at))


def _take_task(service: Service, tx: Transaction, source: str, given: GlanceTask, report: OtherReport, *, dry_run: bool) -> None:
    """Take over a task that has ended and has not expired, of a type that this service has; others are not read by anybody."""
    if given.status not in (TaskStatus.SUCCESS, TaskStatus.FAILURE):
        report.unfinished_tasks += 1
        return
    is_expired = given.expires_at is not None and given.expires_at <= service.clock()
    if given.type not in tuple(TaskType) or is_expired:
        return
    report.tasks += 1
    if dry_run:
        return
    tasks.add(tx, _build_task(given), roles=())
    taken_over.note(tx, source, TakenKind.TASK, given.id, Taken(compute_fingerprint(asdict(given)), given.updated_at))


def _build_task(given: GlanceTask) -> Task:
    return Task(
        id=TaskID(given.id),
        type=TaskType(given.type),
        owner=ProjectID(given.owner),
        created_at=given.created_at,
        updated_at=given.updated_at,
        status=TaskStatus(given.status),
        user_id=None if given.user_id is None else UserID(given.user_id),
        request_id=given.request_id,
        image_id=None if given.image_id is None else ImageID(given.image_id),
        input=given.input,
        result=given.result,
        message=given.message,
        expires_at=given.expires_at,
    )


def _queue(service: Service, tx: Transaction, node: str, image_id: ImageID, report: OtherReport, *, dry_run: bool) -> None:
    present = images.find_or_none(tx, image_id)
    if present is None or present.content_id is None or node in cache.list_nodes(tx, image_id):
        return
    report.cached += 1
    if not dry_run:
        cache.queue(tx, node, image_id, now=service.clock())
