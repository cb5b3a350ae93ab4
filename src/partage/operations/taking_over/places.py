"""Which of Glance's stores can be read, and which store of this service stands for each."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from partage import problems
from partage.model.glance import GlanceImage, GlanceLocation
from partage.model.ids import ContentID, StoreID
from partage.model.location import Reference
from partage.model.original import Original
from partage.operations.service import Service
from partage.stores.originals.objects import remove_keys

_TYPES = {"file": "file", "filesystem": "file", "swift+config": "swift", "swift": "swift", "swift+http": "swift"}
_TYPES |= {"swift+https": "swift", "s3": "s3", "s3+http": "s3", "s3+https": "s3", "http": "http", "https": "http"}
"""The type of Glance's store by the scheme of a location. Source: glance_store's drivers, `get_schemes`."""
_IV_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Glance's stores by name: their types, and the stores of this service that stand for them.

    `by_type`: the locations of this Glance name no store, so that the type of the store is its name. `encryption_key` decrypts the
    URLs in Glance's database; empty: they are plain.
    """

    types: Mapping[str, str]
    stores: Mapping[str, StoreID]
    default: str
    by_type: bool
    encryption_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """Where an image's bytes are: originals by the store that they stand for, references on the web, and what cannot be read."""

    originals: Mapping[StoreID, Original]
    references: tuple[Reference, ...]
    refused: tuple[str, ...]


def find_bytes(service: Service, places: Places, image: GlanceImage, *, is_checked: bool = True) -> Found:
    """Find the places of an image's bytes that can be read; with `is_checked`, each is asked for its size."""
    originals: dict[StoreID, Original] = {}
    references: list[Reference] = []
    refused: list[str] = []
    for location in image.locations:
        try:
            url = _decrypt(location.url, places.encryption_key)
            type_ = _find_type(url)
            if type_ == "http":
                references.append(_refer(service, location, url))
                continue
            original = _place(places, image, location, url, type_)
            if is_checked:
                _check(service, original)
            originals.setdefault(original.store_id, original)
        except (problems.Invalid, problems.Unavailable, problems.ContentCorrupt) as problem:
            refused.append(problem.sentence())
    return Found(originals, tuple(references), tuple(refused))


def _find_type(url: str) -> str:
    scheme, is_url, _rest = url.partition("://")
    if not is_url:
        scheme = ""
    if scheme not in _TYPES:
        raise problems.Invalid(
            f"its data is at a location {scheme or 'without a scheme'}:, and only locations in files, Swift, S3 and http are read; "
            "download it from Glance and upload it here under its id"
        )
    return _TYPES[scheme]


def _refer(service: Service, location: GlanceLocation, url: str) -> Reference:
    if service.stores.http is None:
        raise problems.Invalid("its data is on the web, and no store of type http is configured here; add one to the stores")
    metadata = {name: value for name, value in location.metadata.items() if name not in ("store", "backend")}
    return Reference(url=url, store=service.stores.http.id, metadata=metadata)


def _place(places: Places, image: GlanceImage, location: GlanceLocation, url: str, type_: str) -> Original:
    place = type_ if places.by_type else location.store or places.default
    if place not in places.types:
        raise problems.Invalid(
            f"its data is in Glance's store {place}, which Glance's configuration does not have; add it there to enabled_backends"
        )
    if places.types[place] != type_:
        raise problems.Invalid(
            f"its location {url.partition(':')[0]}: is not one of Glance's store {place}, which has the type "
            f"{places.types[place]}; correct it in Glance"
        )
    if url.rpartition("/")[2] != image.id:  # users may write locations of some types; Glance's own stores name data like this
        raise problems.Invalid(
            "its location does not end with its id, as those that Glance's stores write; download it from Glance and upload it "
            "here under its id"
        )
    if image.size is None:
        raise problems.Invalid("Glance did not record its size; download it from Glance and upload it here under its id")
    algorithm, digest = (image.os_hash_algo, image.os_hash_value) if image.os_hash_value else ("md5", image.checksum)
    return Original(
        content_id=ContentID(""),
        store_id=places.stores[place],
        place=place,
        url=remove_keys(url) if type_ == "s3" else url,
        size_bytes=image.size,
        algorithm=algorithm or "" if digest else "",
        digest=digest or "",
    )


def _check(service: Service, original: Original) -> None:
    """Check that the bytes are there, as many as Glance recorded.

    Raises:
        Invalid, StoreUnavailable, ContentCorrupt: they are not, or cannot be read.
    """
    reader = service.stores.originals.get(original.place)
    if reader is None:
        raise problems.Invalid(f"its data is in Glance's store {original.place}, whose type cannot be read in place")
    size_bytes = reader.find_size(original.url)
    if size_bytes != original.size_bytes:
        raise problems.ContentCorrupt(
            f"Glance's store {original.place} has {size_bytes} bytes of it, and Glance recorded {original.size_bytes}; restore it "
            "from a backup of Glance's store"
        )


def _decrypt(url: str, key: str) -> str:
    """Decrypt a URL of Glance's database. Source: Glance, `glance/common/crypt.py`: AES in CBC mode behind its initial vector.

    Raises:
        Invalid: it was encrypted with another key.
    """
    if not key:
        return url
    try:
        raw = base64.urlsafe_b64decode(url)
        decryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(raw[:_IV_BYTES])).decryptor()
        padded = decryptor.update(raw[_IV_BYTES:]) + decryptor.finalize()
        return padded[: padded.rindex(b"\0")].decode()
    except (binascii.Error, ValueError) as error:
        raise problems.Invalid(
            "its location is not encrypted with metadata_encryption_key of Glance's configuration; correct the key"
        ) from error
