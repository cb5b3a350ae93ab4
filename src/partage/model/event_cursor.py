"""Cursors of events: what requests and replies name the position of an event by. Pure.

Positions are numbers of the whole cloud. Their distances would tell a project about events that it must not know of: whether an
offer that it made waits or was refused, how many other members an image has, how much happens in the cloud. So a cursor is a
position encrypted with a key of the database: cursors can be compared for equality, and in no other way.

A cursor is the lower-case hexadecimal form of one AES block: eight bytes of zeros, then the position in eight bytes, big-endian. A
text that was made up does not decrypt to the zeros.
"""

import re
from typing import NewType

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

Cursor = NewType("Cursor", str)

_BLOCK_BYTES = 16
_CURSOR = re.compile(r"[0-9a-f]{32}", re.ASCII)
_LARGEST = (1 << 63) - 1


class CursorCipher:
    """Writes positions as cursors and reads them. Its `repr` does not contain the key."""

    def __init__(self, key: bytes) -> None:
        # A block cipher on single blocks is a permutation of positions: each has one cursor, also when an event is sent again.
        self._cipher = Cipher(AES(key), ECB())  # noqa: S305

    def write(self, position: int) -> Cursor:
        """Return the cursor of a position, which is at least 0."""
        encryptor = self._cipher.encryptor()
        return Cursor((encryptor.update(position.to_bytes(_BLOCK_BYTES, "big")) + encryptor.finalize()).hex())

    def read(self, text: str) -> int | None:
        """Return the position of a cursor; None if the text is no cursor of this database."""
        if not _CURSOR.fullmatch(text):
            return None
        decryptor = self._cipher.decryptor()
        position = int.from_bytes(decryptor.update(bytes.fromhex(text)) + decryptor.finalize(), "big")
        return position if position <= _LARGEST else None
