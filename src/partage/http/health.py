"""The health check of one process, below `/healthcheck`."""

from http import HTTPStatus

from partage.http.media_types import choose_form
from partage.http.messages import Reply, json_reply


def check(method: str, accept: str | None, *, is_draining: bool) -> Reply:
    """Report whether this process accepts new requests, at every path below `/healthcheck`: not while it stops.

    Source: oslo.middleware's healthcheck, as Glance has it; there an operator disables it by a file.
    """
    status, reason = (HTTPStatus.SERVICE_UNAVAILABLE, "STOPPING") if is_draining else (HTTPStatus.OK, "OK")
    if method == "HEAD":
        return Reply(status=status if is_draining else HTTPStatus.NO_CONTENT)
    if choose_form(accept) == "application/json":
        written = json_reply({"detailed": False, "reasons": [reason]})
        return Reply(status=status, body=written.body, content_type=written.content_type)
    return Reply(status=status, body=reason.encode(), content_type=b"text/plain; charset=UTF-8")
