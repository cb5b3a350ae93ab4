"""What is refused does not stay: after every refusal the image waits for data, nothing can be read, and a sweep frees every byte.

Numbers T-… are those of docs/security.md.
"""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from partage import problems
from partage.main.composition import compose
from partage.main.configuration import config
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.quota import Usage
from partage.operations import downloads, images, sweep
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import Service
from partage.records import images as image_rows
from partage.records import reservations
from tests import uploading
from tests.operations.services import OWNER, download, make, queued_image, upload
from tests.operations.test_sweep import NOW, noise, stored_bytes
from tests.services import change_service
from tests.unit.content.test_inspection import HOSTILE, MIB, qcow2, vmdk
from tests.unit.outbound import origins


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path)


def declared(service: Service, disk_format: str) -> Image:
    image = queued_image(service)
    with service.database.write() as tx:
        image_rows.save(tx, replace(image, disk_format=disk_format), was=image)
    return replace(image, disk_format=disk_format)


def test_partition_table_is_refused_unless_its_check_is_disabled(tmp_path: Path) -> None:
    boot_sector = bytes(510) + b"\x55\xaa" + bytes(MIB)
    with pytest.raises(problems.FormatRefused, match=r"its partition table has no entries.*gpt_safety_checks_nonfatal"):
        upload(strict := make(tmp_path / "strict"), queued_image(strict).id, boot_sector)
    settings = config.load({"data": tmp_path / "lax", "formats": {"gpt_safety_checks_nonfatal": ["mbr"]}})
    lax = make(tmp_path / "lax", formats=compose.build_service(settings).formats)
    image = queued_image(lax)
    upload(lax, image.id, boot_sector)
    assert download(lax, image.id) == boot_sector


def staged(service: Service, image: Image, data: bytes) -> None:
    blocks: Iterator[bytes] = (data[start : start + 70_001] for start in range(0, len(data), 70_001))
    uploading.stage(service, OWNER, image.id, blocks, announced_bytes=None)
    import_requests.request_import(service, OWNER, image.id, ImportRequest(method=ImportMethod.GLANCE_DIRECT), request_id="r")
    works(service)


def downloaded(service: Service, image: Image, data: bytes) -> None:
    with origins.serving(origins.saying(origins.content(data))) as origin:
        fetching = change_service(service, fetch=origins.rules(origin.port))
        request = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri=origin.url())
        import_requests.request_import(fetching, OWNER, image.id, request, request_id="r")
        works(fetching)


def uploaded(service: Service, image: Image, data: bytes) -> None:
    with pytest.raises(problems.FormatRefused):
        upload(service, image.id, data)


def works(service: Service) -> None:
    work = import_runs.claim(service)
    assert work is not None
    import_runs.run(service, work)


ROADS = {"upload": uploaded, "stage and import": staged, "web-download": downloaded}
PICKED = [name for name in sorted(HOSTILE) if "bit" not in name and "cut off" not in name][::4]
"""A quarter of the hostile files: each road has the same inspector, and that one is shown all of them in its own suite."""


def left_over(service: Service, folder: Path) -> int:
    sweep.sweep(service, grace=NOW)
    sweep.sweep(service, grace=NOW)
    return stored_bytes(folder)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", PICKED)
def test_hostile_file_is_refused_by_every_route_and_leaves_nothing(road: str, name: str, service: Service, tmp_path: Path) -> None:
    """T-41 to T-48 and T-50. Behind each stands noise that no other image has, so that there is something to leave behind."""
    image = declared(service, "raw" if "VMDK" not in name else "vmdk")
    ROADS[road](service, image, HOSTILE[name] + noise(3, 2))
    found = images.show_image(service, OWNER, image.id)
    assert (found.status, found.size, found.checksum, found.os_hash_value) == (ImageStatus.QUEUED, None, None, None)
    assert not downloads.open_image_data(service, OWNER, image.id).has_data
    assert left_over(service, tmp_path) == 0
    good = vmdk() if image.disk_format == "vmdk" else noise(4)
    upload(service, image.id, good)
    assert download(service, image.id) == good


def test_data_that_is_refused_at_its_end_leaves_nothing(service: Service, tmp_path: Path) -> None:
    """The verdict comes when many packs of it are in the store already."""
    image = declared(service, "qcow2")
    cut = qcow2(rest=100)[:300] + noise(5, 40)
    with pytest.raises(problems.ImageTooLarge):
        upload(replace(service, limits=replace(service.limits, image_size_cap_bytes=30 * MIB)), image.id, cut)
    assert stored_bytes(tmp_path) > MIB
    assert left_over(service, tmp_path) == 0


def test_refused_data_is_not_given_to_who_brings_its_digest(service: Service) -> None:
    """T-50, T-84: chunks of refused data may still be in the store; only who brings all of the bytes gets an image of them."""
    data = noise(6, 3)
    small = replace(service, limits=replace(service.limits, image_size_cap_bytes=2 * MIB))
    with pytest.raises(problems.ImageTooLarge):
        upload(small, queued_image(service).id, data)
    other = queued_image(service)
    upload(service, other.id, data[: 2 * MIB])
    assert download(service, other.id) == data[: 2 * MIB]


@pytest.mark.parametrize("when", ["before a byte", "in the middle", "after the last byte"])
def test_deleting_an_image_during_its_import_leaves_nothing(when: str, service: Service, tmp_path: Path) -> None:
    """T-22: the server whose data is fetched lets the image be deleted at a moment of its choosing."""
    data, gone = noise(7, 3), []

    def delete() -> None:
        images.delete_image(service, OWNER, gone[0])

    def answer(connection: socket.socket, _head: bytes) -> None:
        whole = origins.content(data)
        cut = {"before a byte": 0, "in the middle": len(whole) // 2, "after the last byte": len(whole) - 1}[when]
        connection.sendall(whole[:cut])
        delete()
        connection.sendall(whole[cut:])

    with origins.serving(answer) as origin:
        fetching = change_service(service, fetch=origins.rules(origin.port))
        image = queued_image(service)
        gone.append(ImageID(image.id))
        request = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri=origin.url())
        import_requests.request_import(fetching, OWNER, image.id, request, request_id="r")
        works(fetching)
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, OWNER, image.id)
    assert left_over(service, tmp_path) == 0
    with service.database.read() as tx:
        assert reservations.usage(tx, ProjectID("A"), now=datetime.now(UTC)) == Usage()
