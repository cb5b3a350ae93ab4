"""Fixtures: a Partage for every test, and a real Glance for those marked slow."""

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from openstackclient import shell

import faulty_endpoint
import openstack_log
import places
from places import Place, Run

MEMBERS = ("project-a", "project-b", "project-c")


def pytest_configure(config: pytest.Config) -> None:
    """Prepare for the versions and the surroundings that tests run in.

    Newer versions of openstacksdk have a class for warnings that are ignored: pytest refuses the name where there is none. A shell
    lets what it runs in the background ignore Ctrl-C, which tests press.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if importlib.util.find_spec("openstack.warnings") is not None:
        config.addinivalue_line("filterwarnings", "ignore::openstack.warnings.OpenStackWarning")


@pytest.fixture(scope="session")
def running_partage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a running Partage."""
    with places.run_partage(tmp_path_factory.mktemp("partage")) as place:
        yield place


@pytest.fixture
def partage(running_partage: Place) -> Iterator[Place]:
    """Give a running Partage without images, and remove afterwards what the test has made."""
    yield running_partage
    for each in MEMBERS:
        running_partage.forget_images(each)
    for each in MEMBERS:
        running_partage.forget_shares(each)  # images whose notice runs are kept for their members


@pytest.fixture(scope="session")
def glance() -> Iterator[Place]:
    """Give a running Glance."""
    scripts = Path(os.environ.get("PEER_DIR", ""))
    if not (scripts / "setup.sh").is_file():
        pytest.skip("PEER_DIR does not lead to the scripts that start a Glance")
    with places.run_glance(scripts) as place:
        yield place


@pytest.fixture(scope="session")
def plain(running_partage: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give the same Partage without its sharing API: to this client a plain Glance."""
    with faulty_endpoint.run(running_partage.cloud("project-a").image_url) as endpoint:
        endpoint.is_plain = True
        profiles = yaml.safe_load(running_partage.clouds_file.read_text())
        for each in profiles["clouds"].values():
            each["image_endpoint_override"] = f"{endpoint.url}/v2"
        path = tmp_path_factory.mktemp("plain") / "clouds.yaml"
        path.write_text(yaml.safe_dump(profiles))
        yield Place(path, is_glance=True)


@pytest.fixture(params=["partage", "plain", pytest.param("glance", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Give a Partage, the same as a plain Glance, and a real Glance: each without images, its profiles in clouds.yaml."""
    found: Place = request.getfixturevalue(request.param)
    if request.param == "plain":
        request.getfixturevalue("partage")  # removes what the test has made
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(found.clouds_file))
    yield found
    if request.param == "glance":
        for each in MEMBERS:
            found.forget_images(each)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs `openstack --os-cloud CLOUD …` and returns its exit status, output and messages.

    Without a cloud ("") it runs `openstack …`.
    """

    def run_openstack(cloud: str, *words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        openstack_log.forget_handlers()
        status = shell.main([*(["--os-cloud", cloud] if cloud else []), *words])
        out, err = capsys.readouterr()
        return status, out, err

    return run_openstack
