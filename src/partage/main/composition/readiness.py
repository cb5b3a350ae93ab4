"""Checks before the start: a fault that would make every worker fail is found once, and reported in one sentence."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from partage import problems
from partage.identity.keystone import Keystone
from partage.main.configuration.config import Settings
from partage.model.ids import StoreID
from partage.operations import store_identities
from partage.operations.service import Service
from partage.records import schema
from partage.records.database import Database
from partage.stores import layout
from partage.stores.drivers import posix
from partage.stores.identity import Identity

_LOG = logging.getLogger(__name__)
_MIN_CONNECTIONS = 2


def prepare_directories(settings: Settings) -> None:
    """Create the directories of the stores and, if it is used, the data directory; check that they are writable.

    Raises:
        Unavailable: a directory cannot be created or written.
        Invalid: the directory of the cache is a store.
    """
    if not settings.database_url.get_secret_value():
        prepare_directory(settings.data)
    for store in settings.keeping_stores:
        if store.directory is not None and not store.read_only:
            prepare_directory(store.directory)
    if settings.cache_directory is not None:
        _require_cache_apart(settings, settings.cache_directory)


def prepare_cache(directory: Path) -> None:
    """Create the directory of the cache. If that fails, log a warning; downloads then work without the cache."""
    try:
        prepare_directory(directory)
    except problems.Unavailable as problem:
        _LOG.warning("The cache is off: %s", problem)


def prepare_directory(path: Path) -> None:
    """Create a directory with mode 0700 if it does not exist; check that it is writable.

    Raises:
        Unavailable: it cannot be created or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise problems.Unavailable(f"The directory {path} cannot be created: {error.strerror}; choose another") from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise problems.Unavailable(f"This user cannot write to the directory {path}; change its owner or choose another")


def require_data(settings: Settings) -> None:
    """Check that the default database exists, for commands that must not create one.

    Raises:
        Unavailable: it does not exist.
    """
    database = settings.data.absolute() / "partage.db"
    if not settings.database_url.get_secret_value() and not database.exists():
        raise problems.Unavailable(
            f"There is no database at {database}; name the data directory with --data, or in the configuration"
        )


def check_database(service: Service, *, upgrade: bool) -> None:
    """Check that the database exists and has this release's schema; with `upgrade`, upgrade it first.

    Raises:
        DatabaseUnavailable: it does not exist, or has the schema of another release.
    """
    try:
        service.database.require_answer()
        if upgrade:
            upgrade_schema(service.database)
        schema.require_current(service.database)
    finally:
        service.database.close()  # a forked worker must not inherit an open connection


def upgrade_schema(database: Database) -> None:
    """Create the schema, or upgrade it; for a command or a start, whose operator reads why it fails.

    Raises:
        DatabaseUnavailable: it cannot be changed; the message says why.
    """
    try:
        schema.upgrade(database)
    except problems.DatabaseUnavailable as problem:
        raise database.explain(problem) from problem


def check_stores(service: Service, *, after_restore: bool = False) -> Mapping[StoreID, Identity]:
    """Check that every store belongs to this database, and claim new stores; return the identities of the stores.

    Raises:
        StoreUnavailable: a store is absent, or belongs to another database.
        DatabaseUnavailable: the database does not respond.
    """
    try:
        return store_identities.check_stores(service, after_restore=after_restore)
    finally:
        service.database.close()  # a forked worker must not inherit an open connection


def fit_connections(settings: Settings, service: Service) -> Settings:
    """Reduce `database_connections` so that all workers together leave one connection of the server for commands.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    try:
        offered = service.database.connections_offered()
    finally:
        service.database.close()
    processes = settings.workers + (settings.cache.enabled or settings.maintenance.enabled)
    if offered is None or processes * settings.database_connections <= offered - 1:
        return settings
    fitting = max(_MIN_CONNECTIONS, (offered - 1) // processes)
    _LOG.warning(
        "The database server accepts %d connections, and %d processes with database_connections = %d could use them all, so that "
        "no command and no other host could connect; each process now uses at most %d. Raise max_connections of the server, or "
        "lower database_connections or workers",
        offered,
        processes,
        settings.database_connections,
        fitting,
    )
    return settings.model_copy(update={"database_connections": fitting})


def check_identity(identity: Keystone) -> None:
    """Check that Keystone responds and accepts the account of this service.

    Raises:
        IdentityUnavailable: Keystone does not respond, or refuses the account.
    """
    identity.check()


def _require_cache_apart(settings: Settings, cache: Path) -> None:
    """Refuse a cache that shares a directory with a store: both would count and remove files there.

    Compares resolved paths and inodes, so that symbolic links and bind mounts are detected.

    Raises:
        Invalid: the directory of the cache is a store of this or another service, or one is inside the other's folders.
    """
    for store in settings.keeping_stores:
        folders = _list_folders(store.directory) if store.directory else ()
        if any(_is_same(one, other) for one in _list_folders(cache) for other in folders):
            raise problems.Invalid(
                f"cache.directory is {cache}, which shares a directory with the store {store.id} at {store.directory}. "
                "Name a directory that holds nothing else"
            )
    if (cache / layout.IDENTITY).exists():
        raise problems.Invalid(
            f"cache.directory is {cache}, which is a store: it has the file {layout.IDENTITY}. "
            "Name a directory that holds nothing else"
        )


def _list_folders(root: Path) -> tuple[Path, ...]:
    """List the directories that contain files of a store or of the cache."""
    return root, root / layout.PACKS, root / posix.INCOMING


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except OSError:  # one of them does not exist yet
        return False
