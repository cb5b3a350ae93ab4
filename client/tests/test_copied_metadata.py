"""What of an image's description travels, what does not, and which images have no use elsewhere."""

from typing import Any

import pytest

from partageclient import copied_metadata, errors
from partageclient.copied_metadata import MARKER

SOURCE: dict[str, Any] = {
    "id": "71c675ab-0000-4000-8000-000000000001", "name": "golden", "owner": "a" * 32, "status": "active", "size": 10,
    "visibility": "shared", "disk_format": "qcow2", "container_format": "bare", "min_disk": 1, "min_ram": 0, "tags": ["web"],
    "protected": True, "os_hidden": False, "checksum": "c", "os_hash_algo": "sha512", "os_hash_value": "h", "self": "/v2",
    "file": "/v2", "schema": "/v2", "virtual_size": None, "created_at": "x", "updated_at": "x", "locations": [],
    "direct_url": "rbd://", "stores": "fast", "os_distro": "debian", "os_glance_importing_to_stores": "", "img_signature": "s",
    "kernel_id": "k", "ramdisk_id": None,
}  # fmt: skip


def test_copy_within_a_cloud_keeps_what_the_project_may_set() -> None:
    found = copied_metadata.select(SOURCE, to_other_cloud=False)
    assert found.properties == {"os_distro": "debian", "img_signature": "s", "kernel_id": "k"}
    assert found.left_out == {"os_glance_importing_to_stores": "the image service keeps it for itself"}
    assert found.afterwards == {}
    assert found.document["visibility"] == "private"
    assert found.document[MARKER] == SOURCE["id"]


def test_copy_to_another_cloud_leaves_out_what_names_things_of_the_first() -> None:
    found = copied_metadata.select(SOURCE, name="mine", to_other_cloud=True)
    assert found.properties == {"os_distro": "debian"}
    assert set(found.left_out) == {"os_glance_importing_to_stores", "img_signature", "kernel_id"}
    assert found.afterwards == {"protected": True}
    assert found.document["name"] == "mine"


def test_copy_of_a_half_made_copy_is_marked_with_its_own_source() -> None:
    found = copied_metadata.select({**SOURCE, MARKER: "another"}, to_other_cloud=True)
    assert found.document[MARKER] == SOURCE["id"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"status": "queued"}, "the image is queued"),
        ({"status": "deactivated"}, "the image is deactivated"),
        ({"size": 0, "block_device_mapping": '[{"snapshot_id": "1"}]'}, "refers to snapshots of volumes"),
        ({"cinder_encryption_key_id": "k"}, "encrypted with a key"),
        ({"os_encrypt_key_id": "k"}, "encrypted with a key"),
    ],
)
def test_image_whose_copy_would_not_work_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.Conflict, match=words) as caught:
        copied_metadata.check_copyable({**SOURCE, **changed}, "Adopt it")
    assert caught.value.remedy


@pytest.mark.parametrize("changed", [{}, {"size": 0}, {"size": 0, "block_device_mapping": "[]"}, {"block_device_mapping": "[1]"}])
def test_image_with_data_of_its_own_is_copied(changed: dict[str, Any]) -> None:
    copied_metadata.check_copyable({**SOURCE, **changed}, "Adopt it")
