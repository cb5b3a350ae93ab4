"""Handlers of uses: record, release, list; and the counts of each project for an image's owner."""

from http import HTTPStatus

from partage import problems
from partage.http.messages import Reply, Request, json_reply
from partage.http.partage import paths, query, use_json
from partage.http.partage.share_json import Document
from partage.model.ids import ProjectID
from partage.model.use import UseKey, UseKind, UseQuery, parse_kind, parse_use_id
from partage.operations.sharing import uses

_LONGEST_PROJECT_ID = 255


async def record_use(request: Request) -> Reply:
    """Record that a server or volume depends on the image."""
    return json_reply(use_json.use_to_json(await request.run(uses.record_use, _read_key(request))))


async def release_use(request: Request) -> Reply:
    """Release a use, also after access has ended."""
    await request.run(uses.release_use, _read_key(request))
    return Reply(status=HTTPStatus.NO_CONTENT)


async def list_uses(request: Request) -> Reply:
    """List the uses of an image by the caller's project, or by one for which a service acts."""
    given, pairs = query.read_parameters(request.query, query.USES_NAMES, "a list of uses")
    asked = UseQuery(
        image_id=request.image_id,
        project_id=_read_project(request, given.get("project")),
        limit=query.read_limit(given, request.edge.service.limits),
        after=_read_position(given.get("marker")),
    )
    found = await request.run_listing(uses.list_uses, asked)
    page = found[: asked.limit]
    document: Document = {"uses": [use_json.use_to_json(each) for each in page]}
    if page and len(found) > len(page):
        last = page[-1].key
        document["next"] = query.link(paths.USES.format(image_id=request.image_id), pairs, f"{last.kind}/{last.use_id}")
    return json_reply(document)


async def count_uses(request: Request) -> Reply:
    """List how many uses each member has of the image, and when it used the image last; count other projects that use it."""
    given, pairs = query.read_parameters(request.query, query.COUNTS_NAMES, "a list of projects")
    limit = query.read_limit(given, request.edge.service.limits)
    after = ProjectID(given["marker"]) if "marker" in given else None
    found, other_users = await request.run_listing(uses.count_uses, request.image_id, limit=limit, after=after)
    page = found[:limit]
    document: Document = {"projects": [use_json.project_to_json(each) for each in page], "other_users": other_users}
    if page and len(found) > len(page):
        path = f"{paths.USES}/projects".format(image_id=request.image_id)
        document["next"] = query.link(path, pairs, page[-1].project_id)
    return json_reply(document)


def _read_key(request: Request) -> UseKey:
    given, _pairs = query.read_parameters(request.query, ("project",), "a use")
    return UseKey(
        image_id=request.image_id,
        project_id=_read_project(request, given.get("project")),
        kind=parse_kind(request.path["kind"]),
        use_id=parse_use_id(request.path["use_id"]),
    )


def _read_project(request: Request, named: str | None) -> ProjectID:
    if named is not None and len(named) > _LONGEST_PROJECT_ID:
        raise problems.QueryInvalid(f"The id of a project has at most {_LONGEST_PROJECT_ID} characters")
    return ProjectID(named or request.caller.project_id or "")


def _read_position(marker: str | None) -> tuple[UseKind, str] | None:
    if marker is None:
        return None
    kind, _slash, use_id = marker.partition("/")
    try:
        return parse_kind(kind), parse_use_id(use_id)
    except problems.Invalid as problem:
        raise problems.QueryInvalid("The marker is not one of this service; follow the link next of a page") from problem
