"""What only the driver of S3 does: credentials, buckets, the identity, forks. On a real server; `tests/contract` has the verbs."""

import logging
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from partage import problems
from partage.main.configuration import config, store_types
from partage.stores import identity, layout
from partage.stores.drivers import attempts, per_process
from partage.stores.drivers.attempts import Limits
from partage.stores.drivers.s3 import Place, S3Store
from partage.stores.identity import Identity
from tests.object_stores import s3_client
from tests.object_stores.fixtures import BUCKET
from tests.object_stores.servers import SECRET_KEY, RunningServer

pytestmark = pytest.mark.thorough

KEY = "packs/ab/" + "ab" * 16
QUICK = Limits(attempts=2, pause_seconds=0.01)
HERE = Identity("a" * 32, "b" * 32, 0)


@pytest.fixture
def place(seaweedfs_server: RunningServer, tmp_path: Path) -> Place:
    file = tmp_path / "credentials"
    file.write_text(s3_client.render_credentials(seaweedfs_server.access_key, SECRET_KEY))
    return Place(BUCKET, seaweedfs_server.url, prefix=tmp_path.name, addressing="path", credentials_file=file)


@pytest.fixture
def store(place: Place) -> Iterator[S3Store]:
    made = S3Store(place, QUICK, settle_seconds=0)
    yield made
    for key in made.enumerate(""):
        made.remove(key)


def test_prefix_keeps_stores_of_a_bucket_apart(place: Place, store: S3Store) -> None:
    other = S3Store(replace(place, prefix=f"{place.prefix}-2"), QUICK)
    store.put(KEY, [b"x"])
    assert list(other.enumerate("")) == []
    assert list(S3Store(replace(place, prefix=""), QUICK).enumerate(place.prefix)) == [f"{place.prefix}/{KEY}"]


def test_absent_bucket_is_named_and_no_object_is_absent(place: Place) -> None:
    lost = S3Store(replace(place, bucket="no-such-bucket"), QUICK)
    for call in (
        lambda: lost.put(KEY, [b"x"]),
        lambda: lost.get(KEY, 0, 1),
        lambda: lost.stat(KEY),
        lambda: list(lost.enumerate("")),
    ):
        with pytest.raises(problems.StoreUnavailable, match="has to create the store's bucket"):
            call()


@pytest.mark.parametrize(("key", "secret"), [("PARTAGETESTKEY", "planted-wrong-secret"), ("PLANTEDKEY", SECRET_KEY)])
def test_refused_credentials_are_in_no_message(place: Place, caplog: pytest.LogCaptureFixture, key: str, secret: str) -> None:
    caplog.set_level(logging.INFO)
    assert place.credentials_file is not None
    place.credentials_file.write_text(s3_client.render_credentials(key, secret))
    refused = S3Store(place, QUICK)
    said = []
    for call in (lambda: refused.put(KEY, [b"x"]), lambda: refused.get(KEY, 0, 1), lambda: refused.stat(KEY)):
        with pytest.raises(problems.StoreUnavailable, match="check the store's credentials") as raised:
            call()
        said.append(str(raised.value))
    assert not [planted for planted in ("planted-", "PLANTEDKEY") if planted in " ".join(said) + caplog.text]
    assert str(place.credentials_file) not in " ".join(said)


def test_missing_credentials_are_said_to_be_missing(place: Place, tmp_path: Path) -> None:
    for text, said in (("[other]\n", "profile is not in the file"), ("[default]\naws_access_key_id = x\n", "incomplete")):
        (tmp_path / "file").write_text(text)
        with pytest.raises(problems.StoreUnavailable, match=said):
            S3Store(replace(place, credentials_file=tmp_path / "file"), QUICK).stat(KEY)


def test_credentials_that_change_in_the_file_are_read_again(
    place: Place, seaweedfs_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_process, "RENEW_SECONDS", 0)
    assert place.credentials_file is not None
    place.credentials_file.write_text(s3_client.render_credentials("OLDKEY", "old"))
    store = S3Store(place, QUICK)
    with pytest.raises(problems.StoreUnavailable):
        store.stat(KEY)
    place.credentials_file.write_text(s3_client.render_credentials(seaweedfs_server.access_key, SECRET_KEY))
    assert store.stat(KEY) is None


def test_environment_and_profiles_give_credentials(
    place: Place, seaweedfs_server: RunningServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(variable, str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweedfs_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    assert S3Store(replace(place, credentials_file=None), QUICK).stat(KEY) is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "WRONG")
    assert S3Store(place, QUICK).stat(KEY) is None  # the file has precedence
    assert place.credentials_file is not None
    place.credentials_file.write_text(place.credentials_file.read_text().replace("[default]", "[images]"))
    assert S3Store(replace(place, profile="images"), QUICK).stat(KEY) is None


def test_identity_of_another_database_stops_every_change(place: Place, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = S3Store(place, QUICK, identity=HERE)
    with pytest.raises(problems.StoreUnavailable, match="does not have the identity"):
        mine.put(KEY, [b"x"])
    assert identity.claim(store, HERE)
    mine.put(KEY, [b"x"])
    identity.write(store, replace(HERE, database="c" * 32))
    mine.put(KEY, [b"x"])  # it was checked a moment ago
    monkeypatch.setattr(attempts, "IDENTITY_SECONDS", 0)
    for call in (lambda: mine.put(KEY, [b"x"]), lambda: mine.remove(KEY), lambda: mine.get(KEY, 0, 1)):
        with pytest.raises(problems.StoreUnavailable, match="does not have the identity"):
            call()
    assert sorted(store.enumerate("")) == sorted([KEY, layout.IDENTITY])


def test_forked_process_has_connections_of_its_own(store: S3Store) -> None:
    data = bytes(range(256)) * 4096
    store.put(KEY, [data])
    assert store.get(KEY, 0, len(data)) == data
    queue = multiprocessing.get_context("fork").SimpleQueue()
    children = [multiprocessing.get_context("fork").Process(target=lambda: queue.put(_read_often(store, data))) for _ in range(3)]
    for child in children:
        child.start()
    assert _read_often(store, data)
    assert [queue.get() for _ in children] == [True] * 3
    for child in children:
        child.join()


def _read_often(store: S3Store, data: bytes) -> bool:
    return all(store.get(KEY, 0, len(data)) == data for _ in range(20))


def test_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = store_types.S3StoreSettings(id="cold", bucket="images")

    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name}")

    monkeypatch.setattr(store_types.importlib, "import_module", fail)
    with pytest.raises(problems.Unavailable, match=r"store cold, of type s3, is not installed; .* 'partage\[s3\]'"):
        store_types.build_driver(settings, None)


@pytest.mark.parametrize("endpoint", ["https://user:planted@host", "ftp://host", "host:9000", "https://host/?key=planted"])
def test_endpoint_with_more_than_a_server_is_refused(tmp_path: Path, endpoint: str) -> None:
    file = tmp_path / "partage.toml"
    file.write_text(f'[[stores]]\nid = "s3"\ntype = "s3"\nbucket = "images"\nendpoint = "{endpoint}"\n')
    with pytest.raises(problems.Invalid, match="endpoint") as raised:
        config.load({}, file=file)
    assert "planted" not in str(raised.value)
