"""Identifiers as distinct types, so that an image's id cannot be passed where a project's is meant."""

from typing import NewType
from uuid import UUID

ImageID = NewType("ImageID", str)
"""A UUID in the spelling its creator chose; compared exactly."""

ProjectID = NewType("ProjectID", str)
"""A project's id as the identity service gives it (32 hexadecimal digits there, any text here: members are not looked up)."""

UserID = NewType("UserID", str)

StoreID = NewType("StoreID", str)
"""The operator's name of a store."""

ContentID = NewType("ContentID", str)
"""All bytes of one image, once stored; random, never derived from the bytes."""

PackID = NewType("PackID", str)
"""One object of many chunks in a store; random, 32 hexadecimal digits."""

ChunkDigest = NewType("ChunkDigest", bytes)
"""BLAKE3 of a chunk's plain bytes, 32 bytes."""

TaskID = NewType("TaskID", str)
"""A UUID: work that goes on after the answer."""


def is_uuid(text: str) -> bool:
    """Say whether a text can be read as a UUID, whatever its spelling."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
