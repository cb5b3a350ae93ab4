"""Stories of uses over HTTP. Each test is named after the sentence of the sharing API that it proves."""

from collections.abc import Callable
from uuid import uuid4

import pytest
import requests

from partage.model.limits import Limits
from partage.operations import last_downloads
from tests.api.conftest import World
from tests.api.partage.sharing import list_rows, seen, shared_image, use_path, uses_path
from tests.api.partage.test_shares_over_http import MISSING, problem_of
from tests.api.personas import Cast, Persona, at
from tests.api.test_existence import blanked


def list_ids(who: Persona, image: str, query: str = "") -> list[str]:
    """List the ids of the uses that a project sees, page by page."""
    path, found = f"{uses_path(image)}?{query}", list[str]()
    while path:
        answer = who.call("GET", path)
        assert answer.status_code == 200, answer.text
        found += [f"{each['kind']} {each['use_id']}" for each in answer.json()["uses"]]
        path = answer.json().get("next")
    return found


def count(who: Persona, image: str, query: str = "") -> list[tuple[str, int, int]]:
    answer = who.call("GET", f"{uses_path(image)}/projects?{query}")
    assert answer.status_code == 200, answer.text
    return [(each["project_id"], each["servers"], each["volumes"]) for each in answer.json()["projects"]]


def count_others(who: Persona, image: str) -> int:
    return int(who.call("GET", f"{uses_path(image)}/projects").json()["other_users"])


def test_recording_a_use_twice_is_the_same_as_once(cast: Cast) -> None:
    image = shared_image(cast)
    first, second = (cast.member.call("PUT", use_path(image)) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() | {"last_seen": second.json()["last_seen"]} == second.json()
    assert first.json()["use_id"] == "s1"
    assert list_ids(cast.member, image) == ["server s1"]
    assert [cast.member.call("DELETE", use_path(image)).status_code for _ in range(2)] == [204, 204]
    assert list_ids(cast.member, image) == []


def test_service_records_and_releases_uses_of_other_projects(cast: Cast) -> None:
    image, member, outsider = shared_image(cast), cast.member.project_id, cast.outsider.project_id
    assert cast.service.call("PUT", use_path(image, kind="volume", project=member)).status_code == 200
    assert list_ids(cast.member, image) == ["volume s1"]
    assert list_ids(cast.service, image, f"project={member}") == ["volume s1"]
    assert problem_of(cast.service.call("PUT", use_path(image, project=outsider))) == (404, "image-not-found")
    assert problem_of(cast.service.call("PUT", use_path(image, project="p" * 256))) == (400, "query-invalid")
    assert cast.service.call("DELETE", use_path(image, kind="volume", project=member)).status_code == 204
    assert list_ids(cast.member, image) == []


def test_owner_sees_counts_and_dates_and_no_foreign_ids(cast: Cast) -> None:
    image = shared_image(cast)
    for who, use_id in ((cast.member, "secret-1"), (cast.member, "secret-2"), (cast.owner, "own")):
        assert who.call("PUT", use_path(image, use_id)).status_code == 200
    assert cast.member.call("PUT", use_path(image, "secret-3", kind="volume")).status_code == 200
    answer = cast.owner.call("GET", f"{uses_path(image)}/projects")
    assert "secret" not in answer.text
    found = {each["project_id"]: each for each in answer.json()["projects"]}
    assert found.keys() == {cast.owner.project_id, cast.member.project_id}
    known = found[cast.member.project_id]
    assert (known["servers"], known["volumes"], known["is_complete"]) == (2, 1, True)
    assert known["last_used"].endswith("Z")
    assert list_ids(cast.owner, image) == ["server own"]
    assert problem_of(cast.owner.call("GET", f"{uses_path(image)}?project={cast.member.project_id}")) == (403, "policy-forbids")


def test_lists_of_uses_have_pages(cast: Cast) -> None:
    image = shared_image(cast)
    for kind, use_id in (("volume", "a"), ("server", "b"), ("server", "a")):
        assert cast.member.call("PUT", use_path(image, use_id, kind=kind)).status_code == 200
    assert cast.owner.call("PUT", use_path(image)).status_code == 200
    assert list_ids(cast.member, image, "limit=1") == ["server a", "server b", "volume a"]
    first = cast.owner.call("GET", f"{uses_path(image)}/projects?limit=1").json()
    second = cast.owner.call("GET", first["next"]).json()
    assert "next" not in second
    listed = [each["project_id"] for each in first["projects"] + second["projects"]]
    assert sorted(listed) == sorted([cast.owner.project_id, cast.member.project_id])
    assert count(cast.owner, image, "limit=0") == []
    bad = cast.member.call("GET", f"{uses_path(image)}?marker=nonsense")
    assert problem_of(bad) == (400, "query-invalid")


def test_use_can_be_released_after_access_has_ended(cast: Cast) -> None:
    image = shared_image(cast, notice="P0D")
    assert cast.member.call("PUT", use_path(image)).status_code == 200
    assert cast.owner.removes_member(image, cast.member.project_id).status_code == 204
    assert problem_of(cast.member.call("PUT", use_path(image))) == (404, "image-not-found")
    assert (count(cast.owner, image), count_others(cast.owner, image)) == ([], 1)
    assert cast.member.call("DELETE", use_path(image)).status_code == 204
    assert (count(cast.owner, image), count_others(cast.owner, image)) == ([], 0)


def test_owner_learns_no_project_that_used_the_image_while_it_was_open(cast: Cast) -> None:
    image = shared_image(cast)
    assert cast.owner.sets(image, "visibility", "community").status_code == 200
    for who in (cast.member, cast.outsider):
        assert who.call("PUT", use_path(image)).status_code == 200
    for visibility in ("community", "private", "shared"):
        assert cast.owner.sets(image, "visibility", visibility).status_code == 200
        answer = cast.owner.call("GET", f"{uses_path(image)}/projects")
        assert cast.outsider.project_id not in answer.text
        assert (count(cast.owner, image), answer.json()["other_users"]) == ([(cast.member.project_id, 1, 0)], 1)


def ask_everything(who: Persona, image: str) -> list[object]:
    """Send every request about the uses of an image; return what came back, blanked."""
    calls: list[Callable[[], requests.Response]] = [
        lambda: who.call("PUT", use_path(image)),
        lambda: who.call("PUT", use_path(image, project=who.project_id)),
        lambda: who.call("PUT", use_path(image, project="f" * 32)),
        lambda: who.call("DELETE", use_path(image)),
        lambda: who.call("GET", uses_path(image)),
        lambda: who.call("GET", f"{uses_path(image)}?project={'f' * 32}"),
        lambda: who.call("GET", f"{uses_path(image)}/projects"),
    ]
    return [blanked(call(), image) for call in calls]


def test_invisible_image_is_answered_as_nonexistent(cast: Cast) -> None:
    image = shared_image(cast)
    never = str(uuid4())
    assert cast.member.call("PUT", use_path(image)).status_code == 200
    assert ask_everything(cast.outsider, image) == ask_everything(cast.outsider, never)
    asked = [blanked(cast.service.call("PUT", use_path(each, project=cast.outsider.project_id)), each) for each in (image, never)]
    assert asked[0] == asked[1]


@pytest.mark.parametrize("path", ["uses/database/s1", "uses/server/a%20b", f"uses/server/{'a' * 65}", "uses/server/s1?size=3"])
def test_malformed_use_is_refused_whatever_the_image(path: str, cast: Cast) -> None:
    answer = cast.member.call("PUT", f"/partage/v1/images/{MISSING}/{path}")
    assert answer.status_code == 400, answer.text


def test_project_records_only_so_many_uses_of_an_image(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    cast = at(another_world(limits=Limits(uses=2)).endpoint, everybody)
    image = shared_image(cast)
    statuses = [cast.member.call("PUT", use_path(image, use_id)).status_code for use_id in ("a", "b", "c", "b")]
    assert statuses == [200, 200, 413, 200]
    assert cast.owner.call("PUT", use_path(image)).status_code == 200
    cast.leave()


def test_last_use_is_unknown_and_then_seen_by_both_sides(world: World, cast: Cast) -> None:
    image = shared_image(cast)
    sides = ((cast.owner, "out"), (cast.member, "in"))
    assert [list_rows(who, f"direction={side}&image={image}")[0]["last_used"] for who, side in sides] == [None, None]
    assert cast.member.downloads(image).status_code == 200
    last_downloads.write(world.service)
    first, second = (list_rows(who, f"direction={side}&image={image}")[0]["last_used"] for who, side in sides)
    assert first == second == seen(cast.member, image, cast.member.project_id)["last_used"]
    assert first.endswith("Z")
