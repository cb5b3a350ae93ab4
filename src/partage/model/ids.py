"""Identifiers as distinct types, so that the type checker finds an image's id in the place of a project's."""

from typing import NewType
from uuid import UUID

ImageID = NewType("ImageID", str)
"""A UUID in its creator's spelling; compared exactly."""

ProjectID = NewType("ProjectID", str)
"""A project's id: in Keystone 32 hexadecimal digits. Any text is accepted here, because members need not be looked up."""

UserID = NewType("UserID", str)

StoreID = NewType("StoreID", str)
"""The operator's name of a store."""

ContentID = NewType("ContentID", str)
"""The stored content of an image. Random, not derived from the bytes."""

PackID = NewType("PackID", str)
"""An object with many chunks in a store. Random, 32 hexadecimal digits."""

ChunkDigest = NewType("ChunkDigest", bytes)
"""BLAKE3 of a chunk's plain bytes, 32 bytes."""

TaskID = NewType("TaskID", str)
"""A task's UUID."""


def is_uuid(text: str) -> bool:
    """Whether a text can be parsed as a UUID, in any spelling."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
