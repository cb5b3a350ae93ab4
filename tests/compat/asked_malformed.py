"""Malformed bodies for every route that takes one, and malformed paths, as questions. See questions.py."""

from typing import Any

from tests.compat.questions import NOBODY, OCTETS, V20, V21, Question

_DEEP = 60
"""Nested so far, and no farther: what is nested thousands deep is a difference of its own (compatibility.md, row 3)."""

BODIES: dict[str, Any] = {
    "none": None,
    "empty": b"",
    "spaces": b"  \n ",
    "half an object": b'{"name": ',
    "object and more": b"{} {}",
    "single quotes": b"{'name': 'n'}",
    "number": b"3",
    "text": b'"x"',
    "null": b"null",
    "true": b"true",
    "list": b"[]",
    "list of lists": b"[[]]",
    "object in an object": b'{"a": {"b": {}}}',
    "name twice": b'{"name": "a", "name": "b"}',
    "number that is none": b'{"min_ram": NaN}',
    "number without end": b'{"min_ram": 1e999}',
    "number of 30 digits": b'{"min_ram": 123456789012345678901234567890}',
    "bytes that are no text": b'{"name": "\xff\xfe"}',
    "byte order mark": b'\xef\xbb\xbf{"name": "n"}',
    "two-byte characters": '{"name": "n"}'.encode("utf-16"),
    "many names": b'{"a' + b'b": "x", "a' * 3 + b'": "x"}',
    "nested": b'{"a": ' * _DEEP + b"1" + b"}" * _DEEP,
    "form": b"name=n&visibility=private",
}

ROUTES: dict[str, Question] = {
    "create": Question("", "POST", "/v2/images"),
    "patch": Question("", "PATCH", "/v2/images/{image}", on="active", headers={"Content-Type": V21}),
    "patch, v2.0": Question("", "PATCH", "/v2/images/{image}", on="active", headers={"Content-Type": V20}),
    "add a member": Question("", "POST", "/v2/images/{image}/members", on="shared"),
    "change a member": Question("", "PUT", "/v2/images/{image}/members/{b}", on="shared", who="project-b"),
    "import": Question("", "POST", "/v2/images/{image}/import", on="staged"),
    "add a location": Question("", "POST", "/v2/images/{image}/locations", on="queued"),
    "create a task": Question("", "POST", "/v2/tasks", who="admin"),
    "create a namespace": Question("", "POST", "/v2/metadefs/namespaces", who="admin"),
    **{
        f"{name} of a namespace": Question("", method, "/v2/metadefs/namespaces/{namespace}" + path, on="namespace", who="admin")
        for name, method, path in (
            ("change", "PUT", ""),
            ("create an object", "POST", "/objects"),
            ("change an object", "PUT", "/objects/box"),
            ("create a property", "POST", "/properties"),
            ("change a property", "PUT", "/properties/size"),
            ("create tags", "POST", "/tags"),
            ("change a tag", "PUT", "/tags/Round"),
            ("associate", "POST", "/resource_types"),
        )
    },
}

# Lists ask for images that nobody has: which there are depends on what was asked before.
PATHS = (
    *("/v2/images/", "/v2/images//", "//v2/images?name=none", "/v2//images", "/v2/images/.", "/v2/images/..", "/v2/images/%2e%2e"),
    *("/v2/images/../images", "/v2/images/%2F", "/v2/images/{image}/", "/v2/images/{image}/file/", "/v2/images/{image}/members/"),
    *(
        "/v2/images/{image}//file",
        "/v2/images/{image}%20",
        "/v2/images/%20{image}",
        "/v2/images/{image};a=b",
        "/v2/images/{image}?a=b",
    ),
    *("/v2/images/{image}%3Fa", "/v2/images/{image}/tags/", "/v2/images/{image}/tags/a/b", "/v2/images/{image}/tags/a%2Fb"),
    *("/v2/images/{image}/members/%20", "/v2/images/{image}/members/" + "x" * 300, "/v2/images/" + "x" * 300, "/v2/images/%zz"),
    *(
        "/v2/images/%C3%A9",
        "/v2/images/%ff",
        "/V2/images",
        "/v2/Images",
        "/v2.0/images?limit=0",
        "/v1/images",
        "/v2.17/images?limit=0",
    ),
    *(
        "/v02/images",
        "/v2/images.json",
        "/v2/images?&name=none",
        "/v2/images?limit=0&",
        "/v2/images?limit=0&limit=1&name=none",
        "/v2/images?=x&limit=0",
    ),
    *(
        "/v2/images?limit=0#fragment",
        "/v2/images?limit=+0",
        "/v2/images?limit=0x1",
        "/v2/images?limit=1e3",
        "/v2/images?limit=%D9%A1&name=none",
    ),
    *(
        "/v2/images?sort=name:asc:desc",
        "/v2/images?sort=&name=none",
        "/v2/images?sort=:asc&name=none",
        "/v2/images?sort=name,&name=none",
        "/v2/images?marker=",
    ),
    *("/v2/images?limit=0&name=in:", "/v2/images?limit=0&name=in:,", "/v2/images?limit=0&status=in:x", "/v2/images?limit=0&size=x"),
    *("/v2/images?limit=0&min_ram=x", "/v2/images?limit=0&id=x", "/v2/images?limit=0&id=in:" + NOBODY, "/v2/images?limit=0&tag="),
    *("/v2/images?limit=0&created_at=gt:", "/v2/images?limit=0&updated_at=eq:2020-01-01", "/v2/images?limit=0&visibility=Public"),
    *("/v2/schemas", "/v2/schemas/", "/v2/schemas/image/", "/v2/info", "/v2/info/", "/v2/stores", "/v2/tasks/", "/v2/metadefs/"),
    *("/v2/metadefs/namespaces/", "/versions/", "/v2/discovery", "/"),
)

HEADERS: dict[str, dict[str, str]] = {
    "empty token": {"X-Auth-Token": ""},
    "token of a megabyte's like": {"X-Auth-Token": "x" * 4000},
    "accept nothing known": {"Accept": "image/png"},
    "accept nothing": {"Accept": ""},
    "accept a language": {"Accept-Language": "de"},
    "version of an interface": {"OpenStack-API-Version": "image 2.99"},
    "identity of another": {"X-Project-Id": "x", "X-User-Id": "y", "X-Roles": "admin", "X-Identity-Status": "Confirmed"},
    "service token that is none": {"X-Service-Token": "false"},
    "request id": {"X-Openstack-Request-Id": "req-mine"},
    "form as the type of a body": {"Content-Type": "application/x-www-form-urlencoded"},
}

MALFORMED = (
    *(
        Question(f"malformed: {route}: {kind}", each.method, each.path, body, each.on, each.who, each.headers)
        for route, each in ROUTES.items()
        for kind, body in BODIES.items()
    ),
    *(Question(f"path: {path[:60]}", "GET", path, on="active" if "{image}" in path else "") for path in PATHS),
    *(Question(f"headers: {name}", "GET", "/v2/images?limit=0", headers=sent) for name, sent in HEADERS.items()),
    *(
        Question(f"type: {media}: {route}", each.method, each.path, b"{}", each.on, each.who, {"Content-Type": media})
        for route, each in ROUTES.items()
        for media in ("text/plain", "application/xml", "application/json; charset=latin-1", OCTETS, "none")
    ),
)
