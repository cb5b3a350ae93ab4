"""What the usual clients print of a refusal: the service's sentence, with neither tags nor escapes.

The service of these tests has small limits, so that each of them refuses something. Glance is not asked: its words do not arrive.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import glanceclient.exc
import openstack.exceptions
import pytest
from openstack.connection import Connection

from tests import standalone
from tests.compat import clouds, commands
from tests.compat.clouds import Cloud
from tests.compat.commands import Prepared

LIMITS = {
    "PARTAGE_LIMITS__STORAGE_PER_PROJECT_BYTES": str(400 << 10),
    "PARTAGE_LIMITS__IMAGE_SIZE_CAP_BYTES": str(512 << 10),
    "PARTAGE_LIMITS__MEMBERS": "1",
    "PARTAGE_LIMITS__TAGS": "2",
}
MARKUP = re.compile(r"</?\w+[ />]|&#?\w+;|\{['\"]|Traceback")
"""What of a page or a document must not be printed."""

NOBODY = "5e1cd3a0-0d5b-4d5c-a9b8-3a6b6ab3a7f5"
MISMATCH = "Image disk_format qcow2 does not match stream data raw"
BACKING = "it has a backing file"
TOO_LARGE = "The incoming image is too large: at most 524288 bytes are taken"
QUOTA = "409600"
PUBLIC = "You are not authorized to complete publicize_image action."
QUEUED = "Not allowed to deactivate image in status 'queued'"
NO_DATA = "Image needs to be staged before 'glance-direct' method can be used"
ODD = "<odd> & 'quoted'"


@dataclass(frozen=True)
class Files:
    """Image data, each refused for something."""

    small: Path
    large: Path
    more: Path
    backed: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("refused")
    made = Files(folder / "small", folder / "large", folder / "more", folder / "backed.qcow2")
    made.small.write_bytes(b"no disk at all" * 100)
    made.large.write_bytes(bytes(600 << 10))
    made.more.write_bytes(bytes(450 << 10))
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(made.small), "-F", "raw", str(made.backed), "1M"]
    subprocess.run(command, check=True)
    return made


@pytest.fixture(scope="module")
def small_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("limited")
    with (
        standalone.up(folder / "data", "--workers", "1", **LIMITS) as live,
        clouds.people(live.clouds_file, folder, is_glance=False) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def program(small_cloud: Cloud) -> Iterator[Prepared]:
    with commands.prepared(small_cloud.clouds_file) as running:
        yield running


@pytest.fixture
def sdk(small_cloud: Cloud) -> Connection:
    return small_cloud.sdk("project-a")


@pytest.fixture
def image(sdk: Connection) -> Iterator[str]:
    """Give a queued qcow2 image with an odd property, which sentences may repeat."""
    made = sdk.image.create_image("odd", disk_format="qcow2", container_format="bare", visibility="shared")
    yield str(made.id)
    sdk.image.delete_image(made)


@pytest.fixture
def private(sdk: Connection) -> Iterator[str]:
    made = sdk.image.create_image("private", disk_format="raw", container_format="bare", visibility="private")
    yield str(made.id)
    sdk.image.delete_image(made)


# openstacksdk leaves out of account what an import is answered, and so does the command.
COMMANDS: dict[str, tuple[str, Callable[[Any], tuple[str, ...]]]] = {
    "create: other bytes": (MISMATCH, lambda g: ("create", "--file", str(g.files.small), "--disk-format", "qcow2", "new")),
    "create: backing file": (BACKING, lambda g: ("create", "--file", str(g.files.backed), "--disk-format", "qcow2", "new")),
    "create: too large": (TOO_LARGE, lambda g: ("create", "--file", str(g.files.large), "--disk-format", "raw", "new")),
    "create: quota": (QUOTA, lambda g: ("create", "--file", str(g.files.more), "--disk-format", "raw", "new")),
    "stage": (TOO_LARGE, lambda g: ("stage", "--file", str(g.files.large), g.image)),
    "set: public": (PUBLIC, lambda g: ("set", "--public", g.image)),
    "set: property": ("'os_glance_x'", lambda g: ("set", "--property", "os_glance_x=1", g.image)),
    "set: tags": ("tag", lambda g: ("set", "--tag", "a", "--tag", "b", "--tag", "c", g.image)),
    "member: private image": ("only shared images have members", lambda g: ("add", "project", g.private, "0" * 32)),
    "save": ("No Image found", lambda _g: ("save", "--file", "saved", NOBODY)),
}
SDK: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "create: other bytes": (MISMATCH, lambda i, g: i.create_image("new", filename=str(g.files.small), disk_format="qcow2")),
    "create: backing file": (BACKING, lambda i, g: i.create_image("new", filename=str(g.files.backed), disk_format="qcow2")),
    "create: too large": (TOO_LARGE, lambda i, g: i.create_image("new", filename=str(g.files.large), disk_format="raw")),
    "stage": (TOO_LARGE, lambda i, g: i.stage_image(i.get_image(g.image), data=g.files.large.read_bytes())),
    "download": ("No image found", lambda i, _g: i.download_image(NOBODY, output="/dev/null")),
    "set: public": (PUBLIC, lambda i, g: i.update_image(g.image, visibility="public")),
    "set: odd property": (ODD, lambda i, g: i.update_image(g.image, **{f"os_glance_{ODD}": "1"})),
    "tag": ("image tags", lambda i, g: [i.add_tag(g.image, each) for each in "abc"]),
    "member": ("only shared images have members", lambda i, g: i.add_member(g.private, member_id="0" * 32)),
}
GLANCE: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "upload: other bytes": (MISMATCH, lambda c, g: c.images.upload(g.image, g.files.small.open("rb"))),
    "upload: backing file": (BACKING, lambda c, g: c.images.upload(g.image, g.files.backed.open("rb"))),
    "upload: quota": (QUOTA, lambda c, g: c.images.upload(g.image, g.files.more.open("rb"))),
    "stage": (QUOTA, lambda c, g: c.images.stage(g.image, g.files.large.open("rb"))),
    "download": ("No image found", lambda c, _g: c.images.data(NOBODY)),
    "set: public": (PUBLIC, lambda c, g: c.images.update(g.image, visibility="public")),
    "status": (QUEUED, lambda c, g: c.images.deactivate(g.image)),
    "tag": ("tag", lambda c, g: [c.image_tags.update(g.image, each) for each in "abc"]),
    "member": ("only shared images have members", lambda c, g: c.image_members.create(g.private, "0" * 32)),
    "import": (NO_DATA, lambda c, g: c.images.image_import(g.image)),
}


@pytest.fixture
def given(files: Files, image: str, private: str) -> SimpleNamespace:
    return SimpleNamespace(files=files, image=image, private=private)


@pytest.mark.parametrize("kind", COMMANDS)
def test_openstack_command_prints_the_reason(kind: str, program: Prepared, given: Any, tmp_path: Path) -> None:
    words, arguments = COMMANDS[kind]
    answer = program.run("--os-cloud", "project-a", "image", *arguments(given), folder=tmp_path, merged=True)
    assert words in answer.output
    assert not MARKUP.search(answer.output), answer.output


@pytest.mark.parametrize("kind", SDK)
def test_openstacksdk_says_the_reason(kind: str, sdk: Connection, given: Any) -> None:
    words, ask = SDK[kind]
    with pytest.raises(openstack.exceptions.SDKException) as refused:
        ask(sdk.image, given)
    assert words in str(refused.value)
    assert not MARKUP.search(str(refused.value).replace(ODD, "")), refused.value


@pytest.mark.parametrize("kind", GLANCE)
def test_glanceclient_says_the_reason(kind: str, small_cloud: Cloud, given: Any) -> None:
    words, ask = GLANCE[kind]
    with pytest.raises(glanceclient.exc.HTTPException) as refused:
        ask(small_cloud.glance("project-a"), given)
    assert words in str(refused.value)
    assert not MARKUP.search(str(refused.value)), refused.value
