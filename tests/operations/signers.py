"""People who sign images, with real keys and certificates, and a key manager, of castellan's kind, that has their certificates."""

import base64
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from castellan.common import exception
from castellan.common.objects.managed_object import ManagedObject
from castellan.common.objects.x_509 import X509
from castellan.key_manager.key_manager import KeyManager
from castellan.key_manager.not_implemented_key_manager import NotImplementedKeyManager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

HASHES: dict[str, Any] = {
    "SHA-224": hashes.SHA224(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}
KEYS: dict[str, Callable[[], Any]] = {
    "RSA-PSS": lambda: rsa.generate_private_key(65537, 2048),
    "DSA": lambda: dsa.generate_private_key(2048),
    "ECC_SECP521R1": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ECC_SECP384R1": lambda: ec.generate_private_key(ec.SECP384R1()),
}


class Keys(NotImplementedKeyManager):
    """A key manager that gives certificates, to whoever's token it is told to expect."""

    def __init__(self) -> None:
        super().__init__(None)
        self.objects: dict[str, ManagedObject] = {}
        self.asked: list[tuple[str, str]] = []
        self.in_the_way: Callable[[], object] = lambda: None

    def get(self, context: Any, managed_object_id: str, metadata_only: bool = False) -> ManagedObject:
        assert not metadata_only
        self.asked.append((context.token, managed_object_id))
        self.in_the_way()
        if managed_object_id not in self.objects:
            raise exception.ManagedObjectNotFoundError(uuid=managed_object_id)
        return self.objects[managed_object_id]

    def keeps(self, kept: ManagedObject) -> str:
        """Take an object in, and give its id."""
        name = str(uuid.uuid4())
        self.objects[name] = kept
        return name


assert issubclass(Keys, KeyManager)


@dataclass
class Signer:
    """Somebody with a key, whose certificate a key manager has."""

    keys: Keys
    key_type: str = "RSA-PSS"
    certificate_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = KEYS[self.key_type]()
        self.certificate_id = self.keys.keeps(X509(certificate_of(self.key)))

    def signs(self, data: bytes, hash_method: str = "SHA-256", **changed: str) -> dict[str, str]:
        """Give the properties of an image with these bytes."""
        algorithm = HASHES[hash_method]
        if isinstance(self.key, rsa.RSAPrivateKey):
            salted = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.MAX_LENGTH)
            signature = self.key.sign(data, salted, algorithm)
        elif isinstance(self.key, ec.EllipticCurvePrivateKey):
            signature = self.key.sign(data, ec.ECDSA(algorithm))
        else:
            signature = self.key.sign(data, algorithm)
        properties = {
            "img_signature": base64.b64encode(signature).decode(),
            "img_signature_hash_method": hash_method,
            "img_signature_key_type": self.key_type,
            "img_signature_certificate_uuid": self.certificate_id,
        }
        return {**properties, **{f"img_signature{name}": value for name, value in changed.items()}}


def certificate_of(key: Any) -> bytes:
    """Make a certificate that the key signs for itself, in DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    dated = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return dated.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


COLLIDING = tuple(
    bytes.fromhex(
        f"d131dd02c5e6eec4693d9a0698aff95c2fcab5{a}12467eab4004583eb8fb7f8955ad340609f4b30283e4888325{b}415a085125e8f7cdc99fd91dbd{c}80373c5b"
        f"d8823e3156348f5bae6dacd436c919c6dd53e2{d}87da03fd02396306d248cda0e99f33420f577ee8ce54b67080{e}0d1ec69821bcb6a8839396f965{f}6ff72a70"
    )
    for a, b, c, d, e, f in (("87", "71", "f2", "b4", "a8", "2b"), ("07", "f1", "72", "34", "28", "ab"))
)
"""Two messages with one MD5. Source: Wang, Feng, Lai, Yu, "Collisions for Hash Functions MD4, MD5, HAVAL-128 and RIPEMD", 2004."""

assert COLLIDING[0] != COLLIDING[1]
assert len({hashlib.md5(each).digest() for each in COLLIDING}) == 1
