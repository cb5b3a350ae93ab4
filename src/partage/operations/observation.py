"""What an operator wants to know of the whole service: tasks, uploads, and how much data there is. Read from the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from partage import problems
from partage.model.maintenance import MaintenanceJob
from partage.model.task import TaskStatus
from partage.operations.service import NamedStore, Service
from partage.records import maintenance, schema, statistics, store_identities, tasks, uploads
from partage.records.store_identities import KnownStore
from partage.stores import identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work at one moment. `tasks` has every status. `oldest_waiting_at` is None if no task waits for a worker."""

    tasks: Mapping[TaskStatus, int]
    oldest_waiting_at: datetime | None
    uploads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much there is.

    Bytes of all images are `logical_bytes`. Images with the same data count once in `content_bytes`; equal chunks of different
    data count once in a store's `unique_bytes`, and compressed in its `stored_bytes`, together with what a sweep will free.
    """

    images: int
    restorable_images: int
    logical_bytes: int
    content_bytes: int
    unique_bytes: Mapping[str, int]
    stored_bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """A store; `problem` says what is wrong with it, or is empty."""

    id: str
    type: str
    read_only: bool
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A process with running work. `lives` is None for a process of another host, whose last heartbeat was at `renewed_at`."""

    worker: str
    lives: bool | None
    uploads: int
    tasks: int
    renewed_at: datetime


def observe_work(service: Service) -> Work:
    """Count tasks and uploads. Takes milliseconds.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        counted = statistics.count_tasks(tx)
        return Work(
            tasks={each: counted.get(each, 0) for each in TaskStatus},
            oldest_waiting_at=statistics.find_oldest_waiting(tx),
            uploads=statistics.count_uploads(tx),
        )


def observe_sizes(service: Service) -> Sizes:
    """Sum the sizes of everything. Reads every row of an image, a chunk and a pack.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        unique, stored = statistics.sum_chunks(tx), statistics.sum_packs(tx)
        return Sizes(
            images=statistics.count_images(tx),
            restorable_images=statistics.count_pending_deletes(tx),
            logical_bytes=statistics.sum_logical(tx),
            content_bytes=statistics.sum_contents(tx),
            unique_bytes={each: unique.get(each, 0) for each in service.stores.by_id},
            stored_bytes={each: stored.get(each, 0) for each in service.stores.by_id},
        )


def observe_stores(service: Service) -> list[StoreState]:
    """Look whether every store answers and is the one that the database knows. Claims none, and writes nothing.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        known = store_identities.list_stores(tx)
    return [_observe_store(named, known.get(named.id)) for named in service.stores.by_id.values()]


def _observe_store(named: NamedStore, known: KnownStore | None) -> StoreState:
    problem = ""
    try:
        found = identity.read(named.store)
        if known is not None and (found is None or found.store != known.identity):
            problem = "It is not the store that the database knows; is it mounted?"
    except problems.StoreUnavailable as unavailable:
        problem = str(unavailable)
    return StoreState(id=named.id, type=named.type, read_only=named.read_only, problem=problem)


def observe_workers(service: Service) -> list[WorkerState]:
    """List the processes that run uploads or imports, by name.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        uploading, importing = uploads.list_uploads(tx), tasks.list_running(tx)
    beats = [*((row.worker, row.renewed_at) for row in uploading), *((row.worker, row.renewed_at) for row in importing)]
    return [
        WorkerState(
            worker=name,
            lives=service.process.worker_lives(name),
            uploads=sum(row.worker == name for row in uploading),
            tasks=sum(row.worker == name for row in importing),
            renewed_at=max(renewed_at for worker, renewed_at in beats if worker == name),
        )
        for name in sorted({worker for worker, _ in beats})
    ]


def observe_maintainer(service: Service) -> WorkerState | None:
    """Find the process that removed expired rows last, as one of the programs does every minute; None if none ever did.

    It is the sign of life that every deployment leaves, also one in which nobody works.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        state = maintenance.find(tx, MaintenanceJob.EXPIRY)
    seen_at = None if state is None else state.renewed_at or state.ended_at
    if state is None or state.worker is None or seen_at is None:
        return None
    lives = service.process.worker_lives(state.worker)
    return WorkerState(worker=state.worker, lives=lives, uploads=0, tasks=0, renewed_at=seen_at)


def find_schema(service: Service) -> str:
    """Return the version of the database's schema; empty if there is none.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    return schema.find_version(service.database) or ""
