"""Verify a stream with a certificate, by the signature methods of `cursive`, which Nova and Glance use. No input or output."""

from typing import Any

from partage import problems
from partage.content.digest import Buffer
from partage.model.signature import Certificate, ImageSignature, signature_bytes

try:
    from cryptography import exceptions, x509
    from cursive import exception as failures
    from cursive import signature_utils as methods
except ImportError:  # the extra is not installed: compose does not come here then
    methods = None  # type: ignore[assignment, unused-ignore]


class StreamVerifier:
    """Verifies one signature of one stream. Belongs to one thread."""

    def __init__(self, signature: ImageSignature, certificate: Certificate) -> None:
        """Parse the certificate; an unsuitable one is refused before the first byte.

        Raises:
            SignatureRefused: a method, the signature or the certificate is none that is known, or they do not belong together.
        """
        self._verifier = _verifier(signature, certificate)

    def update(self, buffer: Buffer) -> None:
        """Process the next bytes."""
        self._verifier.update(buffer)

    def finish(self) -> None:
        """Check the signature at the end of the data.

        Raises:
            SignatureRefused: they are not.
        """
        try:
            self._verifier.verify()
        except (exceptions.InvalidSignature, ValueError) as error:
            raise problems.SignatureRefused(
                "Signature verification failed: the image data is not what was signed with this certificate's key; the image is "
                "back in queued, correct its img_signature properties or send the right data"
            ) from error


def _verifier(signature: ImageSignature, certificate: Certificate) -> Any:
    value = signature_bytes(signature)
    try:
        hash_method = methods.get_hash_method(signature.hash_method)
        key_type = methods.SignatureKeyType.lookup(signature.key_type)
    except failures.SignatureVerificationError as error:
        raise problems.SignatureRefused(
            f"The image's signature cannot be verified: img_signature_hash_method is one of {_join(methods.HASH_METHODS)}, "
            f"img_signature_key_type one of {_join(methods.SignatureKeyType.REGISTERED_TYPES)}"
        ) from error
    try:
        key = x509.load_der_x509_certificate(certificate.der).public_key()
    except (ValueError, TypeError, exceptions.UnsupportedAlgorithm) as error:
        raise problems.SignatureRefused(
            f"What the key manager has under {certificate.id} is no X.509 certificate with a key that is known here"
        ) from error
    if not isinstance(key, key_type.public_key_type):
        raise problems.SignatureRefused(f"The certificate {certificate.id} has a key of another kind than {key_type.name}")
    return key_type.create_verifier(value, hash_method, key)


def _join(names: Any) -> str:
    return ", ".join(sorted(names))
