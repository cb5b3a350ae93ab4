"""Run a requested import: fetch the data, store it and make the image active, or record the failure.

Each run has a claim on its task. Every transaction first checks the claim, so that a run whose worker was declared dead changes
nothing (`TaskLost`), and two runs never write for the same import. A run that takes over from a dead worker reuses what that
worker finished: stored chunks, and the stores that have the image already.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from partage import problems
from partage.content.digest import Buffer
from partage.content.inspection import Unwatched
from partage.content.manifest import Content
from partage.measures import Activity
from partage.model import importing
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.event import EventType
from partage.model.ids import ContentID, ImageID, StoreID, UserID
from partage.model.image import Image, ImageStatus
from partage.model.task import Task, TaskLane, TaskType
from partage.operations import cutting, downloads, events, failures, ingest, quota, recovery, signing
from partage.operations.imports import journal
from partage.operations.imports import locations as location_runs
from partage.operations.imports import sources as import_sources
from partage.operations.imports import steps as import_steps
from partage.operations.imports.sources import ImportContext, Source
from partage.operations.imports.steps import Run
from partage.operations.quota import Reservation
from partage.operations.service import NamedStore, Service
from partage.records import contents, images, reservations, stagings, tasks
from partage.records.database import Transaction
from partage.records.tasks import ClaimRow
from partage.stores.engine.writer import WriteOptions, Written

MOST_ATTEMPTS = 3
"""An import whose worker died so often is likely what kills it, and is given up."""

UNCLAIMED = timedelta(hours=2)
"""After this long without any worker that takes it up, a task is given up. Source: Glance's lock on pending tasks."""

_NOT_OF_A_STORE = problems.DatabaseUnavailable | problems.IdentityUnavailable
"""Another store would not help."""

_LOG = logging.getLogger(__name__)


def claim(service: Service, lane: TaskLane | None = None, *, per_project: int = 1 << 30) -> Run | None:
    """Claim a waiting task of a lane, or of any lane; None if there is none.

    The task is one of the project with the fewest running tasks. A project waits while this worker runs `per_project` tasks of
    it in the lane.
    """
    name = service.new_id()
    service.process.running_tasks[name] = None  # before anybody can find that nobody is at it
    work = None
    try:
        for each in TaskLane if lane is None else (lane,):
            work = work or _claim(service, name, each, per_project)
    finally:
        if work is None:
            service.process.running_tasks.pop(name, None)
        else:
            service.process.running_tasks[name] = work.cancellation
    return work


def run(service: Service, work: Run) -> None:
    """Run a claimed task to its end. On failure the task records the reason for its owner.

    Raises:
        DatabaseUnavailable: the outcome cannot be recorded; the task is retried later.
    """
    trace = service.process.meter.trace(Activity.IMPORT)
    try:
        _run(service, work)
    except Exception as error:  # noqa: BLE001 - nobody else would tell the task's owner
        # What breaks when a run is cancelled is not the reason why it ended.
        _end_badly(service, work, work.cancellation.problem or error)
    finally:
        service.process.running_tasks.pop(work.claim, None)
        trace.end(**journal.describe(work.task))


def leave(service: Service, work: Run) -> None:
    """Release a claimed task that could not be started; `recover` makes it available again."""
    service.process.running_tasks.pop(work.claim, None)


def cancel_lost(service: Service) -> None:
    """Cancel the runs of this process whose image was deleted or whose claim was lost, also while they wait."""
    running = {claim: each for claim, each in service.process.running_tasks.copy().items() if each is not None}
    if not running:
        return
    with service.database.read() as tx:
        held = tasks.list_held(tx, running)
    for claim, cancellation in running.items():
        if claim not in held:
            cancellation.cancel(problems.TaskLost("The task has another worker, or has ended"))
        elif not held[claim].image_is_there:
            cancellation.cancel(_image_gone(held[claim].image_id))


def recover(service: Service) -> int:
    """Make tasks of dead workers available again, and fail those that cannot be run. Return how many there were."""
    dead = recovery.find_dead(service, tasks.list_running, tasks.rewrite, own=service.process.running_tasks)
    with service.database.read() as tx:
        waiting = tasks.list_waiting(tx, since=service.clock() - UNCLAIMED)
    for row in dead:
        _take_back(service, row)
    for task in waiting:
        _give_up_unclaimed(service, task)
    return len(dead) + len(waiting)


def renew(service: Service) -> None:
    """Renew this worker's claims (heartbeat). Writes nothing if it runs no task."""
    if service.process.running_tasks:
        with service.database.write() as tx:
            tasks.renew(tx, service.process.worker, now=service.clock())


def _end_badly(service: Service, work: Run, error: Exception) -> None:
    if isinstance(error, problems.TaskLost):
        _LOG.warning("%s has another worker now", _subject(work))
    elif isinstance(error, problems.DatabaseUnavailable):
        raise error
    elif isinstance(error, problems.Problem):
        service.process.failures.note(error, _subject(work))
        _fail(service, work, error.sentence())
    else:
        _LOG.error("%s: unexpected failure", _subject(work), exc_info=error)
        _fail(service, work, "The import failed for a reason of the service's own; its operator finds it under the request id")


def _image_gone(image_id: ImageID | None) -> problems.ImageGone:
    return problems.ImageGone(f"Image {image_id} was deleted during its import")


def _subject(work: Run) -> str:
    return f"{work.task.request_id}: task {work.task.id}"


def _claim(service: Service, name: str, lane: TaskLane, per_project: int) -> Run | None:
    with service.database.write() as tx:
        claimed = tasks.claim_next(
            tx, claim=name, worker=service.process.worker, lane=lane, per_project=per_project, now=service.clock()
        )
    if claimed is None:
        return None
    service.announce(Event.TASK_PROCESSING, claimed.task)
    work = _run_of(service, claimed.task, name, claimed.roles)
    return replace(work, sealed_token=claimed.sealed_token, certificate=claimed.certificate)


def _run_of(service: Service, task: Task, claim: str, roles: tuple[str, ...] = ()) -> Run:
    if task.type is TaskType.LOCATION_IMPORT and service.stores.http is not None:
        return Run(task, claim, roles, (), refers=True)
    given = task.input.get("backend")
    stores = tuple(StoreID(each) for each in given) if isinstance(given, list) else (service.stores.default,)
    return Run(task, claim, roles, stores)


def _run(service: Service, work: Run) -> None:
    journal.log_begin(work.task, method=work.request.method)
    image = _begin(service, work)
    if work.refers:
        location_runs.read_location(service, work, image)
    elif image.content_id is None and not work.copies:
        image = _import_into_first_store(service, work, image)
    failures = _spread(service, work, image)
    _finish(service, work, failures)


def _begin(service: Service, work: Run) -> Image:
    with import_steps.step(service, work) as (tx, _task, image):
        begun = (
            location_runs.begin_location(service, work, importing.clear_failures(image))
            if work.refers
            else _clear_failures(work, image)
        )
        if not work.copies and image.status is not ImageStatus.IMPORTING:
            begun = begun.become(ImageStatus.IMPORTING, now=service.clock())
        images.save(tx, begun, was=image)
    service.announce(Event.IMAGE_UPDATE, begun)
    return begun


def _clear_failures(work: Run, image: Image) -> Image:
    noted = importing.begin(image, [each for each in work.stores if each not in image.stores])
    # An earlier location that failed left references; other data replaces them.
    return noted if work.copies else replace(noted, references=())


def _import_into_first_store(service: Service, work: Run, image: Image) -> Image:
    """Import the data into the first store that accepts it."""
    room = quota.resume(service, image, token=work.task.id, copies=len(work.stores))
    for store_id in work.stores:
        try:
            named = service.stores.find_writable(store_id)
            with ingest.announce_arrival(service, image, named):
                kept = _import_into(service, work, image, named, room)
        except (problems.StoreFull, problems.Unavailable, problems.StoreReadOnly) as problem:
            if work.request.all_stores_must_succeed or isinstance(problem, _NOT_OF_A_STORE):
                raise
            _note_failure(service, work, store_id, problem)
        else:
            ingest.announce_arrived(service, kept, was=image)
            return kept
    raise problems.StoreUnavailable("None of the stores took the image data")


def _import_into(service: Service, work: Run, image: Image, named: NamedStore, room: Reservation) -> Image:
    """Store the data in one store, as received or decompressed; then convert it, if a plugin does."""
    plugins, options = service.integrations.import_plugins, _build_options(service, work)
    limit_bytes, context = options.limit_bytes, _build_context(service, work, named)
    with import_sources.open_source(service, image, work.request, context=context, limit_bytes=limit_bytes) as source:
        described = source.over(image)
        service.limits.check_growth(plugins.inject_properties(described, work.roles), was=image)  # before any byte is fetched
        received = import_steps.report_progress(service, work, source.blocks)
        # The announced size of a server may be wrong; staged bytes have been counted.
        packed_bytes = source.size_bytes if source.staged_in is not None else None
        unpacked = plugins.decompress_blocks(described, received, limit_bytes=limit_bytes, packed_bytes=packed_bytes)
        # A block of a mebibyte may unpack to a gibibyte.
        wanted = work.cancellation.check_each(unpacked)
        blocks = quota.meter_blocks(service, room, wanted, expected_bytes=source.size_bytes)
        # A signature is over the bytes that the image keeps: unpacked, and in the format in which they are kept.
        signed = blocks if plugins.converts(described) else _verify_signature(service, work, described, blocks)
        # Bytes that were staged in this store are known to be there: their timing reveals nothing.
        hides_timing = options.hide_deduplication_timing and not (source.staged_in == named.id and unpacked is received)
        own_options = replace(options, hide_deduplication_timing=hides_timing)
        written = ingest.store_bytes(service, named, signed, ingest.build_inspector(service, described), own_options)
    if plugins.converts(described):
        return _convert(service, work, named, room, _Received(source, described, written, options))
    # The bytes were inspected as this format, whatever the image has now.
    return _keep(service, work, named, written, lambda now: replace(source.over(now), disk_format=described.disk_format))


@dataclass(frozen=True, slots=True)
class _Received:
    """Data that is stored as it was received and waits for conversion."""

    source: Source
    described: Image
    written: Written
    options: WriteOptions


def _convert(service: Service, work: Run, named: NamedStore, room: Reservation, received: _Received) -> Image:
    """Convert stored data to the plugin's format, and store the result in the same store."""
    described, options = received.described, received.options
    result = replace(described, disk_format=service.integrations.import_plugins.convert_to)
    stored = work.cancellation.check_each(downloads.read_written(service, named, received.written))
    limit_bytes, goes_on = options.limit_bytes, work.cancellation.goes_on
    with service.integrations.import_plugins.converted(described, stored, limit_bytes=limit_bytes, goes_on=goes_on) as converted:
        blocks = quota.meter_blocks(service, room, work.cancellation.check_each(converted))
        signed = _verify_signature(service, work, described, blocks)
        written = ingest.store_bytes(service, named, signed, ingest.build_inspector(service, result), options)
    return _keep(service, work, named, written, lambda now: replace(received.source.over(now), disk_format=result.disk_format))


def _verify_signature(service: Service, work: Run, image: Image, blocks: Iterable[Buffer]) -> Iterable[Buffer]:
    return signing.verify_blocks(service.integrations.signatures, image.properties, work.certificate, blocks)


def _build_context(service: Service, work: Run, named: NamedStore) -> ImportContext:
    asked = Caller(user_id=work.task.user_id or UserID(""), project_id=work.task.owner or None, roles=frozenset(work.roles))
    caller = replace(asked, is_admin=service.authority.is_admin(asked))
    return ImportContext(
        work.task.id,
        caller,
        named,
        sealed_token=work.sealed_token,
        cancellation=work.cancellation,
        find_received=partial(import_steps.find_received, service, work),
        note_received=partial(import_steps.note_received, service, work),
    )


def _keep(service: Service, work: Run, named: NamedStore, written: Written, over: Callable[[Image], Image]) -> Image:
    with import_steps.step(service, work) as (tx, _task, image):
        now = service.clock()
        content_id = ContentID(service.new_id())
        contents.add(tx, content_id, written.content, written.segments, now=now)
        kept = ingest.attach_content(service, replace(over(image), updated_at=now), content_id, written.content, named)
        kept = _require_promised_digest(work, importing.note_stored(kept, named.id), written.content)
        kept = service.integrations.import_plugins.inject_properties(kept, work.roles)
        service.limits.check_growth(kept, was=image)
        if not work.request.all_stores_must_succeed:
            kept = kept.become(ImageStatus.ACTIVE, now=now)
        images.save(tx, kept, was=image)
        stagings.remove(tx, image.id)
        ingest.require_chunks(tx, named, written.segments)
        _settle(tx, work, kept)
        events.record(tx, *events.describe_change(service, work.task, kept, was=image))
    return kept


def _require_promised_digest(work: Run, image: Image, content: Content) -> Image:
    """Compare the digest with the one that was promised with the location, and record the source of the data."""
    if work.task.type is not TaskType.LOCATION_IMPORT:
        return image
    placed = replace(image, external_url=work.request.uri)
    algorithm, value = work.promised
    if not algorithm:
        return placed
    work.require_promised(content.digests.find(algorithm))
    return replace(placed, os_hash_algo=algorithm, os_hash_value=value)


def _spread(service: Service, work: Run, image: Image) -> int:
    """Copy the data to the stores that lack it; return how many copies failed."""
    failures = 0
    for store_id in work.stores:
        if store_id in image.stores:
            continue
        try:
            image = _copy(service, work, image, service.stores.find_writable(store_id))
        except (problems.StoreFull, problems.Unavailable, problems.StoreReadOnly) as problem:
            if work.request.all_stores_must_succeed or isinstance(problem, problems.DatabaseUnavailable):
                raise
            _note_failure(service, work, store_id, problem)
            failures += 1
    return failures


def _copy(service: Service, work: Run, image: Image, named: NamedStore) -> Image:
    with ingest.announce_arrival(service, image, named):
        data = downloads.ImageData(service, image, cancellation=work.cancellation)
        if image.content_id is not None and data.is_in_place:
            cutting.cut(service, image.content_id, lambda _size_bytes: None)  # a copy shares the manifest, which there is none yet
        blocks = import_steps.report_progress(service, work, data.read(0, image.size or 0))
        if image.content_id is None:
            written = ingest.store_bytes(
                service, named, blocks, ingest.build_inspector(service, image), _build_exact_options(service, image)
            )
            copied = _keep_fetched_content(service, work, named, written)
        else:
            exact = replace(_build_exact_options(service, image), algorithms=())  # the content has its digests
            ingest.store_bytes(service, named, blocks, Unwatched(), exact)
            copied = _keep_copy(service, work, image, named)
    ingest.announce_arrived(service, copied, was=image)
    return copied


def _keep_copy(service: Service, work: Run, image: Image, named: NamedStore) -> Image:
    manifest = list(downloads.list_segments(service, image.content_id or ContentID(""), 0, image.size or 0))
    with import_steps.step(service, work) as (tx, _task, found):
        if found.content_id != image.content_id:
            raise problems.StatusConflict("The image's data changed while it was copied")
        copied = importing.note_stored(replace(found, stores=(*found.stores, named.id), updated_at=service.clock()), named.id)
        images.save(tx, copied, was=found)
        ingest.require_chunks(tx, named, manifest)
        _settle(tx, work, copied)
        events.record(tx, *events.describe_change(service, work.task, copied, was=found))
    return copied


def _keep_fetched_content(service: Service, work: Run, named: NamedStore, written: Written) -> Image:
    """Attach stored content to an image that only referred to its data. A known digest stays; an unknown one is set."""
    content_id, now = ContentID(service.new_id()), service.clock()
    with import_steps.step(service, work) as (tx, _task, found):
        contents.add(tx, content_id, written.content, written.segments, now=now)
        kept = ingest.attach_content(service, replace(found, updated_at=now), content_id, written.content, named)
        if found.os_hash_value is not None:
            kept = replace(kept, os_hash_algo=found.os_hash_algo, os_hash_value=found.os_hash_value)
        kept = importing.note_stored(replace(kept, references=found.references), named.id)
        images.save(tx, kept, was=found)
        ingest.require_chunks(tx, named, written.segments)
        _settle(tx, work, kept)
        events.record(tx, *events.describe_change(service, work.task, kept, was=found))
    return kept


def _build_options(service: Service, work: Run) -> WriteOptions:
    options = ingest.build_write_options(service, None)
    return replace(options, algorithms=(*options.algorithms, *filter(None, work.promised[:1])))


def _build_exact_options(service: Service, image: Image) -> WriteOptions:
    size = image.size or 0
    more = problems.ContentCorrupt("The image has more bytes than its record says; ask the operator to verify it")
    return WriteOptions(
        limit_bytes=size,
        announced_bytes=size,
        limit_problem=more,
        algorithms=ingest.list_algorithms(service),
        hide_deduplication_timing=service.features.hide_deduplication_timing,
    )


def _settle(tx: Transaction, work: Run, image: Image) -> None:
    """Reduce the reservation to the remaining copies; the finished ones count as stored."""
    missing = [each for each in work.stores if each not in image.stores]
    reservations.resize(tx, image.id, work.task.id, size_bytes=(image.size or 0) * len(missing))


def _note_failure(service: Service, work: Run, store_id: StoreID, problem: problems.Problem) -> None:
    _LOG.warning("%s: store %s: %s", _subject(work), store_id, failures.describe(problem))
    with import_steps.step(service, work) as (tx, task, image):
        marked = importing.note_failed(image, store_id)
        images.save(tx, marked, was=image)
        tasks.save_claimed(tx, replace(task, message=f"{store_id}: {problem}"), work.claim, now=service.clock())
    service.announce(Event.IMAGE_UPDATE, marked)


def _finish(service: Service, work: Run, failures: int) -> None:
    with import_steps.step(service, work) as (tx, task, image):
        now = service.clock()
        done = importing.unlock(image)
        if done.status is ImageStatus.IMPORTING:
            done = done.become(ImageStatus.ACTIVE, now=now)
        images.save(tx, done, was=image)
        reservations.end(tx, image.id, work.task.id)
        result = {"image_id": image.id}
        ended = task.succeed(result, now=now)
        if not failures:
            ended = replace(
                ended, message=f"{'Read' if work.refers else 'Copied'} {(image.size or 0) // import_steps.MEBIBYTE} MiB"
            )
        tasks.save_claimed(tx, ended, work.claim, now=now)
        activated = [
            each for each in events.describe_change(service, task, done, was=image) if each.type is EventType.IMAGE_ACTIVATED
        ]
        events.record(tx, *activated, events.describe_image(service, task, EventType.IMAGE_IMPORTED, done, task_id=task.id))
    ingest.announce_change(service, done, was=image)
    service.announce(Event.TASK_SUCCESS, ended)
    journal.log_success(service, ended, began_at=work.task.updated_at, size_bytes=done.size or 0)


def _fail(service: Service, work: Run, reason: str) -> None:
    """End the task with a failure and restore the image's former state, if the image still exists."""
    with service.database.write() as tx:
        image = images.find_for_work(tx, work.image_id)
        task = tasks.find_claimed(tx, work.task.id, work.claim)
        if task is None:
            return
        undone = _undo(service, tx, work, image)
        failed = task.fail(reason, now=service.clock())
        tasks.save_claimed(tx, failed, work.claim, now=service.clock())
    _announce_failure(service, work, failed, undone)


def _announce_failure(service: Service, work: Run, task: Task, image: Image | None) -> None:
    if image is not None:
        service.announce(Event.IMAGE_UPDATE, image)
    service.announce(Event.TASK_FAILURE, task)
    journal.log_failure(service, task, began_at=work.task.updated_at)


def _undo(service: Service, tx: Transaction, work: Run, image: Image | None) -> Image | None:
    """Return the image in its former state; None if it is gone or another task has it."""
    if image is None or importing.find_holder(image) != work.task.id:
        return None
    reservations.end(tx, image.id, work.task.id)
    undone = importing.unlock(image)
    missing = [each for each in work.stores if each not in image.stores]
    if not work.copies and image.status is not ImageStatus.ACTIVE:
        undone = importing.remove_data(undone, now=service.clock())
        if work.refers:
            # Source: Glance, where what is on the web cannot be removed. Nothing is read from there while the image is queued.
            undone = replace(undone, references=image.references)
        missing = list(work.stores)
        stagings.remove(tx, image.id)
    for store_id in missing:
        undone = importing.note_failed(undone, store_id)
    images.save(tx, undone, was=image)
    events.record(tx, events.describe_image(service, work.task, EventType.IMAGE_IMPORT_FAILED, undone, task_id=work.task.id))
    return undone


def _take_back(service: Service, row: ClaimRow) -> None:
    # This process lives: it could not go on with its task because the database was away, which is not the task's doing.
    died = row.worker != service.process.worker
    if died and row.attempts >= MOST_ATTEMPTS:
        _fail(
            service,
            _run_of(service, row.task, row.claim),
            f"Each of the {row.attempts} workers that tried the import died on the way",
        )
        return
    with service.database.write() as tx:
        task = tasks.find_claimed(tx, row.task.id, row.claim)
        if task is not None:
            waiting, now = task.wait_again(now=service.clock()), service.clock()
            tasks.save_claimed(tx, waiting, row.claim, now=now, attempts=row.attempts if died else row.attempts - 1)


def _give_up_unclaimed(service: Service, task: Task) -> None:
    hours = UNCLAIMED // timedelta(hours=1)
    work = _run_of(service, task, service.new_id())
    with service.database.write() as tx:
        image = images.find_for_work(tx, work.image_id)
        if not tasks.claim_this(tx, task, claim=work.claim, worker=service.process.worker, now=service.clock()):
            return
        undone = _undo(service, tx, work, image)
        reason = f"No import worker took the task up within {hours} hours; ask the operator whether one is running"
        failed = task.fail(reason, now=service.clock())
        tasks.save_claimed(tx, failed, work.claim, now=service.clock())
    _announce_failure(service, work, failed, undone)
