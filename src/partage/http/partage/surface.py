"""The sharing API as a surface."""

from dataclasses import replace
from functools import partial

from partage.http.incoming import Incoming
from partage.http.messages import Header, Reply, Request
from partage.http.partage import discovery, errors, openapi, partial_uploads, paths, query
from partage.http.partage.descriptions import DESCRIPTIONS
from partage.http.partage.routes import ROWS
from partage.http.routing import Row, build_tree, find
from partage.http.surface import Surface
from partage.operations.service import Service

_UPLOADS = build_tree((row for row in ROWS if row.path == paths.UPLOAD), paths.PREFIX)


def build(service: Service) -> Surface:
    """Build the surface of the sharing API."""
    described = openapi.reply()
    describe = partial(discovery.describe, service)
    return Surface(
        tree=build_tree(map(_refuse_parameters, ROWS), paths.PREFIX),
        find_path=_find_path,
        render=errors.reply_to,
        render_unexpected=errors.reply_to_unexpected,
        describe_options=partial(_describe_options, service),
        documents={
            paths.ROOT: describe,
            f"{paths.ROOT}/": describe,
            paths.PREFIX: describe,
            f"{paths.PREFIX}/": describe,
            paths.OPENAPI: lambda _incoming: described,
        },
    )


def _describe_options(service: Service, path: str) -> tuple[Header, ...]:
    """Tell the limits of a resumable upload before it begins, of any image: they are the same for all."""
    found = find(_UPLOADS, path.split("/"))
    return () if found is None else partial_uploads.list_options(service.limits.image_size_cap_bytes)


def _refuse_parameters(row: Row) -> Row:
    """Let a route without parameters refuse every query string. The handlers of other routes refuse unknown parameters."""
    if DESCRIPTIONS[f"{row.method} {row.path}"].query:
        return row

    async def handle(request: Request) -> Reply:
        query.read_parameters(request.query, (), "this request")
        return await row.handler(request)

    return replace(row, handler=handle)


def _find_path(incoming: Incoming) -> str | None:
    """Find the path below the prefix. Below `/partage` everything is this API's, so that a wrong version is not found."""
    path = incoming.path
    if path != paths.ROOT and not path.startswith(f"{paths.ROOT}/"):
        return None
    return path.removeprefix(f"{paths.PREFIX}/") if path.startswith(f"{paths.PREFIX}/") else path
