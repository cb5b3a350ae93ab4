"""Locations that owners change by a patch: Glance's rules, and the bytes of an active image that never change (T-01 to T-10)."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from partage.identity.keystone import Keystone
from partage.model.ids import ImageID, StoreID
from partage.model.image import ImageStatus
from partage.operations.service import HTTPStore
from partage.records import images
from tests.api import web as webs
from tests.api.conftest import World, cast_of, make_service, serving
from tests.api.personas import Cast, Persona
from tests.api.web import Web

DATA = b"some bytes of a disk " * 5000
SHA512 = hashlib.sha512(DATA).hexdigest()
PROMISE = {"os_hash_algo": "sha512", "os_hash_value": SHA512}
WEB = HTTPStore(id=StoreID("web"))


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with webs.serving() as running:
        yield running


@pytest.fixture(scope="module")
def shown(
    identity: Keystone, web: Web, everybody: dict[str, tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Cast]]:
    """A service that shows locations and keeps those on the web by reference."""
    folder = tmp_path_factory.mktemp("shown")
    service, rules = make_service(folder, fetch=web.rules, http_store=WEB, locations_shown=True)
    with serving(service, identity, rules, folder) as running:
        yield running, cast_of(running, everybody)
    service.close()


def location(url: str, *, metadata: Any = None, **validation: str) -> dict[str, Any]:
    given: dict[str, Any] = {"url": url, "metadata": {} if metadata is None else metadata}
    return given | ({"validation_data": validation} if validation else {})


def adds(who: Persona, image: str, given: Any, position: str = "-") -> requests.Response:
    return who.patches(image, {"op": "add", "path": f"/locations/{position}", "value": given})


def replaces(who: Persona, image: str, *given: Any) -> requests.Response:
    return who.patches(image, {"op": "replace", "path": "/locations", "value": list(given)})


def removes(who: Persona, image: str, position: str) -> requests.Response:
    return who.patches(image, {"op": "remove", "path": f"/locations/{position}"})


def urls(who: Persona, image: str) -> list[str]:
    return [each["url"] for each in who.shows(image).json()["locations"]]


def test_a_queued_image_becomes_active_with_its_first_location(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    assert cast.owner.shows(image).json()["locations"] == []
    url = web.puts("/disk", DATA)
    answer = adds(cast.owner, image, location(url, metadata={"foo": "bar"}))
    assert answer.status_code == 200, answer.text
    document = cast.owner.shows(image).json()
    assert document == answer.json()
    assert (document["status"], document["size"], document["stores"]) == ("active", len(DATA), "web")
    assert document["locations"] == [{"url": url, "metadata": {"foo": "bar", "store": "web"}}]
    assert (document["checksum"], document["os_hash_algo"], document["os_hash_value"]) == (None, None, None)
    found = cast.owner.downloads(image)
    assert (found.status_code, found.content) == (200, DATA)
    assert {"ETag", "Content-MD5"} & set(found.headers) == set()


@pytest.mark.parametrize("verb", ["add", "replace"])
def test_first_location_is_verified_against_its_validation_data(verb: str, shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    given = location(web.puts("/disk", DATA), checksum=hashlib.md5(DATA).hexdigest(), **PROMISE)
    assert (adds(cast.owner, image, given) if verb == "add" else replaces(cast.owner, image, given)).status_code == 200
    document = cast.owner.shows(image).json()
    assert (document["checksum"], document["os_hash_algo"], document["os_hash_value"]) == (
        hashlib.md5(DATA).hexdigest(), "sha512", SHA512,
    )  # fmt: skip
    assert "validation_data" not in document["locations"][0]
    found = cast.owner.downloads(image)
    assert (found.content, found.headers["ETag"], found.headers["Content-MD5"]) == (DATA, f'"{SHA512}"', document["checksum"])


def test_further_locations_take_their_place_in_the_order_asked_for(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    for position, fragment in (("-", ""), ("-", "#end"), ("0", "#first"), ("1", "#second"), ("9", "#last")):
        assert adds(cast.owner, image, location(url + fragment), position).status_code == 200
    assert urls(cast.owner, image) == [url + each for each in ("#first", "#second", "", "#end", "#last")]
    assert removes(cast.admin, image, "1").status_code == 200
    assert removes(cast.admin, image, "-").status_code == 200
    assert urls(cast.owner, image) == [url + each for each in ("#first", "", "#end")]
    assert cast.owner.downloads(image).content == DATA


def test_metadata_and_order_may_change_but_not_the_urls(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    adds(cast.owner, image, location(url))
    adds(cast.owner, image, location(f"{url}#new", metadata={"speed": "88mph"}))
    first, second = cast.owner.shows(image).json()["locations"]
    assert replaces(cast.owner, image, first, second).status_code == 200
    first["metadata"]["date"] = "2015-10-15"
    assert replaces(cast.owner, image, second, first).json()["locations"] == [second, first]
    for wrong in ([first], [first, {**second, "url": f"{url}#new3"}], [first, second, location(f"{url}#x")], [first, first]):
        assert replaces(cast.owner, image, *wrong).status_code == 400
    assert replaces(cast.owner, image).status_code == 403
    assert cast.owner.shows(image).json()["locations"] == [second, first]


def test_only_administrators_remove_and_nobody_the_last(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    adds(cast.owner, image, location(url))
    adds(cast.owner, image, location(f"{url}#new"))
    assert removes(cast.owner, image, "0").status_code == 403
    for position in ("2", "x", "-1", "99999999999999999999", "²"):
        assert removes(cast.admin, image, position).status_code == 400
    assert removes(cast.admin, image, "0").status_code == 200
    assert removes(cast.admin, image, "0").status_code == 403
    assert urls(cast.owner, image) == [f"{url}#new"]


def test_an_image_in_a_store_takes_only_what_promises_its_digest(shown: tuple[World, Cast], web: Web) -> None:
    """T-08: the owner of an image that others use cannot exchange its bytes."""
    _world, cast = shown
    image, evil = cast.owner.has_an_image(DATA), web.puts("/evil", b"x" * len(DATA))
    cast.owner.shares_with(image, cast.member.project_id)
    before = cast.owner.shows(image).json()
    assert adds(cast.owner, image, location(evil)).status_code == 409
    for name, wrong in {"os_hash_value": "0" * 128, "os_hash_algo": "sha256", "checksum": "2" * 32}.items():
        answer = adds(cast.owner, image, location(evil, **{**PROMISE, name: wrong}))
        assert (answer.status_code, "already set with a different value" in answer.text) == (409, True)
    assert replaces(cast.owner, image, location(evil, **PROMISE)).status_code == 400
    assert adds(cast.owner, image, location(web.puts("/longer", DATA + b"x"), **PROMISE)).status_code == 400
    assert cast.owner.shows(image).json() == before
    assert adds(cast.owner, image, location(evil, **PROMISE), "0").status_code == 200
    document = cast.owner.shows(image).json()
    assert (document["stores"], urls(cast.owner, image)) == ("local,web", [f"partage://local/{image}", evil])
    web.asked.clear()
    for who in (cast.owner, cast.member):
        assert who.downloads(image).content == DATA
        assert who.downloads(image, Range="bytes=5-9").content == DATA[5:10]
        assert who.call("GET", f"/v2/images/{image}/file?prefer=web").content == DATA
    assert web.asked == []


def test_download_of_changed_bytes_is_aborted(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    big = DATA * 30
    image, url = cast.owner.has_an_image(None), web.puts("/disk", big)
    promise = {"os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(big).hexdigest()}
    assert adds(cast.owner, image, location(url, **promise)).status_code == 200
    assert cast.owner.downloads(image).content == big
    web.files["/disk"] = big[:-1] + b"!"
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        cast.owner.downloads(image)
    web.files["/disk"] = b"short"
    assert cast.owner.downloads(image).status_code == 503
    del web.files["/disk"]
    answer = cast.owner.downloads(image)
    assert (answer.status_code, webs.HOST in answer.text) == (503, False)


SCHEMES = [
    "file:///etc/passwd", "filesystem:///etc/passwd", "FILE:///etc/passwd", " file:///etc/passwd", "\tfile:///etc/passwd", "file:",
    "file://localhost/etc/passwd", "%66ile:///etc/passwd", "swift+config://ref/c/o", "swift://a:b@h/c/o", "cinder://x", "rbd://x",
    "s3://k:s@h/b", "vsphere://x", "partage://local/x", "partage://packs/x", "gopher://info.cern.ch", "ftp://x/", "", "http", "x",
    "http:/x", "//x/", "javascript:alert(1)",
]  # fmt: skip
HOSTS = [
    "http://127.0.0.1:1/", "http://169.254.169.254/", "http://[::1]/", "http://2130706433/", "http://0x7f000001/", "http://127.1/",
    "http://10.0.0.1/", "http://x:y@example.org/", "http://example.org:22/", "http://a\\@127.0.0.1/", "http://;reboot/", "http://`x`/",
    "http://$(x)/", "http://x\n/", "http:///x", "http://example.org:99999/", "http://[::1/",
]  # fmt: skip


@pytest.mark.parametrize("status", ["queued", "active"])
@pytest.mark.parametrize("url", SCHEMES + HOSTS, ids=ascii)
def test_forbidden_locations_are_refused_and_change_nothing(url: str, status: str, shown: tuple[World, Cast], web: Web) -> None:
    """T-01 to T-04, T-34, T-35, T-38: nothing is opened, nothing changes."""
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    if status == "active":
        assert adds(cast.owner, image, location(web.puts("/disk", DATA))).status_code == 200
    before = cast.owner.shows(image).json()
    web.asked.clear()
    for who in (cast.owner, cast.admin):
        for answer in (adds(who, image, location(url)), replaces(who, image, location(url))):
            assert answer.status_code == 400, answer.text
            assert "root:" not in answer.text
    assert cast.owner.gives_location(image, url).status_code in (400, 409)
    assert (cast.owner.shows(image).json(), web.asked) == (before, [])
    assert cast.owner.call("GET", f"/v2/images/{image}/tasks").json() == {"tasks": []}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("x", "not of type"),
        ({"url": "http://x/"}, "metadata"),
        ({"metadata": {}}, "url"),
        ({"url": 5, "metadata": {}}, "not of type"),
        ({"url": "http://x/", "metadata": []}, "not of type"),
        ({"url": "http://x/", "metadata": {"a": 5}}, "texts, lists and objects"),
        ({"url": "http://x/", "metadata": {"a": [None]}}, "texts, lists and objects"),
        ({"url": "http://x/", "metadata": {"a": "x" * 9000}}, "leave some out"),
        ({"url": "http://x/" + "x" * 255, "metadata": {}}, "too long"),
        (location("http://x/", os_hash_value="0" * 128), "os_hash_algo"),
        (location("http://x/", os_hash_algo="sha512"), "os_hash_value"),
        (location("http://x/", other="x", **PROMISE), "Additional properties"),
        (location("http://x/", checksum="1" * 31, **PROMISE), "too short"),
        (location("http://x/", checksum="1" * 33, **PROMISE), "too long"),
        ({"url": "http://x/", "metadata": {}, "validation_data": {**PROMISE, "checksum": 5}}, "not of type"),
        ({"url": "http://x/", "metadata": {}, "validation_data": "x"}, "not of type"),
    ],
    ids=repr,
)
def test_invalid_location_is_refused(given: Any, words: str, shown: tuple[World, Cast]) -> None:
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    for answer in (adds(cast.owner, image, given), replaces(cast.owner, image, given)):
        assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_metadata_nested_a_thousand_deep_is_refused(shown: tuple[World, Cast]) -> None:
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"a": deep}
    assert adds(cast.owner, image, location("http://x/", metadata=deep)).status_code == 400


@pytest.mark.parametrize(
    "validation",
    [
        {"os_hash_algo": "sha256", "os_hash_value": "0" * 64},
        {"os_hash_algo": "sha512", "os_hash_value": "0" * 64},
        {"os_hash_algo": "sha512", "os_hash_value": "z" * 128},
        {"os_hash_algo": "sha512", "os_hash_value": "0" * 128, "checksum": "z" * 32},
    ],
)
def test_digests_that_are_none_conflict(validation: dict[str, str], shown: tuple[World, Cast]) -> None:
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    assert adds(cast.owner, image, location("http://93.184.215.14/", **validation)).status_code == 409
    other = location("http://93.184.215.14/2", **{**PROMISE, "os_hash_value": "1" * 128})
    assert replaces(cast.owner, image, location("http://93.184.215.14/", **PROMISE), other).status_code == 409
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_an_image_without_a_digest_gets_none_by_a_further_location(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    adds(cast.owner, image, location(url))
    answer = adds(cast.owner, image, location(f"{url}#new", **PROMISE))
    assert (answer.status_code, "may only be provided when image status is" in answer.text) == (409, True)


WAYS: dict[str, tuple[str, ...]] = {
    "saving": ("saving",),
    "uploading": ("uploading",),
    "importing": ("importing",),
    "killed": ("saving", "killed"),
    "deactivated": ("deactivated",),
    "pending_delete": ("pending_delete",),
}
"""How an image gets into each state: from queued, or from active where it has data."""


@pytest.mark.parametrize("status", WAYS)
def test_locations_change_in_two_states_only(status: str, shown: tuple[World, Cast], web: Web) -> None:
    """T-10."""
    world, cast = shown
    url = web.puts("/disk", DATA)
    image = cast.owner.has_an_image(DATA if status in ("deactivated", "pending_delete") else None)
    for each in WAYS[status]:
        with world.service.database.write() as tx:
            found = images.find_for_work(tx, ImageID(image))
            assert found is not None
            assert images.change_status(tx, replace(found, status=ImageStatus(each)), was=found.status)
    for answer in (
        adds(cast.admin, image, location(f"{url}#new", **PROMISE)),
        replaces(cast.admin, image, location(url)),
        removes(cast.admin, image, "0"),
    ):
        assert (answer.status_code, status in answer.text) == (409, True)


def test_nothing_can_be_removed_from_a_queued_image(shown: tuple[World, Cast]) -> None:
    _world, cast = shown
    assert removes(cast.admin, cast.owner.has_an_image(None), "0").status_code == 409


def test_an_eleventh_location_is_too_many(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    assert replaces(cast.owner, image, *[location(f"{url}#{number}") for number in range(11)]).status_code == 413
    assert replaces(cast.owner, image, *[location(f"{url}#{number}") for number in range(10)]).status_code == 200
    answer = adds(cast.owner, image, location(f"{url}#10"))
    assert (answer.status_code, "Attempted: 11, Maximum: 10" in answer.text) == (413, True)
    assert adds(cast.owner, image, location(f"{url}#9"), "0").status_code == 400
    assert len(urls(cast.owner, image)) == 10


def test_a_patch_with_one_bad_change_changes_nothing(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    good = {"op": "add", "path": "/locations/-", "value": location(url)}
    before = cast.owner.shows(image).json()
    for bad, status in (
        ({"op": "add", "path": "/locations/-", "value": location(url)}, 400),
        ({"op": "add", "path": "/locations/x", "value": location(f"{url}#x")}, 400),
        ({"op": "add", "path": "/locations/-", "value": location(web.puts("/other", b"other"))}, 400),
        ({"op": "replace", "path": "/disk_format", "value": "qcow2"}, 403),
        ({"op": "remove", "path": "/nothing"}, 409),
    ):
        assert cast.owner.patches(image, good, bad).status_code == status
        assert cast.owner.shows(image).json() == before
    named = {"op": "replace", "path": "/name", "value": "n"}
    assert cast.owner.patches(image, named, good).json()["name"] == "n"


def test_formats_are_needed_before_the_first_location(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image = cast.owner.creates(disk_format=None).json()["id"]
    given = {"op": "add", "path": "/locations/-", "value": location(web.puts("/disk", DATA))}
    answer = cast.owner.patches(image, given)
    assert (answer.status_code, "disk_format must be set" in answer.text) == (400, True)
    format_first = {"op": "replace", "path": "/disk_format", "value": "raw"}
    assert cast.owner.patches(image, format_first, given).status_code == 200


@pytest.mark.parametrize("fault", ["absent", "mute", "empty"])
def test_a_place_that_does_not_say_its_size_is_refused(fault: str, shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    url = web.puts(f"/{fault}", b"" if fault == "empty" else DATA)
    if fault == "absent":
        del web.files["/absent"]
    if fault == "mute":
        web.mute.add("/mute")
    assert adds(cast.owner, image, location(url)).status_code == 400
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_only_the_owner_changes_locations(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image, url = cast.owner.has_an_image(None), web.puts("/disk", DATA)
    adds(cast.owner, image, location(url))
    cast.owner.shares_with(image, cast.member.project_id)
    web.asked.clear()
    for who, status in ((cast.member, 403), (cast.owner_reader, 403), (cast.outsider, 404), (cast.anonymous, 401)):
        assert adds(who, image, location(f"{url}#new")).status_code == status
        assert replaces(who, image, location(url)).status_code == status
        assert removes(who, image, "0").status_code == status
    assert web.asked == []


def test_a_deactivated_image_hides_its_locations(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    image = cast.owner.has_an_image(None)
    adds(cast.owner, image, location(web.puts("/disk", DATA)))
    cast.owner.does("deactivate", image)
    hidden = cast.owner.shows(image).json()
    assert (hidden["locations"], "stores" in hidden, cast.owner.downloads(image).status_code) == ([], False, 403)
    assert len(cast.admin.shows(image).json()["locations"]) == 1
    assert cast.admin.downloads(image).content == DATA


def test_locations_are_refused_without_an_http_store(
    another_world: Callable[..., World], web: Web, everybody: dict[str, tuple[str, str]]
) -> None:
    cast = cast_of(another_world(fetch=web.rules, locations_shown=True), everybody)
    image, data = cast.owner.has_an_image(None), cast.owner.has_an_image(DATA)
    answer = adds(cast.owner, image, location(web.puts("/disk", DATA)))
    assert (answer.status_code, "no store of type http" in answer.text) == (400, True)
    own = cast.owner.shows(data).json()["locations"]
    assert replaces(cast.owner, data, *own).status_code == 200
    own[0]["metadata"]["a"] = "b"
    assert replaces(cast.owner, data, *own).status_code == 400
    assert removes(cast.admin, data, "0").status_code == 403


def test_nothing_changes_where_locations_are_not_shown(
    another_world: Callable[..., World], web: Web, everybody: dict[str, tuple[str, str]]
) -> None:
    cast = cast_of(another_world(fetch=web.rules, http_store=WEB), everybody)
    image = cast.owner.has_an_image(None)
    web.asked.clear()
    for answer in (
        adds(cast.owner, image, location(web.puts("/disk", DATA))),
        replaces(cast.owner, image, location(web.url)),
        replaces(cast.owner, image),
        removes(cast.owner, image, "0"),
        removes(cast.admin, image, "0"),
    ):
        assert answer.status_code == 403
    assert web.asked == []


def test_no_patch_makes_a_signed_image_active(shown: tuple[World, Cast], web: Web) -> None:
    _world, cast = shown
    signed = {
        "img_signature": "AAAA", "img_signature_hash_method": "SHA-256", "img_signature_key_type": "RSA-PSS",
        "img_signature_certificate_uuid": "5b7d1b2c-5d3e-4f5a-9c6b-7d8e9fa0b1c2",
    }  # fmt: skip
    image = cast.owner.has_an_image(None, **signed)
    answer = adds(cast.owner, image, location(web.puts("/disk", DATA)))
    assert (answer.status_code, "signed" in answer.text) == (400, True)
    assert cast.owner.gives_location(image, f"{web.url}/disk").status_code == 400
    assert cast.owner.shows(image).json()["status"] == "queued"
