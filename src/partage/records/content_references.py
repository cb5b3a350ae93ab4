"""The one list of tables that refer to contents.

The sweep removes a content without references; a new kind of reference is one row here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import Column, ColumnElement, bindparam, exists, or_, select

from partage.model.ids import StoreID
from partage.records.partial_upload_tables import upload_parts
from partage.records.tables import images, pending_deletes, stagings


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names contents, and the condition that its row has the content in the store of `bind_store`.

    `image_id` is the column with the image for which the row names the content.
    """

    column: Column[str]
    image_id: Column[str]
    is_in_store: ColumnElement[bool]


def _lists_store(stores: Column[str]) -> ColumnElement[bool]:
    return stores.like(bindparam("quoted_store"), escape="\\")


REFERENCES = (
    Reference(images.c.content_id, images.c.id, _lists_store(images.c.stores)),
    Reference(stagings.c.content_id, stagings.c.image_id, stagings.c.store_id == bindparam("store_id")),
    Reference(upload_parts.c.content_id, upload_parts.c.image_id, upload_parts.c.store_id == bindparam("store_id")),
    Reference(pending_deletes.c.content_id, pending_deletes.c.image_id, _lists_store(pending_deletes.c.stores)),
)
"""The data of an image, data that is staged or has arrived in part, and the data of a deleted image that can be restored."""


def is_named(content_id: Column[str]) -> ColumnElement[bool]:
    """SQL condition: something names the content."""
    return or_(*(exists(select(each.column).where(each.column == content_id)) for each in REFERENCES))


def is_named_in_store(content_id: Column[str]) -> ColumnElement[bool]:
    """SQL condition: something that names the content has it in the store of `bind_store`."""
    return or_(*(exists(select(each.column).where(each.column == content_id, each.is_in_store)) for each in REFERENCES))


def bind_store(store_id: StoreID) -> Mapping[str, str]:
    """Return the parameters of `is_named_in_store`."""
    quoted = orjson.dumps(store_id).decode()
    for sign in "\\%_":
        quoted = quoted.replace(sign, "\\" + sign)
    return {"store_id": store_id, "quoted_store": f"%{quoted}%"}
