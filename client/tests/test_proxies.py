"""Copies through the HTTP proxy of the environment: `https_proxy`, `http_proxy` and `no_proxy`, with a proxy that is one."""

import random
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

import faulty_endpoint
import partageclient
import small_proxy
from faulty_endpoint import FaultyEndpoint
from partageclient import adoption, transfers
from partageclient.connections import Cloud
from places import Place
from small_proxy import SmallProxy

DATA = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallProxy]:
    """Give the proxy of every request, also of those to this machine."""
    with small_proxy.run() as running:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, running.url)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield running


@pytest.fixture
def encrypted(partage: Place, tmp_path: Path) -> Iterator[FaultyEndpoint]:
    """Give the image service with TLS, to this client a plain Glance."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("localhost").configure_cert(context)
    with faulty_endpoint.run(partage.cloud("project-a").image_url, context) as endpoint:
        endpoint.is_plain = True
        yield endpoint


def connect(partage: Place, profile: str, endpoint: FaultyEndpoint, folder: Path) -> Cloud:
    settings = {"image_endpoint_override": f"{endpoint.url}/v2", "cacert": str(folder / "ca.pem")}
    return Cloud(partage.connect(profile, **settings), profile)


def test_adopt_tunnels_through_the_https_proxy(
    partage: Place, encrypted: FaultyEndpoint, proxy: SmallProxy, tmp_path: Path
) -> None:
    image = partage.create_image("golden", data=DATA)
    owner, member = (connect(partage, each, encrypted, tmp_path) for each in ("project-a", "project-b"))
    partageclient.share(owner, [image["id"]], [member.project_id])
    proxy.asked.clear()
    proxy.passed_bytes = 0
    copied = adoption.adopt(member, image["id"])
    assert (copied.method, copied.verified, copied.image["size"]) == ("stream", "sha512", len(DATA))
    assert f"CONNECT localhost:{encrypted.port}" in proxy.asked
    assert proxy.passed_bytes > 2 * len(DATA)  # down and up
    assert len(encrypted.requests) > 3


def test_transfer_goes_through_the_proxy_to_both_clouds(
    partage: Place, encrypted: FaultyEndpoint, proxy: SmallProxy, tmp_path: Path
) -> None:
    image_id = partage.create_image("backup", data=DATA)["id"]
    source, destination = connect(partage, "project-a", encrypted, tmp_path), Cloud(partage.connect("project-b"), "project-b")
    proxy.asked.clear()
    [result] = transfers.transfer(source, transfers.choose_images(source, image_id), destination)
    assert result.copied is not None, result.problem
    assert (result.copied.method, result.copied.verified) == ("stream", "sha512")
    plain = urlsplit(destination.image_url)
    assert {f"CONNECT localhost:{encrypted.port}", f"PATCH {plain.hostname}:{plain.port}"} <= set(proxy.asked)


def test_no_proxy_names_what_is_reached_directly(
    partage: Place, encrypted: FaultyEndpoint, proxy: SmallProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = partage.create_image("backup", data=DATA)["id"]
    monkeypatch.setenv("no_proxy", "localhost")
    source, destination = connect(partage, "project-a", encrypted, tmp_path), Cloud(partage.connect("project-b"), "project-b")
    proxy.asked.clear()
    [result] = transfers.transfer(source, transfers.choose_images(source, image_id), destination)
    assert result.copied is not None, result.problem
    assert [method for method, _path, _range in encrypted.requests] == ["GET", "GET"]
    assert not [each for each in proxy.asked if "localhost" in each]
    assert [each for each in proxy.asked if each.startswith("PATCH 127.0.0.1:")]


def test_proxy_that_does_not_answer_is_named(partage: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(partageclient.ClientError, match=r"(?i)proxy"):
        partageclient.inbox(Cloud(partage.connect("project-c"), "project-c"))
