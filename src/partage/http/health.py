"""The health check of one process, below `/healthcheck`, and its readiness, at `/readiness`. Neither needs a token."""

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from partage.http.media_types import prefers_json
from partage.http.messages import Reply, json_reply
from partage.operations.readiness import Dependency

HEALTH = "/healthcheck"
READINESS = "/readiness"


def check(method: str, accept: str | None, *, is_draining: bool, disabled_by: Path | None = None) -> Reply:
    """Report whether this process accepts new requests, at every path below `/healthcheck`: not while it stops.

    An operator disables it with the file `disabled_by`.
    Source: oslo.middleware's healthcheck with disable_by_file, as Glance has it.
    """
    status, reason = HTTPStatus.OK, "OK"
    if is_draining:
        status, reason = HTTPStatus.SERVICE_UNAVAILABLE, "STOPPING"
    elif disabled_by is not None and disabled_by.exists():
        status, reason = HTTPStatus.SERVICE_UNAVAILABLE, "DISABLED BY FILE"
    if method == "HEAD":
        return Reply(status=HTTPStatus.NO_CONTENT if status is HTTPStatus.OK else status)
    if prefers_json(accept):
        written = json_reply({"detailed": False, "reasons": [reason]})
        return Reply(status=status, body=written.body, content_type=written.content_type)
    return Reply(status=status, body=reason.encode(), content_type=b"text/plain; charset=UTF-8")


def report_readiness(dependencies: Sequence[Dependency], *, is_draining: bool) -> Reply:
    """Report which dependency is missing and since when: 503 if any is, or while the process stops. Reasons are in the log only."""
    is_ready = not is_draining and all(each.is_ready for each in dependencies)
    written = json_reply(
        {
            "ready": is_ready,
            "stopping": is_draining,
            "dependencies": [{"name": each.name, "ready": each.is_ready, "since": each.since} for each in dependencies],
        }
    )
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Reply(status=status, body=written.body, content_type=written.content_type, headers=((b"cache-control", b"no-store"),))
