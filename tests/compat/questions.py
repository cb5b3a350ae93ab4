"""Requests whose answers were recorded from Glance 33, as a table: what is asked, by whom, of an image in which state.

`{image}` is an image made for the question in the state that `on` names (see worlds.py), `{b}` the second project. Bodies that are
bytes are sent as they are, others as JSON. Lists are asked for by project-d, which has the images of worlds.LISTED and no others.
"""

from dataclasses import dataclass, field
from typing import Any

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
OCTETS = "application/octet-stream"
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Question:
    """One request."""

    name: str
    method: str
    path: str
    body: Any = None
    on: str = ""
    who: str = "project-a"
    headers: dict[str, str] = field(default_factory=dict)


def get(name: str, path: str, **more: Any) -> Question:
    return Question(name, "GET", path, **more)


def listed(name: str, query: str, **more: Any) -> Question:
    return Question("list: " + name, "GET", "/v2/images" + (query and "?" + query), **{"who": "project-d", **more})


def create(name: str, body: Any, **more: Any) -> Question:
    return Question("create: " + name, "POST", "/v2/images", body, **more)


def patch(name: str, *changes: Any, on: str = "active", media: str = V21, **more: Any) -> Question:
    return Question("patch: " + name, "PATCH", "/v2/images/{image}", [*changes], on, headers={"Content-Type": media}, **more)


def add(path: Any, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def replace(path: Any, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def remove(path: str) -> dict[str, Any]:
    return {"op": "remove", "path": path}


def upload(name: str, body: Any = b"x" * 10, on: str = "queued", media: str | None = OCTETS, **headers: str) -> Question:
    sent = {} if media is None else {"Content-Type": media}
    sent |= {header.replace("_", "-"): value for header, value in headers.items()}
    return Question("upload: " + name, "PUT", "/v2/images/{image}/file", body, on, headers=sent)


def download(name: str, on: str = "active", query: str = "", who: str = "project-a", **headers: str) -> Question:
    return Question("download: " + name, "GET", "/v2/images/{image}/file" + query, on=on, who=who, headers=headers)


def members(name: str, method: str, path: str = "", body: Any = None, *, on: str = "shared", who: str = "project-a") -> Question:
    return Question("members: " + name, method, "/v2/images/{image}/members" + path, body, on, who)


def tag(name: str, method: str, path: str, body: Any = None, *, on: str = "active", who: str = "project-a") -> Question:
    return Question("tags: " + name, method, "/v2/images/{image}/tags" + path, body, on, who)


DISCOVERY = (
    get("versions at the root", "/", who="nobody"),
    get("versions", "/versions", who="nobody"),
    get("versions of a prefix that is none", "/v3/images", who="nobody"),
    get("version without a slash", "/v2", who="nobody"),
    get("version with a slash", "/v2/"),
    get("version with a slash, without a token", "/v2/", who="nobody"),
    get("minor version as a prefix", "/v2.5/images?limit=0"),
    get("minor version that is none", "/v2.99/images"),
    get("path that is none", "/v2/nothing"),
    get("path that is none, without a token", "/v2/nothing", who="nobody"),
    get("path below an image that is none", "/v2/images/{image}/nothing", on="active"),
    get("images with a slash", "/v2/images/"),
    get("healthcheck", "/healthcheck", who="nobody", headers={"Accept": "text/plain"}),
    get("no token", "/v2/images", who="nobody"),
    get("token that is none", "/v2/images", who="stranger"),
    get("errors as HTML", f"/v2/images/{NOBODY}", headers={"Accept": "text/html"}),
    get("errors for a client that takes all", f"/v2/images/{NOBODY}", headers={"Accept": "*/*"}),
    get("errors as text", f"/v2/images/{NOBODY}", headers={"Accept": "text/plain"}),
    get("import methods", "/v2/info/import"),
    get("usage", "/v2/info/usage"),
    get("stores", "/v2/info/stores"),
    get("stores in detail for a member", "/v2/info/stores/detail"),
    get("schema of an image", "/v2/schemas/image"),
    get("schema of images", "/v2/schemas/images"),
    get("schema of a member", "/v2/schemas/member"),
    get("schema of members", "/v2/schemas/members"),
    get("schema that is none", "/v2/schemas/nothing"),
    Question("method that images do not have", "PUT", "/v2/images"),
    Question("method that an image does not have", "POST", "/v2/images/{image}", on="active"),
    Question("method that members do not have", "PATCH", "/v2/images/{image}/members", on="shared"),
    Question("method that a member does not have", "POST", "/v2/images/{image}/members/{b}", on="shared"),
    Question("method that data does not have", "POST", "/v2/images/{image}/file", on="active"),
    Question("method that a tag does not have", "GET", "/v2/images/{image}/tags/t", on="active"),
    Question("method that an action does not have", "GET", "/v2/images/{image}/actions/deactivate", on="active"),
    Question("action that is none", "POST", "/v2/images/{image}/actions/explode", on="active"),
    Question("method that schemas do not have", "POST", "/v2/schemas/image"),
    Question("body on a show", "GET", "/v2/images/{image}", {"a": 1}, on="active"),
    Question("body on a delete", "DELETE", "/v2/images/{image}", {"a": 1}, on="active"),
    Question("body on a download", "GET", "/v2/images/{image}/file", {"a": 1}, on="active"),
    Question("body on a member list", "GET", "/v2/images/{image}/members", {"a": 1}, on="shared"),
    Question("body on a deactivation", "POST", "/v2/images/{image}/actions/deactivate", {"a": 1}, on="active"),
    Question("method that HTTP does not have", "FOO", "/v2/images"),
    Question("head of a list", "HEAD", "/v2/images"),
    Question("head of an image", "HEAD", "/v2/images/{image}", on="active"),
    Question("head of data", "HEAD", "/v2/images/{image}/file", on="active"),
    Question("head of a member", "HEAD", "/v2/images/{image}/members/{b}", on="shared"),
)

CREATE = (
    create("nothing given", {}),
    create(
        "everything given",
        {
            "name": "n",
            "visibility": "private",
            "disk_format": "qcow2",
            "container_format": "bare",
            "min_disk": 1,
            "min_ram": 2,
            "protected": False,
            "os_hidden": True,
            "tags": ["b", "a", "b"],
            "os_distro": "debian",
            "anything else": "of mine",
        },
    ),
    create("own project as owner", {"owner": "{a}"}),
    create("other project as owner", {"owner": "{b}"}),
    create("by a reader", {}, who="reader-a"),
    create("public by a member", {"visibility": "public"}),
    create("community by a member", {"visibility": "community"}),
    create("visibility that is none", {"visibility": "secret"}),
    create("no body", None),
    create("empty body", b""),
    create("JSON that is none", b"{"),
    create("JSON that is no object", b"3"),
    create("JSON that is a list", []),
    create("character that is none", b'{"name": "\\ud800"}'),
    create("NUL character", b'{"name": "a\\u0000"}'),
    create("emoji", {"name": "\U0001f600"}),
    create("id that is none", {"id": "one"}),
    create("id of another image", {"id": "{image}"}, on="active"),
    create("id of a deleted image", {"id": "{image}"}, on="deleted"),
    create("name that is null", {"name": None}),
    create("name that is a number", {"name": 3}),
    create("name of 255 characters", {"name": "x" * 255}),
    create("name of 256 characters", {"name": "x" * 256}),
    create("disk format that is none", {"disk_format": "floppy"}),
    create("container format that is none", {"container_format": "box"}),
    create("negative min_disk", {"min_disk": -1}),
    create("min_ram beyond 31 bits", {"min_ram": 2**31}),
    create("min_ram that is a text", {"min_ram": "3"}),
    create("protected that is a text", {"protected": "true"}),
    create("tags that are no list", {"tags": "t"}),
    create("tag of 256 characters", {"tags": ["x" * 256]}),
    create("129 tags", {"tags": [f"t{number}" for number in range(129)]}),
    create("129 properties", {f"p{number}": "v" for number in range(129)}),
    create("property that is a number", {"mine": 3}),
    create("property that is null", {"mine": None}),
    create("property name of 256 characters", {"x" * 256: "v"}),
    create("status", {"status": "active"}),
    create("size", {"size": 3}),
    create("checksum", {"checksum": "x"}),
    create("created_at", {"created_at": "2020-01-01T00:00:00Z"}),
    create("file", {"file": "/x"}),
    create("self", {"self": "/x"}),
    create("direct_url", {"direct_url": "file:///etc/passwd"}),
    create("location", {"location": "file:///etc/passwd"}),
    create("locations", {"locations": [{"url": "file:///etc/passwd", "metadata": {}}]}),
    create("deleted", {"deleted": True}),
    create("property of the service's own", {"os_glance_mine": "v"}),
)

SHOW_AND_DELETE = (
    get("show: queued", "/v2/images/{image}", on="queued"),
    get("show: active", "/v2/images/{image}", on="active"),
    get("show: deactivated", "/v2/images/{image}", on="deactivated"),
    get("show: deleted", "/v2/images/{image}", on="deleted"),
    get("show: of another project", "/v2/images/{image}", on="private", who="project-c"),
    get("show: pending member", "/v2/images/{image}", on="shared", who="project-b"),
    get("show: id that is none", "/v2/images/one"),
    get("tasks", "/v2/images/{image}/tasks", on="active"),
    get("tasks of an image that is none", f"/v2/images/{NOBODY}/tasks"),
    Question("delete: active", "DELETE", "/v2/images/{image}", on="active"),
    Question("delete: queued", "DELETE", "/v2/images/{image}", on="queued"),
    Question("delete: protected", "DELETE", "/v2/images/{image}", on="protected"),
    Question("delete: deleted", "DELETE", "/v2/images/{image}", on="deleted"),
    Question("delete: by a member", "DELETE", "/v2/images/{image}", on="shared", who="project-b"),
    Question("delete: by a reader", "DELETE", "/v2/images/{image}", on="active", who="reader-a"),
    Question("deactivate: active", "POST", "/v2/images/{image}/actions/deactivate", on="active"),
    Question("deactivate: deactivated", "POST", "/v2/images/{image}/actions/deactivate", on="deactivated"),
    Question("deactivate: queued", "POST", "/v2/images/{image}/actions/deactivate", on="queued"),
    Question("deactivate: by a member", "POST", "/v2/images/{image}/actions/deactivate", on="shared", who="project-b"),
    Question("deactivate: image that is none", "POST", f"/v2/images/{NOBODY}/actions/deactivate"),
    Question("reactivate: deactivated", "POST", "/v2/images/{image}/actions/reactivate", on="deactivated"),
    Question("reactivate: active", "POST", "/v2/images/{image}/actions/reactivate", on="active"),
    Question("reactivate: queued", "POST", "/v2/images/{image}/actions/reactivate", on="queued"),
)

LISTS = (
    listed("sorted by name", "sort=name:asc"),
    listed("first page", "sort=name:asc&limit=2"),
    listed("after a marker", "sort=name:asc&limit=2&marker={second}"),
    listed("page that holds all", "sort=name:asc&limit=6"),
    listed("NUL character", "name=a%00"),
    listed("limit 0", "limit=0"),
    listed("limit beyond the cap", "sort=name:asc&limit=5000"),
    listed("limit negative", "limit=-1"),
    listed("limit that is no number", "limit=many"),
    listed("limit empty", "limit="),
    listed("marker that is none", f"marker={NOBODY}"),
    listed("marker that is no id", "marker=one"),
    listed("marker of another project", "marker={image}", on="private"),
    listed("sort by two keys", "sort=disk_format:desc,name:asc"),
    listed("sort without a direction", "sort=name"),
    listed("sort by what is no key", "sort=owner"),
    listed("sort in no direction", "sort=name:up"),
    listed("sort_key and sort_dir", "sort_key=name&sort_dir=asc"),
    listed("sort_key twice and one sort_dir", "sort_key=disk_format&sort_key=name&sort_dir=asc"),
    listed("sort_key twice and two sort_dir", "sort_key=disk_format&sort_key=name&sort_dir=asc&sort_dir=desc"),
    listed("one sort_key and two sort_dir", "sort_key=name&sort_dir=asc&sort_dir=desc"),
    listed("both ways of sorting", "sort=name:asc&sort_key=name"),
    listed("sort_key empty", "sort_key="),
    listed("by name", "name=alpha"),
    listed("by names", "name=in:alpha,beta&sort=name:asc"),
    listed("by names with a comma", "name=in:%22alpha%22,%22with,comma%22&sort=name:asc"),
    listed("by names with an open quote", "name=in:%22alpha,beta"),
    listed("by a name with a colon", "name=with:colon"),
    listed("by a name with a colon, said twice", "name=eq:with:colon"),
    listed("by name, operator that is none", "name=neq:alpha"),
    listed("by status", "status=queued&sort=name:asc"),
    listed("by status that is none", "status=unheard"),
    listed("by statuses", "status=in:queued,active&sort=name:asc"),
    listed("by disk format", "disk_format=qcow2&sort=name:asc"),
    listed("by size", "size=10&sort=name:asc"),
    listed("by size_min and size_max", "size_min=1&size_max=15&sort=name:asc"),
    listed("by min_ram_max", "min_ram_max=0&sort=name:asc"),
    listed("by size_min that is no number", "size_min=big"),
    listed("by tag", "tag=red&sort=name:asc"),
    listed("by two tags", "tag=red&tag=round&sort=name:asc"),
    listed("by two tags, first page", "tag=red&tag=round&sort=name:asc&limit=1"),
    listed("by property", "colour=red&sort=name:asc"),
    listed("by property that nobody has", "unheard=of"),
    listed("by visibility", "visibility=private&sort=name:asc"),
    listed("by visibility all", "visibility=all&owner={d}&sort=name:asc"),
    listed("by visibility that is none", "visibility=secret"),
    listed("by visibility empty", "visibility="),
    listed("by member_status that is none", "member_status=perhaps"),
    listed("by owner", "owner={d}&sort=name:asc"),
    listed("by owner that is none", "owner=nobody"),
    listed("by protected", "protected=true"),
    listed("by protected in another spelling", "protected=True"),
    listed("by os_hidden", "os_hidden=true"),
    listed("by os_hidden in another spelling", "os_hidden=TRUE"),
    listed("by os_hidden that is none", "os_hidden=perhaps"),
    listed("by created_at", "created_at=gt:2020-01-01T00:00:00Z&sort=name:asc"),
    listed("by created_at between", "created_at=gte:2020-01-01T00:00:00Z&updated_at=lt:2021-01-01T00:00:00Z"),
    listed("by created_at without an operator", "created_at=2020-01-01T00:00:00Z"),
    listed("by created_at, operator that is none", "created_at=near:2020-01-01T00:00:00Z"),
    listed("by created_at that is no time", "created_at=gt:yesterday"),
    listed("by changes-since", "changes-since=2020-01-01T00:00:00Z"),
    listed("by is_public", "is_public=true"),
    listed("by locations", "locations=x"),
    listed("bytes that are no text", "name=%ff"),
    listed("nothing to see", "", who="project-c"),
    listed("body on a list", "limit=0", body={"a": 1}),
)

PATCH = (
    patch("several at once", replace("/name", "new"), add("/os_distro", "bsd"), replace("/min_ram", 3), replace("/tags", ["t"])),
    patch("v2.0 media type", {"replace": "/name", "value": "new"}, {"add": "/os_distro", "value": "bsd"}, media=V20),
    patch("nothing"),
    patch("other media type", replace("/name", "new"), media="application/json"),
    patch("v2.0 change in the v2.1 media type", {"replace": "/name", "value": "new"}),
    patch("v2.1 change in the v2.0 media type", replace("/name", "new"), media=V20),
    Question("patch: no list", "PATCH", "/v2/images/{image}", {"a": 1}, "active", headers={"Content-Type": V21}),
    Question("patch: no body", "PATCH", "/v2/images/{image}", None, "active", headers={"Content-Type": V21}),
    Question("patch: JSON that is none", "PATCH", "/v2/images/{image}", b"[", "active", headers={"Content-Type": V21}),
    patch("change that is no object", 3),
    patch("operation that is none", {"op": "test", "path": "/name", "value": "n"}),
    patch("operation missing", {"path": "/name", "value": "n"}),
    patch("path missing", {"op": "replace", "value": "n"}),
    patch("value missing", {"op": "replace", "path": "/name"}),
    patch("path without a slash", replace("name", "n")),
    patch("path with a slash at the end", replace("/name/", "n")),
    patch("path with two slashes", replace("//name", "n")),
    patch("path that is too deep", replace("/tags/0", "n")),
    patch("path that is a number", replace(5, "n")),
    patch("path that is empty", add("", "n")),
    patch("path with escapes", add("/a~1b~0c", "v")),
    patch("path with a wrong escape", add("/a~2b", "v")),
    patch("add what is there", add("/mine", "w")),
    patch("add what is there, v2.0", {"add": "/mine", "value": "w"}, media=V20),
    patch("replace what is missing", replace("/unheard", "w")),
    patch("remove what is there", remove("/mine")),
    patch("remove what is missing", remove("/unheard")),
    patch("remove a base property", remove("/name")),
    patch("property that is a number", add("/mine", 3)),
    patch("name that is a number", replace("/name", 3)),
    patch("name of 256 characters", replace("/name", "x" * 256)),
    patch("visibility that is none", replace("/visibility", "secret")),
    patch("visibility public", replace("/visibility", "public")),
    patch("visibility community", replace("/visibility", "community")),
    patch("protected that is a text", replace("/protected", "yes")),
    patch("negative min_disk", replace("/min_disk", -1)),
    patch("status", replace("/status", "active")),
    patch("size", replace("/size", 3)),
    patch("id", replace("/id", NOBODY)),
    patch("owner", replace("/owner", "{b}")),
    patch("locations", replace("/locations", [])),
    patch("stores", add("/stores", "mine")),
    patch("disk format of an active image", replace("/disk_format", "qcow2")),
    patch("disk format of an active image, the same", replace("/disk_format", "raw")),
    patch("disk format of a queued image", replace("/disk_format", "qcow2"), on="queued"),
    patch("property of the service's own", add("/os_glance_mine", "v")),
    patch("tags as a list", replace("/tags", ["b", "a", "b"])),
    patch("one more tag", add("/tags/-", "t")),
    patch("129 tags", replace("/tags", [f"t{number}" for number in range(129)])),
    patch("129 properties", *(add(f"/p{number}", "v") for number in range(129))),
    patch("first change good, second wrong", replace("/name", "new"), replace("/min_disk", -1)),
    patch("by a member", replace("/name", "mine"), on="shared", who="project-b"),
    patch("by a reader", replace("/name", "mine"), who="reader-a"),
    patch("by a stranger", replace("/name", "mine"), who="project-c"),
    patch("deleted image", replace("/name", "new"), on="deleted"),
)

MEMBERS = (
    members("add", "POST", body={"member": "{c}"}),
    members("add one that is there", "POST", body={"member": "{b}"}),
    members("add with a status", "POST", body={"member": "{c}", "status": "accepted"}),
    members("add without a body", "POST"),
    members("add without a member", "POST", body={"project": "{c}"}),
    members("add an empty member", "POST", body={"member": ""}),
    members("add a number", "POST", body={"member": 3}),
    members("add a member that is a list", "POST", body={"member": ["x"]}),
    members("add a member of 256 characters", "POST", body={"member": "x" * 256}),
    members("add a member who does not exist", "POST", body={"member": "project-c"}),
    members("add the owner", "POST", body={"member": "{a}"}),
    members("add a list", "POST", body=["{c}"]),
    members("add JSON that is none", "POST", body=b"{"),
    members("add to a private image", "POST", body={"member": "{c}"}, on="private"),
    members("add to a community image", "POST", body={"member": "{c}"}, on="community"),
    members("add by a member", "POST", body={"member": "{c}"}, who="project-b"),
    members("add by a stranger", "POST", body={"member": "{c}"}, who="project-c"),
    members("add by a reader", "POST", body={"member": "{c}"}, who="reader-a"),
    members("list", "GET"),
    members("list by a member", "GET", who="project-b"),
    members("list by a stranger", "GET", who="project-c"),
    members("list of a private image", "GET", on="private"),
    members("list of nobody", "GET", on="active"),
    members("show", "GET", "/{b}"),
    members("show by the member", "GET", "/{b}", who="project-b"),
    members("show another's by a member", "GET", "/{c}", who="project-b"),
    members("show one who is none", "GET", "/nobody"),
    members("accept by the owner", "PUT", "/{b}", {"status": "accepted"}),
    members("accept", "PUT", "/{b}", {"status": "accepted"}, who="project-b"),
    members("reject", "PUT", "/{b}", {"status": "rejected"}, who="project-b"),
    members("status that is none", "PUT", "/{b}", {"status": "perhaps"}, who="project-b"),
    members("status missing", "PUT", "/{b}", {}, who="project-b"),
    members("status that is a number", "PUT", "/{b}", {"status": 3}, who="project-b"),
    members("accept without a body", "PUT", "/{b}", who="project-b"),
    members("accept for another", "PUT", "/{c}", {"status": "accepted"}, who="project-b"),
    members("accept by a stranger", "PUT", "/{c}", {"status": "accepted"}, who="project-c"),
    members("remove", "DELETE", "/{b}"),
    members("remove one who is none", "DELETE", "/nobody"),
    members("remove oneself", "DELETE", "/{b}", who="project-b"),
    members("remove from a private image", "DELETE", "/{b}", on="private"),
    members("remove by a stranger", "DELETE", "/{b}", who="project-c"),
)

TAGS = (
    tag("add", "PUT", "/t"),
    tag("add one that is there", "PUT", "/red"),
    tag("add with a space", "PUT", "/two%20words"),
    tag("add with a letter beyond ASCII", "PUT", "/%C3%A9"),
    tag("add one of 256 characters", "PUT", "/" + "x" * 256),
    tag("add with a body", "PUT", "/t", {"a": 1}),
    tag("add by a member", "PUT", "/t", on="shared", who="project-b"),
    tag("add by a stranger", "PUT", "/t", who="project-c"),
    tag("remove", "DELETE", "/red"),
    tag("remove one that is missing", "DELETE", "/blue"),
    tag("remove by a reader", "DELETE", "/red", who="reader-a"),
)

DATA = (
    upload("ten bytes"),
    upload("nothing", b""),
    upload("no media type", media=None),
    upload("other media type", media="application/json"),
    upload("the announced size", X_OpenStack_Image_Size="10"),
    upload("less than the announced size", X_OpenStack_Image_Size="11"),
    upload("more than the announced size", X_OpenStack_Image_Size="9"),
    upload("announced size that is no number", X_OpenStack_Image_Size="ten"),
    upload("store that is none", X_Image_Meta_Store="nowhere"),
    upload("without formats", on="formless"),
    upload("a second time", on="active"),
    upload("deleted image", on="deleted"),
    upload("data of another format", on="queued qcow2"),
    Question("upload: by a member", "PUT", "/v2/images/{image}/file", b"x", "shared", "project-b", {"Content-Type": OCTETS}),
    Question("upload: by a reader", "PUT", "/v2/images/{image}/file", b"x", "queued", "reader-a", {"Content-Type": OCTETS}),
    Question("upload: by a stranger", "PUT", "/v2/images/{image}/file", b"x", "queued", "project-c", {"Content-Type": OCTETS}),
    download("all"),
    download("no data", on="queued"),
    download("deactivated", on="deactivated"),
    download("deleted", on="deleted"),
    download("by a pending member", on="shared", who="project-b"),
    download("by a stranger", who="project-c"),
    download("by a reader", who="reader-a"),
    download("first bytes", Range="bytes=0-9"),
    download("from the middle on", Range="bytes=90-"),
    download("last bytes", Range="bytes=-5"),
    download("more than there is", Range="bytes=90-2000"),
    download("beyond the end", Range="bytes=100-"),
    download("last none bytes", Range="bytes=-0"),
    download("range with a tail", Range="bytes=0-1x"),
    download("known already", **{"If-None-Match": "*"}),
    download("range the wrong way round", Range="bytes=9-0"),
    download("range that is none", Range="bytes=a-b"),
    download("range of other units", Range="lines=0-1"),
    download("several ranges", Range="bytes=0-1,4-5"),
    download("store that is none", query="?prefer=nowhere"),
    Question("stage: active image", "PUT", "/v2/images/{image}/stage", b"x", "active", headers={"Content-Type": OCTETS}),
    Question("import: no body", "POST", "/v2/images/{image}/import", None, "queued"),
    Question("import: no method", "POST", "/v2/images/{image}/import", {}, "queued"),
    Question("import: method without a name", "POST", "/v2/images/{image}/import", {"method": {}}, "queued"),
    Question("import: method that is none", "POST", "/v2/images/{image}/import", {"method": {"name": "telepathy"}}, "queued"),
)

TABLES = {
    "discovery": DISCOVERY,
    "create": CREATE,
    "show-and-delete": SHOW_AND_DELETE,
    "lists": LISTS,
    "patch": PATCH,
    "members": MEMBERS,
    "tags": TAGS,
    "data": DATA,
}
"""Name of the recorded file to the questions whose answers it holds."""
