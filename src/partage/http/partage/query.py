"""The query string of a list of shares, and the link to its next page."""

from urllib.parse import urlencode

from partage import problems
from partage.http import query_strings
from partage.http.query_strings import Parameters, parse_limit
from partage.model.ids import ImageID, ProjectID
from partage.model.limits import Limits
from partage.model.member import MemberStatus
from partage.model.share import Direction, Share, SharePosition, ShareQuery

NAMES = ("direction", "status", "image", "project", "limit", "marker")


def parse(query: bytes, limits: Limits) -> tuple[ShareQuery, Parameters]:
    """Read a query string; also return it as pairs, for links.

    Raises:
        QueryInvalid: a parameter is unknown, given twice, or has no such value.
    """
    pairs = query_strings.decode(query)
    given = dict(pairs)
    if len(given) < len(pairs):
        raise problems.QueryInvalid("Each parameter of a list of shares is given once")
    unknown = sorted(set(given) - set(NAMES))
    if unknown:
        raise problems.QueryInvalid(f"There is no parameter {unknown[0][:64]!r}; a list of shares takes {', '.join(NAMES)}")
    found = ShareQuery(
        direction=Direction(_choose(given.get("direction", Direction.IN), "direction", tuple(Direction))),
        limit=parse_limit(given.get("limit"), limits.page_default, limits.page_max),
        status=MemberStatus(_choose(given["status"], "status", tuple(MemberStatus))) if "status" in given else None,
        image_id=ImageID(given["image"]) if "image" in given else None,
        project_id=ProjectID(given["project"]) if "project" in given else None,
        after=SharePosition.parse(given["marker"]) if "marker" in given else None,
    )
    return found, pairs


def link(path: str, pairs: Parameters, last: Share) -> str:
    """Write the path of the page after this share."""
    kept = [pair for pair in pairs if pair[0] != "marker"]
    return f"{path}?{urlencode([*kept, ('marker', SharePosition.after(last).marker)])}"


def _choose(value: str, name: str, options: tuple[str, ...]) -> str:
    if value not in options:
        raise problems.QueryInvalid(f"{name} must be one of {', '.join(options)}")
    return value
