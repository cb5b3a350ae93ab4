"""Documents, compared with what Glance writes."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from partage import problems
from partage.http import json_documents
from partage.http.messages import json_reply
from partage.http.options import EdgeOptions
from partage.http.v2 import images, members, schemas
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, StoreID, UserID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import Member, MemberStatus

GOLDEN = Path(__file__).parents[2] / "golden" / "http"
THEN = datetime(2026, 11, 23, 9, 7, 3, 999_999, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 9, 7, 4, tzinfo=UTC)
MINE = Caller(user_id=UserID("u"), project_id=ProjectID("p"), roles=frozenset({"member"}))
ADMIN = Caller(user_id=UserID("a"), project_id=ProjectID("p"), roles=frozenset({"admin"}), is_admin=True)
IMAGE = Image(
    id=ImageID("54a159f1-e882-4348-a58c-e5b9cf3ae9ad"),
    owner=ProjectID("f91296d877234956a369bfdbd288bfed"),
    created_at=THEN,
    updated_at=LATER,
    name="pfsense é",
    status=ImageStatus.ACTIVE,
    visibility=Visibility.SHARED,
    disk_format="raw",
    container_format="bare",
    size=50331648,
    virtual_size=50331648,
    checksum="7bf2deb626c8ff5ea7a7545292c0a5fe",
    os_hash_algo="sha512",
    os_hash_value="70d9",
    stores=(StoreID("fast"), StoreID("slow")),
    tags=("a", "b"),
    properties={"owner_specified.openstack.md5": "", "os_distro": "debian"},
)
WRITTEN = {
    "owner_specified.openstack.md5": "",
    "os_distro": "debian",
    "name": "pfsense é",
    "disk_format": "raw",
    "container_format": "bare",
    "visibility": "shared",
    "size": 50331648,
    "virtual_size": 50331648,
    "status": "active",
    "checksum": "7bf2deb626c8ff5ea7a7545292c0a5fe",
    "protected": False,
    "min_ram": 0,
    "min_disk": 0,
    "owner": "f91296d877234956a369bfdbd288bfed",
    "os_hidden": False,
    "os_hash_algo": "sha512",
    "os_hash_value": "70d9",
    "id": "54a159f1-e882-4348-a58c-e5b9cf3ae9ad",
    "created_at": "2026-11-23T09:07:03Z",
    "updated_at": "2026-11-23T09:07:04Z",
    "tags": ["a", "b"],
    "self": "/v2/images/54a159f1-e882-4348-a58c-e5b9cf3ae9ad",
    "file": "/v2/images/54a159f1-e882-4348-a58c-e5b9cf3ae9ad/file",
    "schema": "/v2/schemas/image",
    "stores": "fast,slow",
}


def written(value: object) -> object:
    return json.loads(json_documents.encode(value))


def test_an_image_is_written_as_glance_writes_it() -> None:
    assert written(images.image_to_json(IMAGE, MINE)) == WRITTEN


def test_what_is_unset_is_null_and_an_image_without_data_is_in_no_store() -> None:
    bare = Image(id=IMAGE.id, owner=None, created_at=THEN, updated_at=THEN)
    found = images.image_to_json(bare, MINE)
    assert {name for name, value in found.items() if value is None} == {
        "name",
        "disk_format",
        "container_format",
        "size",
        "virtual_size",
        "checksum",
        "owner",
        "os_hash_algo",
        "os_hash_value",
    }
    assert "stores" not in found


def test_a_property_never_hides_an_attribute() -> None:
    odd = Image(id=IMAGE.id, owner=None, created_at=THEN, updated_at=THEN, properties={"status": "active", "os_hash_algo": "x"})
    assert images.image_to_json(odd, MINE)["status"] == "queued"


def test_the_store_of_a_deactivated_image_is_for_administrators() -> None:
    deactivated = IMAGE.become(ImageStatus.DEACTIVATED, now=LATER)
    assert "stores" not in images.image_to_json(deactivated, MINE)
    assert images.image_to_json(deactivated, ADMIN)["stores"] == "fast,slow"


def test_a_page_has_links_and_its_next_one_only_when_there_is_one() -> None:
    last = images.images_to_json([IMAGE], MINE, first="/v2/images", following=None)
    assert written(last) == {"images": [WRITTEN], "first": "/v2/images", "schema": "/v2/schemas/images"}
    assert images.images_to_json([], MINE, first="/v2/images", following="/v2/images?marker=x")["next"] == "/v2/images?marker=x"


def test_members_are_written_as_glance_writes_them() -> None:
    member = Member(
        image_id=IMAGE.id, member_id=ProjectID("other"), created_at=THEN, updated_at=LATER, status=MemberStatus.ACCEPTED
    )
    expected = {
        "member_id": "other",
        "image_id": IMAGE.id,
        "status": "accepted",
        "created_at": "2026-11-23T09:07:03Z",
        "updated_at": "2026-11-23T09:07:04Z",
        "schema": "/v2/schemas/member",
    }
    assert written(members.member_to_json(member)) == expected
    assert written(members.members_to_json([member])) == {"members": [expected], "schema": "/v2/schemas/members"}


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
def test_schemas_are_those_of_glance(name: str) -> None:
    formats = EdgeOptions(www_authenticate_uri="").formats
    built = {
        "image": lambda: schemas.image_schema(formats),
        "images": lambda: schemas.images_schema(formats),
        "member": schemas.member_schema,
        "members": schemas.members_schema,
    }[name]()
    assert written(built) == json.loads((GOLDEN / f"schema-{name}.json").read_text())


def test_a_reply_is_named_by_its_bytes() -> None:
    assert json_reply({"a": 1}).etag == json_reply({"a": 1}).etag != json_reply({"a": 2}).etag


UNREADABLE = [
    b"",
    b"{",
    b'"x"',
    b"5",
    b"null",
    b"true",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b'{"a": "\xff"}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\u0000"}',
    b'[{"\\u0000": 1}]',
    b"[" * 100_000,
    b"[" * 3000 + b"]" * 3000,
]


@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: repr(body)[:30])
def test_invalid_json_is_refused(body: bytes) -> None:
    with pytest.raises(problems.BodyInvalid):
        json_documents.parse(body)


def test_a_number_of_any_length_is_read_or_refused_at_once() -> None:
    try:
        found = json_documents.parse(b'{"a": ' + b"9" * 100_000 + b"}")
    except problems.BodyInvalid:
        return
    assert found


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert json_documents.parse(b'{"a": "\\\\u0000"}') == {"a": "\\u0000"}
