"""The cache of a node as administrators see it, and that everybody else sees nothing of it."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from partage.model.ids import ImageID
from partage.operations import cache as operations
from partage.records import cache as rows
from partage.stores.cache.cache_directory import Bounds
from tests.api.conftest import World, cast_of, with_cache
from tests.api.partage.sharing import adopt
from tests.api.personas import Cast, Persona
from tests.api.test_shared_image import COLUMNS, outcome, shared_image
from tests.api.test_shared_image import ROWS as CELLS

NODE = "http://node-1.example"
JSON = {"Accept": "application/json"}
SIZE = 300_000


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    """Let a test that uses the common service begin with an empty cache."""
    if "caching_cast" in request.fixturenames:
        request.getfixturevalue("caching_cast").admin.call("DELETE", "/v2/cache")


def state_of(admin: Persona) -> dict[str, Any]:
    answer = admin.call("GET", "/v2/cache")
    assert answer.status_code == 200
    return dict(answer.json())


def cached(admin: Persona) -> list[str]:
    return [each["image_id"] for each in state_of(admin)["cached_images"]]


def queued(admin: Persona) -> list[str]:
    return list(state_of(admin)["queued_images"])


def queues(admin: Persona, image: str) -> int:
    return admin.call("PUT", f"/v2/cache/{image}").status_code


def an_image(owner: Persona, **document: Any) -> str:
    return owner.has_an_image(os.urandom(SIZE), **document)


def files(world: World) -> list[Path]:
    return [each for each in (world.folder / "cache" / "images").rglob("*") if each.is_file()]


def node(another_world: Callable[..., World], everybody: Any, folder: Path, **more: Any) -> tuple[World, Cast]:
    """Run a service with a cache of its own."""
    world = another_world(**with_cache(folder, **more))
    world.folder = folder
    return world, cast_of(world, everybody)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/cache"),
        ("DELETE", "/v2/cache"),
        ("PUT", "/v2/cache/{image}"),
        ("DELETE", "/v2/cache/{image}"),
        ("POST", "/v2/cache/clean"),
        ("POST", "/v2/cache/prune"),
        ("GET", "/v2/cache/nodes/{image}"),
    ],
)
def test_without_a_directory_there_is_no_cache(method: str, path: str, cast: Cast) -> None:
    """Whoever may not know is told that first. Source: Glance, with `image_cache_dir` unset."""
    image = cast.owner.has_an_image()
    answer = cast.admin.call(method, path.format(image=image), headers=JSON)
    assert answer.status_code == 404
    assert answer.json()["message"] == "Caching via API is not supported at this site."
    assert cast.owner.call(method, path.format(image=image)).status_code == 403


def test_a_queued_image_is_fetched(caching_world: World, caching_cast: Cast) -> None:
    admin = caching_cast.admin
    first, second = an_image(caching_cast.owner), an_image(caching_cast.owner, visibility="private")
    before = datetime.now(UTC).timestamp()
    assert (queues(admin, second), queues(admin, first), queues(admin, second)) == (202, 202, 202)
    assert (cached(admin), queued(admin)) == ([], [second, first])

    assert caching_world.fetches() == 2
    state = state_of(admin)
    assert state["queued_images"] == []
    assert [each["image_id"] for each in state["cached_images"]] == [second, first]
    shown = state["cached_images"][0]
    assert set(shown) == {"image_id", "hits", "last_accessed", "last_modified", "size", "checksum"}
    assert (shown["hits"], shown["size"]) == (0, SIZE)
    assert shown["checksum"] == caching_cast.owner.call("GET", f"/v2/images/{second}").json()["checksum"]
    assert before <= shown["last_modified"] == shown["last_accessed"] <= time.time()
    assert sum(each.stat().st_blocks * 512 for each in files(caching_world)) > 2 * SIZE

    assert queues(admin, second) == 202
    assert queued(admin) == [], "what is near need not be fetched"


def test_download_caches_the_image_and_the_next_is_a_hit(caching_cast: Cast) -> None:
    owner, admin = caching_cast.owner, caching_cast.admin
    image = an_image(owner)
    data = owner.downloads(image).content
    [first] = state_of(admin)["cached_images"]
    assert (first["image_id"], first["hits"]) == (image, 0)
    for _ in range(2):
        assert owner.downloads(image).content == data
    [again] = state_of(admin)["cached_images"]
    assert again["hits"] == 2
    assert again["last_accessed"] > first["last_accessed"]
    assert again["last_modified"] == first["last_modified"]


@pytest.mark.parametrize("headers", [{"Range": "bytes=0-9"}, {"Range": "bytes=1-"}])
def test_range_and_head_requests_do_not_cache_the_image(headers: dict[str, str], caching_cast: Cast) -> None:
    image = an_image(caching_cast.owner)
    assert caching_cast.owner.downloads(image, **headers).status_code == 206
    assert caching_cast.owner.call("HEAD", f"/v2/images/{image}/file").status_code == 200
    assert cached(caching_cast.admin) == []


def test_only_active_images_are_queued(caching_cast: Cast) -> None:
    owner, admin = caching_cast.owner, caching_cast.admin
    empty, withheld = owner.has_an_image(None), an_image(owner)
    assert owner.does("deactivate", withheld).status_code == 204
    for image in (empty, withheld):
        answer = admin.call("PUT", f"/v2/cache/{image}", headers=JSON)
        assert answer.status_code == 400
        assert answer.json()["message"] == "Only images with status active can be targeted for queueing"
    for method in ("PUT", "DELETE"):
        answer = admin.call(method, "/v2/cache/none", headers=JSON)
        assert (answer.status_code, answer.json()["message"]) == (404, "Image none not found.")
    assert admin.call("GET", "/v2/cache/nodes/none").status_code == 404
    assert queued(admin) == []


@pytest.mark.parametrize("change", ["deleted", "deactivated", "forgotten", "cleared"])
def test_change_to_an_image_in_the_cache_queue_is_respected(change: str, caching_world: World, caching_cast: Cast) -> None:
    owner, admin = caching_cast.owner, caching_cast.admin
    image, other = an_image(owner), an_image(owner)
    assert queues(admin, image) == 202
    {
        "deleted": lambda: owner.deletes(image),
        "deactivated": lambda: owner.does("deactivate", image),
        "forgotten": lambda: admin.call("DELETE", f"/v2/cache/{image}"),
        "cleared": lambda: admin.call("DELETE", "/v2/cache", headers={"x-image-cache-clear-target": "queue"}),
    }[change]()
    assert queues(admin, other) == 202
    caching_world.fetches()
    assert (cached(admin), queued(admin)) == ([other], [])


def test_image_removed_from_the_cache_during_its_fetch_is_not_cached(caching_world: World, caching_cast: Cast) -> None:
    image = an_image(caching_cast.owner)
    queues(caching_cast.admin, image)
    cache = caching_world.service.stores.cache
    assert cache is not None

    def taken_back() -> bool:
        return caching_cast.admin.call("DELETE", f"/v2/cache/{image}").status_code == 204

    assert operations.fetch_next(caching_world.service, cache, may_go_on=taken_back)
    assert (cached(caching_cast.admin), queued(caching_cast.admin)) == ([], [])


def test_interrupted_cache_fetch_is_retried(caching_world: World, caching_cast: Cast) -> None:
    image = an_image(caching_cast.owner)
    queues(caching_cast.admin, image)
    cache = caching_world.service.stores.cache
    assert cache is not None
    assert operations.fetch_next(caching_world.service, cache, may_go_on=lambda: False)
    assert (cached(caching_cast.admin), queued(caching_cast.admin)) == ([], [image])
    caching_world.fetches()
    assert cached(caching_cast.admin) == [image]


def test_a_deleted_image_leaves_the_lists(caching_world: World, caching_cast: Cast) -> None:
    owner, admin = caching_cast.owner, caching_cast.admin
    near, waiting = an_image(owner), an_image(owner)
    owner.downloads(near)
    queues(admin, waiting)
    assert admin.call("GET", f"/v2/cache/nodes/{near}").json() == [NODE]
    for image in (near, waiting):
        assert owner.deletes(image).status_code == 204
    assert state_of(admin) == {"cached_images": [], "queued_images": []}
    assert admin.call("GET", f"/v2/cache/nodes/{near}").status_code == 404
    for method in ("PUT", "DELETE"):
        assert admin.call(method, f"/v2/cache/{near}").status_code == 404
    admin.call("POST", "/v2/cache/clean")
    assert files(caching_world) == []


def test_adopted_images_share_a_copy(caching_world: World, caching_cast: Cast) -> None:
    """What one image leaves is kept as far as another one that is cached needs it."""
    owner, admin = caching_cast.owner, caching_cast.admin
    first = an_image(owner)
    second = adopt(owner, first).json()["image_id"]
    alone = an_image(owner)
    for image in (first, second, alone):
        assert queues(admin, image) == 202
    caching_world.fetches()
    assert len(files(caching_world)) == 2
    assert admin.call("DELETE", f"/v2/cache/{alone}").status_code == 204
    assert len(files(caching_world)) == 1
    assert admin.call("DELETE", f"/v2/cache/{first}").status_code == 204
    assert (cached(admin), len(files(caching_world))) == ([second], 1)
    assert admin.call("DELETE", f"/v2/cache/{second}").status_code == 204
    assert files(caching_world) == []
    assert admin.call("DELETE", f"/v2/cache/{second}").status_code == 204, "once more is the same"


@pytest.mark.parametrize(
    ("target", "left"), [(None, (0, 0)), ("", (0, 0)), ("cache", (0, 1)), ("Cache", (0, 1)), ("queue", (1, 0)), ("both", None)]
)
def test_clearing(target: str | None, left: tuple[int, int] | None, caching_world: World, caching_cast: Cast) -> None:
    owner, admin = caching_cast.owner, caching_cast.admin
    owner.downloads(an_image(owner))
    queues(admin, an_image(owner))
    headers = JSON | ({} if target is None else {"x-image-cache-clear-target": target})
    answer = admin.call("DELETE", "/v2/cache", headers=headers)
    if left is None:
        assert answer.status_code == 400
        assert "must be 'cache', 'queue' or empty string." in answer.json()["message"]
        left = (1, 1)
    else:
        assert (answer.status_code, answer.content) == (204, b"")
    assert (len(cached(admin)), len(queued(admin))) == left
    assert bool(files(caching_world)) == bool(left[0])


def test_image_whose_copy_is_gone_is_not_listed_as_cached(caching_world: World, caching_cast: Cast) -> None:
    owner, admin = caching_cast.owner, caching_cast.admin
    image = an_image(owner)
    data = owner.downloads(image).content
    [copy] = files(caching_world)
    copy.unlink()
    assert cached(admin) == []
    assert owner.downloads(image).content == data
    assert cached(admin) == [image]


def test_clean_removes_unusable_cache_files(caching_world: World, caching_cast: Cast) -> None:
    """Copies of contents that no image has, and what the cache of packs of earlier releases has left."""
    owner, admin = caching_cast.owner, caching_cast.admin
    image = an_image(owner)
    owner.downloads(image)
    [copy] = files(caching_world)
    unknown = copy.with_name(copy.name[:2] + "0" * 30)
    unknown.write_bytes(copy.read_bytes())
    former = caching_world.folder / "cache" / "packs" / "3f" / f"3f{'0' * 30}"
    draft = caching_world.folder / "cache" / "incoming" / f"{former.name}.{'0' * 8}"
    for each, data in ((former, b"data" + b"PTGC\x01\x00" + bytes(42)), (draft, b"by a crash")):
        each.parent.mkdir(parents=True)
        each.write_bytes(data)
        os.utime(each, (1000, 1000))
    answer = admin.call("POST", "/v2/cache/clean")
    assert (answer.status_code, answer.content) == (200, b"")
    assert files(caching_world) == [copy]
    assert {each.name for each in (caching_world.folder / "cache").iterdir()} == {"images"}
    assert cached(admin) == [image]


def test_clean_keeps_files_that_the_cache_did_not_write(caching_world: World, caching_cast: Cast) -> None:
    stray = caching_world.folder / "cache" / "packs" / "3f" / f"3f{'1' * 30}"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"a pack of a store that somebody has put here" + bytes(100))
    assert caching_cast.admin.call("POST", "/v2/cache/clean").status_code == 200
    assert stray.exists()
    shutil.rmtree(caching_world.folder / "cache" / "packs")


def test_prune_reports_what_it_removed(another_world: Callable[..., World], everybody: Any, tmp_path: Path) -> None:
    world, cast = node(another_world, everybody, tmp_path)
    owner, admin = cast.owner, cast.admin
    images = [an_image(owner) for _ in range(3)]
    copies: dict[str, Path] = {}
    for number, image in enumerate(images):
        owner.downloads(image)
        [copies[image]] = {*files(world)} - {*copies.values()}
        os.utime(copies[image], (1000 + number, 1000 + number))
    assert admin.call("POST", "/v2/cache/prune").json() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    one = copies[images[0]].stat().st_blocks * 512
    cache = world.service.stores.cache
    assert cache is not None
    cache.directory.bounds = Bounds(free_share=1.0, most_bytes=SIZE * 5 // 2)
    assert admin.call("POST", "/v2/cache/prune").json() == {"total_files_pruned": 1, "total_bytes_pruned": one}
    assert cached(admin) == images[1:]
    cast.leave()


def test_an_image_larger_than_the_cache_is_not_fetched(another_world: Callable[..., World], everybody: Any, tmp_path: Path) -> None:
    world, cast = node(another_world, everybody, tmp_path, limit_bytes=SIZE // 2)
    image = an_image(cast.owner)
    assert queues(cast.admin, image) == 202
    assert world.fetches() == 1
    assert (cached(cast.admin), queued(cast.admin), files(world)) == ([], [], [])
    assert len(cast.owner.downloads(image).content) == SIZE
    assert cached(cast.admin) == []
    cast.leave()


def test_nodes_have_caches_of_their_own(another_world: Callable[..., World], everybody: Any, tmp_path: Path) -> None:
    """Two services on one database and one store, each with its own directory."""
    first, one = node(another_world, everybody, tmp_path)
    parts = with_cache(tmp_path, near=tmp_path / "second", node="http://node-2.example")
    two = cast_of(another_world(**parts, database=first.service.database), everybody)
    image = an_image(one.owner)
    assert queues(one.admin, image) == 202
    assert (queued(one.admin), queued(two.admin)) == ([image], [])
    first.fetches()
    assert (cached(one.admin), cached(two.admin)) == ([image], [])
    two.owner.downloads(image)
    assert two.admin.call("GET", f"/v2/cache/nodes/{image}").json() == [NODE, "http://node-2.example"]
    assert two.admin.call("DELETE", "/v2/cache").status_code == 204
    assert (cached(one.admin), cached(two.admin)) == ([image], [])
    assert one.admin.call("GET", f"/v2/cache/nodes/{image}").json() == [NODE]
    for cast in (one, two):
        cast.leave()


DOWNLOADS = [operation for operation in CELLS if operation.startswith("file")]


@pytest.mark.parametrize("operation", DOWNLOADS)
def test_a_warm_cache_answers_as_a_cold_one(operation: str, caching_world: World, caching_cast: Cast) -> None:
    """CVE-2013-4428, CVE-2015-5251: what is near is no way around a rule, or around a deactivation."""
    cast = caching_cast
    expected = dict(zip(COLUMNS, CELLS[operation], strict=True))
    image = shared_image(cast, operation.partition(" when ")[0])
    if " when queued" in operation:
        image = shared_image(cast, operation)
    else:
        queues(cast.admin, image)
        caching_world.fetches()
        assert image in cached(cast.admin)
    if " when deactivated" in operation:
        assert cast.owner.does("deactivate", image).status_code == 204
    for _ in range(2):
        answers = {column: outcome(cast.people[name], operation, image, cast) for column, name in COLUMNS.items()}
        assert answers == expected


def test_removed_member_cannot_read_cached_data(caching_cast: Cast) -> None:
    owner, member = caching_cast.owner, caching_cast.member
    image = an_image(owner)
    owner.shares_with(image, member.project_id)
    assert member.downloads(image).status_code == 200
    assert image in cached(caching_cast.admin)
    owner.removes_member(image, member.project_id)
    assert member.downloads(image).status_code == 404


def test_a_cold_and_a_warm_answer_have_the_same_headers(caching_cast: Cast) -> None:
    """CVE-2013-1840: nothing of where the bytes are is told."""
    image = an_image(caching_cast.owner)
    answers = [caching_cast.owner.downloads(image) for _ in range(2)]
    cold, warm = [{name: value for name, value in each.headers.items() if name != "x-openstack-request-id"} for each in answers]
    cold.pop("date", None)
    warm.pop("date", None)
    assert cold == warm
    assert answers[0].content == answers[1].content


def test_download_succeeds_when_the_hit_cannot_be_recorded(caching_world: World, caching_cast: Cast) -> None:
    """An image that was deleted while its last bytes were on their way has nowhere to be counted."""
    image = an_image(caching_cast.owner)
    answer = caching_cast.owner.call("GET", f"/v2/images/{image}/file", stream=True)
    assert caching_cast.owner.deletes(image).status_code == 204
    assert len(answer.content) == SIZE
    with caching_world.service.database.read() as tx:
        assert rows.list_nodes(tx, ImageID(image)) == []
