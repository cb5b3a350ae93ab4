"""The signature of an image: four properties by which its owner lets the bytes be verified. Pure.

Source: Image API, "Image signature verification". Only a complete set counts; three of them are properties like any others.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.ids import is_uuid

NAMES = ("img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid")


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """What the properties say, unchecked. `value` is base64."""

    value: str
    hash_method: str
    key_type: str
    certificate_id: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as the key manager gave it under an id: X.509 in DER. It is public."""

    id: str
    der: bytes

    def text(self) -> str:
        """Write it so that `certificate_of` reads it."""
        return f"{self.id} {base64.b64encode(self.der).decode()}"


def certificate_of(text: str) -> Certificate:
    """Read what `Certificate.text` wrote."""
    certificate_id, _space, encoded = text.partition(" ")
    return Certificate(certificate_id, base64.b64decode(encoded))


def signature_of(properties: Mapping[str, str]) -> ImageSignature | None:
    """Return the signature that an image with these properties has; None when one of the four is missing."""
    if not all(name in properties for name in NAMES):
        return None
    return ImageSignature(*(properties[name] for name in NAMES))


def require_id(signature: ImageSignature) -> None:
    """Let only a UUID name a certificate: it becomes a part of the key manager's URL.

    Raises:
        SignatureRefused: it is something else.
    """
    if not is_uuid(signature.certificate_id):
        raise problems.SignatureRefused("img_signature_certificate_uuid is not the UUID of a certificate in the key manager")


def signature_bytes(signature: ImageSignature) -> bytes:
    """Read the signature's own bytes.

    Raises:
        SignatureRefused: it is empty, or not base64.
    """
    try:
        found = base64.b64decode("".join(signature.value.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise problems.SignatureRefused("img_signature is not base64") from error
    if not found:
        raise problems.SignatureRefused("img_signature is empty")
    return found
