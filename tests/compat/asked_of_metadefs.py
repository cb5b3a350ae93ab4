"""Questions about metadata definitions. See questions.py.

`{namespace}` is a namespace made for the question in the state that `on` names (worlds.NAMESPACES); `{new}` is a name that no
namespace has.
"""

from typing import Any

from tests.compat.questions import Question, get

AT = "/v2/metadefs/namespaces"
ONE = AT + "/{namespace}"
PROPERTY: dict[str, Any] = {"title": "Weight", "type": "integer", "minimum": 0}
LONG = "x" * 81


def of(name: str, method: str, path: str = "", body: Any = None, *, on: str = "namespace", who: str = "admin") -> Question:
    return Question("metadefs: " + name, method, ONE + path, body, on, who)


def new(name: str, body: Any, who: str = "admin") -> Question:
    return Question("metadefs: create " + name, "POST", AT, body, who=who)


def named(name: str, who: str = "admin", **more: Any) -> Question:
    return new(name, {"namespace": "{new}"} | more, who)


def listed(name: str, query: str, who: str = "project-a", on: str = "namespace") -> Question:
    return Question("metadefs: list " + name, "GET", AT + query, on=on, who=who)


NAMESPACES = (
    listed("of one project's", "?visibility=private"),
    listed("of another project's", "?visibility=private", who="project-c"),
    listed("by visibility that is none", "?visibility=shared"),
    listed("limit 1", "?visibility=private&limit=1"),
    listed("limit 0", "?limit=0"),
    listed("limit negative", "?limit=-1"),
    listed("limit that is no number", "?limit=many"),
    listed("marker that is none", "?marker=nobody"),
    listed("after the only one", "?visibility=private&marker={namespace}"),
    listed("marker of another project's", "?visibility=private&marker={namespace}", who="project-c"),
    listed("sorted", "?visibility=private&sort_key=namespace&sort_dir=asc"),
    listed("sort key that is none", "?sort_key=colour"),
    listed("sort direction that is none", "?sort_dir=up"),
    listed("by types of resources", "?visibility=private&resource_types=OS::Compat::Thing,OS::Compat::Other"),
    listed("by types of resources that none has", "?visibility=private&resource_types=OS::Compat::Other"),
    listed("filter that is none", "?visibility=private&colour=red"),
    listed("without a token", "", who="nobody"),
    new("nothing", {}),
    new("list", []),
    new("no body", None),
    new("JSON that is none", b"{"),
    named("name alone"),
    named("by a member", who="project-a"),
    named("by a reader", who="reader-a"),
    new("name that is a number", {"namespace": 3}),
    new("name of 81 characters", {"namespace": LONG}),
    new("emoji", {"namespace": "\U0001f600"}),
    Question("metadefs: create one that is there", "POST", AT, {"namespace": "{namespace}"}, "namespace", "admin"),
    named("visibility that is none", visibility="shared"),
    named("protected that is a text", protected="yes"),
    named("display name of 81 characters", display_name=LONG),
    named("description of 501 characters", description="x" * 501),
    named("owner", owner="{b}"),
    named("owner of 256 characters", owner="x" * 256),
    named("attribute that is none", colour="red"),
    named("self", self="/x"),
    named("created_at", created_at="2020-01-01T00:00:00Z"),
    named("objects that are no list", objects={}),
    named("object without a name", objects=[{"description": "d"}]),
    named("tag without a name", tags=[{}]),
    named("property without a type", properties={"p": {"title": "t"}}),
    named("property of a type that is none", properties={"p": {"title": "t", "type": "colour"}}),
    named("resource type without a name", resource_type_associations=[{}]),
    named("one of each", objects=[{"name": "o"}], tags=[{"name": "t"}], properties={"p": PROPERTY}),
    named("for a type of resources", resource_type_associations=[{"name": "OS::Compat::Thing"}]),
    named("one object twice", objects=[{"name": "o"}, {"name": "o"}]),
    of("show", "GET", who="project-a"),
    of("show by an administrator", "GET"),
    of("show by a reader", "GET", who="reader-a"),
    of("show by a stranger", "GET", who="project-c"),
    of("show without a token", "GET", who="nobody"),
    of("show a public one", "GET", on="public namespace", who="project-c"),
    of("show an empty one", "GET", on="empty namespace"),
    of("show for a type of resources", "GET", "?resource_type=OS::Compat::Thing", who="project-a"),
    of("show for a type that it is not for", "GET", "?resource_type=OS::Compat::Other", who="project-a"),
    get("metadefs: show one that is none", AT + "/nobody"),
    of("change", "PUT", "", {"namespace": "{namespace}", "display_name": "New", "visibility": "public"}),
    of("rename", "PUT", "", {"namespace": "{new}"}),
    of("change without a name", "PUT", "", {"display_name": "New"}),
    of("change to nothing", "PUT", "", {}),
    of("change without a body", "PUT"),
    of("change by a member", "PUT", "", {"namespace": "{namespace}"}, who="project-a"),
    of("change by a stranger", "PUT", "", {"namespace": "{namespace}"}, who="project-c"),
    of("change a public one by a stranger", "PUT", "", {"namespace": "{namespace}"}, who="project-c", on="public namespace"),
    of("change self", "PUT", "", {"namespace": "{namespace}", "self": "/x"}),
    Question("metadefs: change one that is none", "PUT", AT + "/nobody", {"namespace": "nobody"}, who="admin"),
    of("delete", "DELETE"),
    of("delete a protected one", "DELETE", on="protected namespace"),
    of("delete by a member", "DELETE", who="project-a"),
    of("delete by a stranger", "DELETE", who="project-c"),
    Question("metadefs: delete one that is none", "DELETE", AT + "/nobody", who="admin"),
    Question("metadefs: method that a namespace does not have", "PATCH", ONE, [], "namespace", "admin"),
    get("metadefs: root", "/v2/metadefs"),
)


def _definitions(kind: str, one: str, there: str, document: dict[str, Any]) -> tuple[Question, ...]:
    """Ask of objects, properties or tags what is asked of each kind alike."""
    at, path = f"/{kind}", f"/{kind}/{there}"
    create = ("POST", at, document) if kind != "tags" else ("POST", "/tags/new", None)
    again = ("POST", at, {**document, "name": there}) if kind != "tags" else ("POST", path, None)
    return (
        of(f"list {kind}", "GET", at, who="project-a"),
        of(f"list {kind} by a stranger", "GET", at, who="project-c"),
        of(f"list {kind} of a public namespace", "GET", at, on="public namespace", who="project-c"),
        of(f"list {kind} of an empty namespace", "GET", at, on="empty namespace"),
        get(f"metadefs: list {kind} of a namespace that is none", f"{AT}/nobody{at}"),
        of(f"create {one}", *create),
        of(f"create {one} by a member", *create, who="project-a"),
        of(f"create {one} by a stranger", *create, who="project-c"),
        of(f"create {one} in a public namespace by a stranger", *create, on="public namespace", who="project-c"),
        of(f"create {one} in a protected namespace", *create, on="protected namespace"),
        of(f"create {one} that is there", *again),
        of(f"create {one} without a body", "POST", at),
        of(f"create {one} that is a list", "POST", at, []),
        of(f"create {one} of JSON that is none", "POST", at, b"{"),
        of(f"show {one}", "GET", path, who="project-a"),
        of(f"show {one} by a stranger", "GET", path, who="project-c"),
        of(f"show {one} that is none", "GET", at + "/nothing"),
        of(f"show {one} in another spelling", "GET", f"{at}/{there.swapcase()}"),
        of(f"change {one}", "PUT", path, {**document, "name": there}),
        of(f"rename {one}", "PUT", path, {**document, "name": "renamed"}),
        of(f"change {one} that is none", "PUT", at + "/nothing", document),
        of(f"change {one} by a member", "PUT", path, document, who="project-a"),
        of(f"change {one} to nothing", "PUT", path, {}),
        of(f"change {one} without a body", "PUT", path),
        of(f"change {one} with self", "PUT", path, {**document, "self": "/x"}),
        of(f"change {one} with created_at", "PUT", path, {**document, "created_at": "2020-01-01T00:00:00Z"}),
        of(f"change {one} with what is none", "PUT", path, {**document, "colour": "red"}),
        of(f"change {one} of 81 characters", "PUT", path, {**document, "name": LONG}),
        of(f"delete {one}", "DELETE", path),
        of(f"delete {one} that is none", "DELETE", at + "/nothing"),
        of(f"delete {one} by a member", "DELETE", path, who="project-a"),
        of(f"delete {one} of a protected namespace", "DELETE", path, on="protected namespace"),
        of(f"delete all {kind}", "DELETE", at),
        of(f"delete all {kind} by a member", "DELETE", at, who="project-a"),
        of(f"delete all {kind} by a stranger", "DELETE", at, who="project-c"),
        of(f"delete all {kind} of a protected namespace", "DELETE", at, on="protected namespace"),
        of(f"method that {kind} do not have", "PATCH", at, []),
        of(f"method that {one} does not have", "PATCH", path, []),
    )


DEFINITIONS = (
    *_definitions("objects", "an object", "box", {"name": "new", "properties": {"p": PROPERTY}}),
    of("create an object without a name", "POST", "/objects", {"description": "d"}),
    of("create an object of 81 characters", "POST", "/objects", {"name": LONG}),
    of("create an object whose properties are a list", "POST", "/objects", {"name": "new", "properties": []}),
    of("create an object whose property is none", "POST", "/objects", {"name": "new", "properties": {"p": {"type": "colour"}}}),
    of(
        "create an object with what is required",
        "POST",
        "/objects",
        {"name": "new", "required": ["p"], "properties": {"p": PROPERTY}},
    ),
    of("create an object with what is none", "POST", "/objects", {"name": "new", "colour": "red"}),
    *_definitions("properties", "a property", "size", {"name": "new", **PROPERTY}),
    of("create a property without a name", "POST", "/properties", PROPERTY),
    of("create a property without a type", "POST", "/properties", {"name": "new", "title": "t"}),
    of("create a property without a title", "POST", "/properties", {"name": "new", "type": "string"}),
    of("create a property of a type that is none", "POST", "/properties", {"name": "new", "title": "t", "type": "colour"}),
    of(
        "create a property with all that it can have",
        "POST",
        "/properties",
        {
            "name": "new",
            "title": "t",
            "type": "array",
            "description": "d",
            "operators": ["<in>"],
            "enum": ["a"],
            "default": "a",
            "minItems": 0,
            "maxItems": 3,
            "uniqueItems": True,
            "readonly": False,
            "additionalItems": False,
            "items": {"type": "string", "enum": ["a"]},
            "pattern": "a*",
            "minLength": 0,
            "maxLength": 9,
            "confidential": True,
        },
    ),
    of("create a property whose minimum is a text", "POST", "/properties", {"name": "new", **PROPERTY, "minimum": "low"}),
    of("show a property for a type of resources", "GET", "/properties/hw:size?resource_type=OS::Compat::Thing"),
    of("show a property without the prefix of a type", "GET", "/properties/size?resource_type=OS::Compat::Thing"),
    of("show a property for a type that it is not for", "GET", "/properties/size?resource_type=OS::Compat::Other"),
    *_definitions("tags", "a tag", "Round", {"name": "new"}),
    of("create tags", "POST", "/tags", {"tags": [{"name": "a"}, {"name": "b"}]}),
    of("create no tags", "POST", "/tags", {"tags": []}),
    of("create tags that are texts", "POST", "/tags", {"tags": ["a"]}),
    of("create a tag twice", "POST", "/tags", {"tags": [{"name": "a"}, {"name": "A"}]}),
    of("create tags without a list", "POST", "/tags", {}),
    of("create a tag of 81 characters", "POST", "/tags/" + LONG),
    of("list tags, limit 1", "GET", "/tags?limit=1&sort_key=name&sort_dir=asc"),
    of("list tags, limit 0", "GET", "/tags?limit=0"),
    of("list tags, limit that is no number", "GET", "/tags?limit=many"),
    of("list tags, sort key that is none", "GET", "/tags?sort_key=colour"),
    of("list tags, sort direction that is none", "GET", "/tags?sort_dir=up"),
    of("list tags after a marker", "GET", "/tags?sort_key=name&sort_dir=asc&marker=flat"),
    of("list tags, marker that is none", "GET", "/tags?marker=nothing"),
    *(
        Question(
            f"metadefs: create tags, append {value}",
            "POST",
            ONE + "/tags",
            {"tags": [{"name": name}]},
            "namespace",
            "admin",
            {"X-Openstack-Append": value},
        )
        for value, name in (("true", "a"), ("False", "a"), ("perhaps", "a"), ("TRUE", "round"))
    ),
)

RESOURCE_TYPES = (
    get("metadefs: resource types without a token", "/v2/metadefs/resource_types", who="nobody"),
    Question("metadefs: method that resource types do not have", "POST", "/v2/metadefs/resource_types", {}, who="admin"),
    of("list types of a namespace", "GET", "/resource_types", who="project-a"),
    of("list types of a namespace by a stranger", "GET", "/resource_types", who="project-c"),
    of("list types of an empty namespace", "GET", "/resource_types", on="empty namespace"),
    get("metadefs: list types of a namespace that is none", AT + "/nobody/resource_types"),
    of("associate", "POST", "/resource_types", {"name": "OS::Compat::Other", "prefix": "p_", "properties_target": "image"}),
    of("associate with a name alone", "POST", "/resource_types", {"name": "OS::Compat::Other"}),
    of("associate again", "POST", "/resource_types", {"name": "OS::Compat::Thing"}),
    of("associate by a member", "POST", "/resource_types", {"name": "OS::Compat::Other"}, who="project-a"),
    of("associate by a stranger", "POST", "/resource_types", {"name": "OS::Compat::Other"}, who="project-c"),
    of("associate nothing", "POST", "/resource_types", {}),
    of("associate a list", "POST", "/resource_types", []),
    of("associate without a body", "POST", "/resource_types"),
    of("associate a number", "POST", "/resource_types", {"name": 3}),
    of("associate a name of 81 characters", "POST", "/resource_types", {"name": LONG}),
    of("associate with what is none", "POST", "/resource_types", {"name": "OS::Compat::Other", "colour": "red"}),
    of("associate with created_at", "POST", "/resource_types", {"name": "OS::Compat::Other", "created_at": "x"}),
    of("dissociate", "DELETE", "/resource_types/OS::Compat::Thing"),
    of("dissociate what is none", "DELETE", "/resource_types/OS::Compat::Nothing"),
    of("dissociate by a member", "DELETE", "/resource_types/OS::Compat::Thing", who="project-a"),
    of("dissociate in a protected namespace", "DELETE", "/resource_types/OS::Compat::Thing", on="protected namespace"),
)

SCHEMAS = tuple(
    get(f"schema of {name.replace('_', ' ')} of metadata definitions", f"/v2/schemas/metadefs/{name}")
    for name in (
        *("namespace", "namespaces", "object", "objects", "property", "properties", "tag", "tags"),
        *("resource_type", "resource_types", "nothing"),
    )
)

CATALOG = (
    get("catalog: resource types", "/v2/metadefs/resource_types"),
    get("catalog: namespaces", f"{AT}?visibility=public&limit=1000&sort_key=namespace&sort_dir=asc"),
    get(
        "catalog: those of flavors",
        f"{AT}?visibility=public&resource_types=OS::Nova::Flavor&sort_key=namespace&sort_dir=asc&limit=1000",
    ),
    *(
        get(f"catalog: {name}{of_type}", f"{AT}/{name}{of_type}")
        for name in (
            *("OS::Compute::AggregateIoOpsFilter", "OS::Compute::CPUPinning", "OS::Compute::GuestMemoryBacking"),
            *("OS::Compute::GuestShutdownBehavior", "OS::Compute::HostCapabilities", "OS::Compute::Hypervisor"),
            *("OS::Compute::InstanceData", "OS::Compute::LibvirtImage", "OS::Compute::Libvirt", "OS::Compute::Quota"),
            *("OS::Compute::RandomNumberGenerator", "OS::Compute::TPM", "OS::Compute::Trust", "OS::Compute::VirtCPUTopology"),
            *("OS::Compute::VMwareFlavor", "OS::Compute::VMware", "OS::Compute::Watchdog", "OS::Compute::XenAPI"),
            *("OS::Cinder::Volumetype", "OS::Glance::CommonImageProperties", "OS::Glance::Signatures"),
            *("OS::OperatingSystem", "OS::Software::DBMS", "OS::Software::Runtimes", "OS::Software::WebServers"),
        )
        for of_type in ("", "?resource_type=OS::Nova::Flavor", "?resource_type=OS::Glance::Image")
    ),
)
"""Questions about the catalog that the glance package ships, where it is loaded."""

TABLES = {
    "metadefs-namespaces": NAMESPACES,
    "metadefs-definitions": DEFINITIONS,
    "metadefs-resource-types": RESOURCE_TYPES,
    "metadefs-schemas": SCHEMAS,
}
