"""Taking over a Glance: what comes, what a second run takes, and what stays behind with which reason."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, StoreID, UserID
from partage.model.image import Image, ImageStatus
from partage.model.member import MemberStatus
from partage.model.metadef import DefinitionKind
from partage.operations import downloads, images
from partage.operations import members as sharing_members
from partage.operations.service import HTTPStore, Service
from partage.operations.taking_over import images as images_of_glance
from partage.operations.taking_over import others, run
from partage.operations.taking_over.places import Places
from partage.operations.taking_over.run import ImageReport
from partage.records import images as image_rows
from partage.records import members, metadefs, tasks
from partage.records.glance_database import GlanceDatabase
from partage.stores.originals.files import OriginalFiles
from tests import glance_world
from tests.glance_world import GlanceWorld
from tests.operations import services
from tests.operations.services import OWNER

FAST = StoreID("fast")
MEMBER = Caller(user_id=UserID("m"), project_id=ProjectID("B"), roles=frozenset({"member", "reader"}))
PLACES = Places(types={"fast": "file", "ceph": "rbd"}, stores={"fast": services.LOCAL}, default="fast", by_type=False)
DATA = bytes(range(256)) * 20_000


@pytest.fixture
def glance(tmp_path: Path) -> GlanceWorld:
    return glance_world.make_glance(tmp_path / "glance")


@pytest.fixture
def service(tmp_path: Path, glance: GlanceWorld) -> Service:
    return services.make(tmp_path / "own", originals={"fast": OriginalFiles([glance.folder / "images"])})


def take(service: Service, glance: GlanceWorld, *, dry_run: bool = False, places: Places = PLACES) -> ImageReport:
    return run.take_images(service, GlanceDatabase(glance.url), places, dry_run=dry_run)


def find(service: Service, image_id: str) -> Image | None:
    with service.database.read() as tx:
        return image_rows.find_or_none(tx, ImageID(image_id))


def counts(report: ImageReport) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.removed


def test_image_comes_with_everything_that_glance_has_of_it(service: Service, glance: GlanceWorld) -> None:
    taken = glance.add_image(
        DATA,
        name="Größe",
        os_hidden=True,
        protected=True,
        min_disk=3,
        min_ram=64,
        tags=("b", "a"),
        properties={"os_distro": "debian", "os_glance_import_task": "of the other service"},
        members={"B": "accepted", "C": "rejected", "D": "pending"},
    )
    take(service, glance)
    image = images.show_image(service, OWNER, ImageID(taken))
    assert (image.name, image.os_hidden, image.protected, image.min_disk, image.min_ram) == ("Größe", True, True, 3, 64)
    assert (image.tags, image.properties, image.stores) == (("a", "b"), {"os_distro": "debian"}, (services.LOCAL,))
    assert image.created_at == datetime(2025, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    assert image.updated_at == datetime(2025, 3, 2, 11, 30, tzinfo=UTC)
    with service.database.read() as tx:
        found = {each.member_id: each.status for each in members.list_all(tx, image.id)}
    assert found == {"B": MemberStatus.ACCEPTED, "C": MemberStatus.REJECTED, "D": MemberStatus.PENDING}
    assert services.download(service, image.id, MEMBER) == DATA


def test_every_status_comes(service: Service, glance: GlanceWorld) -> None:
    queued = glance.add_image(None)
    killed = glance.add_image(None, status="killed")
    off = glance.add_image(DATA, status="deactivated")
    empty = glance.add_image(b"")
    take(service, glance)
    found = [find(service, each) for each in (queued, killed, off, empty)]
    assert [each.status for each in found if each] == [
        ImageStatus.QUEUED,
        ImageStatus.KILLED,
        ImageStatus.DEACTIVATED,
        ImageStatus.ACTIVE,
    ]
    assert services.download(service, ImageID(empty)) == b""


def test_dry_run_writes_nothing(service: Service, glance: GlanceWorld) -> None:
    taken = glance.add_image(DATA, members={"B": "accepted"})
    report = take(service, glance, dry_run=True)
    assert (counts(report), report.members, report.in_place_bytes) == ((1, 0, 0, 0), 1, len(DATA))
    assert find(service, taken) is None
    assert counts(take(service, glance)) == (1, 0, 0, 0)


def test_second_run_takes_what_changed(service: Service, glance: GlanceWorld) -> None:
    _same, changed, shared, deleted = (glance.add_image(DATA) for _number in range(4))
    late = glance.add_image(None)
    take(service, glance)
    before = find(service, changed)
    glance.change_image(changed, name="new name", updated_at="2026-01-01 00:00:00.000000")
    glance.add_member(shared, "B", "accepted")
    glance.delete_image(deleted)
    glance.delete_image(late)
    new = glance.add_image(b"new")
    report = take(service, glance)
    assert counts(report) == (1, 2, 1, 2)
    after = find(service, changed)
    assert before is not None and after is not None  # noqa: PT018 -- for the types
    assert (after.name, after.content_id) == ("new name", before.content_id)
    assert services.download(service, ImageID(shared), MEMBER) == DATA
    assert services.download(service, ImageID(new)) == b"new"
    assert [find(service, each) for each in (deleted, late)] == [None, None]
    assert counts(take(service, glance)) == (0, 0, 4, 0)


def test_images_stay_if_the_database_has_no_row_of_them(service: Service, glance: GlanceWorld) -> None:
    taken, purged = ImageID(glance.add_image(DATA)), ImageID(glance.add_image(None))
    take(service, glance)
    glance.execute("DELETE FROM images")  # another Glance whose database has the same address, or a purge
    report = take(service, glance)
    assert (report.removed, set(report.kept)) == (0, {taken, purged})
    assert "has no row of it" in report.kept[taken]
    assert services.download(service, taken) == DATA
    images.delete_image(service, OWNER, purged)
    assert set(take(service, glance).kept) == {taken}
    assert set(take(service, glance).kept) == {taken}


def test_file_outside_of_the_directories_is_refused(service: Service, glance: GlanceWorld) -> None:
    taken = glance.add_image(DATA)
    glance.execute("UPDATE image_locations SET value = ?", f"file:///etc/{taken}")
    assert "is in no directory of its store" in take(service, glance).refused[taken]


def test_keys_in_a_location_are_not_kept(service: Service, glance: GlanceWorld) -> None:
    image_id = glance.add_image(DATA)
    glance.execute("UPDATE image_locations SET value = ?", f"s3+https://AKIA:sec/ret@host/bucket/{image_id}")
    given = next(GlanceDatabase(glance.url).list_images())
    coming = images_of_glance.prepare(service, replace(PLACES, types={"fast": "s3"}), given, is_checked=False)
    assert [each.url for each in coming.originals.values()] == [f"s3+https://host/bucket/{image_id}"]


def test_image_gets_no_data_that_glance_stored_for_another(service: Service, glance: GlanceWorld) -> None:
    private = glance.add_image(DATA, owner="B")
    taking = glance.add_image(DATA, location=f"file://{glance.file_of(private)}")
    report = take(service, glance)
    assert "does not end with its id" in report.refused[taking]
    assert find(service, private) is not None


def test_member_that_glance_removed_goes(service: Service, glance: GlanceWorld) -> None:
    taken = glance.add_image(DATA, members={"B": "accepted", "C": "pending"})
    take(service, glance)
    glance.execute("UPDATE image_members SET deleted = 1 WHERE member = 'B'")
    glance.execute("UPDATE image_members SET status = 'accepted' WHERE member = 'C'")
    take(service, glance)
    with service.database.read() as tx:
        found = {each.member_id: each.status for each in members.list_all(tx, ImageID(taken))}
    assert found == {"C": MemberStatus.ACCEPTED}


def test_what_was_changed_or_deleted_here_stays(service: Service, glance: GlanceWorld) -> None:
    changed, deleted, own = glance.add_image(DATA), glance.add_image(DATA), services.queued_image(service)
    glance.add_image(None, id=own.id)
    take(service, glance)
    with service.database.write() as tx:
        image = image_rows.find_for_work(tx, ImageID(changed))
        assert image is not None
        image_rows.save(tx, replace(image, name="ours", updated_at=service.clock()), was=image)
    images.delete_image(service, OWNER, ImageID(deleted))
    for each in (changed, deleted):
        glance.change_image(each, name="theirs")
    report = take(service, glance)
    assert set(report.kept) == {changed, deleted, own.id}
    image = find(service, changed)
    assert image is not None
    assert image.name == "ours"
    assert find(service, deleted) is None


def test_member_who_was_removed_here_does_not_come_back(service: Service, glance: GlanceWorld) -> None:
    taken = ImageID(glance.add_image(DATA, members={"B": "accepted"}))
    take(service, glance)
    sharing_members.remove_member(service, OWNER, taken, ProjectID("B"))
    glance.change_image(taken, name="new name")
    assert "its members were changed here" in take(service, glance).kept[taken]
    with service.database.read() as tx:
        assert members.list_all(tx, taken) == []


def test_image_that_glance_deleted_by_half_is_deleted(service: Service, glance: GlanceWorld) -> None:
    broken = glance.add_image(DATA)
    take(service, glance)
    glance.change_image(broken, status="deleted")
    report = take(service, glance)
    assert (report.removed, report.deleted_ids, find(service, broken)) == (1, 1, None)


def test_id_of_image_that_glance_deleted_is_not_used_again(service: Service, glance: GlanceWorld) -> None:
    deleted = glance.add_image(DATA)
    glance.delete_image(deleted)
    assert take(service, glance).deleted_ids == 1
    with service.database.read() as tx:
        assert image_rows.was_deleted(tx, ImageID(deleted))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"status": "saving"}, "it is saving; run the command again when it is active"),
        ({"location": "rbd://pool/image/snap", "store": "ceph"}, "location rbd:, and only locations in files, Swift, S3 and http"),
        ({"location": "https://[example.org/disk"}, "no store of type http is configured here"),
        ({"location": "disk"}, "a location without a scheme"),
        ({"location": "https://example.org/disk"}, "no store of type http is configured here"),
        ({"store": "gone"}, "Glance's store gone, which Glance's configuration does not have"),
        ({"location": "file:///etc/passwd"}, "does not end with its id"),
        ({"location": "swift+config://ref1/container/object"}, "which has the type file"),
        ({"size": 17}, "5120000 bytes of it, and Glance recorded 17"),
        ({"size": None}, "Glance did not record its size"),
    ],
)
def test_image_stays_behind_with_reason(service: Service, glance: GlanceWorld, changed: dict[str, Any], reason: str) -> None:
    image_id = glance.add_image(DATA, **changed)
    report = take(service, glance)
    assert list(report.refused) == [image_id]
    assert reason in report.refused[image_id]
    assert find(service, image_id) is None


def test_absent_file_is_reported_and_the_image_comes_when_it_is_back(service: Service, glance: GlanceWorld) -> None:
    image_id = glance.add_image(DATA)
    glance.file_of(image_id).rename(glance.folder / "elsewhere")
    assert "does not exist" in take(service, glance).refused[image_id]
    (glance.folder / "elsewhere").rename(glance.file_of(image_id))
    assert counts(take(service, glance)) == (1, 0, 0, 0)


def test_encrypted_location_is_read_with_the_key(service: Service, glance: GlanceWorld) -> None:
    key, start = "0123456789abcdef", b"i" * 16
    image_id = glance.add_image(DATA)
    url = f"file://{glance.file_of(image_id)}".encode() + b"\0"
    encryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(start)).encryptor()
    encrypted = encryptor.update(url + b"p" * (-len(url) % 16)) + encryptor.finalize()
    glance.execute("UPDATE image_locations SET value = ?", base64.urlsafe_b64encode(start + encrypted).decode())
    assert "metadata_encryption_key" in take(service, glance, places=replace(PLACES, encryption_key="x" * 16)).refused[image_id]
    take(service, glance, places=replace(PLACES, encryption_key=key))
    assert services.download(service, ImageID(image_id)) == DATA


def test_location_on_the_web_is_kept_by_reference(service: Service, glance: GlanceWorld) -> None:
    glance.add_image(DATA, location="https://example.org/disk", store="web")
    given = services.builder.change_service(service, http_store=HTTPStore(id=StoreID("web")))
    report = take(given, glance)
    assert report.referenced == 1


def test_metadata_definitions_come(service: Service, glance: GlanceWorld) -> None:
    times = {"created_at": glance_world.CREATED, "updated_at": None}
    glance.insert("metadef_namespaces", id=7, namespace="Some", visibility="public", protected=True, owner="admin", **times)
    glance.insert("metadef_properties", namespace_id=7, name="sockets", json_schema='{"type": "integer", "default": 1}', **times)
    glance.insert("metadef_objects", namespace_id=7, name="disk", required="a,b", json_schema='{"a": {"type": "string"}}', **times)
    glance.insert("metadef_tags", namespace_id=7, name="Tag", **times)
    glance.insert("metadef_resource_types", id=2, name="OS::Glance::Image", protected=True, **times)
    glance.insert("metadef_namespace_resource_types", namespace_id=7, resource_type_id=2, prefix="hw_", **times)
    database = GlanceDatabase(glance.url)
    assert others.take_others(service, database, cache_node=None, dry_run=True).namespaces == 1
    assert others.take_others(service, database, cache_node=None, dry_run=False).namespaces == 1
    assert others.take_others(service, database, cache_node=None, dry_run=False).unchanged_namespaces == 1
    with service.database.read() as tx:
        found = metadefs.list_definitions(tx, "Some")
        associated = metadefs.list_associations(tx, ["Some"])["Some"]
    documents = {each.kind: each.document for each in found}
    assert documents[DefinitionKind.PROPERTY] == {"type": "integer", "default": "1"}
    assert documents[DefinitionKind.OBJECT]["required"] == ["a", "b"]
    assert [(each.resource_type, each.prefix) for each in associated] == [("OS::Glance::Image", "hw_")]


def test_ended_tasks_come_and_running_ones_do_not(service: Service, glance: GlanceWorld) -> None:
    times = {"created_at": glance_world.CREATED, "updated_at": glance_world.UPDATED, "expires_at": "2099-01-01 00:00:00.000000"}
    for name, status in (("one", "success"), ("two", "processing")):
        glance.insert("tasks", id=name, type="api_image_import", status=status, owner="A", image_id="i", deleted=False, **times)
        glance.insert("task_info", task_id=name, input='{"image_id": "i"}', result="null", message="done")
    report = others.take_others(service, GlanceDatabase(glance.url), cache_node=None, dry_run=False)
    assert (report.tasks, report.unfinished_tasks) == (1, 1)
    with service.database.read() as tx:
        found = tasks.list_of_image(tx, ImageID("i"), most=10, most_bytes=10_000)
    assert [(each.id, each.input, each.message) for each in found] == [("one", {"image_id": "i"}, "done")]
    assert others.take_others(service, GlanceDatabase(glance.url), cache_node=None, dry_run=False).tasks == 0


def test_cached_images_are_queued_for_the_own_cache(service: Service, glance: GlanceWorld) -> None:
    image_id = glance.add_image(DATA)
    glance.insert("cached_images", image_id=image_id)
    take(service, glance)
    assert others.take_others(service, GlanceDatabase(glance.url), cache_node="http://node", dry_run=False).cached == 1


def test_database_that_is_not_glances_is_refused(tmp_path: Path, glance: GlanceWorld) -> None:
    GlanceDatabase(glance.url).check()
    with pytest.raises(problems.Invalid, match="no table images with id"):
        GlanceDatabase(f"sqlite:///{tmp_path / 'empty.db'}").check()
    with pytest.raises(problems.Invalid, match="names no MariaDB, MySQL, PostgreSQL or SQLite database"):
        GlanceDatabase("oracle://user:password@host/name")


def test_data_in_place_needs_the_configuration_of_glance(service: Service, glance: GlanceWorld) -> None:
    image_id = ImageID(glance.add_image(DATA))
    take(service, glance)
    without = services.builder.change_service(service, originals={})
    with pytest.raises(problems.StoreUnavailable, match=r"taking_over\.glance_config"):
        b"".join(downloads.open_image_data(without, OWNER, image_id).read(0, len(DATA)))
