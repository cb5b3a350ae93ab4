"""The sharing API as a surface."""

from functools import partial

from partage.http.incoming import Incoming
from partage.http.partage import discovery, errors, openapi, paths
from partage.http.partage.routes import ROWS
from partage.http.routing import build_tree
from partage.http.surface import Surface
from partage.operations.service import Service


def build(service: Service) -> Surface:
    """Build the surface of the sharing API."""
    described = openapi.reply()
    describe = partial(discovery.describe, service)
    return Surface(
        tree=build_tree(ROWS, paths.PREFIX),
        find_path=_find_path,
        render=errors.reply_to,
        render_unexpected=errors.reply_to_unexpected,
        documents={
            paths.ROOT: describe,
            f"{paths.ROOT}/": describe,
            paths.PREFIX: describe,
            f"{paths.PREFIX}/": describe,
            paths.OPENAPI: lambda _incoming: described,
        },
    )


def _find_path(incoming: Incoming) -> str | None:
    """Find the path below the prefix. Below `/partage` everything is this API's, so that a wrong version is not found."""
    path = incoming.path
    if path != paths.ROOT and not path.startswith(f"{paths.ROOT}/"):
        return None
    return path.removeprefix(f"{paths.PREFIX}/") if path.startswith(f"{paths.PREFIX}/") else path
