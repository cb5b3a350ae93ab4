"""The id of this database and the identities of its stores; each store has the same in its object `identity`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from partage.model.ids import StoreID
from partage.records.database import Transaction, to_microseconds
from partage.records.dialects import build_insert
from partage.records.tables import database_identity, store_identities

_THE_ONLY_ROW = 1


@dataclass(frozen=True, slots=True)
class KnownStore:
    """A store as the database knows it. `generation` counts the sweeps of this database that removed packs from it."""

    identity: str
    generation: int


def identify(tx: Transaction, new_id: str) -> str:
    """Return the database's id, after setting it to `new_id` if there is none; lock its row until the transaction ends."""
    tx.execute(build_insert(tx, database_identity).values(number=_THE_ONLY_ROW, id=new_id).on_conflict_do_nothing())
    return str(tx.execute(select(database_identity.c.id).with_for_update()).scalar_one())


def list_stores(tx: Transaction) -> Mapping[StoreID, KnownStore]:
    """Return the stores that this database has claimed, by the names that they had."""
    rows = tx.execute(select(store_identities.c.store_id, store_identities.c.identity, store_identities.c.generation))
    return {StoreID(row.store_id): KnownStore(row.identity, row.generation) for row in rows}


def find(tx: Transaction, store_id: StoreID) -> KnownStore | None:
    """Return what the database knows of a store, or None."""
    columns = (store_identities.c.identity, store_identities.c.generation)
    row = tx.execute(select(*columns).where(store_identities.c.store_id == store_id)).first()
    return None if row is None else KnownStore(row.identity, row.generation)


def put(tx: Transaction, store_id: StoreID, known: KnownStore, *, now: datetime) -> None:
    """Insert a store's identity, in place of the earlier one under this name."""
    tx.execute(delete(store_identities).where(store_identities.c.store_id == store_id))
    row = {"store_id": store_id, "identity": known.identity, "generation": known.generation, "claimed_at": to_microseconds(now)}
    tx.execute(insert(store_identities), row)


def raise_generation(tx: Transaction, store_id: StoreID) -> KnownStore | None:
    """Increment the generation of a store and return its row; None if it has no identity."""
    mine = store_identities.c.store_id == store_id
    tx.execute(update(store_identities).where(mine).values(generation=store_identities.c.generation + 1))
    return find(tx, store_id)
