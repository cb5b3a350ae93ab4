"""openstacksdk's image proxy, unchanged: what Terraform-like tools, Ansible, Horizon and Nova build on."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from openstack import exceptions
from openstack.connection import Connection
from openstack.image.v2.image import Image

from tests.compat.clouds import Cloud, Disk

# The SDK leaves the file that it sends to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

Make = Callable[..., Image]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_create_image_sends_a_file_and_the_cloud_reports_its_digests(owner: Connection, disk: Disk, name: str) -> None:
    image = owner.image.create_image(name, filename=str(disk.qcow2), disk_format="qcow2", wait=True, validate_checksum=True)
    sent = disk.qcow2.read_bytes()
    assert (image.status, image.size, image.virtual_size) == ("active", len(sent), disk.raw.stat().st_size)
    assert (image.checksum, image.hash_algo, image.hash_value) == (md5(sent), "sha512", hashlib.sha512(sent).hexdigest())
    assert image.properties["owner_specified.openstack.md5"] == md5(sent)
    assert image.properties["owner_specified.openstack.sha256"] == hashlib.sha256(sent).hexdigest()
    assert image.properties["owner_specified.openstack.object"] == f"images/{name}"


def test_create_image_again_with_the_same_file_changes_nothing(owner: Connection, disk: Disk, name: str) -> None:
    """The SDK compares the digests it left as properties, and sends nothing when they agree."""
    first = owner.image.create_image(name, filename=str(disk.qcow2), disk_format="qcow2", validate_checksum=True)
    again = owner.image.create_image(name, filename=str(disk.qcow2), disk_format="qcow2", validate_checksum=True)
    assert again.id == first.id


def test_create_image_takes_bytes_metadata_and_typed_properties(owner: Connection, name: str) -> None:
    image = owner.image.create_image(
        name,
        data=b"x" * 5000,
        disk_format="raw",
        tags=["t"],
        min_disk=7,
        min_ram=128,
        is_protected=False,
        hw_disk_bus="virtio",
        depth=3,
    )
    shown = owner.image.get_image(image.id)
    assert (shown.min_disk, shown.min_ram, shown.hw_disk_bus, shown.properties["depth"]) == (7, 128, "virtio", "3")
    assert (shown.tags, shown.container_format, shown.owner_id) == (["t"], "bare", owner.current_project_id)


def test_create_image_without_data_stays_queued(an_image: Make) -> None:
    image = an_image(data=None)
    assert (image.status, image.size, image.checksum) == ("queued", None, None)


def test_wrong_digest_given_by_the_caller_is_found(owner: Connection, name: str) -> None:
    with pytest.raises(exceptions.SDKException, match="checksum verification failed"):
        owner.image.create_image(name, data=b"x" * 100, disk_format="raw", md5="0" * 32, sha256="0" * 64, validate_checksum=True)


def test_data_of_another_format_is_refused_and_the_image_removed(owner: Connection, disk: Disk, name: str) -> None:
    with pytest.raises(exceptions.HttpException) as refused:
        owner.image.create_image(name, filename=str(disk.raw), disk_format="qcow2")
    assert refused.value.status_code == 415
    assert owner.image.find_image(name) is None


def test_id_that_is_taken_is_a_conflict(an_image: Make, owner: Connection, name: str) -> None:
    image = an_image()
    with pytest.raises(exceptions.ConflictException):
        owner.image.create_image(name, disk_format="raw", allow_duplicates=True, meta={"id": image.id})


def test_second_upload_is_a_conflict(an_image: Make, owner: Connection) -> None:
    image = owner.image.get_image(an_image().id)
    image.data = b"other"
    assert image.upload(owner.image).status_code == 409
    assert owner.image.download_image(image).content == b"x" * 10_000


def test_find_image_looks_by_id_and_by_name(an_image: Make, owner: Connection, member: Connection, name: str) -> None:
    image = an_image()
    assert owner.image.find_image(name).id == owner.image.find_image(image.id).id == image.id
    assert owner.image.find_image(name + "-not") is None
    assert member.image.find_image(image.id) is None
    with pytest.raises(exceptions.NotFoundException):
        member.image.get_image(image.id)


def test_two_images_of_one_name_are_ambiguous(an_image: Make, owner: Connection, name: str) -> None:
    an_image()
    an_image()
    with pytest.raises(exceptions.DuplicateResource):
        owner.image.find_image(name)


def test_hidden_image_is_found_by_name(an_image: Make, owner: Connection, name: str) -> None:
    """The SDK asks a second time with os_hidden when the first list is empty."""
    assert owner.image.find_image(an_image(is_hidden=True).name, ignore_missing=False).is_hidden
    assert list(owner.image.images(name=name)) == []


def test_images_filters_on_the_service(an_image: Make, owner: Connection, name: str) -> None:
    small = an_image(data=b"x" * 10, name=f"{name}-small", tags=[name, "red"], visibility="private")
    big = an_image(data=b"x" * 1000, name=f"{name}-big", tags=[name, "blue"], visibility="community", min_disk=9)
    queued = an_image(data=None, name=f"{name}-queued", tags=[name])

    def found(**filters: object) -> set[str]:
        return {image.id for image in owner.image.images(tag=filters.pop("tag", name), visibility="all", **filters)}

    assert found() == {small.id, big.id, queued.id}
    assert found(name=big.name) == {big.id}
    assert found(name=f"in:{big.name},{small.name}") == {big.id, small.id}
    assert found(status="queued") == {queued.id}
    assert found(size_min=500) == {big.id}
    assert found(size_max=500) == {small.id}
    assert found(disk_format="raw", container_format="bare") == {small.id, big.id, queued.id}
    assert found(disk_format="qcow2") == set()
    assert found(tag=[name, "red"]) == {small.id}
    assert found(owner=owner.current_project_id) == {small.id, big.id, queued.id}
    assert found(created_at="gt:2020-01-01T00:00:00Z") == {small.id, big.id, queued.id}
    assert found(updated_at="lt:2020-01-01T00:00:00Z") == set()
    assert {image.id for image in owner.image.images(tag=name, visibility="community")} == {big.id}


def test_images_follows_next_links_with_its_filters(an_image: Make, owner: Connection, name: str) -> None:
    """Three pages; a second tag in the question would be lost by Glance's links, so one tag is asked for here."""
    made = [an_image(data=None, name=f"{name}-{number}", tags=[name]).id for number in range(5)]
    an_image(data=None, name=f"{name}-other")
    found = [image.id for image in owner.image.images(tag=name, limit=2, sort_key="name", sort_dir="asc")]
    assert found == made
    assert [image.id for image in owner.image.images(tag=name, limit=2, paginated=False, sort="name:desc")] == made[:2:-1]
    assert [image.id for image in owner.image.images(tag=name, marker=made[1], sort="name:asc")] == made[2:]


@pytest.mark.parametrize("sort", ["name:asc", "created_at:desc", "size:asc,name:desc"])
def test_images_are_all_deleted_in_the_loop_that_lists_them(sort: str, an_image: Make, owner: Connection, name: str) -> None:
    """Each page's last image, which is the marker of the next page, is gone when that page is asked for."""
    made = {an_image(data=None, name=f"{name}-{number}", tags=[name]).id for number in range(8)}
    deleted = set()
    for image in owner.image.images(tag=name, limit=3, sort=sort):
        owner.image.delete_image(image)
        deleted.add(image.id)
    assert deleted == made


def test_update_image_patches_attributes_and_properties(an_image: Make, owner: Connection, name: str) -> None:
    image = an_image(colour="red", hat="7", tags=["old"])
    changed = owner.image.update_image(
        image.id, name=f"{name}-new", min_ram=5, visibility="private", is_protected=True, tags=["new"], colour="blue", shape="round"
    )
    assert (changed.name, changed.min_ram, changed.visibility, changed.is_protected) == (f"{name}-new", 5, "private", True)
    assert (changed.tags, changed.properties["colour"], changed.properties["shape"]) == (["new"], "blue", "round")
    assert changed.properties["hat"] == "7"
    shown = owner.image.get_image(image.id)
    assert shown.to_dict() | {"location": None} == changed.to_dict() | {"location": None}
    with pytest.raises(exceptions.ForbiddenException):
        owner.image.delete_image(image)
    owner.image.update_image(shown, is_protected=False)


def test_update_image_properties_changes_only_what_differs(an_image: Make, owner: Connection) -> None:
    image = owner.image.get_image(an_image(colour="red").id)
    assert owner.image.update_image_properties(image, colour="green")
    assert owner.image.get_image(image.id).properties["colour"] == "green"


def test_upload_image_is_the_old_way_and_still_works(owner: Connection, name: str) -> None:
    with pytest.warns(match="upload_image is deprecated"):
        image = owner.image.upload_image(container_format="bare", disk_format="raw", data=b"y" * 3000, name=name)
    assert owner.image.get_image(image.id).status == "active"
    assert owner.image.download_image(image).content == b"y" * 3000


def test_data_can_be_a_stream(owner: Connection, name: str) -> None:
    sent = bytes(range(256)) * 4096
    made = owner.image.create_image(name, data=io.BytesIO(sent), disk_format="raw")
    image = owner.image.get_image(made.id)
    assert (image.size, image.checksum) == (len(sent), md5(sent))


def test_download_image_gives_memory_stream_or_file(an_image: Make, owner: Connection, tmp_path: Path) -> None:
    sent = bytes(range(251)) * 20_000
    image = an_image(data=sent)
    assert owner.image.download_image(image).content == sent

    with owner.image.download_image(image.id, stream=True) as streamed:
        assert b"".join(streamed.iter_content(chunk_size=65_536)) == sent
        assert streamed.headers["Content-Length"] == str(len(sent))

    owner.image.download_image(image, output=str(tmp_path / "by-path"), chunk_size=100_000)
    assert (tmp_path / "by-path").read_bytes() == sent
    with (tmp_path / "by-file").open("wb") as file:
        owner.image.download_image(image, output=file)
    assert (tmp_path / "by-file").read_bytes() == sent


def test_tags_are_added_and_removed_one_by_one(an_image: Make, owner: Connection) -> None:
    image = an_image()
    owner.image.add_tag(image, "first tag")
    owner.image.add_tag(image, "second: tag")
    owner.image.add_tag(image, "first tag")
    assert {*owner.image.get_image(image.id).tags} == {"first tag", "second: tag"}
    owner.image.remove_tag(image, "first tag")
    assert owner.image.get_image(image.id).tags == ["second: tag"]


def test_members_are_added_found_updated_and_removed(an_image: Make, owner: Connection, member: Connection, cloud: Cloud) -> None:
    image = an_image()
    b, c = cloud.projects["project-b"], cloud.projects["project-c"]
    added = owner.image.add_member(image, member=b)
    owner.image.add_member(image.id, member_id=c)
    assert (added.id, added.image_id, added.status) == (b, image.id, "pending")
    assert {each.id for each in owner.image.members(image)} == {b, c}
    assert [each.id for each in member.image.members(image)] == [b]
    assert owner.image.find_member(b, image).status == owner.image.get_member(b, image).status == "pending"
    assert owner.image.find_member("nobody", image) is None
    with pytest.raises(exceptions.ConflictException):
        owner.image.add_member(image, member=b)

    assert member.image.update_member(b, image, status="accepted").status == "accepted"
    assert image.id in {each.id for each in member.image.images()}
    with pytest.raises(exceptions.ForbiddenException):
        owner.image.update_member(b, image, status="rejected")
    with pytest.raises(exceptions.ForbiddenException):
        member.image.remove_member(b, image)
    assert member.image.download_image(image.id).content == b"x" * 10_000

    owner.image.remove_member(b, image)
    assert [each.id for each in owner.image.members(image)] == [c]
    with pytest.raises(exceptions.NotFoundException):
        owner.image.remove_member(b, image, ignore_missing=False)
    with pytest.raises(exceptions.NotFoundException):
        member.image.get_image(image.id)


def test_deactivated_image_is_shown_and_not_sent(an_image: Make, owner: Connection) -> None:
    image = an_image()
    owner.image.deactivate_image(image)
    assert owner.image.get_image(image.id).status == "deactivated"
    with pytest.raises(exceptions.SDKException):
        owner.image.download_image(image)
    owner.image.reactivate_image(image)
    assert owner.image.download_image(image).content == b"x" * 10_000


def test_deleted_image_is_gone(an_image: Make, owner: Connection) -> None:
    image = an_image()
    owner.image.delete_image(image, ignore_missing=False)
    assert owner.image.find_image(image.id) is None
    owner.image.delete_image(image)
    with pytest.raises(exceptions.NotFoundException):
        owner.image.delete_image(image, ignore_missing=False)


def test_image_has_its_tasks(an_image: Make, owner: Connection) -> None:
    assert list(owner.image.image_tasks(an_image())) == []


def test_reader_reads_and_changes_nothing(an_image: Make, cloud: Cloud) -> None:
    image = an_image()
    reader = cloud.sdk("reader-a")
    assert reader.image.get_image(image.id).id == image.id
    with pytest.raises(exceptions.ForbiddenException):
        reader.image.update_image(reader.image.get_image(image.id), name="mine")
    with pytest.raises(exceptions.ForbiddenException):
        reader.image.delete_image(image.id, ignore_missing=False)
    with pytest.raises(exceptions.SDKException):
        reader.image.download_image(image.id)


@pytest.mark.parametrize("kind", ["image", "images", "member", "members"])
def test_schemas_are_served(owner: Connection, kind: str) -> None:
    schema = getattr(owner.image, f"get_{kind}_schema")()
    assert schema.name == kind
    assert schema.properties


def test_discovery_finds_version_two(owner: Connection) -> None:
    data = owner.image.get_endpoint_data()
    assert data.api_version[0] == 2
    assert data.url.rstrip("/").endswith("/v2")
    assert owner.image.get_import_info().import_methods["type"] == "array"
    assert any(store.is_default for store in owner.image.stores())
