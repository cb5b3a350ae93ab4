"""Signed images: the signature is verified while the data streams. Data with an invalid signature is refused.

The certificate is fetched during the request, with the user's token. A task stores the certificate, which is public, so that it
needs no token for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from partage import problems
from partage.content.digest import Buffer
from partage.model.caller import Caller
from partage.model.signature import Certificate, ImageSignature, signature_of


class Verifier(Protocol):
    """Verifies the signature of one stream."""

    def update(self, buffer: Buffer) -> None:
        """Process the next bytes."""

    def finish(self) -> None:
        """Check the signature at the end of the data.

        Raises:
            SignatureRefused: they are not.
        """


class Signatures(Protocol):
    """Verifies signatures. Thread-safe."""

    def certificate(self, signature: ImageSignature, token: str, project_id: str | None) -> Certificate:
        """Fetch the certificate that a signature names, as the user of the token.

        Raises:
            SignatureRefused, KeyManagerUnavailable: it cannot be had.
        """

    def verifier(self, signature: ImageSignature, certificate: Certificate) -> Verifier:
        """Make the verifier of one stream.

        Raises:
            SignatureRefused: the signature can never be verified with this certificate.
        """


class Unverifiable:
    """Used when no verifier is installed: every signature is refused."""

    def certificate(self, signature: ImageSignature, token: str, project_id: str | None) -> Certificate:  # noqa: ARG002 - the protocol's
        """Refuse.

        Raises:
            SignatureRefused: always.
        """
        raise problems.SignatureRefused(
            "This service cannot verify the signature of the image; remove the properties img_signature..., or ask the operator to "
            "install partage[signatures]"
        )

    def verifier(self, signature: ImageSignature, certificate: Certificate) -> Verifier:
        """Refuse.

        Raises:
            SignatureRefused: always.
        """
        self.certificate(signature, "", None)
        raise AssertionError(certificate.id)


def certificate_for(signatures: Signatures, caller: Caller, properties: Mapping[str, str], token: str) -> Certificate | None:
    """Fetch the certificate of a signed image; None if the image is not signed. No transaction may be open.

    Raises:
        SignatureRefused: the signature is one that no bytes could have.
        KeyManagerUnavailable: the key manager does not answer.
    """
    signature = signature_of(properties)
    if signature is None:
        return None
    certificate = signatures.certificate(signature, token, caller.project_id)
    signatures.verifier(signature, certificate)
    return certificate


def verifier_for(signatures: Signatures, properties: Mapping[str, str], certificate: Certificate | None) -> Verifier | None:
    """Make the verifier of an image's data; None if the image is not signed.

    Raises:
        SignatureRefused: the image was signed, or by another certificate, after `certificate` was fetched.
    """
    signature = signature_of(properties)
    if signature is None:
        return None
    if certificate is None or certificate.id != signature.certificate_id:
        raise problems.SignatureRefused(
            "The image got another signature after its data was asked for; ask again, and leave the img_signature properties alone"
        )
    return signatures.verifier(signature, certificate)


def verify_blocks(
    signatures: Signatures, properties: Mapping[str, str], certificate: Certificate | None, blocks: Iterable[Buffer]
) -> Iterable[Buffer]:
    """Yield the data of an image; raise at the end if the signature does not match.

    Raises:
        SignatureRefused: as `verifier_for`; or, when the blocks are read, they are not what was signed.
    """
    verifier = verifier_for(signatures, properties, certificate)
    return blocks if verifier is None else _verify_blocks(verifier, blocks)


def _verify_blocks(verifier: Verifier, blocks: Iterable[Buffer]) -> Iterator[Buffer]:
    for block in blocks:
        verifier.update(block)
        yield block
    verifier.finish()
