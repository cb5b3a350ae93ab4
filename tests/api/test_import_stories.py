"""Imports as people see them: what is asked over HTTP, and what the image and its tasks say afterwards."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import pytest

from partage.model.limits import Limits
from partage.outbound.rules import Rules
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """A web server with one file and one that ends too early; its address is one that the service must be allowed to reach."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in ("/disk", "/short") else 404)
            self.send_header("Content-Length", str(len(DATA) + (self.path == "/short")))
            self.end_headers()
            self.wfile.write(DATA)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def near(another_world: Callable[..., World], origin: str) -> World:
    """A service that may fetch from this machine."""
    port = int(origin.rpartition(":")[2])
    rules = Rules(ports=(port,), networks_allowed=(ip_network("127.0.0.0/8"),), connect_seconds=1.0)
    return another_world(fetch=rules)


def test_an_image_is_downloaded_from_the_web(near: World, origin: str, everybody: dict[str, tuple[str, str]]) -> None:
    owner = cast_of(near, everybody).owner
    image = owner.has_an_image(None)
    assert owner.imports(image, "web-download", _uri=f"{origin}/disk").status_code == 202
    near.works()
    assert owner.shows(image).json()["status"] == "active"
    assert owner.downloads(image).content == DATA


@pytest.mark.parametrize("path", ["/absent", "/short"])
def test_a_download_that_fails_leaves_a_queued_image_and_a_reason(
    path: str, near: World, origin: str, everybody: dict[str, tuple[str, str]]
) -> None:
    owner = cast_of(near, everybody).owner
    image = owner.has_an_image(None)
    assert owner.imports(image, "web-download", _uri=origin + path).status_code == 202
    near.works()
    assert owner.shows(image).json()["status"] == "queued"
    task = owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]
    assert task["status"] == "failure"
    assert task["message"]
    assert owner.uploads(image, DATA).status_code == 204


def test_refused_url_is_answered_with_glances_sentence(near: World, everybody: dict[str, tuple[str, str]]) -> None:
    """Tempest, for one, tells by "does not pass filtering" that another URL may do."""
    cast = cast_of(near, everybody)
    image, url = cast.owner.has_an_image(None), "http://example.org:22/disk"
    for purpose, refusal in (
        ("web-download", cast.owner.imports(image, "web-download", _uri=url)),
        ("add location", cast.owner.gives_location(image, url, cast.service)),
    ):
        assert refusal.status_code == 400
        assert f"URI for {purpose} does not pass filtering: The service does not open URLs at port 22" in refusal.text
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_a_download_above_the_size_cap_stops(
    another_world: Callable[..., World], origin: str, everybody: dict[str, tuple[str, str]]
) -> None:
    rules = Rules(ports=(int(origin.rpartition(":")[2]),), networks_allowed=(ip_network("127.0.0.0/8"),), connect_seconds=1.0)
    world = another_world(fetch=rules, limits=Limits(image_size_cap_bytes=1000))
    owner = cast_of(world, everybody).owner
    image = owner.has_an_image(None)
    owner.imports(image, "web-download", _uri=f"{origin}/disk")
    world.works()
    assert owner.shows(image).json()["status"] == "queued"
    assert "1000 bytes" in owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]["message"]


@pytest.mark.parametrize("algorithm", ["", "md5", "sha256", "sha512"])
def test_service_location_is_fetched_and_stored(
    algorithm: str, near: World, origin: str, everybody: dict[str, tuple[str, str]]
) -> None:
    cast = cast_of(near, everybody)
    image = cast.owner.has_an_image(None)
    digest = hashlib.new(algorithm, DATA).hexdigest() if algorithm else ""
    promise = {"os_hash_algo": algorithm, "os_hash_value": digest} if algorithm else {}
    assert cast.owner.gives_location(image, f"{origin}/disk").status_code == 403
    assert cast.owner.gives_location(image, f"{origin}/disk", cast.service, **promise).status_code == 202
    assert cast.owner.gives_location(image, f"{origin}/disk", cast.service).status_code == 409
    near.works()
    assert cast.owner.downloads(image).content == DATA
    assert cast.owner.shows(image).json()["os_hash_value"] == (digest or hashlib.sha512(DATA).hexdigest())
    assert cast.owner.call("GET", f"/v2/images/{image}/locations").status_code == 403
    assert cast.admin.call("GET", f"/v2/images/{image}/locations").json() == [
        {"url": f"{origin}/disk", "metadata": {}},
        {"url": f"partage://local/{image}", "metadata": {"store": "local"}},
    ]


def test_bytes_without_the_promised_digest_are_not_kept(near: World, origin: str, everybody: dict[str, tuple[str, str]]) -> None:
    cast = cast_of(near, everybody)
    image = cast.owner.has_an_image(None)
    promise = {"os_hash_algo": "sha256", "os_hash_value": "0" * 64}
    assert cast.owner.gives_location(image, f"{origin}/disk", cast.service, **promise).status_code == 202
    near.works()
    left = cast.owner.shows(image).json()
    assert (left["status"], left["size"], left["os_hash_value"]) == ("queued", None, None)
    assert "not matched" in cast.owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]["message"]
    assert cast.admin.call("GET", f"/v2/images/{image}/locations").json() == []


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "JSON object"),
        ({"url": 5}, "not of type"),
        ({"url": "http://127.0.0.1/"}, "does not open the host"),
        ({"url": "rbd://a/b"}, "only"),
        ({"url": "file:///etc/passwd"}, "only"),
        ({"url": "http://x/", "validation_data": {"os_hash_value": "00"}}, "os_hash_algo"),
        ({"url": "http://x/", "validation_data": {"os_hash_algo": "crc", "os_hash_value": "00"}}, "not one of"),
        ({"url": "http://x/", "validation_data": {"os_hash_algo": "md5", "os_hash_value": "00"}}, "correct size"),
        ({"url": "http://x/", "validation_data": {"os_hash_algo": "md5", "os_hash_value": "zz"}}, "hexadecimal"),
    ],
)
def test_invalid_location_changes_nothing(document: object, words: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    before = cast.owner.shows(image).json()
    service = {"X-Service-Token": cast.service.token}
    answer = cast.owner.call("POST", f"/v2/images/{image}/locations", json=document, headers=service)
    assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert cast.owner.shows(image).json() == before


@pytest.mark.parametrize(
    "uri", ["", 7, None, "file:///etc/passwd", "http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "http://x:99999/"]
)
def test_forbidden_url_is_refused_before_a_task_exists(uri: object, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.imports(image, "web-download", _uri=uri).status_code == 400
    assert cast.owner.shows(image).json()["status"] == "queued"
    assert cast.owner.call("GET", f"/v2/images/{image}/tasks").json() == {"tasks": []}


DATA = b"some bytes of a disk " * 5000


def test_owner_stages_imports_and_reads_the_task(world: World, cast: Cast) -> None:
    owner = cast.owner
    image = owner.has_an_image(None)
    assert owner.stages(image, DATA).status_code == 204
    assert owner.shows(image).json()["status"] == "uploading"
    assert owner.downloads(image).status_code == 204
    asked = owner.imports(image)
    assert (asked.status_code, asked.content) == (202, b"")
    assert world.works()  # what others left to be done is done, too
    done = owner.shows(image).json()
    assert (done["status"], done["stores"], done["os_glance_failed_import"]) == ("active", "local", "")
    assert owner.downloads(image).content == DATA
    task = owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]
    assert (task["status"], task["type"], task["image_id"]) == ("success", "api_image_import", image)
    assert task["request_id"] == asked.headers["X-Openstack-Request-Id"]
    assert task["input"]["import_req"] == {"method": {"name": "glance-direct"}}
    assert cast.admin.call("GET", f"/v2/tasks/{task['id']}").json()["result"] == {"image_id": image}


def test_an_import_that_fails_says_why_and_the_image_can_be_used_again(world: World, cast: Cast) -> None:
    owner = cast.owner
    image = owner.has_an_image(None, disk_format="qcow2")
    owner.stages(image, DATA)
    owner.imports(image)
    world.works()
    assert owner.shows(image).json()["status"] == "queued"
    task = owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]
    assert task["status"] == "failure"
    assert "qcow2" in task["message"]
    assert owner.sets(image, "disk_format", "raw").status_code == 200
    assert owner.uploads(image, DATA).status_code == 204


def test_an_administrator_moves_an_image_to_another_store(world: World, cast: Cast) -> None:
    image = cast.owner.has_an_image(DATA)
    assert cast.admin.imports(image, "copy-image", stores=["second"]).status_code == 202
    world.works()
    assert cast.owner.shows(image).json()["stores"] == "local,second"
    assert cast.owner.call("GET", f"/v2/images/{image}/file?prefer=second,local").content == DATA
    assert cast.admin.call("DELETE", f"/v2/stores/local/{image}").status_code == 204
    assert cast.owner.shows(image).json()["stores"] == "second"
    assert cast.owner.downloads(image).content == DATA
    assert cast.admin.call("DELETE", f"/v2/stores/second/{image}").status_code == 403
    assert cast.admin.call("DELETE", f"/v2/stores/local/{image}").status_code == 403
    assert cast.admin.call("DELETE", f"/v2/stores/nowhere/{image}").status_code == 409


def test_empty_list_of_stores_means_the_default_store(world: World, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    cast.owner.stages(image, DATA)
    assert cast.owner.imports(image, "glance-direct", stores=[]).status_code == 202
    world.works()
    assert cast.owner.shows(image).json()["stores"] == "local"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "requires a 'method' field"),
        ({"method": {}}, 400, "requires a 'name' field"),
        ({"method": "glance-direct"}, 400, "requires a 'name' field"),
        ({"method": {"name": ["x"]}}, 400, "Unknown import method name"),
        ({"method": {"name": "glance-direct"}, "all_stores": "yes"}, 400, "must be boolean"),
        ({"method": {"name": "glance-direct"}, "all_stores_must_succeed": 1}, 400, "must be boolean"),
        ({"method": {"name": "glance-direct"}, "all_stores": True, "stores": ["local"]}, 400, "All_stores parameter"),
        ({"method": {"name": "glance-direct"}, "stores": "local"}, 400, "a list of store names"),
        ({"method": {"name": "glance-direct"}, "stores": ["nowhere"]}, 409, "nowhere not found"),
        ({"method": {"name": "glance-download", "glance_region": "x"}}, 400, "glance_image_id"),
        ({"method": {"name": "glance-download", "glance_region": "x", "glance_image_id": "y"}}, 400, "look like a UUID"),
    ],
)
def test_invalid_import_changes_nothing(body: object, status: int, words: str, cast: Cast) -> None:
    owner = cast.owner
    image = owner.has_an_image(None)
    owner.stages(image, DATA)
    before = owner.shows(image).json()
    answer = owner.call("POST", f"/v2/images/{image}/import", json=body)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert owner.shows(image).json() == before
    assert owner.call("GET", f"/v2/images/{image}/tasks").json() == {"tasks": []}


def test_staging_takes_octets_for_queued_images_only(cast: Cast) -> None:
    owner = cast.owner
    image = owner.has_an_image(None)
    assert owner.call("PUT", f"/v2/images/{image}/stage", data=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert owner.stages(image, b"").status_code == 204
    assert owner.stages(image).status_code == 409
    assert owner.uploads(image).status_code == 409


def test_reserved_import_properties_are_refused(cast: Cast) -> None:
    owner = cast.owner
    image = owner.has_an_image(None)
    for name in ("os_glance_import_task", "os_glance_importing_to_stores", "os_glance_stage_host"):
        assert owner.creates(**{name: "x"}).status_code == 403
        assert owner.patches(image, {"op": "add", "path": f"/{name}", "value": "x"}).status_code == 403


@pytest.mark.parametrize(
    "query", ["status=nothing", "type=nothing", "limit=x", "limit=-1", "marker=x", "sort_key=x", "sort_dir=x", f"marker={'0' * 32}"]
)
def test_invalid_query_of_tasks_is_refused(query: str, cast: Cast) -> None:
    assert cast.admin.call("GET", f"/v2/tasks?{query}").status_code == 400


@pytest.mark.parametrize("sort_key", ["created_at", "expires_at", "id", "status", "type", "updated_at"])
@pytest.mark.parametrize("sort_dir", ["asc", "desc"])
def test_pages_of_tasks_hold_each_once(sort_key: str, sort_dir: str, world: World, cast: Cast) -> None:
    for _ in range(3):
        image = cast.owner.has_an_image(None)
        cast.owner.stages(image, DATA)
        cast.owner.imports(image)
        world.works()
    whole = cast.admin.call("GET", f"/v2/tasks?limit=1000&sort_key={sort_key}&sort_dir={sort_dir}").json()["tasks"]
    walked, path = [], f"/v2/tasks?limit=2&sort_key={sort_key}&sort_dir={sort_dir}"
    while path:
        page = cast.admin.call("GET", path).json()
        walked += page["tasks"]
        path = page.get("next", "")
    assert [each["id"] for each in walked] == [each["id"] for each in whole]
    assert len({each["id"] for each in walked}) == len(walked) >= 3


def test_tasks_are_found_by_their_owner(world: World, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    cast.owner.stages(image, DATA)
    cast.owner.imports(image)
    world.works()
    mine = cast.admin.call("GET", f"/v2/tasks?limit=1000&owner={cast.owner.project_id}").json()["tasks"]
    assert {task["owner"] for task in mine} == {cast.owner.project_id}
    assert cast.admin.call("GET", "/v2/tasks?owner=nobody").json()["tasks"] == []


def task_from(url: str, **changed: object) -> dict[str, object]:
    properties = {"disk_format": "raw", "container_format": "bare", "name": "by a task", "colour": "blue"}
    return {"type": "import", "input": {"import_from": url, "import_from_format": "raw", "image_properties": properties}, **changed}


def test_an_administrator_imports_by_a_task(near: World, origin: str, everybody: dict[str, tuple[str, str]]) -> None:
    admin = cast_of(near, everybody).admin
    made = admin.call("POST", "/v2/tasks", json=task_from(f"{origin}/disk"))
    assert made.status_code == 201
    assert made.headers["Location"].endswith(made.json()["self"])
    assert made.json()["status"] == "pending"
    near.works()
    task = admin.call("GET", made.json()["self"]).json()
    assert task["status"] == "success"
    assert task["input"] == task_from(f"{origin}/disk")["input"]
    image = task["result"]["image_id"]
    assert admin.downloads(image).content == DATA
    assert (admin.shows(image).json()["name"], admin.shows(image).json()["colour"]) == ("by a task", "blue")


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"type": "import"},
        {"input": {}},
        {"type": "export", "input": {}},
        {"type": "api_image_import", "input": {}},
        {"type": "import", "input": []},
        {"type": "import", "input": {"import_from": "http://example.org/", "import_from_format": "raw"}},
        task_from("file:///etc/passwd"),
        task_from("http://169.254.169.254/latest"),
        task_from("http://example.org/", input={"import_from": 1, "import_from_format": "raw", "image_properties": {}}),
    ],
)
def test_invalid_task_creates_no_image(document: object, cast: Cast) -> None:
    before = len(cast.admin.call("GET", "/v2/tasks?limit=1000").json()["tasks"])
    assert cast.admin.call("POST", "/v2/tasks", json=document).status_code == 400
    assert len(cast.admin.call("GET", "/v2/tasks?limit=1000").json()["tasks"]) == before


@pytest.mark.parametrize(("direct_url", "locations"), [(False, False), (True, False), (False, True), (True, True)])
def test_users_see_where_bytes_are_only_if_the_operator_says_so(
    direct_url: bool, locations: bool, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    cast = cast_of(another_world(options={"show_direct_url": direct_url}, locations_shown=locations), everybody)
    image = cast.owner.has_an_image(DATA)
    url = f"partage://local/{image}"
    for document in (cast.owner.shows(image).json(), cast.owner.lists()[0]):
        assert document.get("direct_url") == (url if direct_url else None)
        assert document.get("locations") == ([{"url": url, "metadata": {"store": "local"}}] if locations else None)
    cast.owner.does("deactivate", image)
    withheld = cast.owner.shows(image).json()
    assert "direct_url" not in withheld
    assert withheld.get("locations") == ([] if locations else None)
    assert cast.owner.patches(image, {"op": "remove", "path": "/locations/0"}).status_code == 403
