"""Data of a Glance in Swift and S3 stays there: whole objects, and large ones of segments, as Glance's stores write them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from partage import problems
from partage.main.composition.glance_stores import build_readers
from partage.main.configuration.glance_config import read_glance_config
from partage.model.ids import ImageID
from partage.operations import cutting
from partage.operations.service import Service
from partage.stores.drivers.attempts import Limits
from partage.stores.drivers.swift import Place, SwiftStore
from partage.stores.drivers.swift_accounts import Account, connect
from tests import glance_world
from tests.glance_world import GlanceWorld
from tests.object_stores import s3_client, swift
from tests.object_stores.fixtures import BUCKET
from tests.object_stores.servers import ACCESS_KEY, SECRET_KEY, RunningServer
from tests.operations import services
from tests.operations.test_taking_over import DATA, PLACES, take

pytestmark = pytest.mark.thorough


@pytest.fixture
def glance(tmp_path: Path) -> GlanceWorld:
    return glance_world.make_glance(tmp_path / "glance")


def configure(glance: GlanceWorld, type_: str, section: str) -> None:
    """Give the Glance one store of a type, named fast."""
    text = glance.config.read_text().replace("fast:file", f"fast:{type_}").split("[fast]")[0]
    glance.config.write_text(f"{text}[fast]\n{section}")


def open_service(glance: GlanceWorld, folder: Path) -> Service:
    return services.make(folder, originals=build_readers(read_glance_config(glance.config)))


def take_and_cut(glance: GlanceWorld, service: Service, type_: str, image_id: str, remove: Iterator[None]) -> None:
    """Take over the image, read it in place, cut it, and read it again when the objects are gone."""
    places = replace(PLACES, types={"fast": type_})
    assert take(service, glance, places=places).refused == {}
    assert services.download(service, ImageID(image_id)) == DATA
    for content_id in cutting.list_uncut(service):
        assert cutting.try_cut(service, content_id, lambda _size: None) == ""
    next(remove, None)
    assert services.download(service, ImageID(image_id)) == DATA


@pytest.mark.parametrize("segments", [1, 3])
def test_images_in_swift_are_read_in_place_and_cut(
    segments: int, glance: GlanceWorld, swift_server: RunningServer, tmp_path: Path
) -> None:
    references = glance.folder / "glance-swift.conf"
    references.write_text(swift.render_reference(swift_server))
    configure(glance, "swift", f"swift_store_config_file = {references.name}\ndefault_swift_reference = test\n")
    image_id = glance.add_image(DATA)
    glance.execute("UPDATE image_locations SET value = ?", f"swift+config://test/{BUCKET}/{image_id}")
    account = Account(reference="test", config_file=references)
    client, store = connect(account, Limits()), SwiftStore(Place(BUCKET, account))
    if segments == 1:
        store.put(image_id, [DATA])
    else:  # as glance_store does: segments beside an empty object that names what theirs begin with
        step = -(-len(DATA) // segments)
        for number in range(segments):
            store.put(f"{image_id}-{number + 1:05}", [DATA[number * step : (number + 1) * step]])
        client.put(f"/{BUCKET}/{image_id}", headers={"X-Object-Manifest": f"{BUCKET}/{image_id}-"}, data=b"")

    def remove() -> Iterator[None]:
        for key in list(store.enumerate(image_id)):
            store.remove(key)
        yield

    take_and_cut(glance, open_service(glance, tmp_path / "own"), "swift", image_id, remove())


def test_absent_object_and_foreign_account_are_named(glance: GlanceWorld, swift_server: RunningServer, tmp_path: Path) -> None:
    references = glance.folder / "glance-swift.conf"
    references.write_text(swift.render_reference(swift_server))
    configure(glance, "swift", f"swift_store_config_file = {references}\n")
    absent, other = glance.add_image(DATA), glance.add_image(DATA)
    for image_id, url in ((absent, f"swift+config://test/{BUCKET}/{absent}"), (other, f"swift+https://u:p:k@host/v1/c/{other}")):
        glance.execute("UPDATE image_locations SET value = ? WHERE image_id = ?", url, image_id)
    refused = take(open_service(glance, tmp_path / "own"), glance, places=replace(PLACES, types={"fast": "swift"})).refused
    assert "does not exist in" in refused[absent]
    assert "has its account in the URL" in refused[other]


def test_images_in_s3_are_read_in_place_and_cut(glance: GlanceWorld, seaweedfs_server: RunningServer, tmp_path: Path) -> None:
    configure(
        glance,
        "s3",
        f"s3_store_host = {seaweedfs_server.url}\ns3_store_access_key = {ACCESS_KEY}\ns3_store_secret_key = {SECRET_KEY}\n"
        f"s3_store_bucket = {BUCKET}\ns3_store_bucket_url_format = path\n",
    )
    image_id = glance.add_image(DATA)
    url = f"s3://{ACCESS_KEY}:{SECRET_KEY}@{seaweedfs_server.url.removeprefix('http://')}/{BUCKET}/{image_id}"
    glance.execute("UPDATE image_locations SET value = ?", url)
    client = s3_client.connect(seaweedfs_server)
    client.put_object(Bucket=BUCKET, Key=image_id, Body=DATA)

    def remove() -> Iterator[None]:
        client.delete_object(Bucket=BUCKET, Key=image_id)
        yield

    service = open_service(glance, tmp_path / "own")
    take_and_cut(glance, service, "s3", image_id, remove())
    assert SECRET_KEY not in repr(read_glance_config(glance.config))
    with pytest.raises(problems.StoreUnavailable, match=r"remove .* with the store's own client"):
        service.stores.originals["fast"].remove(url)
