"""Where Nova and Cinder are, by the catalog of the real Keystone. Their lists are in tests/operations/test_reconciliation.py."""

from dataclasses import replace

import pytest

from partage.identity.cloud import Cloud, Endpoint, ListIncomplete
from partage.identity.keystone import connect
from partage.model.use import UseKind
from tests import registering
from tests.standalone import RunningKeystone

SERVER, VOLUME = UseKind.SERVER, UseKind.VOLUME


def test_endpoints_are_those_of_the_interface_in_every_region(keystone: RunningKeystone) -> None:
    regions = {
        "RegionOne": {"compute": "http://n1:8774/v2.1/", "volumev3": "http://c1:8776/v3/$(project_id)s"},
        "RegionTwo": {"compute": "http://n2/compute", "block-storage": "http://c2/volume/v3", "network": "http://q2"},
    }
    project = keystone.project_id("service")
    with registering.cloud(keystone, regions):
        assert Cloud(connect(keystone.credentials), "public").list_endpoints() == [
            Endpoint(kind=SERVER, region="RegionOne", url="http://n1:8774/v2.1"),
            Endpoint(kind=SERVER, region="RegionTwo", url="http://n2/compute/v2.1"),
            Endpoint(kind=VOLUME, region="RegionOne", url=f"http://c1:8776/v3/{project}"),
            Endpoint(kind=VOLUME, region="RegionTwo", url="http://c2/volume/v3"),
        ]
        inside = Cloud(connect(replace(keystone.credentials, interface="public", region="RegionOne")), "internal")
        lacking = inside.list_endpoints()
    assert [each.url for each in lacking] == [None] * 4
    with pytest.raises(ListIncomplete, match="no endpoint of the interface internal"):
        list(inside.list_resources(lacking[0]))


def test_catalog_without_nova_and_cinder_has_no_endpoints(keystone: RunningKeystone) -> None:
    assert Cloud(connect(keystone.credentials), "public").list_endpoints() == []
