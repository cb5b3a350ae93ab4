"""Route tables, and the tree that finds the route of a path. Every API has its own table."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus

from partage.http.messages import Reply, Request

Handler = Callable[[Request], Awaitable[Reply]]


class Body(Enum):
    """What a route does with a request's body."""

    REFUSED = auto()
    TAKEN = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """One route. A parameter of the path is in braces, and matches one non-empty part."""

    method: str
    path: str
    handler: Handler
    rule: str | None
    status: HTTPStatus
    body: Body = Body.REFUSED


@dataclass(slots=True)
class Node:
    """One node in the tree of paths. It does not change after the tree is built."""

    named: dict[str, "Node"] = field(default_factory=dict)
    parameter: str | None = None
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Return the template of the path, which all rows of a node share."""
        return next(iter(self.rows.values())).path

    @property
    def allowed(self) -> tuple[str, ...]:
        """Return the methods of this path."""
        return tuple(self.rows)


def build_tree(rows: Iterable[Row], prefix: str) -> Node:
    """Arrange rows by the parts of their paths below `prefix`."""
    root = Node()
    for row in rows:
        node = root
        for part in row.path.removeprefix(f"{prefix}/").split("/"):
            if part.startswith("{"):
                node.parameter = part.strip("{}")
                part = ""  # noqa: PLW2901 - no part of a path is empty, so this names the parameter's own branch
            node = node.named.setdefault(part, Node())
        node.rows[row.method] = row
        if row.method == "GET":
            node.rows["HEAD"] = row
    return root


def find(root: Node, parts: Iterable[str]) -> tuple[Node, Mapping[str, str]] | None:
    """Find the node of a path below the prefix, and the values of its parameters. None if no route has this path."""
    node = root
    values: dict[str, str] = {}
    for part in parts:
        if not part:
            return None
        following = node.named.get(part)
        if following is None:
            if node.parameter is None:
                return None
            values[node.parameter] = part
            following = node.named[""]
        node = following
    return (node, values) if node.rows else None
