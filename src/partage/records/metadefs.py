"""Rows of metadata definitions: namespaces, their definitions, and their associations with resource types."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, exc, func, insert, literal, or_, select, true, update

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.model.metadef import Association, Definition, DefinitionKind, Namespace
from partage.model.query import Position
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import metadef_associations as associations
from partage.records.tables import metadef_definitions as definitions
from partage.records.tables import metadef_namespaces as namespaces
from partage.records.tables import metadef_resource_types as resource_types


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceQuery:
    """A page of namespaces. `public` None is both, `resource_types` empty is any.

    `after` is the position of the marker when it was listed, in case it no longer exists.
    """

    limit: int
    public: bool | None = None
    resource_types: tuple[str, ...] = ()
    marker: str | None = None
    after: Position | None = None
    sort_key: str = "created_at"
    descending: bool = True


SORT_KEYS = {"namespace": "name", "display_name": "display_name", "created_at": "created_at", "updated_at": "updated_at"}
"""The API's sort keys and the column of each."""

_EMPTY_OBJECT: dict[str, object] = {"required": [], "properties": {}}
"""Defaults of an object. Source: Glance shows both even if the client sent neither."""

_REACH = {True: true(), False: or_(namespaces.c.public, namespaces.c.owner == bindparam("project"))}
_FIND = {is_admin: select(*namespaces.c).where(namespaces.c.name == bindparam("name"), reach) for is_admin, reach in _REACH.items()}
_DEFINED = (
    select(definitions.c.kind, definitions.c.name, definitions.c.document, definitions.c.created_at, definitions.c.updated_at)
    .where(definitions.c.namespace == bindparam("namespace"))
    .order_by(definitions.c.created_at, definitions.c.name)
)
_ROW_BYTES = 100
"""Bytes of a definition's times and punctuation in a response, beside its name and document."""
_DEFINED_BYTES = select(
    func.coalesce(func.sum(func.length(definitions.c.name) + func.length(definitions.c.document) + _ROW_BYTES), 0)
).where(definitions.c.namespace == bindparam("namespace"))
_ASSOCIATED = (
    select(*associations.c)
    .where(associations.c.namespace.in_(bindparam("names", expanding=True)))
    .order_by(associations.c.created_at, associations.c.resource_type)
)


def find(tx: Transaction, caller: Caller, name: str) -> Namespace:
    """Return a namespace that the caller may see: a public one, or one of its own project.

    Raises:
        MetadefNotFound: there is no such namespace, or the caller may not see it.
    """
    row = tx.execute(_FIND[caller.is_admin], {"name": name, "project": caller.project_id}).first()
    if row is None:
        raise problems.MetadefNotFound(f"Metadata definition namespace={name} was not found.")
    return _namespace(row)


def page(tx: Transaction, caller: Caller, query: NamespaceQuery) -> list[Namespace]:
    """Return at most `query.limit` namespaces in order, after the marker.

    Raises:
        MetadefNotFound: the caller sees no namespace with the name of the marker, and the query does not have its position.
    """
    statement: Select[Any] = select(*namespaces.c).where(_REACH[caller.is_admin])
    if query.public is not None:
        statement = statement.where(namespaces.c.public.is_(query.public))
    if query.resource_types:
        named = select(associations.c.namespace).where(associations.c.resource_type.in_(query.resource_types))
        statement = statement.where(namespaces.c.name.in_(named))
    column: ColumnElement[Any] = namespaces.c[SORT_KEYS[query.sort_key]]
    key = column if query.sort_key.endswith("_at") else func.coalesce(column, "")
    if query.marker is not None:
        statement = statement.where(_build_marker_condition(tx, caller, query, key))
    order = (key.desc(), namespaces.c.name.desc()) if query.descending else (key, namespaces.c.name)
    found = tx.execute(statement.order_by(*order).limit(query.limit), {"project": caller.project_id})
    return [_namespace(row) for row in found]


def position(namespace: Namespace, query: NamespaceQuery) -> Position:
    """Return a namespace's position in a list."""
    value = getattr(namespace, SORT_KEYS[query.sort_key])
    return (to_microseconds(value) if isinstance(value, datetime) else value or "",)


def tag_position(tag: Definition, sort_key: str) -> Position:
    """Return a tag's position in a list: the value of the sort key, and the tag's key. Names are compared without case."""
    value = tag.key if sort_key == "name" else getattr(tag, sort_key)
    return (to_microseconds(value) if isinstance(value, datetime) else value, tag.key)


def add(tx: Transaction, namespace: Namespace) -> None:
    """Insert a namespace.

    Raises:
        MetadefExists: there is a namespace with that name.
    """
    taken = problems.MetadefExists(f"The metadata definition namespace={namespace.name} already exists.")
    try:
        tx.execute(insert(namespaces), _row(namespace))
    except exc.IntegrityError as error:
        raise taken from error


def save(tx: Transaction, namespace: Namespace, *, name: str) -> None:
    """Write a changed namespace over the one with that name; its definitions follow when the name changes.

    Raises:
        MetadefExists: another namespace has the new name.
    """
    try:
        tx.execute(update(namespaces).where(namespaces.c.name == name).values(_row(namespace)))
    except exc.IntegrityError as error:
        raise problems.MetadefExists(
            f"Invalid update. It would result in a duplicate metadata definition namespace with the same name of {namespace.name}",
        ) from error


def remove(tx: Transaction, name: str) -> None:
    """Delete a namespace with its definitions."""
    tx.execute(delete(namespaces).where(namespaces.c.name == name))


def list_private(tx: Transaction, project_id: ProjectID, *, limit_rows: int) -> list[Namespace]:
    """List a project's private namespaces by name."""
    private = select(*namespaces.c).where(namespaces.c.owner == project_id, namespaces.c.public.is_(False))
    return [_namespace(row) for row in tx.execute(private.order_by(namespaces.c.name).limit(limit_rows))]


def count_owned(tx: Transaction, project_id: ProjectID, *, public: bool) -> int:
    """Count a project's public or private namespaces."""
    of = (namespaces.c.owner == project_id, namespaces.c.public.is_(public))
    return int(tx.execute(select(func.count()).select_from(namespaces).where(*of)).scalar_one())


def list_definitions(tx: Transaction, namespace: str, kind: DefinitionKind | None = None) -> list[Definition]:
    """List a namespace's definitions, of one kind or of all, oldest first."""
    statement = _DEFINED if kind is None else _DEFINED.where(definitions.c.kind == kind.value)
    return [_definition(row) for row in tx.execute(statement, {"namespace": namespace})]


def count_definition_bytes(tx: Transaction, namespace: str) -> int:
    """Return how many bytes a namespace's definitions take in a response, approximately."""
    found: int = tx.execute(_DEFINED_BYTES, {"namespace": namespace}).scalar_one()
    return found


def find_definition(tx: Transaction, namespace: str, kind: DefinitionKind, key: str) -> Definition | None:
    """Return one definition by its key, or None."""
    statement = _DEFINED.where(definitions.c.kind == kind.value, definitions.c.key == key)
    row = tx.execute(statement, {"namespace": namespace}).first()
    return None if row is None else _definition(row)


def add_definitions(tx: Transaction, namespace: str, added: Iterable[Definition]) -> None:
    """Insert definitions.

    Raises:
        MetadefExists: one of them exists.
    """
    for each in added:
        try:
            tx.execute(insert(definitions), {"namespace": namespace, **_definition_row(each)})
        except exc.IntegrityError as error:
            raise _exists(each, namespace) from error


def save_definition(tx: Transaction, namespace: str, changed: Definition, *, key: str) -> None:
    """Write a changed definition over the one with that key.

    Raises:
        MetadefExists: another definition has the new name.
    """
    mine = (definitions.c.namespace == namespace, definitions.c.kind == changed.kind.value, definitions.c.key == key)
    try:
        tx.execute(update(definitions).where(*mine).values(_definition_row(changed)))
    except exc.IntegrityError as error:
        raise _exists(changed, namespace) from error


def remove_definitions(tx: Transaction, namespace: str, kind: DefinitionKind, key: str | None = None) -> None:
    """Delete one definition, or all of a kind."""
    mine = [definitions.c.namespace == namespace, definitions.c.kind == kind.value]
    mine += [] if key is None else [definitions.c.key == key]
    tx.execute(delete(definitions).where(*mine))


def list_resource_types(tx: Transaction) -> list[Association]:
    """List the resource types that any namespace was ever associated with, oldest first, without prefixes."""
    statement = select(*resource_types.c).order_by(resource_types.c.created_at, resource_types.c.name)
    return [
        Association(resource_type=name, created_at=from_microseconds(created_at), updated_at=from_microseconds(updated_at))
        for name, created_at, updated_at in tx.execute(statement)
    ]


def add_resource_type(tx: Transaction, added: Association) -> bool:
    """Insert a resource type that no namespace needs to have; return False if it is there."""
    known = tx.execute(select(resource_types.c.name).where(resource_types.c.name == added.resource_type)).first()
    if known is not None:
        return False
    times = {"created_at": to_microseconds(added.created_at), "updated_at": to_microseconds(added.updated_at)}
    tx.execute(insert(resource_types), {"name": added.resource_type, **times})
    return True


def exists(tx: Transaction, name: str) -> bool:
    """Return whether there is a namespace of that name, visible to the caller or not."""
    return tx.execute(select(namespaces.c.name).where(namespaces.c.name == name)).first() is not None


def list_associations(tx: Transaction, names: Collection[str]) -> dict[str, list[Association]]:
    """List the associations of these namespaces by name, oldest first. Namespaces without associations are left out."""
    found: dict[str, list[Association]] = {}
    for name, resource_type, prefix, target, created_at, updated_at in tx.execute(_ASSOCIATED, {"names": list(names)}):
        found.setdefault(name, []).append(
            Association(
                resource_type=resource_type,
                prefix=prefix,
                properties_target=target,
                created_at=from_microseconds(created_at),
                updated_at=from_microseconds(updated_at),
            ),
        )
    return found


def associate(tx: Transaction, namespace: str, added: Iterable[Association]) -> None:
    """Insert associations, and the resource types that are new.

    Raises:
        MetadefExists: one of them exists.
    """
    for each in added:
        add_resource_type(tx, each)
        times = {"created_at": to_microseconds(each.created_at), "updated_at": to_microseconds(each.updated_at)}
        row = {"namespace": namespace, "resource_type": each.resource_type, "prefix": each.prefix, **times}
        try:
            tx.execute(insert(associations), {**row, "properties_target": each.properties_target})
        except exc.IntegrityError as error:
            raise problems.MetadefExists(
                f"The metadata definition resource-type association of resource-type={each.resource_type} to "
                f"namespace={namespace} already exists.",
            ) from error


def dissociate(tx: Transaction, namespace: str, resource_type: str) -> bool:
    """Delete an association; return whether it existed."""
    mine = and_(associations.c.namespace == namespace, associations.c.resource_type == resource_type)
    return tx.execute(delete(associations).where(mine)).rowcount == 1


def _build_marker_condition(tx: Transaction, caller: Caller, query: NamespaceQuery, key: ColumnElement[Any]) -> ColumnElement[bool]:
    marker = query.marker or ""
    last: ColumnElement[Any] = select(key).where(namespaces.c.name == marker, _REACH[caller.is_admin]).scalar_subquery()
    if query.after is None:
        marker = find(tx, caller, marker).name
    else:
        last = func.coalesce(last, literal(query.after[0], key.type))
    beyond = key < last if query.descending else key > last
    same = namespaces.c.name < marker if query.descending else namespaces.c.name > marker
    return or_(beyond, and_(key == last, same))


def _exists(definition: Definition, namespace: str) -> problems.MetadefExists:
    if definition.kind is DefinitionKind.TAG:
        return problems.MetadefExists(
            f"A metadata tag with name={definition.name} already exists in namespace={namespace}. "
            "(Please note that metadata tag names are case insensitive).",
        )
    return problems.MetadefExists(
        f"A metadata definition {definition.kind} with name={definition.name} already exists in namespace={namespace}.",
    )


def _row(namespace: Namespace) -> dict[str, object]:
    return {
        "name": namespace.name,
        "owner": namespace.owner,
        "display_name": namespace.display_name,
        "description": namespace.description,
        "public": namespace.public,
        "protected": namespace.protected,
        "created_at": to_microseconds(namespace.created_at),
        "updated_at": to_microseconds(namespace.updated_at),
    }


def _namespace(row: Sequence[Any]) -> Namespace:
    name, owner, display_name, description, public, protected, created_at, updated_at = row
    return Namespace(
        name=name,
        owner=None if owner is None else ProjectID(owner),
        display_name=display_name,
        description=description,
        public=public,
        protected=protected,
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
    )


def _definition_row(definition: Definition) -> dict[str, object]:
    return {
        "kind": definition.kind.value,
        "key": definition.key,
        "name": definition.name,
        "document": orjson.dumps(dict(definition.document)).decode(),
        "created_at": to_microseconds(definition.created_at),
        "updated_at": to_microseconds(definition.updated_at),
    }


def _definition(row: Sequence[Any]) -> Definition:
    kind, name, document, created_at, updated_at = row
    empty = _EMPTY_OBJECT if kind == DefinitionKind.OBJECT else {}
    return Definition(
        kind=DefinitionKind(kind),
        name=name,
        document={**empty, **orjson.loads(document)},
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
    )
