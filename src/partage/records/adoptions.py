"""Rows of adoptions: from which image an image was adopted. A row outlives its image, which can be restored."""

from datetime import datetime

from sqlalchemy import insert, select

from partage.model.adoption import Lineage
from partage.model.ids import ImageID
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import adoptions


def add(tx: Transaction, image_id: ImageID, source_id: ImageID, *, now: datetime) -> None:
    """Record that an image was adopted."""
    tx.execute(insert(adoptions), {"image_id": image_id, "source_id": source_id, "adopted_at": to_microseconds(now)})


def find(tx: Transaction, image_id: ImageID) -> Lineage:
    """Return the lineage of an image."""
    columns = (adoptions.c.source_id, adoptions.c.adopted_at)
    row = tx.execute(select(*columns).where(adoptions.c.image_id == image_id)).first()
    if row is None:
        return Lineage(image_id=image_id)
    return Lineage(image_id=image_id, adopted_from=ImageID(row.source_id), adopted_at=from_microseconds(row.adopted_at))
