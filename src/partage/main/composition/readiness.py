"""Look before starting: whatever would make every worker fail is found here, once, and said in one sentence."""

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
from partage.stores import layout
from partage.stores.identity import Identity

_LOG = logging.getLogger(__name__)
_FEWEST_CONNECTIONS = 2


def prepare_directories(settings: Settings) -> None:
    """Make the directories of the stores, and of the data when it is used, and make sure that they can be written.

    Raises:
        Unavailable: one cannot be.
        Invalid: the directory of the cache is a store.
    """
    if not settings.database_url.get_secret_value():
        prepare_directory(settings.data)
    for store in settings.keeping_stores:
        if not store.read_only:
            prepare_directory(store.directory)
    if settings.cache.directory:
        _require_cache_apart(settings, Path(settings.cache.directory))


def prepare_cache(settings: Settings) -> None:
    """Make the directory of the cache, if that is possible. If not, images are given out without: it is said, and stops nobody."""
    try:
        prepare_directory(Path(settings.cache.directory))
    except problems.Unavailable as problem:
        _LOG.warning("nothing is cached: %s", problem)


def prepare_directory(path: Path) -> None:
    """Make a directory that only this user may enter, unless it is there; make sure that it can be written.

    Raises:
        Unavailable: it cannot be.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise problems.Unavailable(f"The directory {path} cannot be made: {error.strerror}; choose another") from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise problems.Unavailable(f"The directory {path} cannot be written by this user; change its owner or choose another")


def require_data(settings: Settings) -> None:
    """Make sure that the default database is there already, for what only makes sense with one.

    Raises:
        Unavailable: it is not.
    """
    database = settings.data.absolute() / "partage.db"
    if not settings.database_url.get_secret_value() and not database.exists():
        raise problems.Unavailable(f"There is no database at {database}; name the data directory with --data or in the settings")


def check_database(service: Service, *, upgrade: bool) -> None:
    """Make sure that the database is there and has this release's schema; bring it up to date first when told to.

    Raises:
        DatabaseUnavailable: it is not there, of a newer release, or of an older one and may not be upgraded.
    """
    try:
        if upgrade:
            schema.upgrade(service.database)
        schema.require_current(service.database)
    finally:
        service.database.close()  # no connection may be open when workers are forked


def check_stores(service: Service, *, after_restore: bool = False) -> Mapping[StoreID, Identity]:
    """Make sure that every store is this database's, and claim those that are new; return their identities.

    Raises:
        StoreUnavailable: one is not there, or another database's; the sentence says what to do.
        DatabaseUnavailable: it does not answer.
    """
    try:
        return store_identities.check_stores(service, after_restore=after_restore)
    finally:
        service.database.close()  # no connection may be open when workers are forked


def fit_connections(settings: Settings, service: Service) -> Settings:
    """Let the workers have so many connections only as the database server offers, less one for commands.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    try:
        offered = service.database.connections_offered()
    finally:
        service.database.close()
    processes = settings.workers + bool(settings.cache.directory)
    if offered is None or processes * settings.database_connections <= offered - 1:
        return settings
    fitting = max(_FEWEST_CONNECTIONS, (offered - 1) // processes)
    _LOG.warning(
        "The database server offers %d connections, and %d processes with database_connections = %d could take them all, so that "
        "no command and no other host could connect; each process takes %d at most. Raise max_connections of the server or lower "
        "database_connections or workers",
        offered,
        processes,
        settings.database_connections,
        fitting,
    )
    return settings.model_copy(update={"database_connections": fitting})


def check_identity(identity: Keystone) -> None:
    """Make sure that Keystone answers and knows this service.

    Raises:
        IdentityUnavailable: it does not.
    """
    identity.check()


def _require_cache_apart(settings: Settings, cache: Path) -> None:
    """Refuse a cache whose files would lie among a store's: the cache removes packs that are not its own copies as damaged.

    Directories are compared as the system sees them, so that neither a symbolic link nor a bind mount hides that two are one.

    Raises:
        Invalid: the directory of the cache is a store of this service or of another, or one is inside the other's folders.
    """
    for store in settings.keeping_stores:
        if any(_is_same(one, other) for one in _folders(cache) for other in _folders(store.directory)):
            raise problems.Invalid(
                f"cache.directory is {cache}, which shares a directory with the store {store.id} at {store.directory}; the cache "
                "would remove the store's packs. Name a directory that holds nothing else"
            )
    if (cache / layout.IDENTITY).exists():
        raise problems.Invalid(
            f"cache.directory is {cache}, which is a store: it has the file {layout.IDENTITY}. "
            "Name a directory that holds nothing else"
        )


def _folders(root: Path) -> tuple[Path, ...]:
    """List the directories in which a store, or the cache, keeps its files."""
    return root, root / layout.PACKS, root / layout.INCOMING


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except OSError:  # one of them is not there yet
        return False
