"""A store's identity: one object that says which store this is and which database it belongs to.

The database holds the same, so that a store that is not mounted, another store's directory, and a database of another region are
noticed before anything is written or removed. The only object that is ever replaced. Layout: docs/format.md, "Identity".
"""

import re
from dataclasses import dataclass

import orjson

from partage import problems
from partage.stores import layout
from partage.stores.store import Store

VERSION = 1
LONGEST_BYTES = 4096
_ID = re.compile(r"[0-9a-f]{32}")
_MOST_SWEEPS = 2**53
"""More are damage: every number below is one to every reader of JSON, and leaves the database room to count on."""

_DAMAGED = (
    "The store's object 'identity' is damaged; the operator has to restore it from a backup, or to remove it and to name the store "
    "in 'partage manage take-over-store STORE --from nobody'"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which store this is; ids are 32 hexadecimal digits, drawn at random.

    `generation` counts the sweeps that removed packs: a database that has seen fewer of them is an older copy.
    """

    store: str
    database: str
    generation: int

    def is_same(self, other: "Identity") -> bool:
        """Whether both name the same store of the same database, of any generation."""
        return (self.store, self.database) == (other.store, other.database)


def encode(identity: Identity) -> bytes:
    """Encode an identity for the store."""
    document = {
        "partage_store": VERSION,
        "store": identity.store,
        "database": identity.database,
        "generation": identity.generation,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode(encoded: bytes) -> Identity:
    """Decode an identity.

    Raises:
        StoreUnavailable: it is damaged, or of a version that this release does not know.
    """
    try:
        document = orjson.loads(encoded)
        version = document["partage_store"]
        if version != VERSION:
            raise problems.StoreUnavailable(
                f"The store's identity has version {version}, and this release reads version {VERSION}; install a newer release"
            )
        store, database, generation = document["store"], document["database"], document["generation"]
        are_ids = all(_ID.fullmatch(each) for each in (store, database))
        is_count = type(generation) is int and 0 <= generation < _MOST_SWEEPS
    except (ValueError, KeyError, TypeError) as error:
        raise problems.StoreUnavailable(_DAMAGED) from error
    if not (are_ids and is_count):
        raise problems.StoreUnavailable(_DAMAGED)
    return Identity(store, database, generation)


def read(store: Store) -> Identity | None:
    """Read a store's identity; None when it has none.

    Raises:
        StoreUnavailable: the store does not answer, or the identity is invalid.
    """
    found = store.stat(layout.IDENTITY)
    if found is None:
        return None
    if found.size_bytes > LONGEST_BYTES:
        raise problems.StoreUnavailable(_DAMAGED)
    return decode(store.get(layout.IDENTITY, 0, found.size_bytes))


def claim(store: Store, identity: Identity) -> bool:
    """Write the identity of a store that has none, durably and atomically; return False if the store has one.

    Raises:
        StoreFull, StoreUnavailable: as `Store.put_if_absent`.
    """
    return store.put_if_absent(layout.IDENTITY, [encode(identity)])


def write(store: Store, identity: Identity) -> None:
    """Replace the identity of a store, durably.

    Raises:
        StoreFull, StoreUnavailable: as `Store.put`.
    """
    store.put(layout.IDENTITY, [encode(identity)])
