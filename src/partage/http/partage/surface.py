"""The sharing API as a surface."""

from functools import partial

from partage.http.incoming import Incoming
from partage.http.partage import discovery, errors, openapi
from partage.http.partage.routes import PREFIX, ROWS
from partage.http.routing import build_tree
from partage.http.surface import Surface
from partage.operations.service import Service


def build(service: Service) -> Surface:
    """Build the surface of the sharing API."""
    described = openapi.reply()
    describe = partial(discovery.describe, service)
    return Surface(
        tree=build_tree(ROWS, PREFIX),
        find_path=_find_path,
        render=errors.reply_to,
        render_unexpected=errors.reply_to_unexpected,
        documents={
            discovery.PATH: describe,
            PREFIX: describe,
            f"{PREFIX}/": describe,
            discovery.OPENAPI_PATH: lambda _incoming: described,
        },
    )


def _find_path(incoming: Incoming) -> str | None:
    path = incoming.path
    if path in (discovery.PATH, PREFIX) or path.startswith(f"{PREFIX}/"):
        return path.removeprefix(PREFIX).removeprefix("/")
    return None
