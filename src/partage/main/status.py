"""`partage manage status`: the state of the service on one screen of 80 columns, or as JSON."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

import partage
from partage import problems
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.model.maintenance import MaintenanceJob, MaintenanceState
from partage.model.original import CuttingProgress
from partage.model.process_state import Condition, ProcessState, Purpose
from partage.operations import cutting, maintenance, observation, processes
from partage.operations.observation import Sizes, StoreState, Work, WorkerState

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_SHOWN_WORKERS = 8
_LONGEST_HOST = 20


def print_status(settings: Settings, *, as_json: bool) -> int:
    """Print the state of the service; return 1 if a store is missing.

    Raises:
        DatabaseUnavailable: the database does not answer, or has the schema of another release.
    """
    readiness.require_data(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        now = service.clock()
        work, sizes = observation.observe_work(service), observation.observe_sizes(service)
        stores, workers = observation.observe_stores(service), observation.observe_workers(service)
        maintainer = observation.observe_maintainer(service)
        progress = cutting.measure_progress(service)
        reported, jobs = processes.list_with_condition(service), maintenance.list_states(service)
        found = {"version": partage.__version__, "database": service.database.dialect, "schema": observation.find_schema(service)}
    if as_json:
        document = {**found, "at": now, "work": asdict(work), "sizes": asdict(sizes)}
        document |= {"stores": [asdict(each) for each in stores], "workers": [asdict(each) for each in workers]}
        document["processes"] = [{**asdict(state), "condition": condition} for state, condition in reported]
        document["maintainer"] = None if maintainer is None else asdict(maintainer)
        document |= {"maintenance": [asdict(each) for each in jobs], "taken_over": asdict(progress)}
        print(json.dumps(document, default=_write, indent=2))
    else:
        print(f"Partage {found['version']}, {found['database']} with schema {found['schema']}")
        running = (
            *_list_processes(reported, now),
            *_list_work(work, workers, now),
            _describe_maintainer(maintainer, now),
            *_list_jobs(jobs, now),
        )
        for line in (*_list_stores(stores, sizes), *running, *_list_sizes(sizes), *_list_taken_over(progress)):
            print(line)
    return 1 if any(each.problem for each in stores) else 0


def _list_stores(stores: list[StoreState], sizes: Sizes) -> Iterator[str]:
    for each in stores:
        access = "read only" if each.read_only else "writable"
        stored = _size(sizes.stored_bytes.get(each.id, 0))
        yield f"Store {each.id:<14} {each.type}, {access}, {stored} stored, {'MISSING' if each.problem else 'there'}"
        if each.problem:
            yield f"  {each.problem}"


def _list_processes(reported: list[tuple[ProcessState, Condition]], now: datetime) -> Iterator[str]:
    """List the processes of each host together; a release other than this one is named, as during an upgrade."""
    conditions = Counter(condition for _, condition in reported)
    others = [f"{conditions[each]} {each.value}" for each in (Condition.SILENT, Condition.DEAD) if each in conditions]
    yield f"Processes            {', '.join([f'{conditions[Condition.RUNS]} run', *others])}"
    groups: defaultdict[tuple[str, str, Condition], list[ProcessState]] = defaultdict(list)
    for state, condition in reported:
        groups[state.host, state.version, condition].append(state)
    for (host, version, condition), states in [*groups.items()][:_SHOWN_WORKERS]:
        purposes = Counter(each.purpose for each in states)
        parts = [f"{purposes[each]} {each.value}" for each in Purpose if each in purposes]
        if condition is not Condition.RUNS:
            parts.append(f"{condition.value}, seen {_age(max(each.seen_at for each in states), now)} ago")
        yield f"  {host[:_LONGEST_HOST]}: {', '.join(parts)}{'' if version == partage.__version__ else f', Partage {version}'}"
    if len(groups) > _SHOWN_WORKERS:
        yield f"  and {len(groups) - _SHOWN_WORKERS} more"


def _list_work(work: Work, workers: list[WorkerState], now: datetime) -> Iterator[str]:
    tasks = ", ".join(f"{count} {status.value}" for status, count in work.tasks.items())
    yield f"Import tasks         {tasks}"
    if work.oldest_waiting_at is not None:
        yield f"Oldest waiting task  {_age(work.oldest_waiting_at, now)}"
    yield f"Uploads              {work.uploads} running"
    yield f"Busy workers         {len(workers)}"
    for each in workers[:_SHOWN_WORKERS]:
        host = each.worker.partition("/")[0]
        yield f"  {host}: {each.uploads} uploads, {each.tasks} imports, {_describe_life(each, now)}"
    if len(workers) > _SHOWN_WORKERS:
        yield f"  and {len(workers) - _SHOWN_WORKERS} more"


def _describe_maintainer(maintainer: WorkerState | None, now: datetime) -> str:
    """Say which process did maintenance last: without one that lives, nothing sweeps."""
    if maintainer is None:
        return "Maintained by        no process yet"
    host = maintainer.worker.partition("/")[0][:_LONGEST_HOST]
    seen = "" if maintainer.lives is None else f", seen {_age(maintainer.renewed_at, now)} ago"
    return f"Maintained by        {host}, {_describe_life(maintainer, now)}{seen}"


def _list_jobs(jobs: list[MaintenanceState], now: datetime) -> Iterator[str]:
    if not any(each.job is MaintenanceJob.SWEEP for each in jobs):
        yield "Sweep                never"
    for each in jobs:
        last = "never" if each.succeeded_at is None else f"{_age(each.succeeded_at, now)} ago"
        parts = [last, *(["running"] if each.token else []), *([f"{each.failures} failures since"] if each.failures else [])]
        if each.due_at is not None and not each.token:
            parts.append(f"next in {_age(now, each.due_at)}" if each.due_at > now else "due")
        yield f"{each.job.value.capitalize():<20} {', '.join(parts)}"


def _describe_life(worker: WorkerState, now: datetime) -> str:
    if worker.lives is None:
        return f"on another host, seen {_age(worker.renewed_at, now)} ago"
    return "lives" if worker.lives else "dead"


def _list_sizes(sizes: Sizes) -> Iterator[str]:
    yield f"Images               {sizes.images}, and {sizes.restorable_images} deleted ones that can be restored"
    yield f"Logical bytes        {_size(sizes.logical_bytes)}: all images"
    yield f"Different contents   {_size(sizes.content_bytes)}: images with the same data count once"
    yield f"Different chunks     {_size(sum(sizes.unique_bytes.values()))}: equal parts of images count once, in each store"
    yield f"Stored bytes         {_size(sum(sizes.stored_bytes.values()))}: compressed, also what a sweep will free"


def _list_taken_over(progress: CuttingProgress) -> Iterator[str]:
    """Say how far the data of a Glance is cut into chunks, if one was taken over."""
    if progress.contents:
        sizes = f"{_size(progress.cut_bytes)} of {_size(progress.size_bytes)}"
        faults = f", {progress.faults} failed; see the log" if progress.faults else ""
        yield f"Taken over           {progress.cut_contents} of {progress.contents} contents in chunks, {sizes}{faults}"


def _size(size_bytes: int) -> str:
    amount, unit = float(size_bytes), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - of the units above
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{size_bytes} bytes"


def _age(moment: datetime, now: datetime) -> str:
    seconds = max(0, int((now - moment).total_seconds()))
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"  # noqa: PLR2004 - two hours


def _write(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, problems.Problem):
        return str(value)
    raise TypeError(value)
