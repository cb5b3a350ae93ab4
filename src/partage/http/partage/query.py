"""The query strings of lists, and the link to the next page."""

from collections.abc import Mapping
from urllib.parse import urlencode

from partage import problems
from partage.http import query_strings
from partage.http.query_strings import Parameters, parse_limit
from partage.model.ids import ImageID, ProjectID
from partage.model.limits import Limits
from partage.model.member import MemberStatus
from partage.model.share import Direction, SharePosition, ShareQuery

USES_NAMES = ("project", "limit", "marker")
COUNTS_NAMES = ("limit", "marker")
EVENTS_NAMES = ("after", "limit", "project")
NAMES = ("direction", "status", "image", "project", "limit", "marker")


def parse(query: bytes, limits: Limits) -> tuple[ShareQuery, Parameters]:
    """Read a query string; also return it as pairs, for links.

    Raises:
        QueryInvalid: a parameter is unknown, given twice, or has no such value.
    """
    given, pairs = read_parameters(query, NAMES, "a list of shares")
    found = ShareQuery(
        direction=Direction(_choose(given.get("direction", Direction.IN), "direction", tuple(Direction))),
        limit=read_limit(given, limits),
        status=MemberStatus(_choose(given["status"], "status", tuple(MemberStatus))) if "status" in given else None,
        image_id=ImageID(given["image"]) if "image" in given else None,
        project_id=ProjectID(given["project"]) if "project" in given else None,
        after=SharePosition.parse(given["marker"]) if "marker" in given else None,
    )
    return found, pairs


def link(path: str, pairs: Parameters, marker: str) -> str:
    """Write the path of the page after a marker."""
    kept = [pair for pair in pairs if pair[0] != "marker"]
    return f"{path}?{urlencode([*kept, ('marker', marker)])}"


def read_parameters(query: bytes, names: tuple[str, ...], subject: str) -> tuple[Mapping[str, str], Parameters]:
    """Read the parameters of a query string by name; also return them as pairs, for links.

    Raises:
        QueryInvalid: a parameter is not among the names, or is given twice.
    """
    pairs = query_strings.decode(query)
    given = dict(pairs)
    if len(given) < len(pairs):
        raise problems.QueryInvalid(f"Each parameter of {subject} is given once")
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise problems.QueryInvalid(f"There is no parameter {unknown[0][:64]!r}; {subject} takes {', '.join(names) or 'none'}")
    return given, pairs


def read_limit(given: Mapping[str, str], limits: Limits) -> int:
    """Read the size of a page.

    Raises:
        QueryInvalid: it is not a number in digits of ASCII. The Image API takes every number that Python reads, as Glance does.
    """
    limit = given.get("limit", "")
    if limit and not limit.removeprefix("-").isascii():
        raise problems.QueryInvalid("limit must be a number")
    return parse_limit(given.get("limit"), limits.page_default, limits.page_max)


def _choose(value: str, name: str, options: tuple[str, ...]) -> str:
    if value not in options:
        raise problems.QueryInvalid(f"{name} must be one of {', '.join(options)}")
    return value
