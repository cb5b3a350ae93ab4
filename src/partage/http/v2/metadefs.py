"""Handlers of metadata definitions: documents in, documents out.

Objects, properties and tags differ in their JSON only: `build_handlers` builds the handlers of one kind.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from oslo_utils import strutils

from partage import problems
from partage.http import query_strings
from partage.http.messages import Reply, Request, json_reply
from partage.http.v2 import paths, query
from partage.model import metadef, metadef_schemas
from partage.model.metadef import Association, Definition, DefinitionKind, Namespace
from partage.operations import metadefs
from partage.operations.metadefs import FullNamespace
from partage.policies import metadefs as rules
from partage.records.metadefs import SORT_KEYS, NamespaceQuery

_PARTS = ("objects", "properties", "tags", "resource_type_associations")
"""Parts of a new namespace that the answer repeats unchanged."""
_PLAIN = ":@!$&'()*+,;=~-._"
"""Characters that need no escape in a path segment. Source: RFC 3986, 3.3."""

Parsed = TypeVar("Parsed")
Handler = Callable[[Request], Awaitable[Reply]]


async def list_namespaces(request: Request) -> Reply:
    """List namespaces."""
    parameters = query_strings.decode(request.query)
    given = dict(parameters)
    asked = _parse_query(given, default=request.edge.service.limits.page_default, largest=request.edge.service.limits.page_max)
    # Source: Glance. An empty filter matches nothing.
    can_match = bool(asked.limit) and all(given.get(name, "said") for name in ("visibility", "resource_types"))
    found = await request.run_listing(metadefs.list_namespaces, asked) if can_match else []
    written: dict[str, Any] = {
        "namespaces": [_full_namespace_to_json(each) for each in found],
        "first": query.link(parameters, path=paths.NAMESPACES),
        "schema": f"{paths.METADEF_SCHEMAS}/namespaces",
    }
    if found and len(found) == asked.limit:
        last = found[-1].namespace
        written["next"] = query.link(parameters, last.name, metadefs.position(last, asked), path=paths.NAMESPACES)
    return json_reply(written)


async def create_namespace(request: Request) -> Reply:
    """Create a namespace with its definitions."""
    new = await _parse(request, metadef.parse_namespace, rules.ADD_NAMESPACE)
    created = await request.run(metadefs.create_namespace, new)
    given = {name: new.document[name] for name in _PARTS if name in new.document}
    written = json_reply({**_namespace_to_json(created.namespace), **given})
    location = f"{request.origin}{_namespace_path(created.namespace.name)}".encode()
    return Reply(body=written.body, content_type=written.content_type, headers=((b"location", location),))


async def show_namespace(request: Request) -> Reply:
    """Show a namespace with its definitions."""
    wanted = dict(query_strings.decode(request.query)).get("resource_type")
    name = request.path["namespace"]
    found = await request.run_listing(metadefs.show_namespace, name, resource_type=wanted)
    return json_reply(_full_namespace_to_json(found))


async def update_namespace(request: Request) -> Reply:
    """Replace a namespace's attributes."""
    new = await _parse(request, metadef.parse_namespace, rules.MODIFY_NAMESPACE)
    changed = await request.run(metadefs.update_namespace, request.path["namespace"], new)
    return json_reply(_namespace_to_json(changed))


async def delete_namespace(request: Request) -> Reply:
    """Delete a namespace."""
    await request.run(metadefs.delete_namespace, request.path["namespace"])
    return Reply()


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers of one kind of definitions."""

    list_definitions: Handler
    add_definition: Handler
    show_definition: Handler
    update_definition: Handler
    delete_definition: Handler
    delete_definitions: Handler


def build_handlers(kind: DefinitionKind, list_to_json: Callable[[str, Sequence[Definition]], dict[str, Any]]) -> Handlers:
    """Build the handlers of one kind; `list_to_json` renders all definitions of a namespace."""

    async def list_definitions(request: Request) -> Reply:
        """List a namespace's definitions of one kind."""
        name = request.path["namespace"]
        if kind is DefinitionKind.OBJECT:
            _read_page(request, least=1)  # Source: Glance reads these parameters, and then lists every object
        found = await request.run_listing(metadefs.list_definitions, name, kind)
        return json_reply(_tag_page_to_json(request, found) if kind is DefinitionKind.TAG else list_to_json(name, found))

    async def add_definition(request: Request) -> Reply:
        """Add a definition to a namespace."""
        new = await _parse(request, partial(metadef.parse_definition, kind=kind), metadefs.ADD[kind])
        return await _add(request, new)

    async def show_definition(request: Request) -> Reply:
        """Show one definition."""
        of_type = dict(query_strings.decode(request.query)).get("resource_type") if kind is DefinitionKind.PROPERTY else None
        name, wanted = request.path["namespace"], _definition_in_path(request, kind)
        found = await request.run(metadefs.show_definition, name, wanted, resource_type=of_type)
        return json_reply(_definition_to_json(name, found))

    async def update_definition(request: Request) -> Reply:
        """Replace one definition."""
        new = await _parse(request, partial(metadef.parse_definition, kind=kind), metadefs.MODIFY[kind])
        name, was = request.path["namespace"], _definition_in_path(request, kind)
        changed = await request.run(metadefs.update_definition, name, was, new)
        return json_reply(_definition_to_json(name, changed))

    async def delete_definition(request: Request) -> Reply:
        """Remove one definition."""
        name = request.path["namespace"]
        await request.run(metadefs.delete_definition, name, _definition_in_path(request, kind))
        return Reply()

    async def delete_definitions(request: Request) -> Reply:
        """Remove every definition of one kind from a namespace."""
        await request.run(metadefs.delete_definitions, request.path["namespace"], kind)
        return Reply()

    return Handlers(list_definitions, add_definition, show_definition, update_definition, delete_definition, delete_definitions)


async def create_tag(request: Request) -> Reply:
    """Create the tag that the path names."""
    document = {"name": request.path["name"]}
    return await _add(request, metadef.parse_definition(document, DefinitionKind.TAG, now=request.edge.service.clock()))


async def add_tags(request: Request) -> Reply:
    """Create many tags. They replace the namespace's tags, unless `X-Openstack-Append` is true."""
    tags = await _parse(request, metadef.parse_tags, rules.ADD_TAGS)
    append = strutils.bool_from_string(request.header(b"x-openstack-append"))
    await request.run(metadefs.add_tags, request.path["namespace"], tags, append=append)
    return json_reply({"tags": [{"name": each.name} for each in tags]})


async def list_resource_types(request: Request) -> Reply:
    """List the resource types."""
    found = await request.run(metadefs.list_resource_types)
    return json_reply({"resource_types": [_association_to_json(each) for each in found]})


async def list_associations(request: Request) -> Reply:
    """List the resource types of a namespace."""
    found = await request.run(metadefs.list_associations, request.path["namespace"])
    return json_reply({"resource_type_associations": [_association_to_json(each) for each in found]})


async def associate(request: Request) -> Reply:
    """Associate a namespace with a resource type."""
    new = await _parse(request, metadef.parse_association, rules.ADD_ASSOCIATION)
    added = await request.run(metadefs.associate, request.path["namespace"], new)
    return json_reply(_association_to_json(added))


async def dissociate(request: Request) -> Reply:
    """End the association of a namespace with a resource type."""
    name, resource_type = request.path["namespace"], request.path["name"]
    await request.run(metadefs.dissociate, name, resource_type)
    return Reply()


async def show_schema(request: Request) -> Reply:
    """Show a schema of metadata definitions."""
    found = metadef_schemas.BY_NAME.get(request.path["schema"])
    if found is None:
        raise problems.RouteNotFound("The resource could not be found.")
    return json_reply(found)


async def _parse(request: Request, parse: Callable[..., Parsed], rule: str) -> Parsed:
    """Check the rule, then read the request's document in a thread.

    To validate thousands of definitions takes long, so that a caller without permission must not cause it.
    """
    await request.run(metadefs.require_change, request.path.get("namespace"), rule)
    document = await request.document()
    return await request.edge.threads.call(partial(parse, document, now=request.edge.service.clock()))


async def _add(request: Request, new: Definition) -> Reply:
    name = request.path["namespace"]
    added = await request.run(metadefs.add_definition, name, new)
    return json_reply(_definition_to_json(name, added))


def _definition_in_path(request: Request, kind: DefinitionKind) -> Definition:
    """Build the definition that the path names; only its name and kind are known."""
    now = request.edge.service.clock()
    return Definition(kind=kind, name=request.path["name"], created_at=now, updated_at=now)


def _namespace_path(name: str) -> str:
    return f"{paths.NAMESPACES}/{quote(name, safe=_PLAIN)}"


def _full_namespace_to_json(whole: FullNamespace) -> dict[str, Any]:
    name = whole.namespace.name
    by_kind = {kind: [each for each in whole.definitions if each.kind is kind] for kind in DefinitionKind}
    parts = {
        "objects": [_definition_to_json(name, each) for each in by_kind[DefinitionKind.OBJECT]],
        "resource_type_associations": [_association_to_json(each) for each in whole.associations],
        "properties": {each.name: dict(each.document) for each in by_kind[DefinitionKind.PROPERTY]},
        "tags": [{"name": each.name} for each in reversed(by_kind[DefinitionKind.TAG])],  # newest first, as in a list of tags alone
    }
    return {**_namespace_to_json(whole.namespace), **{part: value for part, value in parts.items() if value}}


def _namespace_to_json(namespace: Namespace) -> dict[str, Any]:
    written = {
        "namespace": namespace.name,
        "display_name": namespace.display_name,
        "description": namespace.description,
        "visibility": "public" if namespace.public else "private",
        "protected": namespace.protected,
        "owner": namespace.owner,
        "created_at": namespace.created_at,
        "updated_at": namespace.updated_at,
        "self": _namespace_path(namespace.name),
        "schema": f"{paths.METADEF_SCHEMAS}/namespace",
    }
    return {name: value for name, value in written.items() if value is not None}


def _definition_to_json(namespace: str, definition: Definition) -> dict[str, Any]:
    written = {"name": definition.name, **definition.document}
    if definition.kind is DefinitionKind.PROPERTY:
        return written
    written["created_at"] = definition.created_at
    written["updated_at"] = definition.updated_at
    if definition.kind is DefinitionKind.OBJECT:
        written |= {
            "self": f"{_namespace_path(namespace)}/objects/{quote(definition.name, safe=_PLAIN)}",
            "schema": f"{paths.METADEF_SCHEMAS}/object",
        }
    return written


def _association_to_json(association: Association) -> dict[str, Any]:
    written = {
        "name": association.resource_type,
        "prefix": association.prefix,
        "properties_target": association.properties_target,
        "created_at": association.created_at,
        "updated_at": association.updated_at,
    }
    return {name: value for name, value in written.items() if value is not None}


def _objects_to_json(namespace: str, found: Sequence[Definition]) -> dict[str, Any]:
    # The schema's path has no slash before it. Source: Glance.
    return {
        "objects": [_definition_to_json(namespace, each) for each in found],
        "schema": f"{paths.METADEF_SCHEMAS}/objects".removeprefix("/"),
    }


def _properties_to_json(_namespace: str, found: Sequence[Definition]) -> dict[str, Any]:
    return {"properties": {each.name: dict(each.document) for each in found}}


def _tags_to_json(_namespace: str, found: Sequence[Definition]) -> dict[str, Any]:
    return {"tags": [{"name": each.name} for each in found]}


def _tag_page_to_json(request: Request, tags: Sequence[Definition]) -> dict[str, Any]:
    """Sort tags and return the requested page.

    Differs from Glance: every page but the last has `next`, as in other lists.

    Raises:
        QueryInvalid: a parameter is malformed.
        MetadefNotFound: the marker is not a tag of the namespace, and the query does not have its position.
    """
    given, limit, direction = _read_page(request)
    sort_key = given.get("sort_key", "created_at")
    if sort_key not in ("created_at", "updated_at", "name"):
        raise problems.QueryInvalid("Tags are sorted by one of created_at, updated_at, name")
    ordered = sorted(tags, key=lambda each: metadefs.position_of_tag(each, sort_key), reverse=direction == "desc")
    marker, after = given.get("marker"), query.position_of(given.get(query.AFTER), [sort_key])
    if marker:
        key = marker.casefold()
        places = {each.key: metadefs.position_of_tag(each, sort_key) for each in tags}
        if key not in places and after is None:
            raise problems.MetadefNotFound(f"Could not find metadata tag {marker}")
        last = places.get(key) or (*(after or ()), key)
        ordered = [each for each in ordered if (places[each.key] < last if direction == "desc" else places[each.key] > last)]
    page = ordered[:limit]
    written = _tags_to_json(request.path["namespace"], page)
    if page and len(page) < len(ordered):
        position = metadefs.position_of_tag(page[-1], sort_key)[:1]
        path = f"{_namespace_path(request.path['namespace'])}/tags"
        written["next"] = query.link(query_strings.decode(request.query), page[-1].name, position, path=path)
    return written


def _read_page(request: Request, *, least: int = 0) -> tuple[dict[str, str], int, str]:
    """Read the parameters of a list of definitions: all parameters, the limit, and the sort direction.

    Raises:
        QueryInvalid: a parameter is malformed.
    """
    given = dict(query_strings.decode(request.query))
    limits = request.edge.service.limits
    direction = given.get("sort_dir", "desc")
    if direction not in ("asc", "desc"):
        raise problems.QueryInvalid(f"Invalid sort direction: {direction}")
    limit = query_strings.parse_limit(given.get("limit"), limits.page_default, limits.page_max)
    if limit < least:
        raise problems.QueryInvalid("limit param must be positive")
    return given, limit, direction


def _parse_query(given: dict[str, str], *, default: int, largest: int) -> NamespaceQuery:
    """Parse the parameters of a list call.

    Raises:
        QueryInvalid: a value is malformed.
    """
    visibility, direction = given.get("visibility"), given.get("sort_dir", "desc")
    if visibility and visibility not in ("public", "private"):
        raise problems.QueryInvalid(f"Invalid visibility value: {visibility}")
    if direction not in ("asc", "desc"):
        raise problems.QueryInvalid(f"Invalid sort direction: {direction}")
    sort_key = given.get("sort_key", "created_at")
    if sort_key not in SORT_KEYS:
        raise problems.QueryInvalid(f"Namespaces are sorted by one of {', '.join(SORT_KEYS)}")
    return NamespaceQuery(
        limit=query_strings.parse_limit(given.get("limit"), default, largest),
        public=None if not visibility else visibility == "public",
        resource_types=tuple(each for each in given.get("resource_types", "").split(",") if each),
        marker=given.get("marker"),
        after=query.position_of(given.get(query.AFTER), [sort_key]),
        sort_key=sort_key,
        descending=direction == "desc",
    )


objects = build_handlers(DefinitionKind.OBJECT, _objects_to_json)
properties = build_handlers(DefinitionKind.PROPERTY, _properties_to_json)
tags = build_handlers(DefinitionKind.TAG, _tags_to_json)
