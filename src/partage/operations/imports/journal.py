"""The log of imports: one line when a worker begins one, and one when it ends, with the reason of a failure.

No line has a URL: what a user imports from may contain a password or a signature.
"""

import logging
from datetime import datetime

from partage.measures import IMPORTS, Fact
from partage.model.task import Task
from partage.operations.service import Service

_LOG = logging.getLogger("partage.imports")


def log_begin(task: Task, *, method: str) -> None:
    """Log that a worker begins an import, for the first time or again."""
    _LOG.info("import begins", extra={**describe(task), "method": method})


def log_success(service: Service, task: Task, *, began_at: datetime, size_bytes: int) -> None:
    """Log that an import has succeeded; `began_at` is when this worker took it up."""
    service.process.meter.add(IMPORTS, task.type.value, "succeeded")
    _LOG.info("import succeeded", extra={**describe(task), **_measure(task, began_at), "bytes": size_bytes})


def log_failure(service: Service, task: Task, *, began_at: datetime) -> None:
    """Log that an import has failed, with the reason that its owner reads in the task."""
    service.process.meter.add(IMPORTS, task.type.value, "failed")
    _LOG.info("import failed", extra={**describe(task), **_measure(task, began_at), "reason": task.message})


def describe(task: Task) -> dict[str, Fact]:
    """Return what lines of the log, and the trace, say of a task."""
    return {
        "task": task.id,
        "image": task.image_id or "-",
        "type": task.type.value,
        "project": task.owner,
        "user": task.user_id or "-",
        "request_id": task.request_id or "-",
    }


def _measure(task: Task, began_at: datetime) -> dict[str, object]:
    return {"seconds": round(max(0.0, (task.updated_at - began_at).total_seconds()), 1)}
