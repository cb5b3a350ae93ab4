"""Adoption below HTTP: what a new image takes over, what it costs, who may make it, and that its data outlives the source."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from partage import problems
from partage.model.adoption import AdoptionRequest, Lineage
from partage.model.announcement import Announcement
from partage.model.document import KnownFormats
from partage.model.ids import ImageID, ProjectID, StoreID
from partage.model.image import Image, ImageStatus, NewImage, Visibility
from partage.model.image_schema import PropertySchemas
from partage.model.limits import Limits
from partage.model.location import Reference
from partage.model.signature import NAMES as SIGNATURE
from partage.operations import images, members, pending_deletes, sweep, verify
from partage.operations.service import Formats, Service
from partage.operations.sharing import adoption
from partage.policies.authority import Authority
from partage.policies.properties import PropertyProtections
from partage.records import images as image_rows
from partage.records import reservations
from tests.crashes.worlds import noise
from tests.operations.services import OWNER, Clock, download, image_with, queued_image, upload
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, OTHER, offer, set_visibility, share
from tests.services import change_service

B = ProjectID("B")
AS_IT_IS = AdoptionRequest()
NOW = timedelta(0)


def adopt(service: Service, image_id: ImageID, **changed: object) -> Image:
    return adoption.adopt_image(service, MEMBER, image_id, replace(AS_IT_IS, **changed))[0]  # type: ignore[arg-type]


def with_row(service: Service, image: Image, **changed: object) -> Image:
    changed_image = replace(image, **changed)  # type: ignore[arg-type]
    with service.database.write() as tx:
        image_rows.save(tx, changed_image, was=image)
    return changed_image


def stored_files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file()}


def test_new_image_has_own_id_and_own_metadata_and_the_same_content(service: Service, clock: Clock) -> None:
    source = with_row(service, share(service), name="golden", min_disk=3, min_ram=512, protected=True, os_hidden=True, tags=("a",))
    clock.passes(hours=1)
    adopted = adopt(service, source.id, name="mine", tags=("t", "t"), properties={"colour": "blue"})
    assert adopted == images.show_image(service, MEMBER, adopted.id)
    assert adopted == replace(
        source,
        id=adopted.id,
        owner=B,
        name="mine",
        tags=("t",),
        properties={"colour": "blue"},
        protected=False,
        os_hidden=False,
        created_at=clock.now,
        updated_at=clock.now,
    )
    assert adopted.id != source.id
    assert adopt(service, source.id).name == "golden"
    assert download(service, adopted.id, MEMBER) == DATA
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, OTHER, adopted.id)


def test_no_bytes_are_copied(service: Service, tmp_path: Path) -> None:
    source = share(service)
    before = stored_files(tmp_path)
    adopted = adopt(service, source.id)
    assert stored_files(tmp_path) == before
    assert (adopted.content_id, adopted.stores) == (source.content_id, source.stores)


def test_adoption_takes_as_many_statements_whatever_the_size(service: Service) -> None:
    counts = []
    for size in (0.1, 20):
        image = image_with(service, noise(1, size))
        members.add_member(service, OWNER, image.id, B)
        adopt(service, image.id)
        statements: list[str] = []

        def note(_connection: object, _cursor: object, sql: str, *_rest: object, into: list[str] = statements) -> None:
            into.append(sql)

        engine = service.database._writer  # noqa: SLF001 -- counted where statements pass
        event.listen(engine, "before_cursor_execute", note)
        adopt(service, image.id)
        event.remove(engine, "before_cursor_execute", note)
        counts.append(Counter(statements))
    assert counts[0] == counts[1]
    assert counts[0]


def test_data_outlives_the_source_and_goes_with_the_last_image(service: Service, tmp_path: Path) -> None:
    source = share(service)
    adopted = adopt(service, source.id)
    images.delete_image(service, ADMIN, source.id)
    for _ in range(2):
        sweep.sweep(service, grace=NOW)
    assert download(service, adopted.id, MEMBER) == DATA
    assert [verdict.images for verdict in verify.verify(service) if verdict.fault is None] == [(adopted.id,)]
    images.delete_image(service, MEMBER, adopted.id)
    sweep.sweep(service, grace=NOW)
    assert sum(stored_files(tmp_path).values()) == 0


def test_image_is_adopted_while_notice_runs_and_not_after(service: Service, clock: Clock) -> None:
    source = share(service)
    images.delete_image(service, OWNER, source.id)
    adopted = adopt(service, source.id)
    assert (adopted.owner, adopted.former_owner, adopted.visibility) == (B, None, Visibility.SHARED)
    clock.passes(days=31)
    with pytest.raises(problems.ImageNotFound):
        adopt(service, source.id)
    assert download(service, adopted.id, MEMBER) == DATA


def test_member_whose_notice_runs_adopts_a_deactivated_image(service: Service) -> None:
    source = share(service)
    images.deactivate_image(service, OWNER, source.id)
    assert adopt(service, source.id).status is ImageStatus.ACTIVE


def make_queued(service: Service) -> ImageID:
    image = queued_image(service)
    members.add_member(service, OWNER, image.id, B)
    return image.id


def make_deactivated(service: Service) -> ImageID:
    image = offer(service, "B")
    images.deactivate_image(service, OWNER, image.id)
    return image.id


def private(service: Service) -> ImageID:
    image = offer(service, "B")
    set_visibility(service, image.id, "private")
    return image.id


def make_deleted(service: Service) -> ImageID:
    image = offer(service, "B")
    images.delete_image(service, OWNER, image.id)
    return image.id


UNREACHABLE: dict[str, Callable[[Service], ImageID]] = {
    "not shared": lambda service: offer(service, "C").id,
    "private": private,
    "deleted": make_deleted,
    "deactivated": make_deactivated,
    "without data": make_queued,
    "never": lambda _service: ImageID("00000000-0000-4000-8000-000000000000"),
}


@pytest.mark.parametrize("situation", UNREACHABLE)
def test_every_failure_to_reach_the_source_is_the_same_problem(situation: str, service: Service) -> None:
    source_id = UNREACHABLE[situation](service)
    with pytest.raises(problems.ImageNotFound) as failed:
        adopt(service, source_id)
    assert failed.value.sentence() == f"There is no image {source_id} that can be adopted"


def test_right_to_download_is_needed_at_that_moment(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"download_image": "project_id:%(owner)s"\n')
    source = share(service)
    limited = replace(service, authority=Authority(file))
    with pytest.raises(problems.ImageNotFound) as failed:
        adopt(limited, source.id)
    assert failed.value.sentence() == f"There is no image {source.id} that can be adopted"
    assert adoption.adopt_image(limited, OWNER, source.id, AS_IT_IS)[0].owner == OWNER.project_id


def test_administrator_adopts_no_deactivated_image(service: Service) -> None:
    source_id = make_deactivated(service)
    with pytest.raises(problems.ImageNotFound):
        adoption.adopt_image(service, ADMIN, source_id, AS_IT_IS)


def test_refusal_that_does_not_depend_on_the_source_says_nothing_about_it(service: Service) -> None:
    never, source = ImageID("never"), share(service)
    for image_id in (never, source.id):
        with pytest.raises(problems.PolicyForbids):
            adopt(service, image_id, visibility=Visibility.PUBLIC)
        with pytest.raises(problems.TooMany):
            adopt(service, image_id, tags=("t",) * 129)
        with pytest.raises(problems.PolicyForbids):
            adoption.adopt_image(service, replace(MEMBER, roles=frozenset({"reader"})), image_id, AS_IT_IS)
    assert adopt(service, source.id, visibility=Visibility.COMMUNITY).visibility is Visibility.COMMUNITY


def stored_bytes_of(service: Service, project: ProjectID) -> int:
    with service.database.read() as tx:
        return reservations.usage(tx, project, now=service.clock()).stored_bytes


def test_room_in_the_quota_is_needed(service: Service) -> None:
    source = share(service)
    limited = replace(service, limits=Limits(storage_per_project_bytes=2 * len(DATA) - 1))
    adopt(limited, source.id)
    assert stored_bytes_of(service, B) == len(DATA)
    with pytest.raises(problems.QuotaExceeded):
        adopt(limited, source.id)
    with pytest.raises(problems.QuotaExceeded):
        adopt(replace(service, limits=Limits(images_per_project=1)), source.id)
    assert stored_bytes_of(service, B) == len(DATA)


def test_image_in_two_stores_counts_twice(service: Service) -> None:
    source = with_row(service, share(service), stores=(service.stores.default, StoreID("second")))
    assert adopt(service, source.id).stores == source.stores
    assert stored_bytes_of(service, B) == 2 * len(DATA)


def test_locations_on_the_web_are_carried_over(service: Service) -> None:
    at = (Reference(url="http://mirror.example/image", store=StoreID("web"), metadata={"rack": "1"}),)
    made = with_row(
        service, queued_image(service), status=ImageStatus.ACTIVE, size=5, references=at, external_url="cinder://volume"
    )
    members.add_member(service, OWNER, made.id, B)
    adopted = adopt(service, made.id)
    assert (adopted.references, adopted.external_url, adopted.content_id) == (at, None, None)
    assert stored_bytes_of(service, B) == 0


def test_signature_stays_and_the_state_of_imports_does_not(service: Service) -> None:
    signature = dict.fromkeys(SIGNATURE, "value")
    source = with_row(
        service, share(service), properties={**signature, "os_glance_importing_to_stores": "second", "os_glance_import_task": "t"}
    )
    assert adopt(service, source.id).properties == signature


PROTECTIONS = """
[^licence$]
create = admin
read = @
update = admin
delete = admin

[^secret$]
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


def test_protected_properties_of_the_source_stay(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "protections.conf"
    file.write_text(PROTECTIONS)
    service = replace(service, protections=PropertyProtections(service.authority, file))
    source = with_row(service, share(service), properties={"licence": "one host", "secret": "s", "colour": "blue"})
    adopted = adopt(service, source.id, properties={"colour": "red"})
    assert adopted.properties == {"licence": "one host", "colour": "red"}
    assert images.show_image(service, ADMIN, adopted.id).properties == {"licence": "one host", "secret": "s", "colour": "red"}
    for name in ("licence", "secret"):
        with pytest.raises(problems.AttributeReadOnly):
            adopt(service, source.id, properties={name: "none"})


def test_required_properties_may_come_from_the_source(service: Service) -> None:
    known = KnownFormats(properties=PropertySchemas(required=("os_distro",)))
    service = replace(service, formats=Formats(known=known))
    source = share(service)
    with pytest.raises(problems.BodyInvalid):
        adopt(service, source.id)
    assert adopt(service, source.id, properties={"os_distro": "debian"}).properties == {"os_distro": "debian"}
    with_row(service, source, properties={"os_distro": "debian"})
    assert adopt(service, source.id).properties == {"os_distro": "debian"}


class Listening:
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.heard: list[Announcement] = []

    def announce(self, announcement: Announcement) -> None:
        """Keep it."""
        self.heard.append(announcement)


def test_adoption_is_announced_as_creation_and_activation(service: Service) -> None:
    source, listening = share(service), Listening()
    service = change_service(service, announcer=listening)
    adopted = adopt(service, source.id)
    assert [(each.event.value, each.subject) for each in listening.heard] == [
        ("image.create", adopted),
        ("image.activate", adopted),
    ]
    with pytest.raises(problems.ImageNotFound):
        adopt(service, ImageID("never"))
    assert len(listening.heard) == 2


def test_lineage_is_seen_by_the_adopter_and_not_by_those_it_shares_with(service: Service, clock: Clock) -> None:
    source = share(service)
    adopted, made = adoption.adopt_image(service, MEMBER, source.id, AS_IT_IS)
    assert made == Lineage(image_id=adopted.id, adopted_from=source.id, adopted_at=clock.now)
    assert adoption.show_lineage(service, MEMBER, adopted.id) == made
    assert adoption.show_lineage(service, OWNER, source.id) == Lineage(image_id=source.id)
    members.add_member(service, MEMBER, adopted.id, ProjectID("C"))
    with pytest.raises(problems.PolicyForbids):
        adoption.show_lineage(service, OTHER, adopted.id)
    with pytest.raises(problems.ImageNotFound):
        adoption.show_lineage(service, OWNER, adopted.id)


def test_lineage_outlives_the_source_and_a_restored_image_has_it(service: Service) -> None:
    service = change_service(service, delayed_delete=True)
    source = share(service)
    adopted, made = adoption.adopt_image(service, MEMBER, source.id, AS_IT_IS)
    images.delete_image(service, ADMIN, source.id)
    images.delete_image(service, MEMBER, adopted.id)
    with pytest.raises(problems.ImageNotFound):
        adoption.show_lineage(service, MEMBER, adopted.id)
    pending_deletes.restore(service, adopted.id)
    assert adoption.show_lineage(service, MEMBER, adopted.id) == made
    assert download(service, adopted.id, MEMBER) == DATA


def test_uploaded_image_was_not_adopted(service: Service) -> None:
    image = images.create_image(service, MEMBER, NewImage(disk_format="raw", container_format="bare"))
    upload(service, image.id, DATA, caller=MEMBER)
    assert adoption.show_lineage(service, MEMBER, image.id).adopted_from is None
