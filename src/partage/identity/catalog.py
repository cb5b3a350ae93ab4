"""Where the image service of another region is: the identity service's catalog, as the user's own token shows it.

The only source of addresses that a user's token is taken to. Nothing is remembered: who asks waits for a worker anyway.

Source: Identity API v3, "Get service catalog".
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from keystoneauth1 import adapter, exceptions

from partage import problems

SERVICE_TYPE = "image"
_SILENT = "The identity service does not say where the other region's image service is; ask for the import again"


class Catalog:
    """The catalog behind one connection. Thread-safe: it never changes, and keystoneauth's connections come from a pool."""

    def __init__(self, connection: adapter.Adapter) -> None:
        """Ask over `connection`; its own account is not used for the question, the user's token is."""
        self._connection = connection

    def image_endpoint(self, token: str, region: str, interface: str) -> str:
        """Find the image service of a region, by the region's name in any case; without the version at the end of its URL.

        Raises:
            RegionUnknown: the catalog has none of that region and interface.
            Unauthenticated: the token is not, or no longer, valid.
            IdentityUnavailable: the identity service does not answer.
        """
        services = [each for each in self._services(token) if each.get("type") == SERVICE_TYPE]
        for endpoint in [endpoint for service in services for endpoint in service["endpoints"]]:
            if str(endpoint.get("region", "")).lower() == region.lower() and endpoint["interface"] == interface:
                return str(endpoint["url"]).rstrip("/").removesuffix("/v2")
        raise problems.RegionUnknown(
            f"The catalog has no image service with the interface {interface[:100]!r} in the region {region[:100]!r}; "
            "openstack catalog show image lists those there are"
        )

    def _services(self, token: str) -> list[Mapping[str, Any]]:
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
            raise problems.IdentityUnavailable(_SILENT) from error
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise problems.Unauthenticated("The token that came with the request is not valid any more; ask for the import again")
        if answer.status_code != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_SILENT)
        try:
            found = answer.json()["catalog"]
            return [{**service, "endpoints": [dict(each) for each in service["endpoints"]]} for service in found]
        except (ValueError, KeyError, TypeError) as error:
            raise problems.IdentityUnavailable(_SILENT) from error
