"""The signature of an image: four properties with which the service verifies the image data. Pure.

Source: Image API, "Image signature verification". An incomplete set has no effect.
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
    """The values of the properties, not validated. `value` is base64."""

    value: str
    hash_method: str
    key_type: str
    certificate_id: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate from the key manager, with its id there: X.509 in DER. It is not secret."""

    id: str
    der: bytes

    def text(self) -> str:
        """Return the text that `certificate_of` parses."""
        return f"{self.id} {base64.b64encode(self.der).decode()}"


def certificate_of(text: str) -> Certificate:
    """Parse a text that `Certificate.text` returned."""
    certificate_id, _space, encoded = text.partition(" ")
    return Certificate(certificate_id, base64.b64decode(encoded))


def signature_of(properties: Mapping[str, str]) -> ImageSignature | None:
    """Return the signature in an image's properties; None if one of the four is missing."""
    if not all(name in properties for name in NAMES):
        return None
    return ImageSignature(*(properties[name] for name in NAMES))


def require_id(signature: ImageSignature) -> None:
    """Check that the certificate's id is a UUID, because it becomes a part of the key manager's URL.

    Raises:
        SignatureRefused: it is not.
    """
    if not is_uuid(signature.certificate_id):
        raise problems.SignatureRefused("img_signature_certificate_uuid is not the UUID of a certificate in the key manager")


def signature_bytes(signature: ImageSignature) -> bytes:
    """Decode the signature.

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
