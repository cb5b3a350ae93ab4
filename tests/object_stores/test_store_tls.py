"""TLS between the service and an object store: certificates of an own authority, and bad ones."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from partage import problems
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
QUICK = Limits(attempts=3, pause_seconds=0.01)


@dataclass
class TLSServer:
    """A proxy with https in front of a store."""

    kind: str
    server: RunningServer
    proxy: FaultProxy
    folder: Path
    authority: trustme.CA

    def open(self, ca_file: Path | None) -> Any:
        file = self.folder / "credentials"
        if self.kind == "s3":
            file.write_text(s3_client.render_credentials(self.server.access_key, SECRET_KEY))
            place = Place(BUCKET, self.proxy.url, prefix="tls", addressing="path", credentials_file=file, ca_file=ca_file)
            return S3Store(place, QUICK)
        file.write_text(swift.render_reference(self.server))
        endpoint = f"{self.proxy.url}/v1/AUTH_{swift.ACCOUNT}"
        account = Account(reference="test", config_file=file, endpoint=endpoint, ca_file=ca_file)
        return SwiftStore(SwiftPlace(BUCKET, account, "tls"), QUICK)


@pytest.fixture(params=[pytest.param("s3", marks=pytest.mark.thorough), pytest.param("swift", marks=pytest.mark.slow)])
def tls_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TLSServer]:
    server: RunningServer = request.getfixturevalue("seaweedfs_server" if request.param == "s3" else "swift_server")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with fault_proxy.before(server.url, context) as proxy:
        yield TLSServer(request.param, server, proxy, tmp_path, authority)


def test_authority_of_the_operator_is_trusted(tls_server: TLSServer) -> None:
    file = tls_server.folder / "ca.pem"
    tls_server.authority.cert_pem.write_to_path(str(file))
    store = tls_server.open(file)
    store.put(KEY, [b"abc"])
    assert store.get(KEY, 1, 2) == b"bc"
    store.remove(KEY)


@pytest.mark.parametrize("authority", ["the system's", "another one"])
def test_server_with_a_bad_certificate_receives_nothing(tls_server: TLSServer, authority: str) -> None:
    file = tls_server.folder / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    store = tls_server.open(None if authority == "the system's" else file)
    for call in (lambda: store.put(KEY, [b"abc"]), lambda: store.get(KEY, 0, 1), lambda: store.stat(KEY)):
        with pytest.raises(problems.StoreUnavailable, match=r"certificate is not trusted; .* set the store's cafile"):
            call()
    assert tls_server.proxy.requests == []
