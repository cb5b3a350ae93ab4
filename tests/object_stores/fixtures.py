"""Fixtures of running object stores: each yields the URL of an empty store for `tests/contract/drivers.py`.

A server is started once in a process, when first asked for. Without its programs the test is skipped, with what installs them.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.object_stores import s3_client, seaweedfs, servers, swift
from tests.object_stores.servers import RunningServer

BUCKET = "partage-images"


@pytest.fixture(scope="session")
def seaweedfs_server() -> Iterator[RunningServer]:
    """Give a running SeaweedFS with the bucket `BUCKET`."""
    if servers.find_program("weed") is None:
        pytest.skip(servers.MISSING)
    with seaweedfs.server() as running:
        s3_client.connect(running).create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture(scope="session")
def swift_server() -> Iterator[RunningServer]:
    """Give a running Swift with the container `BUCKET`."""
    memcached = shutil.which("memcached")
    if servers.find_program("swift-proxy-server") is None or memcached is None:
        pytest.skip(servers.MISSING)
    with swift.server(Path(memcached)) as running:
        s3_client.connect(running).create_bucket(Bucket=BUCKET)
        yield running


@pytest.fixture(scope="session")
def s3_on_seaweedfs(seaweedfs_server: RunningServer) -> str:
    """Give the URL of a bucket."""
    return s3_client.find_url(seaweedfs_server, BUCKET)


@pytest.fixture(scope="session")
def s3_on_swift(swift_server: RunningServer) -> str:
    """Give the URL of a bucket that Swift's s3api serves."""
    return s3_client.find_url(swift_server, BUCKET)


@pytest.fixture(scope="session", name="swift")
def swift_container(swift_server: RunningServer) -> str:
    """Give the URL of a container, with an account in a file of Glance's format."""
    file = swift_server.folder / "references.conf"
    file.write_text(swift.render_reference(swift_server))
    return f"swift://{BUCKET}?reference=test&config_file={file}"
