"""Where other regions are, by the catalog of the real Keystone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from partage import problems
from partage.identity.catalog import Catalog
from partage.identity.keystone import connect
from partage.main.process import listening
from tests import registering
from tests.standalone import RunningKeystone

URLS = {"public": "http://images.example:9292/v2/", "internal": "http://10.0.0.7:9292", "admin": "http://10.0.0.8/image"}


@pytest.fixture
def elsewhere(keystone: RunningKeystone) -> Iterator[str]:
    """Give a region that has an image service of its own."""
    with registering.region(keystone, "Elsewhere", URLS) as name:
        yield name


@pytest.fixture
def catalog(keystone: RunningKeystone) -> Catalog:
    return Catalog(connect(keystone.credentials))


@pytest.mark.parametrize(
    ("interface", "url"),
    [("public", "http://images.example:9292"), ("internal", "http://10.0.0.7:9292"), ("admin", "http://10.0.0.8/image")],
)
def test_region_and_interface_choose_the_endpoint(
    interface: str, url: str, elsewhere: str, catalog: Catalog, keystone: RunningKeystone
) -> None:
    token = keystone.token("user-a", "project-a")
    assert catalog.find_image_endpoint(token, elsewhere, interface) == url
    assert catalog.find_image_endpoint(token, elsewhere.upper(), interface) == url
    assert catalog.find_image_endpoint(token, "RegionOne", interface) == "http://127.0.0.1:9292"


@pytest.mark.parametrize(
    ("region", "interface"), [("nowhere", "public"), ("Elsewhere", "secret"), ("Elsewhere", ""), ("", "public")]
)
@pytest.mark.usefixtures("elsewhere")
def test_missing_catalog_entry_is_reported(region: str, interface: str, catalog: Catalog, keystone: RunningKeystone) -> None:
    with pytest.raises(problems.RegionUnknown, match="no image service with the interface"):
        catalog.find_image_endpoint(keystone.token("user-a", "project-a"), region, interface)


def test_catalog_is_found_at_the_endpoint_of_an_interface_too(elsewhere: str, keystone: RunningKeystone) -> None:
    credentials = replace(keystone.credentials, interface="public", region="RegionOne")
    found = Catalog(connect(credentials)).find_image_endpoint(keystone.token("user-a", "project-a"), elsewhere, "internal")
    assert found == URLS["internal"]


def test_only_the_users_own_token_opens_the_catalog(catalog: Catalog, keystone: RunningKeystone) -> None:
    revoked = keystone.token("user-a", "project-a")
    keystone.revoke(revoked)
    for token in (revoked, "garbage", ""):
        with pytest.raises(problems.Unauthenticated, match="has expired or was revoked"):
            catalog.find_image_endpoint(token, "RegionOne", "public")


def test_unavailable_keystone_is_not_reported_as_a_missing_region(keystone: RunningKeystone) -> None:
    away = Catalog(connect(replace(keystone.credentials, url=f"http://127.0.0.1:{listening.find_free_port()}")))
    with pytest.raises(problems.IdentityUnavailable):
        away.find_image_endpoint("token", "RegionOne", "public")
