"""`openstack image ...`, the command line that users type, unchanged. One test is one story; `name` is unique and cleaned up."""

import hashlib
from pathlib import Path

import pytest

from tests.compat.clouds import Cloud, Disk
from tests.compat.commands import OpenStack, Program


def names(rows: list[dict[str, str]]) -> list[str]:
    return [row["Name"] for row in rows]


@pytest.mark.runs("image create", "image show", "image save", "image delete")
def test_image_is_created_shown_saved_and_deleted(openstack: OpenStack, disk: Disk, name: str, tmp_path: Path) -> None:
    made = openstack(
        *("project-a", "image", "create", "--file", str(disk.raw), "--disk-format", "raw", "--private", "--min-disk", "1"),
        *("--min-ram", "64", "--property", "os_distro=debian", "--tag", "one", "--tag", "two", name),
    )
    shown = openstack("project-a", "image", "show", name)
    openstack("project-a", "image", "save", "--file", str(tmp_path / "saved"), made["id"])
    openstack.says("project-a", "image", "delete", name)

    assert shown == made
    assert made["status"] == "active"
    assert made["size"] == made["virtual_size"] == disk.raw.stat().st_size
    assert made["checksum"] == hashlib.md5(disk.raw.read_bytes(), usedforsecurity=False).hexdigest()
    assert made["properties"]["os_hash_value"] == hashlib.sha512(disk.raw.read_bytes()).hexdigest()
    assert (made["min_disk"], made["min_ram"], made["visibility"]) == (1, 64, "private")
    assert made["properties"]["os_distro"] == "debian"
    assert sorted(made["tags"]) == ["one", "two"]
    assert (tmp_path / "saved").read_bytes() == disk.raw.read_bytes()
    assert "No Image found" in openstack.fails("project-a", "image", "show", made["id"])


def test_qcow2_keeps_its_size_and_tells_that_of_its_disk(openstack: OpenStack, disk: Disk, name: str) -> None:
    made = openstack("project-a", "image", "create", "--file", str(disk.qcow2), "--disk-format", "qcow2", name)
    assert (made["size"], made["virtual_size"]) == (disk.qcow2.stat().st_size, disk.raw.stat().st_size)


def test_data_may_come_from_standard_input(openstack: OpenStack, disk: Disk, name: str) -> None:
    made = openstack("project-a", "image", "create", "--disk-format", "qcow2", name, data=disk.qcow2)
    assert (made["status"], made["size"]) == ("active", disk.qcow2.stat().st_size)


@pytest.mark.runs("image list")
def test_list_takes_every_filter_and_order(openstack: OpenStack, cloud: Cloud, name: str) -> None:
    """Filters narrow what this test made: the project holds images of other tests."""
    first, second, third = f"{name}-1", f"{name}-2", f"{name}-3"
    images = cloud.sdk("project-a").image
    images.create_image(first, data=b"a" * 10, disk_format="raw", visibility="private", tags=[name, "red"], colour="red")
    images.create_image(second, data=b"b" * 30, disk_format="raw", visibility="shared", tags=[name, "blue"], colour="blue")
    images.create_image(third, data=b"c" * 20, disk_format="raw", visibility="community", tags=[name], meta={"is_hidden": True})
    images.create_image(f"{name}-4", disk_format="raw", visibility="shared", tags=[name])

    def listed(*options: str) -> list[str]:
        return [each.removeprefix(f"{name}-") for each in names(openstack("project-a", "image", "list", "--tag", name, *options))]

    assert listed() == ["1", "2", "4"]
    assert listed("--private") == ["1"]
    assert listed("--shared") == ["2", "4"]
    assert listed("--community") == []
    assert listed("--community", "--hidden") == ["3"]
    assert listed("--public") == []
    assert listed("--all") == ["1", "2", "4"]
    assert listed("--name", second) == ["2"]
    assert listed("--status", "active") == ["1", "2"]
    assert listed("--status", "queued") == ["4"]
    assert listed("--tag", "red") == ["1"]
    assert listed("--tag", "red", "--tag", "blue") == []
    assert listed("--property", "colour=blue") == ["2"]
    assert listed("--sort", "size:desc", "--status", "active") == ["2", "1"]
    [newest] = listed("--limit", "1")
    [next_one] = listed("--limit", "1", "--marker", f"{name}-{newest}")
    assert newest != next_one
    assert listed("--member-status", "all", "--shared") == ["2", "4"]

    long = openstack("project-a", "image", "list", "--long", "--name", second)
    assert long[0]["Project"] == cloud.projects["project-a"]
    assert (long[0]["Size"], long[0]["Disk Format"], long[0]["Visibility"]) == (30, "raw", "shared")


def test_administrator_lists_the_images_of_one_project(openstack: OpenStack, cloud: Cloud, name: str) -> None:
    cloud.sdk("project-a").image.create_image(name, data=b"x", disk_format="raw", visibility="private")
    assert names(openstack("admin", "image", "list", "--project", cloud.projects["project-a"], "--name", name)) == [name]
    assert names(openstack("admin", "image", "list", "--project", cloud.projects["project-b"], "--name", name)) == []


@pytest.mark.runs("image set", "image unset")
def test_set_and_unset_change_what_they_name(openstack: OpenStack, cloud: Cloud, name: str) -> None:
    images = cloud.sdk("project-a").image
    image = images.create_image(f"{name}-old", data=b"x", disk_format="raw", tags=["gone", "kept"], left="1", also="2").id

    openstack.says(
        *("project-a", "image", "set", "--name", name, "--min-disk", "3", "--min-ram", "512", "--property", "os_type=linux"),
        *("--os-distro", "freebsd", "--architecture", "x86_64", "--tag", "new", "--protected", "--hidden", "--community", image),
    )
    changed = images.get_image(image)
    assert (changed.name, changed.min_disk, changed.min_ram) == (name, 3, 512)
    assert (changed.os_type, changed.os_distro, changed.architecture) == ("linux", "freebsd", "x86_64")
    assert (changed.is_protected, changed.is_hidden, changed.visibility) == (True, True, "community")
    assert {*changed.tags} == {"gone", "kept", "new"}

    assert "is protected" in openstack.fails("project-a", "image", "delete", image)

    openstack.says("project-a", "image", "set", "--unprotected", "--unhidden", "--private", image)
    openstack.says("project-a", "image", "unset", "--property", "left", "--tag", "gone", image)
    changed = images.get_image(image)
    assert (changed.is_protected, changed.is_hidden, changed.visibility) == (False, False, "private")
    assert "left" not in changed.properties
    assert changed.properties["also"] == "2"
    assert {*changed.tags} == {"kept", "new"}


@pytest.mark.runs("image add project", "image member get", "image member list", "image remove project")
def test_image_is_offered_accepted_rejected_and_withdrawn(openstack: OpenStack, cloud: Cloud, name: str) -> None:
    image = cloud.sdk("project-a").image.create_image(name, data=b"x", disk_format="raw", visibility="shared").id
    b = cloud.projects["project-b"]

    offered = openstack("project-a", "image", "add", "project", image, b)
    assert (offered["member_id"], offered["image_id"], offered["status"]) == (b, image, "pending")

    def inbox(status: str) -> list[str]:
        return names(openstack("project-b", "image", "list", "--shared", "--member-status", status, "--name", name))

    assert (inbox("pending"), inbox("accepted")) == ([name], [])
    openstack.says("project-b", "image", "set", "--accept", image)
    assert (inbox("pending"), inbox("accepted")) == ([], [name])
    assert openstack("project-a", "image", "member", "get", image, b)["status"] == "accepted"
    openstack.says("project-b", "image", "set", "--reject", image)
    assert (inbox("rejected"), inbox("accepted")) == ([name], [])
    openstack.says("project-b", "image", "set", "--pending", image)
    assert openstack("project-a", "image", "member", "list", image) == [{"Image ID": image, "Member ID": b, "Status": "pending"}]
    assert "No Image found" in openstack.fails("project-c", "image", "show", image)
    assert "not found in the member list" in openstack.fails("project-a", "image", "set", "--accept", image)

    openstack.says("project-a", "image", "remove", "project", image, b)
    assert openstack("project-a", "image", "member", "list", image) == []
    assert "No Image found" in openstack.fails("project-b", "image", "show", image)


def test_deactivated_image_cannot_be_saved(openstack: OpenStack, cloud: Cloud, name: str, tmp_path: Path) -> None:
    image = cloud.sdk("project-a").image.create_image(name, data=b"data" * 1000, disk_format="raw").id
    openstack.says("project-a", "image", "set", "--deactivate", image)
    assert openstack("project-a", "image", "show", image)["status"] == "deactivated"
    openstack.fails("project-a", "image", "save", "--file", str(tmp_path / "refused"), image)
    openstack.says("project-a", "image", "set", "--activate", image)
    openstack("project-a", "image", "save", "--file", str(tmp_path / "saved"), image)
    assert (tmp_path / "saved").read_bytes() == b"data" * 1000


def test_several_images_are_deleted_at_once(openstack: OpenStack, cloud: Cloud, name: str) -> None:
    images = [cloud.sdk("project-a").image.create_image(f"{name}-{number}", disk_format="raw").id for number in range(2)]
    openstack.says("project-a", "image", "delete", *images)
    assert openstack.fails("project-a", "image", "delete", *images)


@pytest.mark.runs("image stores list", "image import info")
def test_stores_and_import_methods_are_shown(openstack: OpenStack) -> None:
    stores = openstack("project-a", "image", "stores", "list")
    methods = openstack("project-a", "image", "import", "info")
    assert [store for store in stores if store["Default"]]
    assert isinstance(methods["import-methods"], list)


def test_the_installed_program_does_the_same(cloud: Cloud, name: str, tmp_path: Path) -> None:
    """The stories above fork a process that has imported the client; here it is the program from nothing."""
    program = OpenStack(Program(cloud.clouds_file), tmp_path)
    (tmp_path / "data").write_bytes(b"x" * 5000)
    made = program("project-a", "image", "create", "--file", "data", "--disk-format", "raw", name)
    assert program("project-a", "image", "list", "--name", name) == [{"ID": made["id"], "Name": name, "Status": "active"}]
