"""Metadata definitions: namespaces, their definitions, and their associations with resource types.

Every operation finds the namespace first: a namespace that the caller may not see is not found.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from partage import problems
from partage.model.announcement import Defined, Event, Renamed
from partage.model.caller import Caller
from partage.model.metadef import Association, Definition, DefinitionKind, Namespace, NewNamespace
from partage.model.query import Position
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import metadefs as rules
from partage.records import metadefs
from partage.records.database import Transaction
from partage.records.metadefs import NamespaceQuery

GET_ONE = {DefinitionKind.OBJECT: rules.GET_OBJECT, DefinitionKind.PROPERTY: rules.GET_PROPERTY, DefinitionKind.TAG: rules.GET_TAG}
GET_ALL = {
    DefinitionKind.OBJECT: rules.GET_OBJECTS,
    DefinitionKind.PROPERTY: rules.GET_PROPERTIES,
    DefinitionKind.TAG: rules.GET_TAGS,
}
ADD = {DefinitionKind.OBJECT: rules.ADD_OBJECT, DefinitionKind.PROPERTY: rules.ADD_PROPERTY, DefinitionKind.TAG: rules.ADD_TAG}
MODIFY = {
    DefinitionKind.OBJECT: rules.MODIFY_OBJECT,
    DefinitionKind.PROPERTY: rules.MODIFY_PROPERTY,
    DefinitionKind.TAG: rules.MODIFY_TAG,
}
REMOVE = {
    DefinitionKind.OBJECT: rules.DELETE_OBJECT,
    DefinitionKind.PROPERTY: rules.REMOVE_PROPERTY,
    DefinitionKind.TAG: rules.DELETE_TAG,
}

_CREATED = {
    DefinitionKind.OBJECT: Event.OBJECT_CREATE,
    DefinitionKind.PROPERTY: Event.PROPERTY_CREATE,
    DefinitionKind.TAG: Event.TAG_CREATE,
}
_UPDATED = {
    DefinitionKind.OBJECT: Event.OBJECT_UPDATE,
    DefinitionKind.PROPERTY: Event.PROPERTY_UPDATE,
    DefinitionKind.TAG: Event.TAG_UPDATE,
}
_DELETED = {
    DefinitionKind.OBJECT: Event.OBJECT_DELETE,
    DefinitionKind.PROPERTY: Event.PROPERTY_DELETE,
    DefinitionKind.TAG: Event.TAG_DELETE,
}
_EMPTIED = {
    DefinitionKind.OBJECT: Event.NAMESPACE_DELETE_OBJECTS,
    DefinitionKind.PROPERTY: Event.NAMESPACE_DELETE_PROPERTIES,
    DefinitionKind.TAG: Event.NAMESPACE_DELETE_TAGS,
}

_NOT_FOUND = {
    DefinitionKind.OBJECT: "Could not find metadata object {}",
    DefinitionKind.PROPERTY: "Could not find property {}",
    DefinitionKind.TAG: "Could not find metadata tag {}",
}


@dataclass(frozen=True, slots=True)
class FullNamespace:
    """A namespace with its definitions and associations."""

    namespace: Namespace
    definitions: Sequence[Definition]
    associations: Sequence[Association]


def create_namespace(service: Service, caller: Caller, new: NewNamespace) -> FullNamespace:
    """Create a namespace with its definitions, all or nothing.

    Raises:
        PolicyForbids: the caller may not create it, or one of its parts.
        MetadefExists: another namespace has the name, or two definitions have the same name.
    """
    own = authority.project_target(caller.project_id)
    service.authority.require(caller, rules.ADD_NAMESPACE, own)
    if new.associations:
        service.authority.require(caller, rules.ADD_ASSOCIATION, own)
    for kind in sorted({each.kind for each in new.definitions}):
        service.authority.require(caller, ADD[kind], own)
    namespace = new.namespace if new.owner_given else replace(new.namespace, owner=caller.project_id)
    with service.database.write() as tx:
        metadefs.add(tx, namespace)
        metadefs.associate(tx, namespace.name, new.associations)
        with _limit_growth(service, tx, namespace.name):
            metadefs.add_definitions(tx, namespace.name, new.definitions)
    service.announce(Event.NAMESPACE_CREATE, namespace)
    for association in new.associations:
        service.announce(Event.RESOURCE_TYPE_CREATE, Defined(namespace=namespace.name, what=association))
    _announce_created(service, namespace.name, new.definitions)
    return FullNamespace(namespace, new.definitions, new.associations)


def require_change(service: Service, caller: Caller, name: str | None, rule: str) -> None:
    """Check a rule on the namespace, or on the caller's project if `name` is None, before the request's document is read.

    The operation checks it again, in its own transaction.

    Raises:
        MetadefNotFound, PolicyForbids: the caller cannot see the namespace, or cannot change it.
    """
    if name is None:
        service.authority.require(caller, rule, authority.project_target(caller.project_id))
        return
    with service.database.read() as tx:
        _find_authorised(service, tx, caller, name, rule)


def list_namespaces(service: Service, caller: Caller, query: NamespaceQuery) -> list[FullNamespace]:
    """List namespaces with their associations, without definitions.

    Raises:
        PolicyForbids: the caller may not list namespaces.
        MetadefNotFound: the caller sees no namespace with the name of the marker.
    """
    own = authority.project_target(caller.project_id)
    service.authority.require(caller, rules.GET_NAMESPACES, own)
    with service.database.read() as tx:
        found = metadefs.page(tx, caller, query)
        types = metadefs.list_associations(tx, [each.name for each in found])
    shown = [each for each in found if service.authority.allows(caller, rules.GET_NAMESPACE, authority.namespace_target(each))]
    return [FullNamespace(each, (), types.get(each.name, ())) for each in shown]


def position(namespace: Namespace, query: NamespaceQuery) -> Position:
    """Return a namespace's position in a list."""
    return metadefs.position(namespace, query)


def position_of_tag(tag: Definition, sort_key: str) -> Position:
    """Return a tag's position in a list: the value of the sort key, and the tag's key."""
    return metadefs.tag_position(tag, sort_key)


def show_namespace(service: Service, caller: Caller, name: str, *, resource_type: str | None) -> FullNamespace:
    """Return a namespace with its definitions. With a `resource_type`, property names have that type's prefix.

    Raises:
        MetadefNotFound: there is no such namespace, or the caller may not see it.
    """
    with service.database.read() as tx:
        namespace = _find(service, tx, caller, name)
        definitions = metadefs.list_definitions(tx, name)
        associations = metadefs.list_associations(tx, [name]).get(name, [])
    prefix = _prefix(associations, resource_type)
    return FullNamespace(namespace, [each.with_prefix(prefix) for each in definitions] if prefix else definitions, associations)


def update_namespace(service: Service, caller: Caller, name: str, new: NewNamespace) -> Namespace:
    """Replace all attributes of a namespace. Attributes that are not given get their defaults.

    Raises:
        MetadefNotFound, PolicyForbids: the caller may not see it, or not change it.
        MetadefExists: another namespace has the new name.
    """
    with service.database.write() as tx:
        namespace = _find_authorised(service, tx, caller, name, rules.MODIFY_NAMESPACE)
        owner = new.namespace.owner if new.owner_given else caller.project_id
        changed = replace(new.namespace, owner=owner, created_at=namespace.created_at)
        metadefs.save(tx, changed, name=name)
    service.announce(Event.NAMESPACE_UPDATE, Renamed(namespace=changed, old_name=name))
    return changed


def delete_namespace(service: Service, caller: Caller, name: str) -> None:
    """Delete a namespace with its definitions.

    Raises:
        MetadefNotFound, PolicyForbids, NamespaceProtected: the caller may not see it, may not delete it, or it is protected.
    """
    with service.database.write() as tx:
        namespace = _find_authorised(service, tx, caller, name, rules.DELETE_NAMESPACE)
        namespace.require_unprotected(f"namespace {name}")
        metadefs.remove(tx, name)
    service.announce(Event.NAMESPACE_DELETE, namespace)


def list_definitions(service: Service, caller: Caller, name: str, kind: DefinitionKind) -> list[Definition]:
    """List a namespace's definitions of one kind, oldest first.

    Raises:
        MetadefNotFound, PolicyForbids: the caller may not see the namespace, or not these definitions.
    """
    with service.database.read() as tx:
        _find_authorised(service, tx, caller, name, GET_ALL[kind])
        return metadefs.list_definitions(tx, name, kind)


def show_definition(
    service: Service, caller: Caller, name: str, wanted: Definition, *, resource_type: str | None = None
) -> Definition:
    """Return the definition that has the kind and name of `wanted`.

    Raises:
        MetadefNotFound, PolicyForbids: it does not exist, or the caller may not see it.
    """
    with service.database.read() as tx:
        _find_authorised(service, tx, caller, name, GET_ONE[wanted.kind])
        prefix = _prefix_of(tx, name, resource_type) if resource_type is not None else ""
        if prefix:
            if not wanted.name.startswith(prefix):
                raise problems.MetadefNotFound(
                    f"Property {wanted.name} does not start with the expected resource type association prefix of '{prefix}'.",
                )
            wanted = replace(wanted, name=wanted.name.removeprefix(prefix))
        return _definition(tx, name, wanted)


def add_definition(service: Service, caller: Caller, name: str, new: Definition) -> Definition:
    """Add a definition to a namespace.

    Raises:
        MetadefNotFound, PolicyForbids: the caller may not see the namespace, or not add to it.
        MetadefExists: the definition exists.
        TooMany: the namespace's definitions would take too many bytes.
    """
    with service.database.write() as tx:
        _find_authorised(service, tx, caller, name, ADD[new.kind])
        with _limit_growth(service, tx, name):
            metadefs.add_definitions(tx, name, [new])
    _announce_created(service, name, [new])
    return new


def update_definition(service: Service, caller: Caller, name: str, was: Definition, new: Definition) -> Definition:
    """Replace the definition that has the kind and name of `was`; its name may change.

    Raises:
        MetadefNotFound, PolicyForbids: it does not exist, or the caller may not see or change it.
        MetadefExists: another definition has the new name.
        TooMany: as `add_definition`.
    """
    with service.database.write() as tx:
        _find_authorised(service, tx, caller, name, MODIFY[was.kind])
        found = _definition(tx, name, was)
        changed = replace(new, created_at=found.created_at)
        with _limit_growth(service, tx, name):
            metadefs.save_definition(tx, name, changed, key=was.key)
    service.announce(_UPDATED[was.kind], Defined(namespace=name, what=changed, old_name=found.name))
    return changed


def delete_definition(service: Service, caller: Caller, name: str, gone: Definition) -> None:
    """Delete the definition that has the kind and name of `gone`.

    Raises:
        MetadefNotFound, PolicyForbids, NamespaceProtected: as `delete_namespace`.
    """
    with service.database.write() as tx:
        namespace = _find_authorised(service, tx, caller, name, REMOVE[gone.kind])
        found = _definition(tx, name, gone)
        namespace.require_unprotected(f"{gone.kind} {gone.name}")
        metadefs.remove_definitions(tx, name, gone.kind, gone.key)
    service.announce(_DELETED[gone.kind], Defined(namespace=name, what=found))


def delete_definitions(service: Service, caller: Caller, name: str, kind: DefinitionKind) -> None:
    """Delete all of a namespace's definitions of one kind.

    Raises:
        MetadefNotFound, PolicyForbids, NamespaceProtected: as `delete_namespace`.
    """
    with service.database.write() as tx:
        namespace = _find_authorised(service, tx, caller, name, rules.DELETE_NAMESPACE)
        if kind is DefinitionKind.TAG:
            service.authority.require(caller, rules.DELETE_TAGS, authority.namespace_target(namespace))
        namespace.require_unprotected(f"namespace {name}")
        metadefs.remove_definitions(tx, name, kind)
    service.announce(_EMPTIED[kind], namespace)


def add_tags(service: Service, caller: Caller, name: str, tags: Sequence[Definition], *, append: bool) -> None:
    """Add many tags, or replace all tags by them.

    Raises:
        MetadefNotFound, PolicyForbids: the caller may not see the namespace, or not add to it.
        MetadefExists: one of them exists, or is given twice.
        TooMany: as `add_definition`.
    """
    with service.database.write() as tx:
        _find_authorised(service, tx, caller, name, rules.ADD_TAGS)
        with _limit_growth(service, tx, name):
            if not append:
                metadefs.remove_definitions(tx, name, DefinitionKind.TAG)
            metadefs.add_definitions(tx, name, tags)
    _announce_created(service, name, tags)


def list_resource_types(service: Service, caller: Caller) -> list[Association]:
    """List the resource types that any namespace was ever associated with.

    Raises:
        PolicyForbids: the caller may not list them.
    """
    service.authority.require(caller, rules.LIST_RESOURCE_TYPES, authority.project_target(caller.project_id))
    with service.database.read() as tx:
        return metadefs.list_resource_types(tx)


def list_associations(service: Service, caller: Caller, name: str) -> list[Association]:
    """List a namespace's associations with resource types.

    Raises:
        MetadefNotFound, PolicyForbids: the caller may not see the namespace, or not its associations.
    """
    with service.database.read() as tx:
        namespace = _find_authorised(service, tx, caller, name, rules.LIST_RESOURCE_TYPES)
        found = metadefs.list_associations(tx, [name]).get(name, [])
    return found if service.authority.allows(caller, rules.GET_RESOURCE_TYPE, authority.namespace_target(namespace)) else []


def associate(service: Service, caller: Caller, name: str, new: Association) -> Association:
    """Associate a namespace with a resource type.

    Raises:
        MetadefNotFound, PolicyForbids: the caller may not see the namespace, or not change it.
        MetadefExists: they are associated already.
    """
    with service.database.write() as tx:
        _find_authorised(service, tx, caller, name, rules.ADD_ASSOCIATION)
        metadefs.associate(tx, name, [new])
    service.announce(Event.RESOURCE_TYPE_CREATE, Defined(namespace=name, what=new))
    return new


def dissociate(service: Service, caller: Caller, name: str, resource_type: str) -> None:
    """Remove the association of a namespace with a resource type.

    Raises:
        MetadefNotFound, PolicyForbids, NamespaceProtected: as `delete_namespace`.
    """
    with service.database.write() as tx:
        namespace = _find_authorised(service, tx, caller, name, rules.REMOVE_ASSOCIATION)
        list_associations = metadefs.list_associations(tx, [name]).get(name, [])
        found = next((each for each in list_associations if each.resource_type == resource_type), None)
        if found is None:
            raise problems.MetadefNotFound(f"Failed to find resource type {resource_type} to delete")
        namespace.require_unprotected(f"resource-type-association {resource_type}")
        metadefs.dissociate(tx, name, resource_type)
    service.announce(Event.RESOURCE_TYPE_DELETE, Defined(namespace=name, what=found))


def _announce_created(service: Service, namespace: str, definitions: Sequence[Definition]) -> None:
    for each in definitions:
        service.announce(_CREATED[each.kind], Defined(namespace=namespace, what=each))


def _find(service: Service, tx: Transaction, caller: Caller, name: str) -> Namespace:
    namespace = metadefs.find(tx, caller, name)
    if not service.authority.allows(caller, rules.GET_NAMESPACE, authority.namespace_target(namespace)):
        raise problems.MetadefNotFound(f"Metadata definition namespace={name} was not found.")
    return namespace


def _find_authorised(service: Service, tx: Transaction, caller: Caller, name: str, rule: str) -> Namespace:
    namespace = _find(service, tx, caller, name)
    service.authority.require(caller, rule, authority.namespace_target(namespace))
    return namespace


def _definition(tx: Transaction, namespace: str, wanted: Definition) -> Definition:
    found = metadefs.find_definition(tx, namespace, wanted.kind, wanted.key)
    if found is None:
        raise problems.MetadefNotFound(_NOT_FOUND[wanted.kind].format(wanted.name))
    return found


def _prefix_of(tx: Transaction, namespace: str, resource_type: str) -> str:
    associations = metadefs.list_associations(tx, [namespace]).get(namespace, [])
    if not any(each.resource_type == resource_type for each in associations):
        raise problems.MetadefNotFound(
            f"The metadata definition resource-type association of resource-type={resource_type} "
            f"to namespace={namespace}, was not found."
        )
    return _prefix(associations, resource_type)


@contextmanager
def _limit_growth(service: Service, tx: Transaction, name: str) -> Iterator[None]:
    """Limit the growth of a namespace's definitions in the block: a response has all of them, without pages."""
    before_bytes = metadefs.count_definition_bytes(tx, name)
    yield
    size_bytes = metadefs.count_definition_bytes(tx, name)
    if size_bytes > before_bytes:
        service.limits.check_namespace(size_bytes)


def _prefix(associations: Sequence[Association], resource_type: str | None) -> str:
    return next((each.prefix or "" for each in associations if each.resource_type == resource_type), "")
