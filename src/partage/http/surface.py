"""A surface: one API of the service under its own prefix, with its own routes, form of errors and OpenAPI document.

`http/v2/surface.py` and `http/partage/surface.py` build the two that there are; `http/app.py` serves them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from partage import problems
from partage.http.errors import FailedRequest
from partage.http.incoming import Incoming
from partage.http.messages import Header, Reply
from partage.http.routing import Node

OpenReply = Callable[[Incoming], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """One API. The application asks `find_path` of each surface in turn; the first that returns a path answers the request.

    `find_path` returns the part of the path below the prefix, without a slash in front, or None for a request of another surface.
    `describe_options` returns the headers of the reply to OPTIONS of a path below the prefix. `documents` are replies by whole
    path to GET and HEAD that need no token. `answer_root` replies to the prefix itself, once the caller is known; None where
    that path is a route like others.
    """

    tree: Node
    find_path: Callable[[Incoming], str | None]
    render: Callable[[problems.Problem, FailedRequest], Reply]
    render_unexpected: Callable[[FailedRequest], Reply]
    documents: Mapping[str, OpenReply] = field(default_factory=dict)
    describe_options: Callable[[str], tuple[Header, ...]] = lambda _path: ()
    answer_root: Callable[[Incoming], Reply | None] = lambda _incoming: None
