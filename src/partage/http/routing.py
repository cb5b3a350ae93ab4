"""Routes as rows of a table, and the tree in which a path is looked up. Every API of the service has a table of its own."""

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
    """One route. Parameters of the path are in braces and match one non-empty part of it."""

    method: str
    path: str
    handler: Handler
    rule: str | None
    status: HTTPStatus
    body: Body = Body.REFUSED


@dataclass(slots=True)
class Node:
    """One place in the tree of paths. Built once, read ever after."""

    named: dict[str, "Node"] = field(default_factory=dict)
    parameter: str | None = None
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def allowed(self) -> tuple[str, ...]:
        """Name the methods that this path takes."""
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
    """Find the place that a path below the prefix leads to, and the values of its parameters; None when it leads nowhere."""
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
