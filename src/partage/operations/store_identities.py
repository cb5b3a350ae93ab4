"""Ensure that every store is the one that this database knows, before anything is read, written or removed.

A store and its database each know the other's id. Any mismatch stops the command, because the wrong pair destroys images: a
file system that is not mounted, the store of another region, a URL of the wrong database, a database that was restored from a
backup. Two kinds of stores are claimed automatically: an empty store in which the database knows nothing, and a store from a
release without identities, if it has the packs that the database knows in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.ids import StoreID
from partage.operations.service import NamedStore, Service
from partage.records import contents, store_identities
from partage.records.database import Transaction
from partage.records.store_identities import KnownStore
from partage.stores import identity, layout
from partage.stores.identity import Identity

NOBODY = "nobody"
"""The owner that `take_over` expects when the store has no identity."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """The identities that the database and the store have of each other."""

    named: NamedStore
    database: str
    known: KnownStore | None
    others: Mapping[StoreID, KnownStore]
    found: Identity | None

    @property
    def place(self) -> str:
        """Name the store in a sentence for the operator."""
        directory = self.named.properties.get("data_dir")
        return f"The store {self.named.id}" + (f" at {directory}" if directory else "")

    @property
    def take_over(self) -> str:
        """Name the command that makes the store this database's."""
        owner = NOBODY if self.found is None else self.found.database
        return f"partage manage take-over-store {self.named.id} --from {owner}"


def require_answer(named: NamedStore) -> None:
    """Check that a store responds at all, after one of its objects could not be read or removed.

    Raises:
        StoreUnavailable: it does not.
    """
    named.store.stat(layout.IDENTITY)


def check_stores(service: Service, *, after_restore: bool = False) -> dict[StoreID, Identity]:
    """Compare every store with what the database knows of it, claim new ones, and return the identities of all that have one.

    With `after_restore`, a database that is older than its store is accepted: for the command that repairs it.

    Raises:
        StoreUnavailable: a store is not this database's, or not there; the sentence says what to do.
        DatabaseUnavailable: the database does not answer.
    """
    checked: dict[StoreID, Identity] = {}
    for named in service.stores.by_id.values():
        with service.database.write() as tx:  # locked: no other process claims a store meanwhile
            here = _check(service, tx, named, after_restore=after_restore)
        if here is not None:
            checked[named.id] = here
    return checked


def take_over(service: Service, named: NamedStore, *, owner: str) -> Identity:
    """Make a store this database's; `owner` is the database that it belongs to until now, or `NOBODY`.

    Raises:
        StoreUnavailable: it belongs to another database than `owner`, or is known to this one under another name.
        StoreReadOnly: nothing is written to it.
    """
    if named.read_only:
        raise problems.StoreReadOnly(f"The store {named.id} is read-only; its identity cannot be written")
    with service.database.write() as tx:
        pair = _look(service, tx, named)
        _require_one_name(pair)
        is_owned_by = NOBODY if pair.found is None else pair.found.database
        if is_owned_by != owner:
            raise problems.StoreUnavailable(
                f"{pair.place} belongs to {_owner(is_owned_by)}, not to {_owner(owner)}; nothing was changed"
            )
        store = pair.found.store if pair.found is not None else service.new_id().replace("-", "")
        generation = max(0 if pair.found is None else pair.found.generation, 0 if pair.known is None else pair.known.generation)
        return _claim(service, tx, named, Identity(store, pair.database, generation + 1))


def raise_generation(service: Service, named: NamedStore) -> None:
    """Count a sweep that is about to remove packs, in the database and in the store, so that an older database is detected.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    with service.database.write() as tx:
        database = store_identities.identify(tx, service.new_id().replace("-", ""))
        known = store_identities.raise_generation(tx, named.id)
    if known is None:
        return
    try:
        identity.write(named.store, Identity(known.identity, database, known.generation))
    except problems.StoreFull:
        # The sweep makes room. An older copy of the database still finds its packs by `rebuild_index`.
        return


def align_generations(service: Service, named: NamedStore) -> None:
    """Give a restored database and its store the same generation again.

    Raises:
        StoreFull, StoreUnavailable: the store cannot be written.
    """
    with service.database.write() as tx:
        pair = _look(service, tx, named)
        if pair.found is None:
            return
        generation = max(pair.found.generation, 0 if pair.known is None else pair.known.generation)
        if named.read_only:
            store_identities.put(tx, named.id, KnownStore(pair.found.store, generation), now=service.clock())
        else:
            _claim(service, tx, named, Identity(pair.found.store, pair.database, generation + 1))


def _look(service: Service, tx: Transaction, named: NamedStore) -> _Pair:
    database = store_identities.identify(tx, service.new_id().replace("-", ""))
    known = store_identities.list_stores(tx)
    others = {name: each for name, each in known.items() if name != named.id}
    return _Pair(named, database, known.get(named.id), others, identity.read(named.store))


def _check(service: Service, tx: Transaction, named: NamedStore, *, after_restore: bool) -> Identity | None:
    pair = _look(service, tx, named)
    _require_one_name(pair)
    if pair.found is None:
        return _without_identity(service, tx, pair)
    if pair.found.database != pair.database:
        raise problems.StoreUnavailable(
            f"{pair.place} belongs to another database, {pair.found.database}; this one is {pair.database}. Correct the path of "
            f"the store or the URL of the database. If the store is to change hands, and the other database's images in it are to "
            f"be lost: {pair.take_over}"
        )
    if pair.known is not None and pair.known.identity != pair.found.store:
        raise problems.StoreUnavailable(
            f"{pair.place} is the store {pair.found.store}, and the database knows another by this name, {pair.known.identity}. "
            f"Mount that one or correct the path. If it is gone for good: {pair.take_over}"
        )
    if pair.found.generation > (0 if pair.known is None else pair.known.generation) and not after_restore:
        raise problems.StoreUnavailable(
            f"{pair.place} has been swept since this database was last in use: the database was restored from a backup, or another "
            "copy of it works on the store. End what uses that copy, and then let the database find its packs again: "
            "partage manage rebuild-index"
        )
    if pair.known is None:  # the claim was cut short, or the database is from before it
        store_identities.put(tx, named.id, KnownStore(pair.found.store, pair.found.generation), now=service.clock())
    return pair.found


def _require_one_name(pair: _Pair) -> None:
    """Refuse a store that the database knows under another name: two names for one directory, or a new name for an old store."""
    if pair.found is None:
        return
    for name, known in pair.others.items():
        if known.identity == pair.found.store and pair.found.database == pair.database:
            raise problems.StoreUnavailable(
                f"{pair.place} is the one that the database knows as {name}: two stores cannot be one directory, or copies of each "
                f"other, and a store keeps its name. Correct the path, or call it {name} again"
            )


def _without_identity(service: Service, tx: Transaction, pair: _Pair) -> Identity | None:
    named = pair.named
    if pair.known is not None:
        raise problems.StoreUnavailable(
            f"{pair.place} does not have its identity: the database knows it as {pair.known.identity}, and there is nothing. "
            f"Is it mounted? If only the object was lost: {pair.take_over}"
        )
    if named.read_only:
        return None  # nothing is ever written to it, nor removed
    expected = [
        each.id for each in contents.list_packs(tx, named.id)
    ]  # retired ones too: they lie there until a sweep removes them
    found = sum(named.store.stat(layout.pack_key(each)) is not None for each in expected)
    is_empty = next(iter(named.store.enumerate(layout.PACKS)), None) is None
    if expected and 2 * found < len(expected):
        raise problems.StoreUnavailable(
            f"{pair.place} has {found} of the {len(expected)} packs that the database knows in it. Is it mounted, and is it the "
            f"right one? If the others are lost for good: {pair.take_over}"
        )
    if not expected and not is_empty:
        raise problems.StoreUnavailable(
            f"{pair.place} is not empty, has no identity, and the database knows nothing in it. Correct the path of the store or "
            f"the URL of the database. If it is to be this database's all the same: {pair.take_over}"
        )
    here = Identity(service.new_id().replace("-", ""), pair.database, 0)
    if not identity.claim(named.store, here):
        raise problems.StoreUnavailable(f"{pair.place} was claimed by another process at the same moment; start again")
    return _note(service, tx, named, here)


def _claim(service: Service, tx: Transaction, named: NamedStore, here: Identity) -> Identity:
    """Write the identity into the store, then into the database. The next check completes a claim that was cut short between."""
    identity.write(named.store, here)
    return _note(service, tx, named, here)


def _note(service: Service, tx: Transaction, named: NamedStore, here: Identity) -> Identity:
    store_identities.put(tx, named.id, KnownStore(here.store, here.generation), now=service.clock())
    return here


def _owner(database: str) -> str:
    return database if database == NOBODY else f"the database {database}"
