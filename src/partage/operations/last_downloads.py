"""When each project downloaded an image last: noted in memory, and written to the database once in a while.

A download writes nothing. What a process had not written is lost when it is killed: the recorded date is older then, never newer.
"""

from partage import problems
from partage.operations.service import Service
from partage.records import uses

WRITE_SECONDS = 60.0
"""How often a process writes what it has noted: a date appears within this time."""

_ROWS_AT_ONCE = 500


def write(service: Service) -> int:
    """Write what this process has noted; return how many dates.

    Raises:
        DatabaseUnavailable: the database does not respond. What is not written yet stays noted.
    """
    noted = service.process.last_downloads.take()
    try:
        pairs = sorted(noted)
        for start in range(0, len(pairs), _ROWS_AT_ONCE):
            with service.database.write() as tx:
                uses.note_downloads(tx, {pair: noted[pair] for pair in pairs[start : start + _ROWS_AT_ONCE]})
    except problems.Unavailable:
        service.process.last_downloads.put_back(noted)
        raise
    return len(noted)


def write_at_stop(service: Service) -> None:
    """Write what is left when the process stops. It stops too when the database does not respond."""
    try:
        write(service)
    except problems.Unavailable as problem:
        service.process.failures.note(problem, "the dates of the last downloads were not recorded")
