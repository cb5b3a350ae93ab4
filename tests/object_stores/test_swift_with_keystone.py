"""The driver of Swift with accounts of a real Keystone: clouds.yaml, catalog, region, and tokens that are revoked."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from partage import problems
from partage.stores.drivers.attempts import Limits
from partage.stores.drivers.swift import Place, SwiftStore
from partage.stores.drivers.swift_accounts import Account
from tests.object_stores import servers, swift
from tests.object_stores.servers import RunningServer
from tests.standalone import RunningKeystone

pytestmark = pytest.mark.slow

CONTAINER = "images"
KEY = "packs/ab/" + "ab" * 16
QUICK = Limits(attempts=2, pause_seconds=0.01)


@pytest.fixture(scope="module")
def swift_of_cloud(keystone: RunningKeystone) -> Iterator[RunningServer]:
    """Give a Swift that is in the catalog, in the region `here`, with the container `CONTAINER` of project-a."""
    memcached = shutil.which("memcached")
    if servers.find_program("swift-proxy-server") is None or memcached is None:
        pytest.skip(servers.MISSING)
    with swift.server(Path(memcached), keystone) as running:
        url = f"{running.url}/v1/KEYSTONE_%(project_id)s"
        service = keystone.call("POST", "/services", {"service": {"type": "object-store", "name": "swift"}})["service"]["id"]
        keystone.call("POST", "/regions", {"region": {"id": "here"}})
        endpoint = {"service_id": service, "interface": "public", "url": url, "region_id": "here"}
        keystone.call("POST", "/endpoints", {"endpoint": endpoint})
        user = keystone.session("user-a", "project-a")
        user.put(f"/{CONTAINER}", endpoint_filter={"service_type": "object-store"})
        yield running
        keystone.call("DELETE", f"/services/{service}")


@pytest.fixture
def account(keystone: RunningKeystone, swift_of_cloud: RunningServer, tmp_path: Path) -> Account:
    assert swift_of_cloud.url
    auth = {
        "auth_url": f"{keystone.url}/v3",
        "username": "user-a",
        "password": keystone.kept.passwords["user-a"],
        "project_name": "project-a",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"here": {"auth": auth, "region_name": "here"}}}))
    return Account(cloud="here", clouds_file=tmp_path / "clouds.yaml")


def test_cloud_of_clouds_yaml_finds_swift_in_the_catalog(account: Account) -> None:
    store = SwiftStore(Place(CONTAINER, account, "cloud"), QUICK, settle_seconds=0)
    store.put(KEY, [b"abc"])
    assert store.get(KEY, 1, 2) == b"bc"
    assert list(store.enumerate("packs/")) == [KEY]
    store.remove(KEY)


def test_reference_of_glance_finds_swift_in_the_catalog(account: Account, keystone: RunningKeystone, tmp_path: Path) -> None:
    password = keystone.kept.passwords["user-a"]
    (tmp_path / "swift.conf").write_text(
        f"[ref1]\nauth_version = 3\nauth_address = {keystone.url}/v3\nuser = project-a:user-a\nkey = {password}\n"
    )
    store = SwiftStore(Place(CONTAINER, Account(reference="ref1", config_file=tmp_path / "swift.conf", region="here")), QUICK)
    store.put(KEY, [b"abc"])
    assert SwiftStore(Place(CONTAINER, account), QUICK).get(KEY, 0, 3) == b"abc"
    store.remove(KEY)


def test_region_without_swift_is_said(account: Account) -> None:
    elsewhere = Account(cloud="here", clouds_file=account.clouds_file, region="there")
    with pytest.raises(problems.StoreUnavailable, match="catalog has no object store in this region"):
        SwiftStore(Place(CONTAINER, elsewhere), QUICK).stat(KEY)


def test_revoked_token_is_replaced(account: Account, keystone: RunningKeystone) -> None:
    store = SwiftStore(Place(CONTAINER, account), QUICK)
    store.put(KEY, [b"abc"])
    session = store._adapters.find().session  # noqa: SLF001 - the token that Swift has just accepted
    keystone.revoke(session.get_token())
    store.put(KEY, [b"abd"])
    assert store.get(KEY, 0, 3) == b"abd"
    store.remove(KEY)


def test_wrong_password_is_in_no_message(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    assert account.clouds_file is not None
    document = json.loads(account.clouds_file.read_text())
    document["clouds"]["here"]["auth"]["password"] = "planted-password"
    account.clouds_file.write_text(json.dumps(document))
    with pytest.raises(problems.StoreUnavailable, match="check the store's credentials") as raised:
        SwiftStore(Place(CONTAINER, account), QUICK).stat(KEY)
    assert "planted" not in str(raised.value) + caplog.text
