"""What only the driver of Swift does: accounts by references and clouds, containers, tokens, forks. On a real Swift."""

import logging
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keystoneauth1.identity import v2, v3

from partage import problems
from partage.main.configuration import config, store_types
from partage.stores.drivers import per_process, swift_accounts
from partage.stores.drivers.attempts import Limits
from partage.stores.drivers.swift import Place, SwiftStore
from partage.stores.drivers.swift_accounts import Account
from tests.object_stores import swift
from tests.object_stores.fixtures import BUCKET
from tests.object_stores.servers import RunningServer

pytestmark = pytest.mark.thorough

KEY = "packs/ab/" + "ab" * 16
QUICK = Limits(attempts=2, pause_seconds=0.01)


@pytest.fixture
def account(swift_server: RunningServer, tmp_path: Path) -> Account:
    file = tmp_path / "references.conf"
    file.write_text(swift.render_reference(swift_server))
    return Account(reference="test", config_file=file)


@pytest.fixture
def store(account: Account, tmp_path: Path) -> Iterator[SwiftStore]:
    made = SwiftStore(Place(BUCKET, account, tmp_path.name), QUICK, settle_seconds=0)
    yield made
    for key in made.enumerate(""):
        made.remove(key)


def test_objects_are_put_listed_created_once_and_removed(store: SwiftStore) -> None:
    store.put(KEY, [b"ab", b"cd"])
    assert store.get(KEY, 1, 2) == b"bc"
    assert store.put_if_absent("identity", [b"first"])
    assert not store.put_if_absent("identity", [b"other"])
    assert sorted(store.enumerate("")) == ["identity", KEY]
    store.remove(KEY)
    assert store.stat(KEY) is None


@pytest.mark.slow
def test_absent_container_is_named_and_no_object_is_absent(account: Account) -> None:
    lost = SwiftStore(Place("no-such-container", account), QUICK)
    for call in (
        lambda: lost.put(KEY, [b"x"]),
        lambda: lost.get(KEY, 0, 1),
        lambda: lost.stat(KEY),
        lambda: lost.remove(KEY),
        lambda: list(lost.enumerate("")),
    ):
        with pytest.raises(problems.StoreUnavailable, match="container does not exist; the operator has to create it"):
            call()


@pytest.mark.slow
def test_refused_credentials_are_in_no_message(
    account: Account, swift_server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert account.config_file is not None
    account.config_file.write_text(swift.render_reference(swift_server, key="planted-wrong-key"))
    refused = SwiftStore(Place(BUCKET, account), QUICK)
    for call in (lambda: refused.put(KEY, [b"x"]), lambda: refused.get(KEY, 0, 1), lambda: refused.stat(KEY)):
        with pytest.raises(problems.StoreUnavailable, match="check the store's credentials") as raised:
            call()
        assert "planted" not in str(raised.value)
    assert "planted" not in caplog.text


@pytest.mark.slow
def test_credentials_that_change_in_the_file_are_read_again(
    account: Account, swift_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_process, "RENEW_SECONDS", 0)
    assert account.config_file is not None
    account.config_file.write_text(swift.render_reference(swift_server, key="old"))
    store = SwiftStore(Place(BUCKET, account), QUICK)
    with pytest.raises(problems.StoreUnavailable):
        store.stat(KEY)
    account.config_file.write_text(swift.render_reference(swift_server))
    assert store.stat(KEY) is None


@pytest.mark.parametrize(
    ("lines", "kind", "expected"),
    [
        ("auth_version = 2\n", v2.Password, {"username": "user", "tenant_name": "project"}),
        ("auth_version = 3\n", v3.Password, {"user_domain_id": "default", "project_domain_id": "default"}),
        (
            "auth_version = v3.0\nuser_domain_name = Staff\nproject_domain_id = 7\n",
            v3.Password,
            {"user_domain_id": None, "user_domain_name": "Staff", "project_domain_id": "7"},
        ),
        ("", v3.Password, {}),
    ],
)
def test_references_are_read_as_glance_reads_them(tmp_path: Path, lines: str, kind: type, expected: dict[str, str | None]) -> None:
    file = tmp_path / "swift.conf"
    file.write_text(f"[ref1]\nauth_address = http://127.0.0.1:5000/v3\nuser = project:user\nkey = p%ss\n{lines}")
    made = swift_accounts.connect(Account(reference="ref1", config_file=file), QUICK)
    assert made.session is not None
    plugin = made.session.auth
    assert type(plugin) is kind
    password = plugin if kind is v2.Password else plugin.auth_methods[0]
    assert password.password == "p%ss"
    known = {**vars(plugin), **vars(password)}
    assert {name: known[name] for name in expected} == expected


def test_account_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds:\n  here:\n    auth: {username: planted, password: planted}\n")
    (tmp_path / "incomplete.conf").write_text("[ref1]\nuser = planted:planted\n")
    for account, said in (
        (Account(cloud="absent", clouds_file=tmp_path / "clouds.yaml"), "cloud absent cannot be used"),
        (Account(cloud="here", clouds_file=tmp_path / "clouds.yaml"), "cloud here cannot be used"),
        (Account(reference="ref1", config_file=tmp_path / "absent.conf"), "reference ref1 cannot be used"),
        (Account(reference="ref1", config_file=tmp_path / "incomplete.conf"), "reference ref1 cannot be used"),
    ):
        with pytest.raises(problems.StoreUnavailable, match=said) as raised:
            SwiftStore(Place(BUCKET, account), QUICK).stat(KEY)
        assert "planted" not in str(raised.value)


@pytest.mark.slow
def test_forked_process_has_connections_of_its_own(store: SwiftStore) -> None:
    data = bytes(range(256)) * 4096
    store.put(KEY, [data])
    assert _read_often(store, data)
    queue = multiprocessing.get_context("fork").SimpleQueue()
    children = [multiprocessing.get_context("fork").Process(target=lambda: queue.put(_read_often(store, data))) for _ in range(2)]
    for child in children:
        child.start()
    assert _read_often(store, data)
    assert [queue.get() for _ in children] == [True] * 2
    for child in children:
        child.join()


def _read_often(store: SwiftStore, data: bytes) -> bool:
    return all(store.get(KEY, 0, len(data)) == data for _ in range(10))


def test_cloud_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstack.config", None)
    store = store_types.build_driver(store_types.SwiftStoreSettings(id="swift", container="images", cloud="here"), None)
    with pytest.raises(problems.StoreUnavailable, match=r"pip install 'partage\[swift\]'"):
        store.stat(KEY)


@pytest.mark.parametrize("lines", ["", "cloud = 'a'\nreference = 'b'\nconfig_file = 'c'", "reference = 'b'", "config_file = 'c'"])
def test_store_needs_one_account(tmp_path: Path, lines: str) -> None:
    file = tmp_path / "partage.toml"
    file.write_text(f"[[stores]]\nid = 'swift'\ntype = 'swift'\ncontainer = 'images'\n{lines}\n")
    with pytest.raises(problems.Invalid, match="needs either cloud, or reference and config_file"):
        config.load({}, file=file)
