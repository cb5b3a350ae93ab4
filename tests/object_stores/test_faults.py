"""Faults of an object store, made by a proxy in front of a real one: each ends in a retry that works, or in one clear error."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.auth
import pytest

from partage import problems
from partage.stores.drivers import per_process
from partage.stores.drivers.attempts import Limits
from partage.stores.drivers.s3 import Place, S3Store
from partage.stores.drivers.swift import Place as SwiftPlace
from partage.stores.drivers.swift import SwiftStore
from partage.stores.drivers.swift_accounts import Account
from tests.object_stores import fault_proxy, s3_client, swift
from tests.object_stores.fault_proxy import FaultProxy
from tests.object_stores.fixtures import BUCKET
from tests.object_stores.servers import SECRET_KEY, RunningServer

KEY = "packs/ab/" + "ab" * 16
DATA = bytes(range(256)) * 1024
LIMITS = Limits(attempts=4, pause_seconds=0.01, longest_pause_seconds=2, connect_seconds=2, read_seconds=0.5)

Broken = tuple[FaultProxy, Any]


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.thorough), pytest.param("swift", marks=pytest.mark.slow)])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broken]:
    """Give a proxy, and a store behind it that has `DATA` under `KEY`."""
    server: RunningServer = request.getfixturevalue("seaweedfs_server" if request.param == "s3" else "swift_server")
    with fault_proxy.before(server.url) as proxy:
        store = make_store(request.param, server, proxy, tmp_path)
        store.put(KEY, [DATA])
        yield proxy, store
        for key in store.enumerate(""):
            store.remove(key)


def make_store(kind: str, server: RunningServer, proxy: FaultProxy, folder: Path) -> Any:
    file = folder / "credentials"
    if kind == "s3":
        file.write_text(s3_client.render_credentials(server.access_key, SECRET_KEY))
        place = Place(BUCKET, proxy.url, prefix=folder.name, addressing="path", credentials_file=file)
        return S3Store(place, LIMITS, settle_seconds=0.1)
    file.write_text(swift.render_reference(server))
    account = Account(reference="test", config_file=file, endpoint=f"{proxy.url}/v1/AUTH_{swift.ACCOUNT}")
    return SwiftStore(SwiftPlace(BUCKET, account, folder.name), LIMITS, settle_seconds=0.1)


FOR_ALL = {
    "reset": fault_proxy.reset,
    "lost response": fault_proxy.lose_response,
    "slow": fault_proxy.hang,
    "500": fault_proxy.answer(500, "InternalError"),
    "502 of a load balancer": fault_proxy.answer(502),
    "503": fault_proxy.answer(503, "SlowDown"),
    "429": fault_proxy.answer(429, "TooManyRequests"),
}
VERBS: dict[str, Callable[[Any], object]] = {
    "put": lambda store: store.put(KEY, [DATA]),
    "get": lambda store: store.get(KEY, 1000, 100_000) == DATA[1000:101_000],
    "stat": lambda store: store.stat(KEY).size_bytes == len(DATA),
    "list": lambda store: list(store.enumerate("packs/")) == [KEY],
    "remove": lambda store: store.remove("packs/ab/other"),
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", FOR_ALL)
def test_fault_that_passes_ends_in_a_retry(broken: Broken, fault: str, verb: str) -> None:
    proxy, store = broken
    proxy.add(FOR_ALL[fault], times=2)
    assert VERBS[verb](store) in {None, True}
    assert proxy.left == 0
    assert store.get(KEY, 0, len(DATA)) == DATA


@pytest.mark.slow
@pytest.mark.parametrize("fault", FOR_ALL)
def test_fault_that_stays_is_one_error_after_the_attempts(broken: Broken, fault: str) -> None:
    proxy, store = broken
    for verb in VERBS.values():
        before = len(proxy.requests)
        proxy.add(FOR_ALL[fault], times=LIMITS.attempts)
        with pytest.raises(problems.StoreUnavailable, match=r"The store could not .* \(.*\); try again later") as raised:
            verb(store)
        assert "planted" not in str(raised.value)
        assert len(proxy.requests) - before == LIMITS.attempts
    assert proxy.left == 0


@pytest.mark.parametrize("fault", ["truncate", "shorten", "ignore_range"])
def test_body_that_is_not_the_range_is_read_again(broken: Broken, fault: str) -> None:
    proxy, store = broken
    proxy.add(getattr(fault_proxy, fault), "GET", times=2)
    assert store.get(KEY, 1000, 100_000) == DATA[1000:101_000]
    proxy.add(getattr(fault_proxy, fault), "GET", times=LIMITS.attempts)
    with pytest.raises(problems.StoreUnavailable):
        store.get(KEY, 1000, 100_000)
    assert proxy.left == 0


@pytest.mark.parametrize("fault", ["damage_request", "cut_request"])
def test_upload_that_arrives_damaged_is_sent_again_and_never_acknowledged(broken: Broken, fault: str) -> None:
    proxy, store = broken
    other = DATA[::-1]
    proxy.add(getattr(fault_proxy, fault), "PUT", times=2)
    store.put("packs/cd/x", [other])
    assert store.get("packs/cd/x", 0, len(other)) == other
    proxy.add(getattr(fault_proxy, fault), "PUT", times=LIMITS.attempts)
    with pytest.raises(problems.StoreUnavailable):
        store.put("packs/ef/x", [other])
    assert store.stat("packs/ef/x") is None


def test_truncated_and_damaged_lists_are_asked_for_again(broken: Broken) -> None:
    proxy, store = broken
    proxy.add(fault_proxy.truncate, "GET")
    proxy.add(fault_proxy.shorten, "GET")
    assert list(store.enumerate("packs/")) == [KEY]
    assert proxy.left == 0


def test_pause_that_the_server_asks_for_is_kept(broken: Broken) -> None:
    proxy, store = broken
    proxy.add(fault_proxy.answer(429, "TooManyRequests", Retry_After="1"), "HEAD")
    began_at = time.monotonic()
    assert store.stat(KEY)
    assert time.monotonic() - began_at >= 1


def test_pause_of_an_hour_is_not_kept(broken: Broken) -> None:
    proxy, store = broken
    proxy.add(fault_proxy.answer(503, "SlowDown", Retry_After="3600"), "HEAD")
    assert store.stat(KEY)


def test_creation_whose_response_is_lost_counts_as_one(broken: Broken) -> None:
    proxy, store = broken
    proxy.add(fault_proxy.lose_response, "PUT")
    assert store.put_if_absent("identity", [b"mine"])
    assert not store.put_if_absent("identity", [b"other"])
    assert store.get("identity", 0, 4) == b"mine"


def test_server_that_ignores_conditions_is_refused(broken: Broken) -> None:
    proxy, store = broken
    proxy.add(fault_proxy.accept_always, "PUT", times=2)
    with pytest.raises(problems.StoreUnavailable, match="ignores 'If-None-Match"):
        store.put_if_absent("identity", [b"mine"])


def test_full_store_is_said_to_be_full(broken: Broken) -> None:
    proxy, store = broken
    proxy.add(fault_proxy.answer(507, "InsufficientStorage"), "PUT")
    with pytest.raises(problems.StoreFull):
        store.put(KEY, [DATA])


def test_credentials_that_expire_are_replaced_or_said(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, store = broken
    monkeypatch.setattr(per_process, "RENEW_SECONDS", 0)
    is_swift = isinstance(store, SwiftStore)
    expired = fault_proxy.answer(401) if is_swift else fault_proxy.answer(403, "ExpiredToken")
    proxy.add(expired, "GET")
    assert store.get(KEY, 0, 10) == DATA[:10]
    monkeypatch.setattr(per_process, "RENEW_SECONDS", 3600)
    proxy.add(expired, "GET", times=2 if is_swift else 1)  # keystoneauth asks for another token first, and sends the request again
    with pytest.raises(problems.StoreUnavailable, match="check the store's credentials"):
        store.get(KEY, 0, 10)


def test_clock_that_is_wrong_is_said(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    _proxy, store = broken
    if isinstance(store, SwiftStore):
        assert store.stat(KEY)  # nothing of Swift's requests depends on the clock
        return
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *given: now(*given) - timedelta(hours=2))
    with pytest.raises(problems.StoreUnavailable, match="has to set the clock of this host"):
        store.get(KEY, 0, 10)
