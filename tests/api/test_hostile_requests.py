"""Requests that nobody sends by mistake. None of them gets more than it should, and none makes the service fail.

Numbers T-… are those of the list of advisories that every release is tested with.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from partage.model.limits import Limits
from tests.api.conftest import World, cast_of
from tests.api.connection import Connection, head
from tests.api.personas import Cast, Persona

Everybody = dict[str, tuple[str, str]]
KIB = 1 << 10


def add(name: str, value: Any = "x") -> dict[str, Any]:
    return {"op": "add", "path": f"/{name}", "value": value}


# Ids, names and statuses: T-07, T-11, T-17


@pytest.mark.parametrize(
    "image",
    [
        "../../x",
        "..",
        "/etc/passwd",
        "x" * 37,
        "a\x00b",
        "%2e%2e",
        "",
        "6F9619FF8B86D011B42D00CF4FC964FF",
        "{6f9619ff-8b86-d011-b42d-00cf4fc964ff}",
        "6f9619ff-8b86-d011-b42d-00cf4fc964ff\n",
    ],
)
def test_an_id_is_a_uuid_and_never_a_path(image: str, cast: Cast, world: World) -> None:
    assert cast.owner.creates(id=image).status_code == 400
    for path in (image, image.replace("/", "%2F"), "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%c0%ae%c0%ae"):
        answer = cast.owner.downloads(path.replace("\x00", "%00").replace("\n", "%0a"))
        assert answer.status_code in (300, 400, 404, 405)
    cast.owner.has_an_image(os.urandom(100_000))
    kept = list((world.folder / "store").rglob("*"))
    assert kept
    assert all(len(each.name) <= 40 for each in kept)


def test_image_data_is_never_stored_under_a_name_that_a_client_chose(cast: Cast, world: World) -> None:
    image = str(uuid4())
    cast.owner.has_an_image(os.urandom(100_000), id=image, name="chosen-name", tags=["chosen-tag"])
    names = " ".join(str(each) for each in world.folder.rglob("*"))
    for chosen in (image, image.replace("-", ""), "chosen-name", "chosen-tag"):
        assert chosen not in names


READ_ONLY = {
    "status": "active",
    "size": 1,
    "virtual_size": 1,
    "checksum": "f" * 32,
    "created_at": "2000-01-01T00:00:00Z",
    "schema": "x",
    "updated_at": "2000-01-01T00:00:00Z",
    "self": "x",
    "file": "x",
    "direct_url": "x",
    "stores": "x",
    "id": str(uuid4()),
    "os_hash_value": "f" * 128,
    "os_hash_algo": "md5",
}


@pytest.mark.parametrize("name", READ_ONLY)
def test_what_the_service_sets_is_not_set_by_patches(name: str, cast: Cast) -> None:
    image = cast.owner.has_an_image()
    before = cast.owner.shows(image).json()
    for operation in ("add", "replace", "remove"):
        change = {"op": operation, "path": f"/{name}", "value": READ_ONLY[name]}
        assert cast.owner.patches(image, change).status_code == cast.admin.patches(image, change).status_code == 403
    assert cast.owner.shows(image).json() == before


def test_headers_of_the_first_api_set_nothing(cast: Cast) -> None:
    headers = {
        "X-Image-Meta-Status": "active",
        "X-Image-Meta-Is-Public": "True",
        "X-Image-Meta-Owner": "x",
        "X-Image-Meta-Checksum": "f" * 32,
        "X-Image-Meta-Location": "file:///etc/passwd",
        "X-Image-Meta-Size": "1",
        "X-Glance-Api-Copy-From": "http://127.0.0.1/",
        "X-Image-Meta-Property-Os_glance_x": "x",
        "X-Image-Meta-Id": str(uuid4()),
    }
    document = cast.owner.call(
        "POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare"}, headers=headers
    ).json()
    assert (document["status"], document["visibility"], document["owner"]) == ("queued", "shared", cast.owner.project_id)
    image = document["id"]
    assert image != headers["X-Image-Meta-Id"]
    assert cast.owner.uploads(image, b"data", **headers).status_code == 204
    document = cast.owner.shows(image).json()
    assert (document["size"], document["visibility"], document["checksum"] == "f" * 32) == (4, "shared", False)


RESERVED = [
    "os_glance",
    "os_glance_stage_host",
    "os_glance_import_task",
    " os_glance_x",
    "\tos_glance_x",
    "OS_GLANCE_x",
    "os_glance_x ",
    "os\uff3fglance_x",
    "\uff4f\uff53_glance_x",
    "Os_Glance_stage_host",
    "~1os_glance_x",
    "~0os_glance_x",
    "~1~1os_glance_x",
    ".os_glance_x",
    "__os_glance_x",
    "\u200bos_glance_x",
]


@pytest.mark.parametrize("name", RESERVED, ids=ascii)
def test_names_kept_for_the_service_are_refused_in_every_spelling(name: str, cast: Cast) -> None:
    assert cast.owner.creates(**{name.replace("~1", "/").replace("~0", "~"): "http://evil.example"}).status_code == 403
    image = cast.owner.has_an_image(None)
    for who in (cast.owner, cast.admin):
        assert who.patches(image, add(name, "http://evil.example")).status_code == 403
    assert not any("glance" in each.casefold() for each in cast.owner.shows(image).json())


# Limits: T-19, T-28


def test_more_than_128_members_tags_or_properties_are_refused(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    for number in range(129):
        answer = cast.owner.shares_with(image, f"m{number}")
    assert answer.status_code == 413
    assert cast.owner.creates(tags=[str(number) for number in range(10_000)]).status_code == 413
    assert cast.owner.creates(**{f"p{number}": "x" for number in range(129)}).status_code == 413


def test_documents_have_a_size(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.creates(long="x" * (10 << 20)).status_code == 413
    assert cast.owner.patches(image, *[add("a")] * 100_000).status_code == 413
    assert cast.owner.call("POST", "/v2/images", data=iter([b"[" * KIB] * 2000)).status_code == 413
    assert cast.owner.shares_with(image, "x" * (2 << 20)).status_code == 413
    assert cast.owner.patches(image, *[add(f"p{number}") for number in range(5000)]).status_code == 413
    assert len(cast.owner.shows(image).json()) == 23 - 1


@pytest.mark.parametrize("name", ["x" * 256, "ü" * 256])
def test_names_of_properties_have_a_length(name: str, cast: Cast) -> None:
    assert cast.owner.creates(**{name: "x"}).status_code == 400
    assert cast.owner.patches(cast.owner.has_an_image(None), add(name)).status_code == 400


def test_wrong_announced_size_does_not_bypass_the_size_cap(another_world: Callable[..., World], everybody: Everybody) -> None:
    world = another_world(limits=Limits(image_size_cap_bytes=1 << 20))
    owner = cast_of(world, everybody).owner
    data = os.urandom((1 << 20) + 1)
    for headers in ({}, {"X-OpenStack-Image-Size": "1"}, {"X-OpenStack-Image-Size": str(1 << 19)}):
        for body in (data, iter([data])):
            image = owner.has_an_image(None)
            assert owner.uploads(image, body, **headers).status_code in (400, 413)
            assert owner.shows(image).json()["size"] is None


def test_a_query_with_many_filters_leaves_no_memory_behind(cast: Cast) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def asks(numbers: range) -> None:
        for number in numbers:
            query = "&".join([f"p{each}=x" for each in range(number)] + [f"tag={each}" for each in range(40 - number)])
            assert cast.owner.call("GET", f"/v2/images?{query}").status_code == 200

    asks(range(10))
    before = resident()
    asks(range(10, 40))
    assert resident() - before < 40 << 20
    assert cast.owner.call("GET", f"/v2/images?{'&'.join(['a=b'] * 41)}").status_code == 400


# Who is asking: T-31, T-61, T-62


def test_requests_without_a_token_leave_nothing_behind(cast: Cast, world: World) -> None:
    image = cast.owner.has_an_image()
    threads = threading.active_count()
    files = sorted(str(each) for each in (world.folder / "store").rglob("*"))
    for number in range(300):
        for method, path in (("POST", "/v2/images"), ("PUT", f"/v2/images/{image}/file"), ("GET", f"/v2/images/{number}")):
            assert cast.anonymous.call(method, path, data=b"{}").status_code == 401
    assert sorted(str(each) for each in (world.folder / "store").rglob("*")) == files
    assert threading.active_count() <= threads + 8


def forged(cast: Cast) -> dict[str, str]:
    owner = cast.owner.project_id
    plain = {
        "X-Roles": "admin,member",
        "X-Role": "admin",
        "X-Project-Id": owner,
        "X-Tenant-Id": owner,
        "X-Tenant": owner,
        "X-User-Id": "admin",
        "X-Identity-Status": "Confirmed",
        "X-Is-Admin-Project": "True",
        "X-Service-Roles": "service,admin",
        "X-Service-Identity-Status": "Confirmed",
        "X-Service-Project-Id": owner,
        "X-Project-Name": "admin",
        "X-Domain-Id": "default",
        "X-System-Scope": "all",
        "OpenStack-System-Scope": "all",
        "X-Service-Catalog": "[]",
        "X-Storage-Token": "x",
        "X-Forwarded-User": "admin",
        "Remote-User": "admin",
        "Authorization": "Basic YWRtaW46YWRtaW4=",
        "X-Is-Admin": "True",
        "Forwarded": "for=127.0.0.1;by=admin",
        "X-Forwarded-For": "127.0.0.1",
        "X-Real-IP": "127.0.0.1",
        "X-Original-URL": "/v2/images",
        "X-HTTP-Method-Override": "DELETE",
        "Openstack-Image-Owner": owner,
    }
    return {**plain, **{name.replace("-", "_"): value for name, value in plain.items() if name.startswith("X-")}}


def test_identity_headers_of_a_client_change_nothing(cast: Cast) -> None:
    image = cast.owner.has_an_image(visibility="private")
    public = cast.admin.has_an_image(visibility="public")
    headers = forged(cast)
    for who, path, method, more, expected in (
        (cast.outsider, f"/v2/images/{image}", "GET", {}, 404),
        (cast.outsider, f"/v2/images/{image}/file", "GET", {}, 404),
        (cast.outsider, f"/v2/images/{image}", "DELETE", {}, 404),
        (cast.outsider, f"/v2/images/{public}", "DELETE", {}, 403),
        (cast.outsider, "/v2/images", "POST", {"json": {"visibility": "public"}}, 403),
        (cast.outsider, "/v2/images", "POST", {"json": {"owner": cast.owner.project_id}}, 403),
        (cast.outsider, "/v2/info/stores/detail", "GET", {}, 403),
        (cast.owner_reader, "/v2/images", "POST", {"json": {}}, 403),
        (cast.no_role, "/v2/images", "GET", {}, 403),
        (cast.anonymous, f"/v2/images/{public}", "GET", {}, 401),
        (cast.badtoken, f"/v2/images/{public}", "GET", {}, 401),
    ):
        assert who.call(method, path, headers=headers, **more).status_code == expected
    made = cast.outsider.call("POST", "/v2/images", json={}, headers=headers).json()
    assert made["owner"] == cast.outsider.project_id
    assert cast.outsider.call("GET", f"/v2/images/{made['id']}", headers=headers).status_code == 200


def test_a_token_is_taken_from_its_header_alone(cast: Cast) -> None:
    token = str(cast.admin.token)
    for path in (f"/v2/images?token={token}", f"/v2/images?auth_token={token}&X-Auth-Token={token}"):
        assert cast.anonymous.call("GET", path).status_code == 401
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"X-Service-Token": token},
        {"Cookie": f"X-Auth-Token={token}"},
        {"X_Auth_Token": token},
        {"X-Storage-Token": token},
    ):
        assert cast.anonymous.call("GET", "/v2/images", headers=headers).status_code == 401


def test_a_service_token_gives_a_user_no_more_rights(cast: Cast) -> None:
    image = cast.owner.has_an_image(visibility="private")
    for token in (cast.service.token, cast.admin.token, "nonsense"):
        headers = {"X-Service-Token": str(token)}
        assert cast.outsider.call("GET", f"/v2/images/{image}", headers=headers).status_code == 404
        assert cast.outsider.call("POST", "/v2/images", json={"visibility": "public"}, headers=headers).status_code == 403


def test_of_two_tokens_none_is_mixed_with_the_other(cast: Cast) -> None:
    """They are one that nobody has been given: of what a proxy has checked, none is taken for the other."""
    image = cast.owner.has_an_image(visibility="private")
    with Connection(cast.owner.endpoint) as wire:
        for first, second in ((cast.owner, cast.outsider), (cast.outsider, cast.owner)):
            wire.send(head(first, "GET", f"/v2/images/{image}", f"X-Auth-Token: {second.token}"))
            assert wire.answer().status == 401


DECIDING = {
    "project_id": "{owner}",
    "owner_id": "{owner}",
    "member_id": "{owner}",
    "tenant": "{owner}",
    "target": "x",
    "roles": "admin",
    "is_admin": "True",
    "is_public": "True",
    "user_id": "admin",
    "role": "admin",
    "service_roles": "service",
}


def test_privileged_attributes_in_documents_are_ignored_or_refused(cast: Cast) -> None:
    words = {name: value.format(owner=cast.owner.project_id) for name, value in DECIDING.items()}
    image = cast.owner.has_an_image(visibility="private")
    cast.owner.patches(image, *[add(name, cast.outsider.project_id) for name in words])
    assert cast.outsider.shows(image).status_code == 404
    mine = cast.outsider.creates(**words).json()
    assert (mine["owner"], mine["visibility"]) == (cast.outsider.project_id, "shared")
    assert cast.outsider.patches(mine["id"], add("visibility", "public"), add("is_admin", "True")).status_code == 403
    shared = cast.owner.has_an_image()
    cast.owner.shares_with(shared, cast.outsider.project_id)
    for body in ({"status": "accepted", **words}, {"status": "accepted", "target": words, "member": words}):
        at = f"/v2/images/{shared}/members/{cast.outsider.project_id}"
        assert cast.owner.call("PUT", at, json=body).status_code == 403
    for body in ({"member": "x", **words}, {"member": "x", "owner": cast.outsider.project_id}):
        assert cast.outsider.call("POST", f"/v2/images/{shared}/members", json=body).status_code == 403


# Publishing and sharing without right: T-53, T-55, T-57


def test_nobody_but_an_administrator_makes_an_image_public(cast: Cast) -> None:
    image = cast.owner.has_an_image(colour="blue")
    public = {"op": "replace", "path": "/visibility", "value": "public"}
    for changes in (
        [public],
        [add("colour", "red"), public],
        [public, add("colour", "red")],
        [public, {**public, "value": "shared"}],
    ):
        answer = cast.owner.patches(image, *changes)
        assert answer.status_code in (403, 200)
        assert cast.owner.shows(image).json()["visibility"] == "shared"
    assert cast.owner.creates(visibility="public").status_code == 403
    assert cast.owner.sets(image, "visibility", "community").status_code == 200
    assert not cast.outsider.sees_in_list(image)


def test_pending_shares_are_not_in_the_default_list(cast: Cast) -> None:
    images = [cast.owner.has_an_image(None, name=f"Ubuntu 26.04 LTS {number}") for number in range(5)]
    for image in images:
        cast.owner.shares_with(image, cast.rejected.project_id)
    listed = {each["id"] for each in cast.rejected.lists("limit=1000")}
    assert not listed & set(images)
    assert not {each["id"] for each in cast.rejected.lists("limit=1000&name=Ubuntu%2026.04%20LTS%200")} & set(images)


def test_image_data_cannot_be_deleted_from_under_an_image(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"data")
    for who in (cast.owner, cast.admin):
        assert who.call("DELETE", f"/v2/images/{image}/file").status_code == 405
        assert who.call("POST", f"/v2/images/{image}/file", data=b"other").status_code == 405
        assert who.call("PATCH", f"/v2/images/{image}/file", data=b"other").status_code == 405
    assert cast.owner.downloads(image).content == b"data"


# Content that is there already: T-83, T-84, T-85


def test_knowing_a_digest_grants_no_access(cast: Cast) -> None:
    """Only who sends all the bytes gets an image of them, whatever digests the request names."""
    secret = os.urandom(200_000)
    theirs = cast.owner.shows(cast.owner.has_an_image(secret, visibility="private")).json()
    names = {"os_hash_algo": theirs["os_hash_algo"], "os_hash_value": theirs["os_hash_value"]}
    mine = cast.outsider.has_an_image(None, **names)
    headers = {
        "X-Image-Meta-Checksum": theirs["checksum"],
        "Content-MD5": theirs["checksum"],
        "Digest": f"sha-512={theirs['os_hash_value']}",
        "X-OpenStack-Image-Hash": theirs["os_hash_value"],
        "ETag": f'"{theirs["os_hash_value"]}"',
        "X-OpenStack-Image-Size": "200000",
    }
    for body in (b"", b"x", os.urandom(199_999)):
        assert cast.outsider.uploads(mine, body, **headers).status_code == 400
        assert cast.outsider.downloads(mine).content == b""
    other = os.urandom(200_000)
    assert cast.outsider.uploads(mine, other, **headers).status_code == 204
    assert cast.outsider.downloads(mine).content == other
    assert cast.outsider.shows(mine).json()["os_hash_value"] != theirs["os_hash_value"]


def test_upload_of_known_bytes_is_answered_like_any_other(cast: Cast) -> None:
    secret = os.urandom(200_000)
    first = cast.owner.has_an_image(secret, visibility="private")
    mine = cast.outsider.has_an_image(None)
    answer = cast.outsider.uploads(mine, secret)
    fresh = cast.outsider.uploads(cast.outsider.has_an_image(None), os.urandom(200_000))
    ignored = ("date", "x-openstack-request-id")
    assert answer.status_code == fresh.status_code == 204
    assert [each for each in answer.headers.items() if each[0] not in ignored] == [
        each for each in fresh.headers.items() if each[0] not in ignored
    ]
    assert cast.owner.deletes(first).status_code == 204
    assert cast.outsider.downloads(mine).content == secret


def test_an_owner_cannot_change_the_bytes_that_members_trust(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"trusted")
    cast.owner.shares_with(image, cast.member.project_id)
    location = {"url": "http://evil.example/", "metadata": {}}
    for attempt in (
        cast.owner.uploads(image, b"other"),
        cast.owner.patches(image, add("locations/-", location)),
        cast.owner.patches(image, {"op": "replace", "path": "/locations", "value": []}),
        cast.owner.patches(image, {"op": "remove", "path": "/locations/0"}),
        cast.owner.call("POST", f"/v2/images/{image}/locations", json=location),
        cast.owner.call("DELETE", f"/v2/stores/local/{image}"),
        cast.owner.stages(image, b"other"),
        cast.owner.imports(image),
        cast.owner.call(
            "POST", f"/v2/images/{image}/import", json={"method": {"name": "web-download", "uri": "http://127.0.0.1/"}}
        ),
    ):
        assert attempt.status_code in (400, 403, 404, 409)
    cast.owner.does("deactivate", image)
    assert cast.owner.uploads(image, b"other").status_code == 409
    cast.owner.does("reactivate", image)
    assert cast.member.downloads(image).content == b"trusted"
    assert cast.owner.shows(image).json()["status"] == "active"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "filesystem:///etc/passwd",
        "FILE:///etc/passwd",
        " file:///etc/passwd",
        "swift+config://ref/c/o",
        "rbd://x",
        "s3://k:s@h/b",
        "http://169.254.169.254/",
        "partage://packs/x",
        "%66ile:///etc/passwd",
        "",
    ],
)
def test_forbidden_urls_are_refused_for_every_persona(url: str, cast: Cast) -> None:
    """T-01 to T-03, T-06."""
    image = cast.owner.has_an_image(None)
    location = {"url": url, "metadata": {}}
    for who in (cast.owner, cast.admin, cast.service):
        for value in (add("locations/-", location), {"op": "replace", "path": "/locations", "value": [location]}):
            assert who.patches(image, value).status_code in (403, 404)
        assert who.creates(locations=[location]).status_code == 403
        assert who.imports(image, "web-download", _uri=url).status_code in ((400, 404) if who is cast.service else (400,))
    assert cast.owner.call("GET", f"/v2/images/{image}/tasks").json() == {"tasks": []}
    assert cast.owner.shows(image).json()["status"] == "queued"


# Secrets of the inside


def words_of_answers(who: Persona, image: str) -> Iterator[str]:
    for method, path, more in (
        ("GET", f"/v2/images/{image}", {}),
        ("GET", "/v2/images?limit=3", {}),
        ("GET", f"/v2/images/{image}/members", {}),
        ("GET", "/v2/info/stores", {}),
        ("GET", "/v2/info/stores/detail", {}),
        ("GET", "/v2/info/import", {}),
        ("GET", "/v2/none", {}),
        ("PUT", f"/v2/images/{image}/file", {"data": b"x", "headers": {"Content-Type": "application/octet-stream"}}),
        ("POST", "/v2/images", {"data": b"{"}),
        ("GET", f"/v2/images/{image}/file", {"headers": {"Range": "bytes=999999-"}}),
    ):
        answer = who.call(method, path, **more)
        yield f"{answer.headers} {answer.text}"


def test_answers_contain_no_paths_hosts_or_programs(cast: Cast, world: World) -> None:
    """T-70, T-73, T-78."""
    image = cast.owner.has_an_image(b"data")
    for words in words_of_answers(cast.owner, image):
        for secret in (
            str(world.folder),
            "sqlite",
            "postgresql",
            "Traceback",
            "partage.",
            "site-packages",
            "persona-",
            "direct_url",
            "/tmp/",
        ):
            assert secret not in words
