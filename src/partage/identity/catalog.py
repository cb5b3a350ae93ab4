"""Find the image service of another region in Keystone's catalog, with the user's own token.

A user's token is sent only to addresses from this catalog. Nothing is cached: an import waits for a worker anyway.

Source: Identity API v3, "Get service catalog".
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from keystoneauth1 import adapter, exceptions

from partage import problems

SERVICE_TYPE = "image"
_NO_RESPONSE = (
    "The identity service did not return its catalog, which has the other region's image service; request the import again"
)


class Catalog:
    """The catalog behind one connection. Thread-safe: immutable, and keystoneauth's connections come from a pool."""

    def __init__(self, connection: adapter.Adapter) -> None:
        """Send requests over `connection`, with the user's token instead of the connection's own account."""
        self._connection = connection

    def find_image_endpoint(self, token: str, region: str, interface: str) -> str:
        """Find the image service of a region; the region's name is case-insensitive. Returns its URL without the version.

        Raises:
            RegionUnknown: the catalog has none of that region and interface.
            Unauthenticated: the token is not, or no longer, valid.
            IdentityUnavailable: the identity service does not respond.
        """
        services = [each for each in self._list_services(token) if each.get("type") == SERVICE_TYPE]
        for endpoint in (each for service in services for each in service["endpoints"]):
            if str(endpoint.get("region", "")).lower() == region.lower() and endpoint["interface"] == interface:
                return str(endpoint["url"]).rstrip("/").removesuffix("/v2")
        raise problems.RegionUnknown(
            f"The catalog has no image service with the interface {interface[:100]!r} in the region {region[:100]!r}; "
            "openstack catalog show image lists its regions and interfaces"
        )

    def _list_services(self, token: str) -> list[Mapping[str, Any]]:
        try:
            answer = self._connection.get(
                "/auth/catalog",
                headers={"X-Auth-Token": token, "Accept": "application/json"},
                authenticated=False,
                raise_exc=False,
                log=False,
                connect_retries=0,
            )
        except exceptions.ClientException as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise problems.Unauthenticated(
                "The token of the request has expired or was revoked; request the import again with a new token"
            )
        if answer.status_code != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            found = answer.json()["catalog"]
            return [{**service, "endpoints": [dict(each) for each in service["endpoints"]]} for service in found]
        except (ValueError, KeyError, TypeError) as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
