"""Images whose bytes stay on the web: given by POST, read by a worker once for their digest and by every download."""

import hashlib
from collections.abc import Callable, Iterator

import pytest
import requests

from partage.identity.keystone import Keystone
from partage.model.ids import StoreID
from partage.model.limits import Limits
from partage.operations.service import HTTPStore
from tests.api import web as webs
from tests.api.conftest import World, cast_of, make_service, serving
from tests.api.personas import Cast
from tests.api.web import Web

DATA = bytes(range(256)) * 20_000
DIGEST = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(DATA).hexdigest()}
WEB = HTTPStore(id=StoreID("web"), description="the web")


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with webs.serving() as running:
        yield running


@pytest.fixture(scope="module")
def referring(
    identity: Keystone, web: Web, everybody: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Cast]]:
    """A service that keeps locations on the web by reference, and shows none of them."""
    folder = tmp_path_factory.mktemp("referring")
    service, rules = make_service(folder, fetch=web.rules, http_store=WEB)
    with serving(service, identity, rules, folder) as running:
        yield running, cast_of(running, everybody)
    service.close()


def by_reference(world: World, cast: Cast, url: str, **digest: str) -> str:
    image = cast.owner.has_an_image(None)
    assert cast.owner.gives_location(image, url, **digest).status_code == 202
    assert world.works() >= 1
    return image


@pytest.mark.parametrize("promise", [{}, DIGEST, {"os_hash_algo": "md5", "os_hash_value": hashlib.md5(DATA).hexdigest()}], ids=str)
def test_a_location_is_read_once_for_its_digest_and_kept(promise: dict[str, str], referring: tuple[World, Cast], web: Web) -> None:
    world, cast = referring
    url = web.puts("/disk?token=1", DATA)
    image = by_reference(world, cast, url, **promise)
    document = cast.owner.shows(image).json()
    expected = {
        "status": "active",
        "stores": "web",
        "size": len(DATA),
        "virtual_size": len(DATA),
        "checksum": hashlib.md5(DATA).hexdigest(),
        "os_hash_algo": promise.get("os_hash_algo", "sha512"),
        "os_hash_value": promise.get("os_hash_value", hashlib.sha512(DATA).hexdigest()),
    }
    assert {name: document[name] for name in expected} == expected
    assert {"locations", "direct_url", "os_glance_import_task"} & set(document) == set()
    task = cast.owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]
    assert (task["type"], task["status"], task["result"]) == ("location_import", "success", {"image_id": image})
    assert cast.owner.call("GET", f"/v2/images/{image}/locations").status_code == 403
    for who in (cast.admin, cast.service):
        image_is_seen = who.shows(image).status_code == 200
        answer = who.call("GET", f"/v2/images/{image}/locations")
        assert not image_is_seen or answer.json() == [{"url": url, "metadata": {"store": "web"}}]


def test_downloads_and_ranges_come_from_the_web_without_credentials(referring: tuple[World, Cast], web: Web) -> None:
    world, cast = referring
    for path in ("/ranges", "/plain"):
        image = by_reference(world, cast, web.puts(path, DATA))
        cast.owner.shares_with(image, cast.member.project_id)
        web.plain.add("/plain")
        web.asked.clear()
        web.heads.clear()
        whole = cast.member.downloads(image)
        assert (whole.content, whole.headers["Content-MD5"]) == (DATA, hashlib.md5(DATA).hexdigest())
        part = cast.member.downloads(image, Range="bytes=1000000-1999999")
        assert (part.status_code, part.content) == (206, DATA[1000000:2000000])
        assert cast.member.downloads(image, Range="bytes=-5").content == DATA[-5:]
        assert cast.member.downloads(image, Range=f"bytes={len(DATA)}-").status_code == 416
        last = len(DATA) - 1
        assert web.asked == [f"GET {path}", f"GET {path} bytes=1000000-1999999", f"GET {path} bytes={last - 4}-{last}"]
        assert cast.member.downloads(image, **{"If-None-Match": whole.headers["ETag"]}).status_code == 304
        assert cast.member.call("HEAD", f"/v2/images/{image}/file").headers["Content-Length"] == str(len(DATA))
        assert len(web.asked) == 3
        for head in web.heads:
            assert not [
                word for word in ("token", "authorization", "cookie", "openstack", str(cast.member.token)) if word in head.lower()
            ]


def test_bytes_that_changed_are_never_given_whole(referring: tuple[World, Cast], web: Web) -> None:
    """T-08: who swaps what is at the origin makes downloads fail, and nothing else."""
    world, cast = referring
    image = by_reference(world, cast, web.puts("/swapped", DATA))
    web.files["/swapped"] = b"!" + DATA[1:]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        cast.owner.downloads(image)
    web.files["/swapped"] = DATA + b"!"
    assert cast.owner.downloads(image).status_code == 503
    assert cast.owner.downloads(image, Range="bytes=0-9").status_code == 503
    web.mute.add("/swapped")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        cast.owner.downloads(image)
    web.files["/swapped"] = DATA
    assert cast.owner.downloads(image).content == DATA


def test_small_images_that_changed_are_refused_outright(referring: tuple[World, Cast], web: Web) -> None:
    world, cast = referring
    image = by_reference(world, cast, web.puts("/small", b"right"))
    web.files["/small"] = b"wrong"
    answer = cast.owner.downloads(image)
    assert (answer.status_code, webs.HOST in answer.text, "other bytes" in answer.text) == (503, False, True)


def test_a_server_that_breaks_off_breaks_the_download(referring: tuple[World, Cast], web: Web) -> None:
    world, cast = referring
    image = by_reference(world, cast, web.puts("/short", DATA))
    web.short.add("/short")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        cast.owner.downloads(image)
    web.short.discard("/short")
    assert cast.owner.downloads(image).content == DATA


@pytest.mark.parametrize("fault", ["digest", "absent", "short", "empty", "format"])
def test_failed_location_leaves_a_queued_image_that_accepts_another(fault: str, referring: tuple[World, Cast], web: Web) -> None:
    """As in Glance, `stores` still names the one that would have read it; nothing is given out from there."""
    world, cast = referring
    image = cast.owner.has_an_image(None, disk_format="qcow2" if fault == "format" else "raw")
    url = web.puts(f"/{fault}", b"" if fault == "empty" else DATA)
    if fault == "absent":
        del web.files["/absent"]
    if fault == "short":
        web.short.add("/short")
    promise = {"os_hash_algo": "sha512", "os_hash_value": "beefdead" * 16} if fault == "digest" else {}
    assert cast.owner.gives_location(image, url, **promise).status_code == 202
    assert cast.owner.gives_location(image, url).status_code == 409
    world.works()
    web.short.clear()
    document = cast.owner.shows(image).json()
    names = ("status", "size", "checksum", "os_hash_algo", "os_hash_value", "stores")
    assert [document[name] for name in names] == ["queued", None, None, None, None, "web"]
    task = cast.owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]
    assert (task["status"], bool(task["message"]), webs.HOST in task["message"]) == ("failure", True, False)
    assert cast.owner.downloads(image).status_code == 204
    if fault == "format":
        answer = cast.owner.sets(image, "disk_format", "raw")
        assert answer.status_code == 200, answer.text
    if fault == "digest":
        assert cast.owner.uploads(image, b"mine").status_code == 204
        assert (cast.owner.shows(image).json()["stores"], cast.owner.downloads(image).content) == ("local", b"mine")
        assert cast.admin.call("DELETE", f"/v2/stores/web/{image}").status_code == 403
    else:
        assert cast.owner.gives_location(image, web.puts("/good", DATA)).status_code == 202
        world.works()
        assert cast.owner.downloads(image).content == DATA


def test_only_owners_may_add_locations(referring: tuple[World, Cast], web: Web) -> None:
    _world, cast = referring
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    cast.owner.shares_with(image, cast.member.project_id)
    for who, status in ((cast.member, 403), (cast.owner_reader, 403), (cast.outsider, 404), (cast.anonymous, 401)):
        assert who.gives_location(image, url).status_code == status
    for refused in (
        "file:///etc/passwd",
        "http://127.0.0.1/",
        f"{web.url.replace(webs.HOST, '127.0.0.3')}/",
        "rbd://a",
        "http://u:p@x/",
    ):
        assert cast.owner.gives_location(image, refused).status_code == 400
        assert cast.owner.gives_location(image, refused, cast.service).status_code == 400
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_the_store_is_listed_as_one_that_takes_no_data(referring: tuple[World, Cast]) -> None:
    _world, cast = referring
    stores = cast.owner.call("GET", "/v2/info/stores").json()["stores"]
    assert stores == [
        {"id": "local", "default": "true"}, {"id": "second"}, {"id": "web", "description": "the web", "read-only": "true"},
    ]  # fmt: skip
    detail = cast.admin.call("GET", "/v2/info/stores/detail").json()["stores"][-1]
    assert (detail["type"], detail["weight"], detail["properties"]) == ("http", 0, {})
    assert cast.owner.creates().headers["OpenStack-image-store-ids"] == "local,second,web"
    image = cast.owner.has_an_image(None)
    assert cast.owner.uploads(image, b"x", **{"X-Image-Meta-Store": "web"}).status_code == 410
    cast.owner.stages(image)
    assert cast.owner.imports(image, stores=["web"]).status_code == 410
    assert cast.owner.imports(image, all_stores=True).status_code == 202


def test_referenced_image_is_copied_to_stores_then_loses_its_location(referring: tuple[World, Cast], web: Web) -> None:
    world, cast = referring
    image = by_reference(world, cast, web.puts("/copied", DATA), **DIGEST)
    before = cast.owner.shows(image).json()
    assert cast.admin.imports(image, "copy-image", stores=["second", "local"]).status_code == 202
    web.asked.clear()
    world.works()
    assert web.asked == ["GET /copied"]
    document = cast.owner.shows(image).json()
    assert document["stores"] == "second,local,web"
    same = ("status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")
    assert [document[name] for name in same] == [before[name] for name in same]
    assert cast.admin.call("DELETE", f"/v2/stores/web/{image}").status_code == 204
    assert cast.admin.call("DELETE", f"/v2/stores/web/{image}").status_code == 404
    assert cast.admin.call("DELETE", f"/v2/stores/second/{image}").status_code == 204
    assert cast.admin.call("DELETE", f"/v2/stores/local/{image}").status_code == 403
    del web.files["/copied"]
    assert cast.owner.downloads(image).content == DATA


def test_image_deleted_from_its_stores_keeps_its_location(referring: tuple[World, Cast], web: Web) -> None:
    world, cast = referring
    image = by_reference(world, cast, web.puts("/left", DATA))
    assert cast.admin.imports(image, "copy-image", all_stores=True).status_code == 202
    world.works()
    for store in ("local", "second"):
        assert cast.admin.call("DELETE", f"/v2/stores/{store}/{image}").status_code == 204
    assert cast.admin.call("DELETE", f"/v2/stores/web/{image}").status_code == 403
    assert (cast.owner.shows(image).json()["stores"], cast.owner.downloads(image).content) == ("web", DATA)
    web.files["/left"] = DATA[:-1] + b"!"
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        cast.owner.downloads(image)


def test_bytes_that_changed_are_not_copied(referring: tuple[World, Cast], web: Web) -> None:
    world, cast = referring
    image = by_reference(world, cast, web.puts("/changed", DATA))
    web.files["/changed"] = DATA[:-1] + b"!"
    assert cast.admin.imports(image, "copy-image", stores=["second"]).status_code == 202
    world.works()
    document = cast.owner.shows(image).json()
    assert (document["status"], document["stores"], document["os_glance_failed_import"]) == ("active", "web", "second")
    assert "other bytes" in cast.owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][-1]["message"]


def test_referenced_data_uses_no_quota_until_copied(
    another_world: Callable[..., World], web: Web, everybody: dict[str, tuple[str, str]]
) -> None:
    room = Limits(storage_per_project_bytes=len(DATA) + 10)
    world = another_world(fetch=web.rules, http_store=WEB, limits=room)
    cast = cast_of(world, everybody)
    first, second = (by_reference(world, cast, web.puts(f"/{number}", DATA)) for number in range(2))
    mine = cast.owner.has_an_image(b"0123456789")
    assert cast.admin.imports(first, "copy-image", stores=["local"]).status_code == 202
    world.works()
    assert cast.owner.shows(first).json()["stores"] == "local,web"
    assert cast.admin.imports(second, "copy-image", stores=["local"]).status_code == 413
    assert cast.owner.uploads(cast.owner.has_an_image(None), b"x").status_code == 413
    assert cast.owner.deletes(mine).status_code == 204
    assert cast.owner.uploads(cast.owner.has_an_image(None), b"x" * 10).status_code == 204
    assert cast.admin.sets(second, "owner", cast.outsider.project_id).status_code == 200


def test_a_location_above_the_size_cap_is_not_kept(
    another_world: Callable[..., World], web: Web, everybody: dict[str, tuple[str, str]]
) -> None:
    world = another_world(fetch=web.rules, http_store=WEB, locations_shown=True, limits=Limits(image_size_cap_bytes=1000))
    cast = cast_of(world, everybody)
    image = by_reference(world, cast, web.puts("/big", DATA))
    assert cast.owner.shows(image).json()["status"] == "queued"
    given = {"op": "add", "path": "/locations/-", "value": {"url": web.puts("/big", DATA), "metadata": {}}}
    assert cast.owner.patches(image, given).status_code == 413


def test_image_is_unavailable_while_its_store_is_not_configured(
    another_world: Callable[..., World], web: Web, everybody: dict[str, tuple[str, str]]
) -> None:
    world = another_world(fetch=web.rules, http_store=WEB)
    cast = cast_of(world, everybody)
    image = by_reference(world, cast, web.puts("/disk", DATA))
    object.__setattr__(world.service.stores, "http", None)
    assert cast.owner.downloads(image).status_code == 503
    object.__setattr__(world.service.stores, "http", WEB)
    assert cast.owner.downloads(image).content == DATA
