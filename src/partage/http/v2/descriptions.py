"""Describes each route for the OpenAPI document: parameters, bodies, answers and errors. One row for each route.

`http/openapi.py` adds what follows from the route itself: 401, 403 with a rule, 404 for a path with parameters, 413 and 408 with a
body, 304 for a document.
"""

from collections.abc import Mapping
from types import MappingProxyType

from partage.http.openapi import Description
from partage.http.v2 import paths

_JSON = "application/json"
_OCTETS = "application/octet-stream"
_PATCHES = {
    "application/openstack-images-v2.1-json-patch": "image_patch",
    "application/openstack-images-v2.0-json-patch": "image_patch_2_0",
}


def _json(name: str) -> Mapping[str, str]:
    return {_JSON: name}


_PAGES = ("limit", "marker", "sort_key", "sort_dir")
_IMAGE_QUERY = (
    *_PAGES, "sort", "visibility", "member_status", "name", "id", "status", "container_format", "disk_format", "created_at",
    "updated_at", "size", "virtual_size", "min_ram", "min_disk", "size_min", "size_max", "min_ram_min", "min_ram_max",
    "min_disk_min", "min_disk_max", "tag", "owner", "checksum", "os_hash_algo", "os_hash_value", "protected", "os_hidden",
    "custom_properties",
)  # fmt: skip

_IMAGES_API: Mapping[str, Description] = {
    f"GET {paths.IMAGES}": Description(gives=_json("images"), query=_IMAGE_QUERY),
    f"POST {paths.IMAGES}": Description(
        takes=_json("new_image"), gives=_json("image"), fails=(409,), names={"image_id": "$response.body#/id"}, located=True
    ),
    f"GET {paths.IMAGE}": Description(gives=_json("image")),
    f"PATCH {paths.IMAGE}": Description(takes=_PATCHES, gives=_json("image"), fails=(409, 415)),
    f"DELETE {paths.IMAGE}": Description(fails=(409,)),
    f"GET {paths.IMAGE}/tasks": Description(gives=_json("tasks_of_image")),
    f"POST {paths.IMAGE}/actions/deactivate": Description(fails=(409,)),
    f"POST {paths.IMAGE}/actions/reactivate": Description(fails=(409,)),
    f"GET {paths.IMAGE}/file": Description(
        gives={_OCTETS: "octets"}, query=("prefer",), headers=("Range", "If-Range"), also=(204, 206, 304), fails=(416,)
    ),
    f"PUT {paths.IMAGE}/file": Description(
        takes={_OCTETS: "octets"}, headers=("X-OpenStack-Image-Size", "X-Image-Meta-Store"), fails=(409, 410, 415)
    ),
    f"PUT {paths.IMAGE}/stage": Description(takes={_OCTETS: "octets"}, headers=("X-OpenStack-Image-Size",), fails=(409, 410, 415)),
    f"POST {paths.IMAGE}/import": Description(takes=_json("import_request"), headers=("X-Image-Meta-Store",), fails=(409, 410)),
    f"GET {paths.IMAGE}/locations": Description(gives=_json("locations")),
    f"POST {paths.IMAGE}/locations": Description(takes=_json("new_location"), fails=(409,)),
    f"PUT {paths.TAG}": Description(fails=(413,)),
    f"DELETE {paths.TAG}": Description(),
    f"GET {paths.IMAGE}/members": Description(gives=_json("members")),
    f"POST {paths.IMAGE}/members": Description(
        takes=_json("new_member"),
        gives=_json("member"),
        fails=(409,),
        names={"image_id": "$response.body#/image_id", "member_id": "$response.body#/member_id"},
    ),
    f"GET {paths.MEMBER}": Description(gives=_json("member")),
    f"PUT {paths.MEMBER}": Description(takes=_json("member_answer"), gives=_json("member")),
    f"DELETE {paths.MEMBER}": Description(),
}

_SERVICE_API: Mapping[str, Description] = {
    f"GET {paths.INFO}/import": Description(gives=_json("import_methods")),
    f"GET {paths.INFO}/stores": Description(gives=_json("stores")),
    f"GET {paths.INFO}/stores/detail": Description(gives=_json("stores_detail")),
    f"GET {paths.INFO}/usage": Description(gives=_json("usage")),
    f"DELETE {paths.STORES}/{{store_id}}/{{image_id}}": Description(fails=(409,)),
    f"GET {paths.CACHE}": Description(gives=_json("cache"), fails=(404,)),
    f"DELETE {paths.CACHE}": Description(headers=("X-Image-Cache-Clear-Target",), fails=(404,)),
    f"DELETE {paths.CACHE}/{{image_id}}": Description(),
    f"PUT {paths.CACHE}/{{image_id}}": Description(),
    f"GET {paths.CACHE}/nodes/{{image_id}}": Description(gives=_json("cache_nodes")),
    f"POST {paths.CACHE}/clean": Description(fails=(404,)),
    f"POST {paths.CACHE}/prune": Description(gives=_json("cache_pruned"), fails=(404,)),
    f"GET {paths.TASKS}": Description(gives=_json("tasks"), query=(*_PAGES, "task_status", "task_type"), fails=(404,)),
    f"POST {paths.TASKS}": Description(
        takes=_json("new_task"), gives=_json("task"), fails=(409,), names={"task_id": "$response.body#/id"}, located=True
    ),
    f"GET {paths.TASKS}/{{task_id}}": Description(gives=_json("task")),
    f"DELETE {paths.TASKS}/{{task_id}}": Description(succeeds=False, fails=(405,)),
    **{
        f"GET {paths.SCHEMAS}/{name}": Description(gives=_json("schema"))
        for name in ("metadefs/{schema}", "image", "images", "member", "members", "task", "tasks")
    },
}


def _definitions(plural: str, one: str) -> dict[str, Description]:
    """Describe the routes that objects, properties and tags have alike."""
    of_all, of_one = f"{paths.NAMESPACE}/{plural}", f"{paths.NAMESPACE}/{plural}/{{name}}"
    return {
        f"GET {of_all}": Description(gives=_json(plural)),
        f"POST {of_all}": Description(
            takes=_json(one),
            gives=_json(one),
            fails=(404, 409),
            names={"namespace": "$request.path.namespace", "name": "$response.body#/name"},
        ),
        f"DELETE {of_all}": Description(),
        f"GET {of_one}": Description(gives=_json(one)),
        f"PUT {of_one}": Description(takes=_json(one), gives=_json(one), fails=(409,)),
        f"DELETE {of_one}": Description(),
    }


_METADEFS_API: Mapping[str, Description] = {
    f"GET {paths.NAMESPACES}": Description(
        gives=_json("namespaces"), query=(*_PAGES, "namespace_visibility", "resource_types"), fails=(404,)
    ),
    f"POST {paths.NAMESPACES}": Description(
        takes=_json("namespace"),
        gives=_json("namespace"),
        fails=(404, 409),
        names={"namespace": "$response.body#/namespace"},
        located=True,
    ),
    f"GET {paths.NAMESPACE}": Description(gives=_json("namespace"), query=("resource_type",)),
    f"PUT {paths.NAMESPACE}": Description(takes=_json("namespace"), gives=_json("namespace"), fails=(409,)),
    f"DELETE {paths.NAMESPACE}": Description(),
    **_definitions("objects", "object"),
    **_definitions("properties", "property"),
    **_definitions("tags", "tag"),
    f"GET {paths.NAMESPACE}/properties/{{name}}": Description(gives=_json("property"), query=("resource_type",)),
    f"GET {paths.NAMESPACE}/tags": Description(gives=_json("tags"), query=_PAGES),
    f"POST {paths.NAMESPACE}/tags": Description(
        takes=_json("new_tags"), gives=_json("tags"), headers=("X-Openstack-Append",), fails=(409,)
    ),
    f"POST {paths.NAMESPACE}/tags/{{name}}": Description(gives=_json("tag"), fails=(409,)),
    f"GET {paths.NAMESPACE}/resource_types": Description(gives=_json("resource_types")),
    f"POST {paths.NAMESPACE}/resource_types": Description(
        takes=_json("resource_type"),
        gives=_json("resource_type"),
        fails=(409,),
        names={"namespace": "$request.path.namespace", "name": "$response.body#/name"},
    ),
    f"DELETE {paths.NAMESPACE}/resource_types/{{name}}": Description(),
    f"GET {paths.RESOURCE_TYPES}": Description(gives=_json("all_resource_types")),
}

DESCRIPTIONS: Mapping[str, Description] = MappingProxyType({**_IMAGES_API, **_SERVICE_API, **_METADEFS_API})
"""By method and path, as the table of routes has them."""
