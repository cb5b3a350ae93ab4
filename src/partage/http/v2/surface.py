"""The Image API as a surface: any served version is a prefix, in the path or in a media type of the Accept header."""

from http import HTTPStatus

from partage.http.incoming import Incoming
from partage.http.messages import Reply
from partage.http.options import EdgeOptions
from partage.http.routing import build_tree
from partage.http.surface import Surface
from partage.http.v2 import discovery, errors, openapi
from partage.http.v2.paths import PREFIX
from partage.http.v2.routes import ROWS

OPENAPI_PATH = "/partage/v1/openapi/image-api-v2.json"
"""Glance does not serve this document, so its path is outside the Image API."""

_MEDIA_TYPE_VERSION = "application/vnd.openstack.images-"


def build(options: EdgeOptions) -> Surface:
    """Build the surface of the Image API."""
    described = openapi.reply(options.formats)

    def find_path(incoming: Incoming) -> str | None:
        version, rest = _split(incoming)
        return rest if discovery.is_version(version, with_cache=options.has_cache) else None

    return Surface(
        tree=build_tree(ROWS, PREFIX),
        find_path=find_path,
        render=errors.reply_to,
        render_unexpected=errors.reply_to_unexpected,
        documents={OPENAPI_PATH: lambda _incoming: described},
        answer_root=_redirect,
    )


def list_versions(incoming: Incoming, options: EdgeOptions) -> Reply:
    """List the versions: 200 at `/versions`, and 300 at every path that belongs to no surface."""
    is_asked_for = incoming.path.lstrip("/").partition("/")[0] == "versions"
    status = HTTPStatus.OK if is_asked_for else HTTPStatus.MULTIPLE_CHOICES
    return discovery.versions(incoming.origin, status, with_cache=options.has_cache)


def _split(incoming: Incoming) -> tuple[str, str]:
    accept = incoming.header(b"accept") or ""
    first, _, rest = incoming.path.lstrip("/").partition("/")
    if accept.startswith(_MEDIA_TYPE_VERSION) and first != "versions":
        return accept.removeprefix(_MEDIA_TYPE_VERSION), incoming.path.removeprefix("/")
    return first, rest


def _redirect(incoming: Incoming) -> Reply | None:
    # A path with a second slash is not the prefix alone. This saves most requests from being split twice.
    if "/" in incoming.path[1:] or incoming.path != f"/{_split(incoming)[0]}":
        return None
    location = ((b"location", f"{incoming.origin}{PREFIX}/".encode()),)
    return Reply(status=HTTPStatus.FOUND, content_type=b"text/plain; charset=utf8", headers=location)
