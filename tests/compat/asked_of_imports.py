"""Questions about what brings image data in without an upload: staging, imports, tasks, locations, stores. See questions.py.

`{task}` is the task of an image in the state "imported". Where a question starts an import, its end is waited for.
"""

from typing import Any

from tests.compat.questions import NOBODY, OCTETS, Question, get

DIRECT: dict[str, Any] = {"method": {"name": "glance-direct"}}
BY_URL = "http://127.0.0.1:1/disk.raw"
SHA512 = "sha512"


def stage(name: str, body: Any = b"x" * 10, on: str = "queued", media: str | None = OCTETS, who: str = "project-a") -> Question:
    sent = {} if media is None else {"Content-Type": media}
    return Question("stage: " + name, "PUT", "/v2/images/{image}/stage", body, on, who, sent)


def importing(name: str, body: Any = None, on: str = "staged", who: str = "project-a", **headers: str) -> Question:
    sent = {header.replace("_", "-"): value for header, value in headers.items()}
    return Question("import: " + name, "POST", "/v2/images/{image}/import", DIRECT if body is None else body, on, who, sent)


def direct(name: str, **more: Any) -> Question:
    return importing(name, DIRECT | more)


def download(name: str, uri: Any, on: str = "queued", **more: Any) -> Question:
    return importing(name, {"method": {"name": "web-download", "uri": uri}} | more, on)


def copy(name: str, on: str = "active", who: str = "project-a", **more: Any) -> Question:
    return importing(name, {"method": {"name": "copy-image"}} | more, on, who)


def task(name: str, body: Any = None, who: str = "admin", method: str = "POST", path: str = "") -> Question:
    return Question("tasks: " + name, method, "/v2/tasks" + path, body, who=who)


def task_of(name: str, **changed: Any) -> Question:
    given = {"import_from": BY_URL, "import_from_format": "raw", "image_properties": {"name": "asked about"}}
    return task(name, {"type": "import", "input": given} | changed)


def location(name: str, body: Any, on: str = "queued", who: str = "project-a") -> Question:
    return Question("locations: " + name, "POST", "/v2/images/{image}/locations", body, on, who)


IMPORTS = (
    stage("ten bytes"),
    stage("nothing", b""),
    stage("no media type", media=None),
    stage("other media type", media="application/json"),
    stage("a second time", on="staged"),
    stage("deactivated image", on="deactivated"),
    stage("deleted image", on="deleted"),
    stage("without formats", on="formless"),
    stage("data of another format", on="queued qcow2"),
    stage("by a reader", who="reader-a"),
    stage("by a stranger", who="project-c"),
    stage("by a member", on="shared", who="project-b"),
    get("stage: show of a staged image", "/v2/images/{image}", on="staged"),
    get("stage: data of a staged image", "/v2/images/{image}/file", on="staged"),
    get("stage: tasks of a staged image", "/v2/images/{image}/tasks", on="staged"),
    Question("stage: upload to a staged image", "PUT", "/v2/images/{image}/file", b"x", "staged", headers={"Content-Type": OCTETS}),
    Question("stage: delete of a staged image", "DELETE", "/v2/images/{image}", on="staged"),
    Question("stage: deactivation of a staged image", "POST", "/v2/images/{image}/actions/deactivate", on="staged"),
    Question("stage: get", "GET", "/v2/images/{image}/stage", on="queued"),
    importing("staged data"),
    importing("staged data by an administrator", who="admin"),
    importing("staged data by a reader", who="reader-a"),
    importing("staged data by a stranger", who="project-c"),
    importing("staged data by a member", {**DIRECT}, on="accepted", who="project-b"),
    importing("what is not staged", on="queued"),
    importing("what is active", on="active"),
    importing("deleted image", on="deleted"),
    importing("without formats", on="formless"),
    importing("JSON that is none", b"{"),
    importing("JSON that is a list", []),
    importing("method that is a text", {"method": "glance-direct"}),
    importing("method that is null", {"method": None}),
    importing("method whose name is a number", {"method": {"name": 3}}),
    importing("method that is off", {"method": {"name": "glance-download"}}, on="queued"),
    direct("what is not asked for", colour="red"),
    direct("stores and all stores", stores=["nowhere"], all_stores=True),
    direct("store that is none", stores=["nowhere"]),
    direct("stores that are no list", stores="nowhere"),
    direct("stores that are numbers", stores=[3]),
    direct("no stores", stores=[]),
    direct("all stores", all_stores=True),
    direct("all stores that is a text", all_stores="yes"),
    direct("all stores must succeed that is a text", all_stores_must_succeed="yes"),
    direct("all stores must not succeed", all_stores_must_succeed=False),
    importing("store that is none, by header", DIRECT, X_Image_Meta_Store="nowhere"),
    download("URL without an address", ""),
    download("URL that is missing", None),
    download("URL that is a number", 3),
    download("URL that is a list", [BY_URL]),
    download("URL without a scheme", "example.org/disk.raw"),
    download("URL of a file", "file:///etc/passwd"),
    download("URL of a scheme that is none", "gopher://example.org/"),
    download("URL of another port", "http://example.org:22/"),
    download("URL with a user", "http://user:password@example.org/"),
    download("URL of a port that is none", "http://example.org:port/"),
    download("URL of brackets", "http://[::1/"),
    download("from the web into a staged image", BY_URL, on="staged"),
    importing("web-download without a URL", {"method": {"name": "web-download"}}, on="queued"),
    copy("copy", stores=["nowhere"]),
    copy("copy by an administrator", who="admin", stores=["nowhere"]),
    copy("copy by an administrator, no stores", who="admin"),
    copy("copy by an administrator, all stores", who="admin", all_stores=True),
    copy("copy of a queued image by an administrator", on="queued", who="admin", all_stores=True),
    get("import: show of an imported image", "/v2/images/{image}", on="imported"),
    get("import: data of an imported image", "/v2/images/{image}/file", on="imported"),
    get("import: tasks of an imported image", "/v2/images/{image}/tasks", on="imported"),
    get("import: tasks of an imported image by a stranger", "/v2/images/{image}/tasks", on="imported", who="project-c"),
    get("import: tasks of an imported image by a reader", "/v2/images/{image}/tasks", on="imported", who="reader-a"),
    Question("import: again", "POST", "/v2/images/{image}/import", DIRECT, "imported"),
    Question("import: get", "GET", "/v2/images/{image}/import", on="queued"),
)

TASKS = (
    task("list by a member", who="project-a", method="GET"),
    task("list by a reader", who="reader-a", method="GET"),
    task("list without a token", who="nobody", method="GET"),
    task("list of nobody's", method="GET", path="?owner=nobody"),
    task("list by type", method="GET", path="?owner=nobody&type=import"),
    task("list by type that is none", method="GET", path="?type=export"),
    task("list by type of imports", method="GET", path="?type=api_image_import"),
    task("list by status that is none", method="GET", path="?status=perhaps"),
    task("list limit 0", method="GET", path="?limit=0"),
    task("list limit negative", method="GET", path="?limit=-1"),
    task("list limit that is no number", method="GET", path="?limit=many"),
    task("list marker that is none", method="GET", path=f"?marker={NOBODY}"),
    task("list sort key that is none", method="GET", path="?sort_key=colour"),
    task("list sort direction that is none", method="GET", path="?sort_dir=up"),
    Question("tasks: show", "GET", "/v2/tasks/{task}", on="imported", who="admin"),
    Question("tasks: show by the owner", "GET", "/v2/tasks/{task}", on="imported"),
    Question("tasks: list of one project's", "GET", "/v2/tasks?owner={a}&sort_dir=desc&limit=1", on="imported", who="admin"),
    Question("tasks: delete", "DELETE", "/v2/tasks/{task}", on="imported", who="admin"),
    Question("tasks: delete by the owner", "DELETE", "/v2/tasks/{task}", on="imported"),
    Question("tasks: put", "PUT", "/v2/tasks/{task}", {}, on="imported", who="admin"),
    task("show one that is none", method="GET", path=f"/{NOBODY}"),
    task("show one that is none by a member", method="GET", path=f"/{NOBODY}", who="project-a"),
    task("show an id that is none", method="GET", path="/one"),
    task("delete one that is none", method="DELETE", path=f"/{NOBODY}"),
    task("delete one that is none by a member", method="DELETE", path=f"/{NOBODY}", who="project-a"),
    task("create by a member", {"type": "import", "input": {}}, who="project-a"),
    task("create nothing", {}),
    task("create without a body"),
    task("create JSON that is none", b"{"),
    task("create a list", []),
    task_of("create type that is none", type="export"),
    task_of("create type that is a number", type=3),
    task_of("create without input", input=None),
    task_of("create input that is a text", input="x"),
    task_of("create input that is empty", input={}),
    task_of("create without a format", input={"import_from": BY_URL, "image_properties": {}}),
    task_of("create from a file", input={"import_from": "file:///etc/passwd", "import_from_format": "raw", "image_properties": {}}),
    task_of("create without image properties", input={"import_from": BY_URL, "import_from_format": "raw"}),
    task_of("create with a status", status="success"),
    task_of("create with an id", id=NOBODY),
)

LOCATIONS = (
    get("locations: list", "/v2/images/{image}/locations", on="active"),
    get("locations: list by an administrator", "/v2/images/{image}/locations", on="queued", who="admin"),
    get("locations: list by a stranger", "/v2/images/{image}/locations", on="active", who="project-c"),
    get("locations: list of an image that is none", f"/v2/images/{NOBODY}/locations", who="admin"),
    location("URL of a file", {"url": "file:///etc/passwd"}),
    location("URL of a store", {"url": "swift+config:///etc/passwd"}),
    location("URL of a scheme that is none", {"url": "gopher://example.org/"}),
    location("URL that is empty", {"url": ""}),
    location("URL that is a number", {"url": 3}),
    location("an empty object", {}),
    location("a list", []),
    location("JSON that is none", b"{"),
    location("no body", None),
    location("what is not asked for", {"url": BY_URL, "colour": "red"}),
    location("validation data that is a text", {"url": BY_URL, "validation_data": "x"}),
    location("validation data of an algorithm that is none", {"url": BY_URL, "validation_data": {"os_hash_algo": "crc"}}),
    location("digest that is none", {"url": BY_URL, "validation_data": {"os_hash_algo": SHA512, "os_hash_value": "x"}}),
    location("active image", {"url": "file:///etc/passwd"}, on="active"),
    location("by a reader", {"url": "file:///etc/passwd"}, who="reader-a"),
    location("by a stranger", {"url": "file:///etc/passwd"}, who="project-c"),
    location("by a member", {"url": "file:///etc/passwd"}, on="accepted", who="project-b"),
)

STORES = (
    get("stores: list without a token", "/v2/info/stores", who="nobody"),
    get("stores: list by a reader", "/v2/info/stores", who="reader-a"),
    get("stores: detail without a token", "/v2/info/stores/detail", who="nobody"),
    get("stores: import methods without a token", "/v2/info/import", who="nobody"),
    get("stores: usage by a reader", "/v2/info/usage", who="reader-a"),
    get("stores: info that is none", "/v2/info/nothing"),
    Question("stores: method that they do not have", "POST", "/v2/info/stores"),
    Question("stores: delete from one that is none", "DELETE", "/v2/stores/nowhere/{image}", on="active", who="admin"),
    Question("stores: delete from one that is none by the owner", "DELETE", "/v2/stores/nowhere/{image}", on="active"),
    Question("stores: delete an image that is none", "DELETE", f"/v2/stores/nowhere/{NOBODY}", who="admin"),
    Question("stores: get of an image", "GET", "/v2/stores/nowhere/{image}", on="active"),
    get("schema of a task", "/v2/schemas/task"),
    get("schema of tasks", "/v2/schemas/tasks"),
)

TABLES = {"imports": IMPORTS, "tasks": TASKS, "locations": LOCATIONS, "stores": STORES}
