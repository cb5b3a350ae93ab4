"""The last download of each project: noted without a write, written once in a while, and never put back."""

from datetime import UTC, datetime, timedelta

import pytest

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.use import UseKey, UseKind
from partage.operations import last_downloads
from partage.operations.noted_downloads import LastDownloads
from partage.operations.service import Service
from partage.operations.sharing import shares, uses
from partage.records import uses as rows
from tests.operations.services import OWNER, Clock, download
from tests.operations.sharing_worlds import MEMBER, share
from tests.services import change_service

A, B = ProjectID("A"), ProjectID("B")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def find_dates(service: Service, image_id: ImageID) -> dict[ProjectID, datetime | None]:
    with service.database.read() as tx:
        return {each.project_id: each.last_download for each in rows.list_by_project(tx, image_id)}


def test_last_download_of_each_project_is_written_later(service: Service, clock: Clock) -> None:
    image = share(service)
    first = clock()
    download(service, image.id, OWNER)
    download(service, image.id, MEMBER)
    clock.passes(minutes=5)
    download(service, image.id, MEMBER)
    assert find_dates(service, image.id) == {}
    assert last_downloads.write(service) == 2
    assert find_dates(service, image.id) == {A: first, B: first + 5 * MINUTE}
    assert last_downloads.write(service) == 0


def test_both_sides_see_the_latest_of_downloads_and_uses(service: Service, clock: Clock) -> None:
    image = share(service)
    assert shares.show_share(service, OWNER, image.id, B).last_used is None
    key = UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id="s1")
    uses.record_use(service, MEMBER, key)
    recorded = clock()
    clock.passes(minutes=5)
    download(service, image.id, MEMBER)
    assert shares.show_share(service, MEMBER, image.id, B).last_used == recorded
    last_downloads.write(service)
    for side in (OWNER, MEMBER):
        assert shares.show_share(service, side, image.id, B).last_used == recorded + 5 * MINUTE


def test_dates_are_kept_while_the_database_does_not_respond(service: Service) -> None:
    image = share(service)
    download(service, image.id, MEMBER)

    class Away:
        def write(self) -> None:
            raise problems.DatabaseUnavailable("away")

    away = change_service(service, database=Away())
    with pytest.raises(problems.DatabaseUnavailable):
        last_downloads.write(away)
    last_downloads.write_at_stop(away)
    assert last_downloads.write(service) == 1
    assert find_dates(service, image.id).keys() == {B}


def test_noted_downloads_are_bounded_and_put_back_once() -> None:
    noted = LastDownloads(most=2)
    first, second, third = ((ImageID(name), B) for name in "abc")
    for pair, moment in ((first, NOW), (second, NOW), (third, NOW), (first, NOW + MINUTE)):
        noted.note(*pair, moment)
    taken = noted.take()
    assert taken == {first: NOW + MINUTE, second: NOW}
    assert noted.take() == {}
    noted.note(*second, NOW + MINUTE)
    noted.put_back(taken)
    assert noted.take() == {first: NOW + MINUTE, second: NOW + MINUTE}
