"""List the servers and volumes of the cloud: of Nova and Cinder in every region of Keystone's catalog, with the service's account.

What may be incomplete is a problem, never a shorter list. Each service can shorten a list without an error:

- Nova omits the servers of a cell that is down from every page but the first one, and soft-deleted servers from all.
- Cinder ignores `all_tenants` of an account that is no administrator.

So the first page of Nova is requested again after the last one, Cinder is asked for something that only administrators get, and
`has` asks for one server or volume by its id, before anything is concluded from its absence. Links to next pages are not followed:
the account's token is sent only to addresses from the catalog.

Source: Compute API v2.1, "List Servers Detailed" and "Handling Down Cells"; Block Storage API v3, "List accessible volumes with
details"; `cinder.volume.api.API.get_all`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from keystoneauth1 import adapter, exceptions
from keystoneauth1.identity.base import BaseIdentityPlugin

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.use import Resource, UseKind, is_use_id

_TIMEOUT_SECONDS = 60.0
"""Nova takes seconds for a page of a thousand servers."""
_LONGEST_PROJECT_ID = 255
_MICROVERSION = "compute 2.69"
"""The first one that reports servers of cells that are down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Api:
    noun: str
    service_types: frozenset[str]
    version: str
    headers: Mapping[str, str]
    project_field: str


_APIS = {
    UseKind.SERVER: _Api(
        noun="server",
        service_types=frozenset({"compute"}),
        version="/v2.1",
        headers={"OpenStack-API-Version": _MICROVERSION, "Accept": "application/json"},
        project_field="tenant_id",
    ),
    UseKind.VOLUME: _Api(
        noun="volume",
        service_types=frozenset({"block-storage", "block-store", "volumev3"}),
        version="/v3",
        headers={"Accept": "application/json"},
        project_field="os-vol-tenant-attr:tenant_id",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The service of a region that has the servers or the volumes. `url` None: the catalog has no URL of the interface."""

    kind: UseKind
    region: str
    url: str | None

    def __str__(self) -> str:
        return f"The service of {self.kind}s in the region {self.region} ({self.url})"


class ListIncomplete(problems.Unavailable):
    """A service does not list its servers or volumes, or not all of them."""


class Cloud:
    """Nova and Cinder behind one catalog. Immutable."""

    def __init__(self, connection: adapter.Adapter, interface: str) -> None:
        """Send requests over `connection`, whose account may list the servers and volumes of every project."""
        self._connection = connection
        self._interface = interface

    def list_endpoints(self) -> list[Endpoint]:
        """List the endpoints of all regions in the catalog, by kind and region.

        Raises:
            IdentityUnavailable: Keystone does not respond, or refuses the account.
        """
        regions: dict[tuple[UseKind, str], set[str]] = {}
        for service in self._read_catalog():
            for kind, api in _APIS.items():
                if service.get("type") not in api.service_types:
                    continue
                for each in service.get("endpoints", ()):
                    urls = regions.setdefault((kind, str(each.get("region_id") or each.get("region") or "")), set())
                    if each.get("interface") == self._interface:
                        urls.add(_append_version(str(each["url"]), api))
        listed: list[Endpoint] = []
        for (kind, region), urls in sorted(regions.items()):
            named: list[str | None] = [*sorted(urls)]
            listed += [Endpoint(kind=kind, region=region, url=url) for url in named or [None]]
        return listed

    def list_resources(self, endpoint: Endpoint) -> Iterator[Resource]:
        """Yield the servers or volumes of all projects, page by page.

        Raises:
            ListIncomplete: some are missing, perhaps after the others have been yielded.
        """
        if endpoint.kind is UseKind.VOLUME:
            self._request(endpoint, "/os-services", {})
        rows = first = self._read_page(endpoint, None)
        previous: set[str] = set()
        is_complete = True
        while rows:
            found = _parse_page(endpoint, rows)
            yield from found
            is_complete &= len(found) == len(rows)
            ids = {each.use_id for each in found}
            if not found:
                break
            if ids <= previous:
                raise ListIncomplete(f"{endpoint} repeats a page of its list")
            previous = ids
            rows = self._read_page(endpoint, found[-1].use_id)
        if first and endpoint.kind is UseKind.SERVER:
            again = self._read_page(endpoint, None)
            is_complete &= len(_parse_page(endpoint, again)) == len(again)
        if not is_complete:
            raise ListIncomplete(f"{endpoint} does not know the image of some servers, because a cell does not respond")

    def has(self, endpoint: Endpoint, use_id: str) -> bool:
        """Return whether a server or volume of that id exists, in whatever state.

        Raises:
            ListIncomplete: the service does not say.
        """
        if not _is_uuid(use_id):  # a project can record any text, which may be another path of the service
            return False
        noun = _APIS[endpoint.kind].noun
        document = self._request(endpoint, f"/{noun}s/{use_id}", {}, may_lack=True)
        return "itemNotFound" not in document

    def _read_page(self, endpoint: Endpoint, marker: str | None) -> list[Any]:
        # No `limit`: with it Nova would omit the servers of cells that are down from the first page too.
        noun = f"{_APIS[endpoint.kind].noun}s"
        query = {"all_tenants": "1"} if marker is None else {"all_tenants": "1", "marker": marker}
        rows = self._request(endpoint, f"/{noun}/detail", query).get(noun)
        if not isinstance(rows, list):
            raise ListIncomplete(f"{endpoint} sent no list")
        return rows

    def _request(self, endpoint: Endpoint, path: str, query: Mapping[str, str], *, may_lack: bool = False) -> Mapping[str, Any]:
        if endpoint.url is None:
            raise ListIncomplete(f"{endpoint} has no endpoint of the interface {self._interface} in the catalog")
        headers = _APIS[endpoint.kind].headers
        try:
            answer = self._connection.get(
                f"{endpoint.url}{path}",
                params=dict(query),
                headers=dict(headers),
                timeout=_TIMEOUT_SECONDS,
                raise_exc=False,
                log=False,
                connect_retries=1,
            )
        except exceptions.ClientException as error:
            raise ListIncomplete(f"{endpoint} does not respond to {path}") from error
        status, document = answer.status_code, _parse_document(answer)
        if status == HTTPStatus.NOT_FOUND and may_lack and "itemNotFound" in document:
            return document
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ListIncomplete(
                f"{endpoint} does not permit {path}; it needs an account with the role admin, see docs/operating-sharing.md"
            )
        if status != HTTPStatus.OK or not document:
            raise ListIncomplete(f"{endpoint} responded with {status} to {path}")
        wanted = headers.get("OpenStack-API-Version")
        if wanted is not None and answer.headers.get("OpenStack-API-Version") != wanted:
            raise ListIncomplete(f"{endpoint} does not support the microversion {wanted}, which reports cells that are down")
        return document

    def _read_catalog(self) -> list[Mapping[str, Any]]:
        account = self._connection.session.auth
        try:
            if isinstance(account, BaseIdentityPlugin):
                return list(account.get_access(self._connection.session).service_catalog.catalog)
        except exceptions.ClientException as error:
            raise problems.IdentityUnavailable(
                "The identity service does not return its catalog; start it, or correct the identity settings"
            ) from error
        raise problems.IdentityUnavailable("The identity settings name no account that has a catalog")


def _parse_page(endpoint: Endpoint, rows: list[Any]) -> list[Resource]:
    """Read the rows of a page, without servers of cells that are down: their images are unknown."""
    try:
        if endpoint.kind is UseKind.SERVER:
            return [_parse_row(endpoint.kind, row, row["image"], "id") for row in rows if "image" in row]
        return [_parse_row(endpoint.kind, row, row.get("volume_image_metadata"), "image_id") for row in rows]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ListIncomplete(f"{endpoint} does not name the id, the project and the image of each {endpoint.kind}") from error


def _parse_row(kind: UseKind, row: Mapping[str, Any], image: Any, image_field: str) -> Resource:
    use_id, project_id = row["id"], row[_APIS[kind].project_field]
    image_id = (image or {}).get(image_field) or ""
    if not is_use_id(use_id) or not 0 < len(project_id) <= _LONGEST_PROJECT_ID or not f"{project_id}{image_id}".isprintable():
        raise ValueError(row)
    return Resource(
        kind=kind, use_id=use_id, project_id=ProjectID(project_id), image_id=ImageID(str(image_id)) if image_id else None
    )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _append_version(url: str, api: _Api) -> str:
    """Return the URL without a slash at its end, and with the version, once."""
    bare = url.rstrip("/")
    return bare if f"{api.version}/" in f"{bare}/" else f"{bare}{api.version}"


def _parse_document(answer: Any) -> Mapping[str, Any]:
    """Return the JSON document of an answer; an empty one if there is none."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
