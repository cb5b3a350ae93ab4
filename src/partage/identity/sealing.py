"""Keep a user's token for the worker that needs it, so that neither the database nor a copy of it opens a door.

Sealed text is URL-safe base64 of these bytes:

    offset  bytes  what
    0       1      the version, 1
    1       12     the nonce, drawn at random
    13      n      the token, encrypted with AES-256-GCM
    13+n    16     the tag

The key is HKDF-SHA-256 of one of the operator's secrets. The task's id is authenticated beside the token: sealed text that is moved
to another task does not open. Why tokens are kept at all: docs/decisions/0036-a-token-kept-for-one-task.md.
"""

import base64
import binascii
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from partage import problems
from partage.model.ids import TaskID

_VERSION = b"\x01"
_NONCE_BYTES = 12
_PURPOSE = b"partage: a user's token, sealed for a task"


class TokenSeal:
    """Seals tokens and opens them. Thread-safe: it never changes. Its keys are not shown when it is printed."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Seal with the first of these secrets; open what any of them sealed, so that they can be changed one after the other."""
        self._ciphers = [AESGCM(_key_of(each)) for each in keys]

    def seal(self, token: str, *, task_id: TaskID) -> str:
        """Make text of a token that opens only here, and only for this task."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, token.encode(), _context(task_id))
        return base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()

    def unseal(self, sealed: str, *, task_id: TaskID) -> str:
        """Give the token again.

        Raises:
            Unauthenticated: it was sealed with none of these secrets, for another task, or has changed since.
        """
        try:
            raw = base64.urlsafe_b64decode(sealed)
        except (ValueError, binascii.Error):
            raw = b""
        for cipher in self._ciphers if raw.startswith(_VERSION) else ():
            try:
                return cipher.decrypt(raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :], _context(task_id)).decode()
            except (InvalidTag, ValueError):
                continue
        raise problems.Unauthenticated(
            "The token that came with the request cannot be read by this worker; ask for the import again, and if that does not "
            "help, ask the operator whether imports.token_keys is the same everywhere"
        )


def _key_of(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())


def _context(task_id: TaskID) -> bytes:
    return _VERSION + task_id.encode()
