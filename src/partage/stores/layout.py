"""The keys of packs. The only module that builds or parses keys.

    <root of a store>/
      identity                               which store this is, and which database's: stores/identity.py
      packs/
        3f/
          3f9c1a…(32 hexadecimal digits)     one pack, immutable: stores/engine/pack.py

The first two digits spread packs over 256 folders, so that no folder grows large.
"""

import re

from partage.model import ids

IDENTITY = "identity"
PACKS = "packs/"

_PACK_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


def pack_key(pack_id: ids.PackID) -> str:
    """Name the object of a pack.

    Raises:
        ValueError: the id is not 32 lower-case hexadecimal digits.
    """
    if not _PACK_ID.fullmatch(pack_id):
        raise ValueError(f"{pack_id!r} is not a pack id: 32 hexadecimal digits")
    return f"{PACKS}{pack_id[:2]}/{pack_id}"


def pack_id_or_none(key: str) -> ids.PackID | None:
    """Return the id of the pack with this key; None for any other object."""
    name = key.rpartition("/")[2]
    return ids.PackID(name) if _PACK_ID.fullmatch(name) and key == f"{PACKS}{name[:2]}/{name}" else None


def build_key(name: str) -> str:
    """Return the key whose last part is `name`."""
    return f"{PACKS}{name[:2]}/{name}" if _PACK_ID.fullmatch(name) else name


def check_key(key: str) -> str:
    """Return the key, checked: it cannot leave the store's root.

    Raises:
        ValueError: it could, or it is malformed.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key of a store")
    return key
