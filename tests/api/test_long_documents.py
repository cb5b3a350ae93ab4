"""Documents and lists are bounded in bytes: nobody's metadata makes a list, a worker or somebody else's answer long."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from partage.identity.keystone import Keystone
from partage.model.ids import ImageID, ProjectID, TaskID
from partage.model.limits import Limits
from partage.model.task import Task, TaskType
from partage.operations.service import Service
from partage.policies.authority import Authority
from partage.records import images as image_rows
from partage.records import tasks
from tests.api.conftest import cast_of, make_service, serving
from tests.api.personas import PATCH, Cast, Persona

LIMITS = Limits(document_bytes=10_000, page_bytes=40_000)
MEBIBYTE = 1 << 20

Everybody = dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def place(identity: Keystone, everybody: Everybody, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Cast]]:
    """Give a service whose documents and pages are small, and everybody on it."""
    folder = tmp_path_factory.mktemp("bounded")
    service, rules = make_service(folder, limits=LIMITS)
    with serving(service, identity, rules, folder) as world:
        yield service, cast_of(world, everybody)
    service.close()


@pytest.fixture
def bounded(place: tuple[Service, Cast]) -> Cast:
    return place[1]


@pytest.fixture
def service(place: tuple[Service, Cast]) -> Service:
    return place[0]


def text(size: int) -> dict[str, str]:
    return {f"p{number}": "x" * 1000 for number in range(size // 1000)}


def add(name: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": f"/{name}", "value": value}


def test_image_with_more_text_than_a_document_holds_is_not_created(bounded: Cast) -> None:
    answer = bounded.owner.creates(**text(10_000))
    assert answer.status_code == 413
    assert "Maximum: 10000" in answer.text
    assert bounded.owner.creates(**text(9000)).status_code == 201


def test_image_does_not_grow_beyond_its_bound_by_patch_or_tag(bounded: Cast) -> None:
    image = bounded.owner.has_an_image(None, **text(9000))
    answer = bounded.owner.patches(image, add("more", "x" * 1000))
    assert answer.status_code == 413
    assert "Maximum: 10000" in answer.text
    assert bounded.owner.patches(image, add("tags", [letter * 250 for letter in "uvwxyz"])).status_code == 413
    codes = [bounded.owner.call("PUT", f"/v2/images/{image}/tags/{letter * 250}").status_code for letter in "abcdefgh"]
    assert codes == sorted(codes)
    assert set(codes) == {204, 413}
    assert bounded.owner.patches(image, {"op": "remove", "path": "/p0"}, add("more", "x" * 500)).status_code == 200


def test_escaped_characters_count_as_they_are_written(bounded: Cast) -> None:
    """A control character takes six bytes of a document."""
    assert bounded.owner.creates(p="\x01" * 2000).status_code == 413


def test_image_above_its_bound_may_shrink_and_stays_usable(bounded: Cast, service: Service) -> None:
    image = bounded.owner.has_an_image(None)
    make_long(service, image, 30_000)
    assert bounded.owner.shows(image).json()["long"] == "x" * 30_000
    assert bounded.owner.sets(image, "name", "renamed").status_code == 200
    assert bounded.owner.patches(image, add("more", "x")).status_code == 413
    assert bounded.owner.patches(image, add("long", "x" * 20_000)).status_code == 200
    assert bounded.owner.patches(image, {"op": "remove", "path": "/long"}).status_code == 200


def make_long(service: Service, image: str, size: int) -> None:
    """Give an image more text than it may have, as one has that was made under other limits."""
    with service.database.write() as tx:
        found = image_rows.find_for_work(tx, ImageID(image))
        assert found is not None
        image_rows.save(tx, replace(found, properties={**found.properties, "long": "x" * size}), was=found)


def pages(who: Persona, path: str) -> list[list[dict[str, Any]]]:
    """Follow a list to its end."""
    found = []
    while path:
        answer = who.call("GET", path)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["images"])
        path = answer.json().get("next", "")
    return found


def test_page_ends_early_where_it_has_enough_bytes(bounded: Cast) -> None:
    made = {bounded.owner.has_an_image(None, **text(9000), name="page") for _ in range(11)}
    found = pages(bounded.owner, "/v2/images?name=page&limit=100")
    assert {each["id"] for page in found for each in page} == made
    assert sum(len(page) for page in found) == len(made)
    assert [len(page) for page in found] == [4, 4, 3]


def test_page_has_one_image_at_least(bounded: Cast, service: Service) -> None:
    """Also where a single one is longer than a page, as images from before can be."""
    made = [bounded.owner.has_an_image(None, name="huge") for _ in range(3)]
    for image in made:
        make_long(service, image, 60_000)
    assert [len(page) for page in pages(bounded.owner, "/v2/images?name=huge&limit=100")] == [1, 1, 1]


def test_inbox_filled_by_a_stranger_delays_no_show(
    identity: Keystone, everybody: Everybody, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Sixty images of 8 MiB from before the bound, offered to a member who lists them by many clients at once."""
    folder = tmp_path_factory.mktemp("inbox")
    service, rules = make_service(folder)
    with serving(service, identity, rules, folder, reading_threads=1, listing_threads=1) as world:
        people = cast_of(world, everybody)
        mine = people.member.has_an_image(None)
        for _ in range(60):
            image = people.owner.has_an_image(None)
            make_long(service, image, 8 * MEBIBYTE)
            assert people.owner.shares_with(image, people.member.project_id).status_code == 200
        before = memory_bytes()
        stop = threading.Event()
        with ThreadPoolExecutor(6) as pool:
            lists = [pool.submit(list_until, replace(people.member, http=requests.Session()), stop) for _ in range(6)]
            shown = [people.member.shows(mine).status_code for _ in range(20)]
            stop.set()
            sizes = [size for each in lists for size in each.result()]
        assert set(shown) == {200}
        assert sizes
        assert max(sizes) < 9 * MEBIBYTE, "a page held one image"
        assert memory_bytes() - before < 400 * MEBIBYTE, "one list of all of them takes 480 MiB and more, six take 3 GiB"
        people.leave()
    service.close()


def list_until(who: Persona, stop: threading.Event) -> list[int]:
    sizes = []
    while not stop.is_set() or not sizes:
        sizes.append(len(who.call("GET", "/v2/images?limit=1000&visibility=shared&member_status=all").content))
    who.http.close()
    return sizes


def memory_bytes() -> int:
    """Say what this process has in memory that is no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024


def test_show_is_answered_while_every_thread_that_lists_is_busy(
    identity: Keystone, everybody: Everybody, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("busy")
    began, go_on = threading.Semaphore(0), threading.Event()

    def asked(rule: str) -> None:
        if rule == "get_images":
            began.release()
            go_on.wait(60)

    service, rules = make_service(folder, authority=Authority(on_require=asked))
    with (
        serving(service, identity, rules, folder, reading_threads=1, listing_threads=2) as world,
        ThreadPoolExecutor(8) as pool,
    ):
        people = cast_of(world, everybody)
        image = people.owner.has_an_image(None)
        lists = [pool.submit(replace(people.owner, http=requests.Session()).call, "GET", "/v2/images") for _ in range(8)]
        try:
            assert began.acquire(timeout=60)
            assert began.acquire(timeout=60)
            assert people.owner.shows(image).status_code == 200
            assert people.owner.sets(image, "name", "changed").status_code == 200
            assert not any(each.done() for each in lists)
        finally:
            go_on.set()
        assert {each.result().status_code for each in lists} == {200}
        people.leave()
    service.close()


def test_page_is_full_where_a_rule_hides_images(
    identity: Keystone, everybody: Everybody, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a rule hides fills no page, and what is read on behalf of one is bounded all the same."""
    folder = tmp_path_factory.mktemp("hiding")
    (folder / "policy.yaml").write_text('"get_image": "\'private\':%(visibility)s"\n')
    service, rules = make_service(folder, limits=LIMITS, authority=Authority(folder / "policy.yaml"))
    with serving(service, identity, rules, folder) as world:
        people = cast_of(world, everybody)
        seen = [
            str(people.owner.creates(visibility=visibility, **text(9000)).json()["id"])
            for _ in range(9)
            for visibility in ("private", "shared")
        ][::2]
        found = pages(people.owner, "/v2/images?limit=100")
        assert sorted(each["id"] for page in found for each in page) == sorted(seen)
        assert all(1 <= len(page) <= 8 for page in found)
        assert len(found) > 1
        people.leave()
    service.close()


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_patch_of_more_operations_than_are_taken_is_refused(version: str, bounded: Cast) -> None:
    image = bounded.owner.has_an_image(None)
    most = LIMITS.patch_operations
    one = {"add": "/name", "value": "x"} if version == "2.0" else add("name", "x")
    media_type = PATCH.replace("2.1", version)
    if version == "2.1":
        assert bounded.owner.patches(image, *[one] * most, media_type=media_type).status_code == 200
    answer = bounded.owner.patches(image, *[one] * (most + 1), media_type=media_type)
    assert answer.status_code == 413
    assert f"{most + 1} operations; at most {most}" in answer.text
    answer = bounded.owner.patches(image, *[{"op": "add"}] * 22_000, media_type=media_type)
    assert (answer.status_code, "more than 20000 values" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/images"),
        ("PATCH", "/v2/images/{image}"),
        ("POST", "/v2/images/{image}/members"),
        ("POST", "/v2/images/{image}/import"),
        ("POST", "/v2/images/{image}/locations"),
        ("POST", "/v2/tasks"),
        ("POST", "/v2/metadefs/namespaces"),
    ],
)
def test_body_of_too_many_values_is_refused(method: str, path: str, bounded: Cast) -> None:
    image = bounded.admin.has_an_image(None)
    body = b'{"tags":[' + b",".join([b"[]"] * 300_000) + b"]}"
    answer = bounded.admin.call(method, path.format(image=image), data=body, headers={"Content-Type": PATCH})
    assert answer.status_code == 400
    assert "more than 20000 values" in answer.text


@pytest.mark.parametrize("depth", [99, 101, 500, 900, 1000])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v2/images"), ("PATCH", "/v2/images/{image}"), ("POST", "/v2/tasks")])
def test_deep_body_is_refused(method: str, path: str, depth: int, bounded: Cast) -> None:
    """A thousand levels ended in a 500: the words about the value went down all of them."""
    image = bounded.admin.has_an_image(None)
    deep = b"[" * depth + b"]" * depth
    body = b'[{"op":"add","path":"/a","value":' + deep + b"}]" if method == "PATCH" else b'{"a":' + deep + b"}"
    answer = bounded.admin.call(method, path.format(image=image), data=body, headers={"Content-Type": PATCH})
    assert answer.status_code == 400
    assert ("levels deep" in answer.text) == (depth > 100)


def test_brackets_inside_strings_are_not_counted_as_values(bounded: Cast) -> None:
    assert bounded.owner.creates(p="[" * 4000 + "{" * 4000, q='\\"[' * 300).status_code == 201
    answer = bounded.owner.creates(**{f"p{number}": "[{" * 15_000 for number in range(4)})
    assert answer.status_code == 413, "not refused for its values"


def test_namespace_defines_no_more_bytes_than_a_page_has(bounded: Cast) -> None:
    admin, name = bounded.admin, "long"
    path = f"/v2/metadefs/namespaces/{name}"
    assert admin.call("POST", "/v2/metadefs/namespaces", json={"namespace": name}).status_code == 201

    def define(number: int) -> int:
        document = {"name": f"o{number}", "description": "x" * 9000}
        return admin.call("POST", f"{path}/objects", json=document).status_code

    assert [define(number) for number in range(5)] == [201, 201, 201, 201, 413]
    assert len(admin.call("GET", f"{path}/objects").json()["objects"]) == 4
    tags = {"tags": [{"name": f"t{number}"} for number in range(400)]}
    assert admin.call("POST", f"{path}/tags", json=tags).status_code == 413
    changed = {"name": "o0", "description": "x" * 15_000}
    assert admin.call("PUT", f"{path}/objects/o0", json=changed).status_code == 413
    assert admin.call("PUT", f"{path}/objects/o0", json={"name": "o0", "description": "x"}).status_code == 200
    assert define(9) == 201
    whole = {"namespace": "long-2", "objects": [{"name": f"o{number}", "description": "x" * 9000} for number in range(5)]}
    assert admin.call("POST", "/v2/metadefs/namespaces", json=whole).status_code == 413
    admin.call("DELETE", path)


def test_task_with_a_long_input_is_refused(bounded: Cast) -> None:
    given = {"import_from": "http://example.org/x", "import_from_format": "raw", "more": "x" * 10_000}
    given |= {"image_properties": {"disk_format": "raw", "container_format": "bare"}}
    answer = bounded.admin.call("POST", "/v2/tasks", json={"type": "import", "input": given})
    assert answer.status_code == 413
    assert "the input of a task" in answer.text
    image = bounded.owner.has_an_image(None)
    answer = bounded.owner.imports(image, "glance-download", _glance_region="x" * 20_000, _glance_image_id=str(uuid4()))
    assert (answer.status_code, "the input of a task" in answer.text) == (413, True)


def test_tasks_of_an_image_are_listed_up_to_a_page(bounded: Cast, service: Service) -> None:
    """Of more, the newest."""
    image = bounded.owner.has_an_image(None)
    now = datetime.now(UTC)
    with service.database.write() as tx:
        for number in range(12):
            moment = now + timedelta(seconds=number)
            task = Task(
                id=TaskID(str(uuid4())),
                type=TaskType.API_IMAGE_IMPORT,
                owner=ProjectID(bounded.owner.project_id),
                created_at=moment,
                updated_at=moment,
                image_id=ImageID(image),
                input={"number": number, "text": "x" * 9000},
            )
            tasks.add(tx, task, roles=[])
    listed = bounded.owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"]
    assert [each["input"]["number"] for each in listed] == [8, 9, 10, 11]
    found = bounded.admin.call("GET", "/v2/tasks?limit=1000").json()["tasks"]
    assert len(found) >= 12
    assert all("input" not in each for each in found)
