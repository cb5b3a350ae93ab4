"""Encrypt a user's token for the worker that needs it, so that neither the database nor a copy of it contains a usable token.

Sealed text is URL-safe base64 of these bytes:

    offset  bytes  what
    0       1      the version, 1
    1       12     the nonce, random
    13      n      the token, encrypted with AES-256-GCM
    13+n    16     the tag

The key is HKDF-SHA-256 of one of the operator's secrets. The task's id is authenticated beside the token: sealed text that is moved
to another task does not open. Why tokens are kept at all: docs/decisions/0036-sealed-token-of-one-task.md.
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
    """Encrypts (seals) tokens and decrypts them. Thread-safe: immutable. Its `repr` does not contain the keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Encrypt with the first key; decrypt with any of them (key rotation)."""
        self._ciphers = [AESGCM(_derive_key(each)) for each in keys]

    def seal(self, token: str, *, task_id: TaskID) -> str:
        """Encrypt a token for one task."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, token.encode(), _encode_context(task_id))
        return base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()

    def unseal(self, sealed: str, *, task_id: TaskID) -> str:
        """Decrypt a token.

        Raises:
            Unauthenticated: it was encrypted with another key, for another task, or was changed.
        """
        try:
            raw = base64.urlsafe_b64decode(sealed)
        except (ValueError, binascii.Error):
            raw = b""
        for cipher in self._ciphers if raw.startswith(_VERSION) else ():
            try:
                return cipher.decrypt(raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :], _encode_context(task_id)).decode()
            except (InvalidTag, ValueError):
                continue
        raise problems.Unauthenticated(
            "This worker cannot decrypt the token of the request; request the import again. If that fails too, the operator must "
            "set the same imports.token_keys in every process"
        )


def _derive_key(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())


def _encode_context(task_id: TaskID) -> bytes:
    return _VERSION + task_id.encode()
