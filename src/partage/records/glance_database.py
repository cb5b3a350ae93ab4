"""Reads the database of a Glance: MariaDB, MySQL, PostgreSQL or SQLite. Never writes to it.

Source: Glance, `glance/db/sqlalchemy/models.py` and `models_metadef.py`, since the release Rocky.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, String, Table, Text, event, exc, inspect, select
from sqlalchemy.engine import URL, make_url

from partage import problems
from partage.model.glance import GlanceImage, GlanceLocation, GlanceMember, GlanceNamespace, GlanceTask
from partage.model.ids import ImageID, ProjectID
from partage.model.metadef import Association, Definition, DefinitionKind, Namespace

_IMAGES_AT_ONCE = 500
_DRIVERS = {
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "sqlite": "sqlite",
}
_EXTRAS = {"mysql+pymysql": "mariadb", "postgresql+psycopg": "postgresql"}
_IS_DELETED = ("deleted", "pending_delete")
"""Statuses of images that are deleted, also while their row says otherwise because Glance failed in the middle."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _table(name: str, texts: str, numbers: str = "", flags: str = "", times: str = "") -> Table:
    """Describe the columns of a table that are read."""
    columns: list[Column[Any]] = [Column(each, Text) for each in texts.split()]
    columns += [Column(each, Integer) for each in numbers.split()]
    columns += [Column(each, Boolean) for each in flags.split()]
    columns += [Column(each, DateTime) for each in times.split()]
    return Table(name, MetaData(), *columns)


_IMAGES = _table(
    "images",
    "id name owner status visibility disk_format container_format checksum os_hash_algo os_hash_value",
    "size virtual_size min_disk min_ram",
    "protected os_hidden deleted",
    "created_at updated_at",
)
_TAGS = _table("image_tags", "image_id value", flags="deleted")
_PROPERTIES = _table("image_properties", "image_id name value", flags="deleted")
_MEMBERS = _table("image_members", "image_id member status", flags="deleted", times="created_at updated_at")
_LOCATIONS = _table("image_locations", "image_id value meta_data status", "id", flags="deleted")
_TASKS = _table(
    "tasks",
    "id type status owner image_id request_id user_id",
    flags="deleted",
    times="expires_at created_at updated_at",
)
_TASK_INFO = _table("task_info", "task_id input result message")
_NAMESPACES = _table(
    "metadef_namespaces",
    "namespace display_name description visibility owner",
    "id",
    flags="protected",
    times="created_at updated_at",
)
_OBJECTS = _table("metadef_objects", "name description required json_schema", "namespace_id", times="created_at updated_at")
_DEFINED_PROPERTIES = _table("metadef_properties", "name json_schema", "namespace_id", times="created_at updated_at")
_DEFINED_TAGS = _table("metadef_tags", "name", "namespace_id", times="created_at updated_at")
_RESOURCE_TYPES = _table("metadef_resource_types", "name", "id", times="created_at updated_at")
_ASSOCIATIONS = _table(
    "metadef_namespace_resource_types",
    "properties_target prefix",
    "namespace_id resource_type_id",
    times="created_at updated_at",
)
_CACHED = Table("cached_images", MetaData(), Column("image_id", String(36)))
_OF_IMAGES = (_IMAGES, _TAGS, _PROPERTIES, _MEMBERS, _LOCATIONS, _TASKS, _TASK_INFO)
_OF_DEFINITIONS = (_NAMESPACES, _OBJECTS, _DEFINED_PROPERTIES, _DEFINED_TAGS, _RESOURCE_TYPES, _ASSOCIATIONS)


class GlanceDatabase:
    """The database of a Glance. Every method opens a transaction of its own, which reads only; Glance may go on meanwhile."""

    def __init__(self, url: str) -> None:
        """Prepare connections to `url`, the value of Glance's `[database] connection`.

        Raises:
            Invalid: it names no database that can be read; the message does not repeat it, because it has a password.
            Unavailable: the driver of the database is not installed.
        """
        target = _translate(url)
        try:
            self._engine = sqlalchemy.create_engine(target, poolclass=sqlalchemy.NullPool)
        except ImportError as error:
            raise problems.Unavailable(
                f"The database of Glance needs a driver that is not installed; install it with: "
                f"pip install 'partage[{_EXTRAS.get(target.drivername, '')}]'"
            ) from error
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", lambda connection, _record: connection.execute("PRAGMA query_only = 1"))
        host = target.host or target.query.get("host") or target.query.get("unix_socket")
        self.source = hashlib.sha256(f"{host}:{target.port}/{target.database}".encode()).hexdigest()[:32]
        """Tells this Glance from others that were taken over."""

    def check(self) -> None:
        """Check that the database can be read and has the tables of a Glance.

        Raises:
            Unavailable: it cannot be read.
            Invalid: it is not the database of a Glance, or of one that is too old.
        """
        with self._read() as connection:
            inspector = inspect(connection)
            for table in (*_OF_IMAGES, *_OF_DEFINITIONS):
                found = {each["name"] for each in inspector.get_columns(table.name)} if inspector.has_table(table.name) else set()
                missing = [column.name for column in table.c if column.name not in found]
                if missing and table is _TASKS and "deleted" in found:
                    continue  # the columns that say whose task it is came with Wallaby; see `list_tasks`
                if missing:
                    raise problems.Invalid(
                        f"The database has no table {table.name} with {', '.join(missing)}, as Glance has since Rocky; upgrade "
                        "that Glance first, or correct connection in its section database"
                    )

    def list_images(self) -> Iterator[GlanceImage]:
        """Yield the images that are not deleted, by id, some hundred in one transaction.

        Raises:
            Unavailable: the database cannot be read.
        """
        after = ""
        while True:
            with self._read() as connection:
                present = (_IMAGES.c.deleted.is_(False), _IMAGES.c.status.not_in(_IS_DELETED))
                statement = select(*_IMAGES.c).where(*present, _IMAGES.c.id > after)
                rows = connection.execute(statement.order_by(_IMAGES.c.id).limit(_IMAGES_AT_ONCE)).all()
                found = _join(connection, rows)
            yield from found
            if len(rows) < _IMAGES_AT_ONCE:
                return
            after = rows[-1].id

    def list_deleted_ids(self) -> list[ImageID]:
        """List the ids of deleted images that Glance still knows.

        Raises:
            Unavailable: the database cannot be read.
        """
        with self._read() as connection:
            is_deleted = _IMAGES.c.deleted.is_(True) | _IMAGES.c.status.in_(_IS_DELETED)
            deleted = select(_IMAGES.c.id).where(is_deleted).order_by(_IMAGES.c.id)
            return [ImageID(each) for each in connection.execute(deleted).scalars()]

    def list_tasks(self) -> list[GlanceTask]:
        """List the tasks that are not deleted.

        Raises:
            Unavailable: the database cannot be read.
        """
        with self._read() as connection:
            known = {each["name"] for each in inspect(connection).get_columns(_TASKS.name)}
            columns = [column for column in _TASKS.c if column.name in known]
            joined = _TASKS.join(_TASK_INFO, _TASK_INFO.c.task_id == _TASKS.c.id)
            statement = select(*columns, _TASK_INFO.c.input, _TASK_INFO.c.result, _TASK_INFO.c.message).select_from(joined)
            rows = connection.execute(statement.where(_TASKS.c.deleted.is_(False)).order_by(_TASKS.c.id)).mappings().all()
        return [_read_task(row) for row in rows]

    def list_namespaces(self) -> list[GlanceNamespace]:
        """List the namespaces of metadata definitions with what is in them.

        Raises:
            Unavailable: the database cannot be read.
        """
        with self._read() as connection:
            definitions, associations = _read_definitions(connection), _read_associations(connection)
            rows = connection.execute(select(*_NAMESPACES.c).order_by(_NAMESPACES.c.id)).all()
        return [
            GlanceNamespace(
                namespace=_read_namespace(row),
                definitions=tuple(definitions[row.id]),
                associations=tuple(associations[row.id]),
            )
            for row in rows
        ]

    def list_resource_types(self) -> list[Association]:
        """List the resource types, whether a namespace has them or not.

        Raises:
            Unavailable: the database cannot be read.
        """
        with self._read() as connection:
            rows = connection.execute(select(*_RESOURCE_TYPES.c).order_by(_RESOURCE_TYPES.c.id)).all()
        return [Association(resource_type=row.name, created_at=_utc(row.created_at), updated_at=_find_change(row)) for row in rows]

    def list_cached(self) -> list[ImageID]:
        """List the images that a node of Glance has in its cache; none if Glance keeps that elsewhere.

        Raises:
            Unavailable: the database cannot be read.
        """
        with self._read() as connection:
            if not inspect(connection).has_table(_CACHED.name):
                return []
            return [ImageID(each) for each in connection.execute(select(_CACHED.c.image_id).distinct()).scalars()]

    @contextmanager
    def _read(self) -> Iterator[sqlalchemy.Connection]:
        level = "AUTOCOMMIT" if self._engine.dialect.name == "sqlite" else "REPEATABLE READ"
        try:
            with self._connect().execution_options(isolation_level=level) as connection, connection.begin():
                if level == "AUTOCOMMIT":
                    connection.exec_driver_sql("BEGIN")
                yield connection
                if level == "AUTOCOMMIT":
                    connection.exec_driver_sql("COMMIT")
        except exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise problems.Unavailable(
                f"The database of Glance cannot be read: {reason}; check connection in the section database of its configuration"
            ) from error

    def _connect(self) -> sqlalchemy.Connection:
        try:
            return self._engine.connect()
        except (TypeError, ValueError, OSError) as error:  # parameters of the URL that the driver does not have, or absent files
            raise problems.Unavailable(
                f"The database of Glance cannot be read: {error}; check connection in the section database of its configuration"
            ) from error


def _translate(url: str) -> URL:
    """Return the URL of Glance's database for the drivers that this package has."""
    try:
        given = make_url(url)
        driver = _DRIVERS[given.get_backend_name()]
    except (exc.ArgumentError, KeyError, ValueError) as error:
        raise problems.Invalid(
            "connection in the section database of Glance's configuration names no MariaDB, MySQL, PostgreSQL or SQLite database; "
            "correct it, or the file's name"
        ) from error
    return given.set(drivername=driver).difference_update_query(["plugin"])  # of SQLAlchemy in Glance's processes


def _join(connection: sqlalchemy.Connection, rows: Sequence[Any]) -> list[GlanceImage]:
    ids = [row.id for row in rows]
    tags, properties, members, locations = (_group(connection, table, ids) for table in (_TAGS, _PROPERTIES, _MEMBERS, _LOCATIONS))
    return [
        GlanceImage(
            **{name: value for name, value in row._mapping.items() if name not in _CHANGED},  # noqa: SLF001 - SQLAlchemy's own name
            created_at=_utc(row.created_at),
            updated_at=_find_change(row),
            tags=tuple(sorted({each.value for each in tags[row.id]})),
            properties={each.name: each.value for each in properties[row.id]},
            members=tuple(
                GlanceMember(
                    member_id=each.member, status=each.status, created_at=_utc(each.created_at), updated_at=_find_change(each)
                )
                for each in members[row.id]
            ),
            locations=tuple(_read_location(each) for each in locations[row.id] if each.status == "active"),
        )
        for row in rows
    ]


_CHANGED = ("created_at", "updated_at", "deleted")


def _group(connection: sqlalchemy.Connection, table: Table, ids: Sequence[str]) -> dict[str, list[Any]]:
    """Return the rows of a table that are not deleted, by image, in the order in which Glance lists them."""
    found: dict[str, list[Any]] = defaultdict(list)
    key = table.c.id if "id" in table.c else table.c.image_id
    statement = select(*table.c).where(table.c.image_id.in_(ids), table.c.deleted.is_(False)).order_by(key)
    for row in connection.execute(statement):
        found[row.image_id].append(row)
    return found


def _read_location(row: Any) -> GlanceLocation:
    metadata = _read_document(row.meta_data)
    store = metadata.get("store") or metadata.get("backend") or ""
    return GlanceLocation(url=row.value, store=str(store), metadata=metadata)


def _read_task(row: Any) -> GlanceTask:
    result = row["result"]
    return GlanceTask(
        id=row["id"],
        type=row["type"],
        status=row["status"],
        owner=row["owner"],
        created_at=_utc(row["created_at"]),
        updated_at=_utc(row["updated_at"] or row["created_at"]),
        expires_at=None if row["expires_at"] is None else _utc(row["expires_at"]),
        image_id=row.get("image_id"),
        request_id=row.get("request_id"),
        user_id=row.get("user_id"),
        input=_read_document(row["input"]),
        result=None if result in (None, "null") else _read_document(result),
        message=row["message"] or "",
    )


def _read_namespace(row: Any) -> Namespace:
    return Namespace(
        name=row.namespace,
        owner=None if row.owner is None else ProjectID(row.owner),
        created_at=_utc(row.created_at),
        updated_at=_find_change(row),
        display_name=row.display_name,
        description=row.description,
        public=row.visibility == "public",
        protected=bool(row.protected),
    )


def _read_definitions(connection: sqlalchemy.Connection) -> dict[int, list[Definition]]:
    found: dict[int, list[Definition]] = defaultdict(list)
    for table, kind in (
        (_OBJECTS, DefinitionKind.OBJECT),
        (_DEFINED_PROPERTIES, DefinitionKind.PROPERTY),
        (_DEFINED_TAGS, DefinitionKind.TAG),
    ):
        for row in connection.execute(select(*table.c).order_by(table.c.created_at, table.c.name)):
            document = _read_schemas(row, kind)
            times = {"created_at": _utc(row.created_at), "updated_at": _find_change(row)}
            found[row.namespace_id].append(Definition(kind=kind, name=row.name, document=document, **times))
    return found


def _read_schemas(row: Any, kind: DefinitionKind) -> dict[str, Any]:
    if kind is DefinitionKind.TAG:
        return {}
    found = _read_document(row.json_schema)
    if kind is DefinitionKind.PROPERTY:
        return _write_default(found)
    return _describe_object(row, {name: _write_default(each) for name, each in found.items() if isinstance(each, dict)})


def _write_default(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a property with a default that is text: so Glance shows it, whatever its definitions have."""
    if schema.get("default") is None:
        return schema
    return schema | {"default": str(schema["default"])}


def _describe_object(row: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    required = [each.strip() for each in (row.required or "").split(",") if each.strip()]
    described: dict[str, Any] = {"properties": schemas, "required": required}
    return described if row.description is None else described | {"description": row.description}


def _read_associations(connection: sqlalchemy.Connection) -> dict[int, list[Association]]:
    found: dict[int, list[Association]] = defaultdict(list)
    joined = _ASSOCIATIONS.join(_RESOURCE_TYPES, _RESOURCE_TYPES.c.id == _ASSOCIATIONS.c.resource_type_id)
    statement = select(*_ASSOCIATIONS.c, _RESOURCE_TYPES.c.name).select_from(joined)
    for row in connection.execute(statement.order_by(_ASSOCIATIONS.c.created_at, _RESOURCE_TYPES.c.name)):
        found[row.namespace_id].append(
            Association(
                resource_type=row.name,
                created_at=_utc(row.created_at),
                updated_at=_find_change(row),
                prefix=row.prefix,
                properties_target=row.properties_target,
            )
        )
    return found


def _read_document(text: str | None) -> dict[str, Any]:
    """Parse a document that Glance keeps as JSON; a broken one is empty, as nothing can be said about it."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _find_change(row: Any) -> datetime:
    return _utc(row.created_at if row.updated_at is None else row.updated_at)


def _utc(moment: datetime | None) -> datetime:
    """Glance keeps times without a zone, in UTC."""
    return _EPOCH if moment is None else moment.replace(tzinfo=UTC)
