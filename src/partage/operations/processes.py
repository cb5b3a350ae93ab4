"""Processes report themselves, so that an operator sees who runs, also when nobody has work.

Only for people: whether a worker is dead, and its work can be given up, is decided by `operations/recovery.py`.
"""

from datetime import datetime, timedelta

import partage
from partage.model.process_state import Condition, ProcessState, Purpose
from partage.operations.service import Service
from partage.records import processes

_KEPT = timedelta(hours=1)
"""For how long a process that has died without a word is shown."""


def report(service: Service, purpose: Purpose, started_at: datetime) -> None:
    """Record that this process runs at this moment.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    worker, now = service.process.worker, service.clock()
    state = ProcessState(worker=worker, purpose=purpose, version=partage.__version__, started_at=started_at, seen_at=now)
    with service.database.write() as tx:
        processes.write(tx, state)


def withdraw(service: Service) -> None:
    """Record that this process has ended.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    with service.database.write() as tx:
        processes.remove(tx, service.process.worker)


def list_with_condition(service: Service) -> list[tuple[ProcessState, Condition]]:
    """Return the processes that run, and those that have died within the last hour, by name.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    with service.database.read() as tx:
        states = processes.list_all(tx)
    lives, now = service.process.worker_lives, service.clock()
    return [(each, each.judge(lives=lives(each.worker), now=now)) for each in states]


def remove_silent(service: Service) -> int:
    """Forget processes that have not reported themselves for an hour; return how many.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    with service.database.write() as tx:
        return processes.remove_unseen(tx, since=service.clock() - _KEPT)
