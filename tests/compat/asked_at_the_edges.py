"""Questions about what lies at the edges: headers and paths of HTTP itself, values that are nearly right. See questions.py.

Each was asked of a running Glance and of Partage side by side, and was once answered otherwise here.
"""

from typing import Any

from tests.compat.asked_of_imports import importing
from tests.compat.questions import NOBODY, OCTETS, V21, Question, add, create, get, listed, patch, replace
from tests.compat.worlds import LEFT_OUT

JSON_AND_MORE = {
    "a type with a parameter": "application/json; charset=utf-8",
    "what is no type": "garbage",
    "a client that does not say": LEFT_OUT,
    "a type of text": "text/*",
    "JSON of little worth": "text/html;q=0.4, application/json;q=0.5",
    "JSON of none": "application/json;q=0",
}
OF_A_PROXY = {
    "scheme": {"X-Forwarded-Proto": "https"},
    "host": {"X-Forwarded-Host": "images.example.org"},
    "port": {"X-Forwarded-Port": "8443"},
    "all": {"Forwarded": "for=192.0.2.1;host=images.example.org;proto=https"},
    "prefix": {"X-Forwarded-Prefix": "/image", "X-Script-Name": "/image"},
}


def edge(name: str, method: str, path: str, body: Any = None, *, on: str = "", who: str = "project-a", **headers: str) -> Question:
    return Question("edge: " + name, method, path, body, on, who, {key.replace("_", "-"): value for key, value in headers.items()})


def upload(name: str, *, to: str = "file", **headers: str) -> Question:
    return edge(name, "PUT", "/v2/images/{image}/" + to, b"x", on="queued", **({"Content_Type": OCTETS} | headers))


def metadefs(name: str, path: str = "", method: str = "GET", body: Any = None) -> Question:
    return edge("metadefs: " + name, method, "/v2/metadefs/namespaces" + path, body, on="namespace", who="admin")


EDGES = (
    *(get(f"edge: errors for {name}", f"/v2/images/{NOBODY}", headers={"Accept": sent}) for name, sent in JSON_AND_MORE.items()),
    *(get(f"edge: versions behind a proxy, {name}", "/", who="nobody", headers=sent) for name, sent in OF_A_PROXY.items()),
    edge("place of a new image behind a proxy", "POST", "/v2/images", {"name": "asked about"}, X_Forwarded_Proto="https"),
    *(edge(f"options of {path}", "OPTIONS", path, who="nobody") for path in ("/", "/v2/images", "/v2/nothing", "/v2/cache")),
    edge("options of an image", "OPTIONS", "/v2/images/{image}", on="active"),
    edge("minor version without a slash", "GET", "/v2.5"),
    *(edge(f"health at {path}", "GET", path, who="nobody") for path in ("/healthcheck", "/healthcheck/", "/healthcheck/deep")),
    edge("health in short", "HEAD", "/healthcheck", who="nobody"),
    edge("health by another method", "POST", "/healthcheck", who="nobody", Accept="*/*"),
    edge("health for a client that says nothing", "GET", "/healthcheck", who="nobody", Accept=""),
    get("edge: service token that is none", "/v2/images?limit=0", headers={"X-Service-Token": "false"}),
    get("edge: service token that is a user's", "/v2/images?limit=0", headers={"X-Service-Token": ""}),
    create("edge: a tag 129 times", {"tags": ["t"] * 129}),
    patch("edge: a tag 129 times", replace("/tags", ["t"] * 129)),
    patch("edge: media type in upper case", replace("/name", "n"), media=V21.upper()),
    patch("edge: media type with a parameter", replace("/name", "n"), media=V21 + "; charset=utf-8"),
    patch("edge: add the owner there is", add("/owner", "{a}")),
    patch("edge: add another owner", add("/owner", "{b}")),
    patch("edge: visibility that is null", replace("/visibility", None)),
    upload("upload to a store without a name", X_Image_Meta_Store=""),
    upload("stage to a store without a name", to="stage", X_Image_Meta_Store=""),
    upload("upload in upper case", Content_Type=OCTETS.upper()),
    upload("upload of an octet stream with a parameter", Content_Type=OCTETS + "; charset=binary"),
    *(upload(f"upload of {size} bytes", X_OpenStack_Image_Size=size) for size in ("0", "+1", "1_0", "1.0", "", "-1")),
    upload("stage of 0 bytes", to="stage", X_OpenStack_Image_Size="0"),
    listed("edge: deleted", "deleted=true&name=none"),
    listed("edge: limit twice", "limit=0&limit=1&sort=name:asc"),
    listed("edge: bound of a text", "name_min=a"),
    listed("edge: changes-since nothing", "changes-since="),
    listed("edge: by properties", "properties=x"),
    listed("edge: fields", "fields=id&limit=0"),
    listed("edge: semicolon", "limit=0;name=none"),
    *(
        edge(f"tasks: {query}", "GET", f"/v2/tasks?{query}", who="admin")
        for query in ("owner=", "marker=&owner=nobody", "type=&owner=nobody", "status=&owner=nobody", "sort_key=owner&owner=nobody")
    ),
    *(
        importing(f"edge: {name} of {on} image", {"method": {"name": "web-download"} | place}, on)
        for on in ("staged", "active", "queued")
        for name, place in (("URL that is missing", {}), ("URL that is a list", {"uri": []}))
    ),
    *(
        metadefs(f"list {query}", "?" + query)
        for query in ("visibility=", "resource_types=", "visibility=private&resource_types=", "sort_dir=", "limit=")
    ),
    *(
        metadefs(f"{kind} {query}", f"/{{namespace}}/{kind}?{query}")
        for kind in ("objects", "properties", "tags", "resource_types")
        for query in ("limit=0", "limit=-1", "limit=many", "marker=", "sort_dir=up", "sort_key=colour")
    ),
    *(
        metadefs(f"create with {name} of none", "", "POST", {"namespace": "{new}", name: nothing})
        for name, nothing in (("tags", []), ("objects", []), ("properties", {}), ("resource_type_associations", []))
    ),
    metadefs("create a tag with a body", "/{namespace}/tags/new", "POST", {"name": "other"}),
    *(
        metadefs(f"object with a {name}", "/{namespace}/objects", "POST", {"name": "o", "properties": {"p": property_}})
        for name, property_ in (
            ("confidential property", {"title": "t", "type": "string", "confidential": True}),
            ("property with more than there is", {"title": "t", "type": "string", "colour": "red"}),
            ("default that is a number", {"title": "t", "type": "number", "default": 1.5}),
            ("default that is a list", {"title": "t", "type": "array", "default": ["a"]}),
            ("minimum between numbers", {"title": "t", "type": "integer", "minimum": 1.5}),
        )
    ),
    *(edge(f"{method} of an image's tasks", method, "/v2/images/{image}/tasks", on="active") for method in ("PUT", "DELETE")),
    edge("method that locations do not have", "PUT", "/v2/images/{image}/locations", on="active"),
    edge("trace", "TRACE", "/v2/images"),
    edge("member without end", "GET", "/v2/images/{image}/members/", on="shared"),
    edge("request id of an odd shape", "GET", "/v2/images?limit=0", X_Openstack_Request_Id="x" * 65),
)
