"""Features that an image has besides sharing keep their meaning while its share ends, and while it is retained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from partage import problems
from partage.model import patch
from partage.model.announcement import Announcement, Event
from partage.model.caller import Caller
from partage.model.document import KnownFormats
from partage.model.ids import ImageID, ProjectID, StoreID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.limits import Limits
from partage.model.query import ImageQuery
from partage.model.signature import NAMES
from partage.model.task import TaskStatus
from partage.operations import cache, images, members, pending_deletes, promises, stores, tags, tasks
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import Cache, Service
from partage.operations.sharing import endings
from partage.policies.properties import PropertyProtections
from partage.records import images as image_rows
from partage.records import reservations
from partage.stores.cache.cache_directory import Bounds, CacheDirectory
from partage.stores.cache.copies import LIFE_BYTES
from partage.stores.cache.fills import Fills
from tests.memory_store import MemoryStore
from tests.operations.services import OWNER, Clock, download, image_with
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, service_with, set_visibility, share
from tests.operations.sharing_worlds import end as end_share
from tests.services import LOCAL, change_service, name_stores

B = ProjectID("B")
OWN_ADMIN = replace(ADMIN, project_id=OWNER.project_id)
End = Callable[[Service, ImageID], object]
ENDS: dict[str, End] = {
    "ending": lambda service, image_id: set_visibility(service, image_id, "private"),
    "retained": lambda service, image_id: images.delete_image(service, OWNER, image_id),
}
ends = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
PROTECTIONS = """[secret]
create = admin
read = admin
update = admin
delete = admin

[.*]
create = @
read = @
update = @
delete = @
"""


def change_row(service: Service, image: Image, **changed: object) -> Image:
    """Change an image's row, as its owner or an operator has done before it was shared."""
    with service.database.write() as tx:
        found = image_rows.find_or_none(tx, image.id)
        assert found is not None
        changed_image = replace(found, **changed)  # type: ignore[arg-type]
        image_rows.save(tx, changed_image, was=found)
    return changed_image


def stored_bytes(service: Service, project: str) -> int:
    with service.database.read() as tx:
        return reservations.usage(tx, ProjectID(project), now=service.clock()).stored_bytes


def test_quota_of_the_owner_has_an_ending_image_until_it_is_retained(service: Service, clock: Clock) -> None:
    image = share(service)
    ENDS["ending"](service, image.id)
    assert (stored_bytes(service, "A"), stored_bytes(service, "B")) == (len(DATA), 0)
    ENDS["retained"](service, image.id)
    assert (stored_bytes(service, "A"), stored_bytes(service, "B")) == (0, len(DATA))
    clock.passes(days=30)
    assert (stored_bytes(service, "A"), stored_bytes(service, "B")) == (0, 0)


def test_member_above_its_quota_keeps_a_retained_image(service: Service) -> None:
    service = change_service(service, limits=Limits(storage_per_project_bytes=len(DATA) + 1))
    image_with(service, DATA, MEMBER)
    image = share(service)
    ENDS["retained"](service, image.id)
    assert download(service, image.id, MEMBER) == DATA
    with pytest.raises(problems.QuotaExceeded):
        image_with(service, b"more", MEMBER)


@ends
def test_member_sees_and_filters_by_tags_and_cannot_change_them(service: Service, end: End) -> None:
    image = share(service)
    tags.add_tag(service, OWNER, image.id, "web")
    end(service, image.id)
    assert images.show_image(service, MEMBER, image.id).tags == ("web",)
    found = images.list_images(service, MEMBER, ImageQuery(limit=10, tags=("web",)))
    assert [each.id for each in found.items] == [image.id]
    with pytest.raises((problems.Forbidden, problems.ImageNotFound)):
        tags.add_tag(service, MEMBER, image.id, "mine")


CHANGES: dict[str, tuple[str, str, object]] = {
    "name": ("replace", "/name", "other"),
    "os_hidden": ("replace", "/os_hidden", True),
    "min_ram": ("replace", "/min_ram", 999_999),
    "min_disk": ("replace", "/min_disk", 999_999),
    "tags": ("replace", "/tags", ["other"]),
    "disk_format": ("replace", "/disk_format", "iso"),
    "container_format": ("replace", "/container_format", "docker"),
    "owner": ("replace", "/owner", "C"),
    "visibility": ("replace", "/visibility", "community"),
    "protected": ("replace", "/protected", True),
    "a new property": ("add", "/hw_disk_bus", "ide"),
    "a property": ("replace", "/colour", "red"),
    "a removed property": ("remove", "/colour", None),
    "a further location": ("add", "/locations/-", {"url": "http://example.com/", "metadata": {}}),
    "a removed location": ("remove", "/locations/0", None),
}
"""A patch of everything of an image that a patch may change."""
FREE = {"visibility", "protected"}
REFUSED_ANYWAY = {"disk_format", "container_format", "owner", "a further location", "a removed location"}
"""What Glance refuses to the owner of every active image, or of one with a single location."""


def patch_image(service: Service, image_id: ImageID, *names: str, caller: Caller = OWNER) -> None:
    steps = [dict(zip(("op", "path", "value"), CHANGES[name], strict=True)) for name in names]
    document = [{key: value for key, value in step.items() if key != "value" or step["op"] != "remove"} for step in steps]
    images.update_image(service, caller, image_id, patch.parse(document, version="2.1", known=KnownFormats()))


def ending_image(service: Service, road: str = "private") -> Image:
    """Share an image with a property and a tag, and begin the notice of its member."""
    image = change_row(service, share(service), properties={"colour": "blue"}, tags=("web",))
    end_share(service, image.id, road)
    return image


def test_every_field_that_a_patch_may_change_has_a_case() -> None:
    named = {path.split("/")[1] for _op, path, _value in CHANGES.values()} - {"colour", "hw_disk_bus"}
    assert named == patch.SETTABLE | {"locations"}


@pytest.mark.parametrize("road", ["private", "deactivate", "remove"])
@pytest.mark.parametrize("name", CHANGES)
def test_owner_changes_nothing_that_a_member_with_notice_sees(service: Service, clock: Clock, name: str, road: str) -> None:
    """A server is rebuilt only if its flavor has min_ram and min_disk, and as the properties say."""
    image = ending_image(service, road)
    before = images.show_image(service, MEMBER, image.id)
    if name in FREE:
        patch_image(service, image.id, name)
    else:
        with pytest.raises(problems.Problem) as refused:
            patch_image(service, image.id, name)
        assert isinstance(refused.value, problems.ImageFrozen) == (name not in REFUSED_ANYWAY)
    after = images.show_image(service, MEMBER, image.id)
    if name not in FREE:
        assert after == before
    listed = images.list_images(service, MEMBER, ImageQuery(limit=10, tags=("web",), all_visibilities=True))
    assert [each.id for each in listed.items] == [image.id]
    clock.passes(days=30)
    if name not in REFUSED_ANYWAY:
        patch_image(service, image.id, name)


@pytest.mark.parametrize("name", [each for each in CHANGES if each not in REFUSED_ANYWAY])
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_image_without_a_running_notice_changes_as_in_glance(service: Service, name: str, *, is_cancelled: bool) -> None:
    image = change_row(service, share(service), properties={"colour": "blue"}, tags=("web",))
    if is_cancelled:
        end_share(service, image.id, "remove")
        endings.cancel_ending(service, OWNER, image.id, B)
    patch_image(service, image.id, name)


def test_tags_and_stores_of_an_image_whose_notice_runs_stay(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock)
    image = ending_image(service)
    for change in (tags.add_tag, tags.remove_tag):
        with pytest.raises(problems.ImageFrozen) as refused:
            change(service, OWNER, image.id, "other" if change is tags.add_tag else "web")
        assert "for project B until 2026-12-24T08:00:00Z" in refused.value.sentence()
    change_row(service, image, visibility=Visibility.PRIVATE, stores=(LOCAL, StoreID("second")), tags=("web",))
    with pytest.raises(problems.ImageFrozen):
        stores.delete_from_store(service, OWN_ADMIN, LOCAL, image.id)


def test_patch_that_changes_nothing_is_no_change(service: Service) -> None:
    image = ending_image(service)
    document = [{"op": "replace", "path": "/tags", "value": ["web"]}, {"op": "replace", "path": "/min_ram", "value": 0}]
    images.update_image(service, OWNER, image.id, patch.parse(document, version="2.1", known=KnownFormats()))


def test_image_that_begins_to_end_with_a_patch_is_not_frozen_for_it(service: Service) -> None:
    image = change_row(service, share(service), properties={"colour": "blue"})
    document = [{"op": "replace", "path": "/visibility", "value": "private"}, {"op": "replace", "path": "/min_ram", "value": 5}]
    images.update_image(service, OWNER, image.id, patch.parse(document, version="2.1", known=KnownFormats()))
    assert images.show_image(service, MEMBER, image.id).min_ram == 5


def test_administrator_changes_an_image_whose_notice_runs(service: Service) -> None:
    image = ending_image(service)
    patch_image(service, image.id, "min_ram", "a property", caller=ADMIN)
    assert images.show_image(service, MEMBER, image.id).min_ram == 999_999


def test_former_notice_of_a_member_that_has_accepted_anew_freezes_nothing(service: Service) -> None:
    image = ending_image(service, "remove")
    members.add_member(service, OWNER, image.id, B)
    with pytest.raises(problems.ImageFrozen):
        patch_image(service, image.id, "min_ram")
    members.update_member(service, MEMBER, image.id, B, "accepted")
    patch_image(service, image.id, "min_ram")


@ends
def test_cached_copy_is_served_until_the_notice_ends(tmp_path: Path, clock: Clock, end: End) -> None:
    (tmp_path / "near").mkdir()
    directory = CacheDirectory(tmp_path / "near", bounds=Bounds(free_share=1.0, most_bytes=1 << 30), life=bytes(LIFE_BYTES))
    near = Cache(node="http://here:9292", fills=Fills(directory))
    service = change_service(service_with(tmp_path, clock), cache=near)
    image = share(service)
    end(service, image.id)
    cache.queue_image(service, ADMIN, image.id)
    assert cache.fetch_next(service, near, may_go_on=lambda: True)
    assert [each.image_id for each in cache.show_cache(service, ADMIN).cached] == [image.id]
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=30)
    with pytest.raises(problems.ImageNotFound):
        download(service, image.id, MEMBER)


def request_copy(service: Service, image_id: ImageID, caller: Caller = OWN_ADMIN) -> None:
    asked = ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(StoreID("second"),))
    import_requests.request_import(service, caller, image_id, asked, request_id="req")


def with_two_stores(service: Service) -> Service:
    return change_service(
        service,
        stores=name_stores({LOCAL: service.stores.by_id[LOCAL].store, StoreID("second"): MemoryStore()}),
    )


def test_copy_goes_on_while_a_share_ends(service: Service) -> None:
    service = with_two_stores(service)
    image = share(service)
    request_copy(service, image.id)
    ENDS["ending"](service, image.id)
    work = import_runs.claim(service)
    assert work is not None
    import_runs.run(service, work)
    assert images.show_image(service, OWNER, image.id).stores == (LOCAL, "second")
    assert download(service, image.id, MEMBER) == DATA


@pytest.mark.parametrize("is_claimed", [False, True])
def test_copy_ends_when_its_owner_deletes_a_retained_image(service: Service, *, is_claimed: bool) -> None:
    """Otherwise each further copy would count against the quota of the members."""
    service = with_two_stores(service)
    image = share(service)
    request_copy(service, image.id)
    work = import_runs.claim(service) if is_claimed else None
    images.delete_image(service, OWN_ADMIN, image.id)
    if work is not None:
        import_runs.run(service, work)
    assert import_runs.claim(service) is None
    assert stored_bytes(service, "B") == len(DATA)
    [task] = tasks.list_image_tasks(service, MEMBER, image.id)
    assert (task.status, task.message) == (TaskStatus.FAILURE, f"Image {image.id} was deleted during its import")
    seen = images.show_image(service, MEMBER, image.id)
    assert not [name for name in seen.properties if name.endswith("import_task")]
    with pytest.raises(problems.Forbidden, match="kept for members"):
        request_copy(service, image.id, ADMIN)
    restored = pending_deletes.restore(service, image.id)
    assert restored.owner == OWNER.project_id
    request_copy(service, image.id)
    again = import_runs.claim(service)
    assert again is not None
    import_runs.run(service, again)
    assert images.show_image(service, OWNER, image.id).stores == (LOCAL, "second")


@ends
def test_signature_stays_with_the_image(service: Service, end: End) -> None:
    signed = dict.fromkeys(NAMES, "x")
    image = change_row(service, share(service), properties=signed)
    end(service, image.id)
    seen = images.show_image(service, MEMBER, image.id)
    assert {name: seen.properties[name] for name in NAMES} == signed
    assert (seen.os_hash_value, seen.checksum) == (image.os_hash_value, image.checksum)


@ends
def test_protected_properties_stay_hidden(service: Service, tmp_path: Path, end: End) -> None:
    file = tmp_path / "protections.conf"
    file.write_text(PROTECTIONS)
    service = replace(service, protections=PropertyProtections(service.authority, file))
    image = change_row(service, share(service), properties={"secret": "s", "colour": "blue"})
    end(service, image.id)
    assert images.show_image(service, MEMBER, image.id).properties == {"colour": "blue"}
    query = ImageQuery(limit=10, properties=(("secret", "s"),))
    assert images.list_images(service, MEMBER, query).items == ()
    assert images.show_image(service, ADMIN, image.id).properties == {"secret": "s", "colour": "blue"}


def test_delayed_delete_keeps_no_image_a_second_time(service: Service, clock: Clock) -> None:
    service = change_service(service, delayed_delete=True)
    image, unshared = share(service), image_with(service, DATA)
    for each in (image, unshared):
        images.delete_image(service, OWNER, each.id)
    assert pending_deletes.restore(service, unshared.id).status is ImageStatus.ACTIVE
    clock.passes(days=30)
    assert promises.remove_expired(service) == 1
    with pytest.raises(problems.ImageNotFound):
        pending_deletes.restore(service, image.id)


class Listener:
    """Notes what was announced."""

    def __init__(self) -> None:
        self.heard: list[Announcement] = []

    def announce(self, announcement: Announcement) -> None:
        self.heard.append(announcement)

    def close(self) -> None:
        """Do nothing."""


def test_notifications_are_those_of_the_owners_acts(service: Service, clock: Clock) -> None:
    listener = Listener()
    service = change_service(service, announcer=listener)
    removed, deleted = share(service), share(service)
    listener.heard.clear()
    members.remove_member(service, OWNER, removed.id, B)
    images.delete_image(service, OWNER, deleted.id)
    clock.passes(days=30)
    promises.remove_expired(service)
    assert [each.event for each in listener.heard] == [Event.MEMBER_DELETE, Event.IMAGE_DELETE]
    subject = listener.heard[1].subject
    assert isinstance(subject, Image)
    assert (subject.id, subject.owner, subject.status) == (deleted.id, OWNER.project_id, ImageStatus.DELETED)
